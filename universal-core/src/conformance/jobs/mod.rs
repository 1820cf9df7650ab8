//! The promises of [`Jobs`](crate::jobs::Jobs), of a [`Queue`](crate::jobs::Queue) and of the workers on it.
//!
//! Run every case of [`cases`] with a fixture of its own, on a queue that no other workers serve.

mod attempts;
mod fixture;
mod leases;
mod orders;
mod rights;
mod transactions;

pub use fixture::{JobsFixture, Transact, Work};

use crate::conformance::case::Case;

/// All cases.
pub fn cases() -> impl Iterator<Item = Case<JobsFixture>> {
    [orders::CASES, attempts::CASES, leases::CASES, transactions::CASES, rights::CASES].into_iter().flatten().copied()
}
