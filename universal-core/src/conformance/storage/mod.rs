//! What every [`Storage`](crate::storage::Storage) has to do.

mod access;
mod fixture;
mod links;
mod listing;
mod objects;
mod uploads;

pub use fixture::Fixture;

use crate::conformance::case::Case;

/// All cases. Each needs a fixture of its own, with an empty database and an empty store.
#[must_use]
pub fn cases() -> Vec<Case<Fixture>> {
    [objects::CASES, uploads::CASES, access::CASES, listing::CASES, links::CASES].concat()
}
