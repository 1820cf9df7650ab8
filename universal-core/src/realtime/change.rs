//! One change of one document.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    id::{CollectionName, DocumentId, UserId},
};

/// What happened to the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It came into being.
    Create,
    /// It was replaced or patched.
    Update,
    /// It was deleted.
    Delete,
}

impl Operation {
    /// Its name in tables and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Operation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "create" => Ok(Self::Create),
            "update" => Ok(Self::Update),
            "delete" => Ok(Self::Delete),
            _ => Err(Error::internal(format!("`{text}` is no operation of a change"))),
        }
    }
}

/// A document as it was before or after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its members as JSON text; spaces and the order of members are those of the database.
    pub body: Arc<str>,
    /// Its owner.
    pub owner: Option<UserId>,
}

/// One change of one document, as the feed holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Its number: dense per tenant, in the order of the versions of each document.
    pub seq: i64,
    /// What all changes of one transaction share.
    pub transaction: i64,
    /// The collection.
    pub collection: CollectionName,
    /// The document.
    pub id: DocumentId,
    /// What happened.
    pub operation: Operation,
    /// The revision that the change made; for a deletion the one that it ended.
    pub revision: Arc<str>,
    /// The document before, unless it was created.
    pub before: Option<Image>,
    /// The document after, unless it was deleted.
    pub after: Option<Image>,
    /// Who did it: a user's id, `system`, or nobody in particular.
    pub actor: Option<Arc<str>>,
    /// The request that did it.
    pub request_id: Option<Arc<str>>,
    /// When the document came into being.
    pub created_at: Timestamp,
    /// When it was done.
    pub at: Timestamp,
}

impl Change {
    /// A change with its number, for drivers.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "one argument a column; only drivers call it")]
    pub fn new(
        seq: i64,
        transaction: i64,
        collection: CollectionName,
        id: DocumentId,
        operation: Operation,
        revision: impl Into<Arc<str>>,
        (before, after): (Option<Image>, Option<Image>),
        (created_at, at): (Timestamp, Timestamp),
    ) -> Self {
        Self {
            seq,
            transaction,
            collection,
            id,
            operation,
            revision: revision.into(),
            before,
            after,
            actor: None,
            request_id: None,
            created_at,
            at,
        }
    }

    /// The same change, done by `actor` in the request `request_id`.
    #[must_use]
    pub fn with_author(mut self, actor: Option<Arc<str>>, request_id: Option<Arc<str>>) -> Self {
        self.actor = actor;
        self.request_id = request_id;
        self
    }
}
