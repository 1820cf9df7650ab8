//! The subjects: one folder each, with its table of routes in `mod.rs`.

pub(crate) mod operations;
