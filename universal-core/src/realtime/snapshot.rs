//! The rows that a watch begins with.

use std::sync::Arc;

use crate::{
    cursor::Cursor,
    error::{Error, Result},
    id::DocumentId,
    json::envelope,
    realtime::feed::Present,
};

/// A document as it stands when a watch begins.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Row {
    /// Its id.
    pub id: DocumentId,
    /// What the caller may see of it.
    pub present: Present,
}

impl Row {
    /// For implementations: a document and what the caller may see of it.
    #[must_use]
    pub fn new(id: DocumentId, present: Present) -> Self {
        Self { id, present }
    }

    /// Writes the document as a read answers it.
    pub fn write_document(&self, out: &mut String) {
        let meta = envelope::Meta {
            revision: &self.present.revision,
            owner: self.present.owner.as_ref().map(AsRef::as_ref),
            created_at: self.present.created_at,
            updated_at: self.present.updated_at,
        };
        envelope::write(out, self.id.as_str(), &self.present.body, &meta);
    }

    /// The members of the document.
    ///
    /// # Errors
    /// `Invalid` if they do not fit `T`.
    pub fn document<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.present.body)
            .map_err(|error| Error::invalid("document-does-not-fit", error.to_string()))
    }
}

/// Some of the documents that a watch begins with. All pages from the one that [`is_first`](Self::is_first) to the one
/// that [`is_last`](Self::is_last) are the whole; they stand in the place of whatever the watcher held before.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SnapshotPage {
    /// The documents, by id.
    pub rows: Vec<Row>,
    /// Whether the rows begin with this page: the watcher forgets what it held.
    pub is_first: bool,
    /// Whether they end with this page: from here on the watcher holds what a list would answer.
    pub is_last: bool,
    /// A place in the feed not later than the rows: every later change follows, unless the rows show it.
    pub cursor: Cursor,
    /// What decides which documents are watched, in short: the rule, what is hidden, and who asks. While it holds, a
    /// watch can be taken up again at a cursor without reading its rows again.
    pub basis: Arc<str>,
}

impl SnapshotPage {
    /// For implementations: a page in the middle of the rows.
    #[must_use]
    pub fn new(rows: Vec<Row>, cursor: Cursor, basis: Arc<str>) -> Self {
        Self { rows, is_first: false, is_last: false, cursor, basis }
    }

    /// For implementations: at this place among the pages.
    #[must_use]
    pub fn at(mut self, is_first: bool, is_last: bool) -> Self {
        (self.is_first, self.is_last) = (is_first, is_last);
        self
    }
}
