//! What can be done to a document.

use crate::{
    collections::{
        document::{Document, Revision},
        rule::Action,
    },
    id::{CollectionName, DocumentId},
    json::Object,
};

/// What must be true of the stored document for a write to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// It exists (`If-Match: *`).
    Exists,
    /// It does not exist (`If-None-Match: *`).
    Absent,
    /// It exists with one of these revisions (`If-Match: "…"`).
    Revision(Vec<String>),
}

impl Precondition {
    /// Whether the document, or its absence, meets it.
    #[must_use]
    pub fn is_met_by(&self, current: Option<&Revision>) -> bool {
        match (self, current) {
            (Self::None, _) | (Self::Exists, Some(_)) | (Self::Absent, None) => true,
            (Self::Exists | Self::Revision(_), None) | (Self::Absent, Some(_)) => false,
            (Self::Revision(wanted), Some(current)) => wanted.iter().any(|wanted| wanted == current.as_str()),
        }
    }
}

/// A document that is to be created.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewDocument {
    /// Its id; a time-ordered one is made if there is none.
    pub id: Option<DocumentId>,
    /// Its members.
    pub body: Object,
}

impl NewDocument {
    /// A document with an id of the backend's making.
    #[must_use]
    pub fn new(body: Object) -> Self {
        Self { id: None, body }
    }

    /// The same with an id of the caller's choice.
    #[must_use]
    pub fn with_id(mut self, id: DocumentId) -> Self {
        self.id = Some(id);
        self
    }
}

/// One write of one document, as data: the same whether it runs alone or in a transaction.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DocumentWrite {
    /// Creates a document.
    Create {
        /// Where.
        collection: CollectionName,
        /// What.
        document: NewDocument,
    },
    /// Replaces a document, or creates it if it is not there and the precondition allows that.
    Replace {
        /// Where.
        collection: CollectionName,
        /// Which.
        id: DocumentId,
        /// The new members.
        body: Object,
        /// When.
        precondition: Precondition,
    },
    /// Changes members of a document (RFC 7396 and field operations).
    Patch {
        /// Where.
        collection: CollectionName,
        /// Which.
        id: DocumentId,
        /// The patch.
        patch: Object,
        /// When.
        precondition: Precondition,
    },
    /// Deletes a document.
    Delete {
        /// Where.
        collection: CollectionName,
        /// Which.
        id: DocumentId,
        /// When.
        precondition: Precondition,
    },
}

impl DocumentWrite {
    /// The collection that it writes to.
    #[must_use]
    pub fn collection(&self) -> &CollectionName {
        match self {
            Self::Create { collection, .. }
            | Self::Replace { collection, .. }
            | Self::Patch { collection, .. }
            | Self::Delete { collection, .. } => collection,
        }
    }

    /// The document that it writes, unless its id is still to be made.
    #[must_use]
    pub fn id(&self) -> Option<&DocumentId> {
        match self {
            Self::Create { document, .. } => document.id.as_ref(),
            Self::Replace { id, .. } | Self::Patch { id, .. } | Self::Delete { id, .. } => Some(id),
        }
    }

    /// The rule that decides it; a replacement that creates asks the one for creations as well.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::Create { .. } => Action::Create,
            Self::Replace { .. } | Self::Patch { .. } => Action::Update,
            Self::Delete { .. } => Action::Delete,
        }
    }
}

/// What a write did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Written {
    /// The document is new.
    Created(Document),
    /// The document was there and has changed.
    Updated(Document),
    /// The document is gone; this is how it was.
    Deleted(Document),
}

impl Written {
    /// The document after the write; for a deletion the one that is gone.
    #[must_use]
    pub fn into_document(self) -> Document {
        match self {
            Self::Created(document) | Self::Updated(document) | Self::Deleted(document) => document,
        }
    }

    /// The document after the write; for a deletion the one that is gone.
    #[must_use]
    pub fn document(&self) -> &Document {
        match self {
            Self::Created(document) | Self::Updated(document) | Self::Deleted(document) => document,
        }
    }

    /// Whether the document is new.
    #[must_use]
    pub fn is_created(&self) -> bool {
        matches!(self, Self::Created(_))
    }
}
