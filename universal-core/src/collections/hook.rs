//! Code of the host's that runs inside the transaction of a write, before the write is stored.

use std::fmt;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    caller::Caller,
    collections::{document::Document, rule::Action},
    error::{Error, Result},
    id::{CollectionName, DocumentId},
    json::Object,
    transaction::Transaction,
};

/// Which collections a hook is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CollectionMatch {
    /// Every collection.
    All,
    /// This one.
    Only(CollectionName),
}

impl CollectionMatch {
    /// Whether it means `collection`.
    #[must_use]
    pub fn matches(&self, collection: &CollectionName) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == collection,
        }
    }
}

impl From<CollectionName> for CollectionMatch {
    fn from(collection: CollectionName) -> Self {
        Self::Only(collection)
    }
}

/// A write that was decided and is about to be stored.
///
/// What a hook changes in [`after_mut`](Self::after_mut) is stored in place of what was decided: it must be a document
/// and fit the collection's schema. The rules, hidden, immutable and server-set members do not bind the hook, which is
/// a part of the program.
#[derive(Clone, Debug)]
pub struct PendingWrite {
    caller: Caller,
    action: Action,
    document: Document,
    before: Option<Document>,
    after: Option<Map<String, Value>>,
    is_changed: bool,
}

impl PendingWrite {
    /// For drivers: the creation of `document`, or its change from `before`, to these members.
    #[must_use]
    pub fn new(caller: Caller, document: Document, before: Option<Document>, after: Map<String, Value>) -> Self {
        let action = if before.is_some() { Action::Update } else { Action::Create };
        Self { caller, action, document, before, after: Some(after), is_changed: false }
    }

    /// For drivers: the deletion of `document`.
    #[must_use]
    pub fn deletion(caller: Caller, document: Document) -> Self {
        let before = Some(document.clone());
        Self { caller, action: Action::Delete, document, before, after: None, is_changed: false }
    }

    /// Who writes.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// [`Action::Create`], [`Action::Update`] (a replacement or a patch) or [`Action::Delete`].
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// The collection.
    #[must_use]
    pub fn collection(&self) -> &CollectionName {
        &self.document.collection
    }

    /// The document's id.
    #[must_use]
    pub fn id(&self) -> &DocumentId {
        &self.document.id
    }

    /// The document as it stands, with members that are hidden from the caller; `None` before a creation. Spaces in its
    /// body are those of the database.
    #[must_use]
    pub fn before(&self) -> Option<&Document> {
        self.before.as_ref()
    }

    /// The members of the document as it stands; `None` before a creation.
    ///
    /// # Errors
    /// `Internal` for a stored body that is no object.
    pub fn before_members(&self) -> Result<Option<Map<String, Value>>> {
        self.before.as_ref().map(|before| Ok(Object::from_stored(&before.body)?.into_map())).transpose()
    }

    /// The document's row as it will be: owner, revision, moments. Its body is what was decided, without what hooks
    /// changed since. Of a deletion it is the document that goes.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The members as they will be stored; `None` for a deletion.
    #[must_use]
    pub fn after(&self) -> Option<&Map<String, Value>> {
        self.after.as_ref()
    }

    /// The members as they will be stored, to change them; `None` for a deletion.
    pub fn after_mut(&mut self) -> Option<&mut Map<String, Value>> {
        self.is_changed = self.after.is_some();
        self.after.as_mut()
    }

    /// The members as they will be stored as a `T`; `None` for a deletion.
    ///
    /// # Errors
    /// `Invalid` `document-does-not-fit` if they do not fit.
    pub fn to<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let fits = |members: &Map<String, Value>| {
            serde_json::from_value(Value::Object(members.clone()))
                .map_err(|error| Error::invalid("document-does-not-fit", format!("the document does not fit: {error}")))
        };
        self.after.as_ref().map(fits).transpose()
    }

    /// For drivers: the members that hooks changed, checked as those of any document; `None` if none did.
    ///
    /// # Errors
    /// Those of [`Object::from_value`]; `Invalid` `reserved-key` for a member `id`.
    pub fn into_changed(self) -> Result<Option<Map<String, Value>>> {
        match self.after {
            Some(after) if self.is_changed => {
                Object::from_value(Value::Object(after)).map(|after| Some(after.into_map()))
            }
            _ => Ok(None),
        }
    }
}

/// Port: what runs inside the transaction of every write of one document, after the decision and before the write is
/// stored.
#[async_trait]
pub trait BeforeCommit: Send + Sync + fmt::Debug {
    /// Whether it has anything to do with this collection.
    fn concerns(&self, collection: &CollectionName) -> bool;

    /// Does its part in `transaction`. It may run more than once for one write, each time in a transaction of which
    /// nothing else is left.
    ///
    /// # Errors
    /// Any error refuses the write and is its answer; nothing of the transaction is then kept.
    async fn before_commit(&self, transaction: &mut Transaction<'_>, write: &mut PendingWrite) -> Result<()>;
}
