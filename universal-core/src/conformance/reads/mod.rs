//! What every implementation of [`Collections`](crate::collections::Collections) promises of its reads beyond single
//! documents and plain lists.

mod aggregates;
mod counts;
mod distinct;
mod expand;
mod fields;
mod hidden;
mod paging;
mod scene;

use crate::conformance::case::Case;
pub use scene::Fixture;

/// Every promise, in groups.
pub const GROUPS: &[&[Case<Fixture>]] =
    &[aggregates::CASES, counts::CASES, distinct::CASES, expand::CASES, fields::CASES, hidden::CASES, paging::CASES];
