//! What every implementation of [`Collections`](crate::collections::Collections) promises about the life of collections and
//! documents: references and what a deletion does to them, dropping and renaming, and documents whose time is over.

mod expiring;
mod fixture;
mod moving;
mod referring;

pub use fixture::Fixture;

use crate::conformance::case::Case;

/// All cases. They turn the clock, so give them a backend of their own.
pub fn cases() -> impl Iterator<Item = Case<Fixture>> {
    [referring::CASES, moving::CASES, expiring::CASES].into_iter().flatten().copied()
}
