//! Many documents at once: those that a filter matches.

use crate::{
    error::Result,
    expr::{Expression, Scope},
    id::CollectionName,
    json::Object,
    page::{Limit, MAX_LIMIT},
};

/// How many bytes the documents of one call have together at most, but for its last one; it then stops
/// before its limit: 16 MiB.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// Which documents a write by filter changes: those of a collection that match and that the caller may
/// list, in the order of their ids, so many at once.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use]
pub struct Matching {
    /// Where.
    pub collection: CollectionName,
    /// Which; there is no "all" by accident, `true` matches every document.
    pub filter: Expression,
    /// How many documents one call changes at most; 500 unless said.
    pub limit: Limit,
    /// Where to go on, as the call before said.
    pub cursor: Option<String>,
}

impl Matching {
    /// The documents of `collection` that match the filter's text.
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn new(collection: CollectionName, filter: &str) -> Result<Self> {
        let filter = Expression::parse(filter, Scope::Filter).map_err(|error| match error.field() {
            Some(_) => error,
            None => error.with_field("filter"),
        })?;
        Ok(Self { collection, filter, limit: Limit::new(MAX_LIMIT)?, cursor: None })
    }

    /// The documents of `collection` that match, at most 500 at once.
    ///
    /// # Errors
    /// `Invalid` for a filter that the databases cannot ask.
    pub fn of(collection: CollectionName, filter: Expression) -> Result<Self> {
        filter.listable()?;
        Ok(Self { collection, filter, limit: Limit::new(MAX_LIMIT)?, cursor: None })
    }

    /// At most so many at once.
    pub fn with_limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// From where the call before ended.
    pub fn with_cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }
}

/// One write of every document of a matching.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MatchingWrite {
    /// Changes members (RFC 7396 and field operations), the same in each.
    Patch(Object),
    /// Deletes them.
    Delete,
}

/// What a write by filter did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Affected {
    /// How many documents of this call matched.
    pub matched: u64,
    /// How many of them were changed or deleted.
    pub changed: u64,
    /// Where to go on, if more documents may match. Opaque and signed.
    pub next_cursor: Option<String>,
}

impl Affected {
    /// A result, for drivers.
    #[must_use]
    pub fn new(matched: u64, changed: u64, next_cursor: Option<String>) -> Self {
        Self { matched, changed, next_cursor }
    }
}
