//! Canonical JSON and its total order.

pub(crate) mod envelope;
