//! The subjects: one folder each, with its table of routes in `mod.rs`.

pub(crate) mod admin;
pub(crate) mod auth;
pub(crate) mod collections;
pub(crate) mod jobs;
pub(crate) mod operations;
pub(crate) mod realtime;
pub(crate) mod storage;
