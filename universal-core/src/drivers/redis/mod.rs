//! Redis as the way between the nodes of an installation, through `fred`.
//!
//! It carries hints and short-lived messages by publishing, and holds no key: whatever is lost with it is read from the
//! database instead.

pub(crate) mod bus;
pub(crate) mod connection;
