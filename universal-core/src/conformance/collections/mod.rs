//! The promises of [`Collections`](crate::collections::Collections).
//!
//! Run every case of [`cases`] on one implementation, and every case of [`once::CASES`] on one whose clock the test
//! turns. Every case uses collections of its own.

mod batches;
mod by_filter;
mod documents;
mod fields;
mod fixture;
pub mod once;
mod upserts;

pub use fixture::Fixture;

use crate::conformance::case::Case;

/// All cases.
pub fn cases() -> impl Iterator<Item = Case<Fixture>> {
    [documents::CASES, upserts::CASES, fields::CASES, batches::CASES, by_filter::CASES].into_iter().flatten().copied()
}
