//! What channels promise, over the nodes of an installation.

mod fixture;
mod messages;
mod presence;
mod rules;

pub use fixture::Fixture;

use crate::conformance::case::Case;

/// Every promise. The last one cuts a node off, so run them in this order.
pub const CASES: &[&[Case<Fixture>]] = &[messages::CASES, rules::CASES, presence::CASES];
