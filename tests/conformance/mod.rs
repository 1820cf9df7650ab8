//! Every contract's suite on every implementation that is here.

mod auth;
mod bus;
mod channels;
mod collections;
mod indexes;
mod lifecycle;
mod reads;
mod realtime;
pub(crate) mod subject;
