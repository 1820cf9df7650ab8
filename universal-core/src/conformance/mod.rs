//! Suites that every implementation of a service must pass.

#[macro_use]
mod expect;

pub mod auth;
pub mod bus;
pub mod case;
pub mod channels;
pub mod collections;
pub mod explain;
pub mod indexes;
pub mod jobs;
pub mod lifecycle;
pub mod mirror;
#[expect(
    clippy::indexing_slicing,
    reason = "JSON that is indexed gives null where nothing is, and a case that stops has failed"
)]
#[expect(clippy::excessive_precision, reason = "the digits are those that the case is about")]
pub mod reads;
pub mod realtime;
pub mod rules;
pub mod search;
pub mod storage;
pub mod transfer;
pub mod watch;
