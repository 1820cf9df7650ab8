//! Canonical JSON and its total order.
