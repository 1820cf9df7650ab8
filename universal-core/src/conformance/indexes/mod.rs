//! What every implementation of [`Collections`](crate::collections::Collections) promises about indexes.

mod building;
mod fixture;
mod lists;
mod unique;
mod writes;

use crate::conformance::case::Case;
pub use fixture::Fixture;

/// Every promise.
pub fn cases() -> impl Iterator<Item = Case<Fixture>> {
    [building::CASES, lists::CASES, unique::CASES, writes::CASES].into_iter().flatten().copied()
}
