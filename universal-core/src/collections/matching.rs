//! Many documents at once: those that a filter matches.

use crate::{
    collections::{
        decide::{self, Writing},
        document::Document,
        rule::Action,
    },
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
///
/// They are looked for first, as a list would, and then locked and asked again: what no longer matches by then is left
/// alone, and what matches only since then is not in this call. A call may so change fewer documents than its limit,
/// or none, and have a next cursor all the same.
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

    /// Whether `document`, as it is stored now, is one that the write changes.
    pub(crate) fn takes(&self, cx: &Writing<'_>, document: &Document) -> Result<bool> {
        let members = Object::from_stored(&document.body)?;
        let environment = decide::about(cx, document).with_document(members.as_map());
        Ok(cx.configured.rule(Action::List).allows(cx.caller, &environment) && self.filter.matches(&environment))
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
