//! Several operations in one commit.

use std::collections::BTreeSet;

use crate::{
    collections::{
        document::{Document, Revision},
        rule::Action,
        write::{DocumentWrite, NewDocument, Precondition, Written},
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId},
    json::Object,
};

/// How many operations a batch has at most.
pub const MAX_OPERATIONS: usize = 500;
/// How many bytes the documents that a batch reads and leaves behind have together at most: 16 MiB.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// Operations that happen together or not at all, over any collections of one tenant.
///
/// They are carried out in the order in which they were added, and each sees what those before it did. All
/// documents are locked before the first, in the order of collection and id, so that batches do not wait for
/// each other in a circle.
///
/// ```
/// use universal_core::{CollectionName, DocumentId};
/// use universal_core::collections::{Batch, NewDocument, Precondition};
/// use universal_core::json::Object;
/// use serde_json::json;
///
/// let (orders, stock) = (CollectionName::new("orders")?, CollectionName::new("stock")?);
/// let batch = Batch::new()
///     .patch(&stock, &DocumentId::new("emma")?, Object::patch_from_value(json!({"left": {"$inc": -1}}))?, Precondition::Exists)
///     .create(&orders, NewDocument::new(Object::from_value(json!({"book": "emma"}))?));
/// assert_eq!(batch.operations().len(), 2);
/// # Ok::<(), universal_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Batch {
    operations: Vec<BatchOperation>,
}

/// One operation of a batch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BatchOperation {
    /// Writes a document.
    Write(DocumentWrite),
    /// Reads a document.
    Get {
        /// Where.
        collection: CollectionName,
        /// Which.
        id: DocumentId,
        /// What must be true of it.
        precondition: Precondition,
    },
    /// Does nothing, and fails unless the precondition holds.
    Check {
        /// Where.
        collection: CollectionName,
        /// Which.
        id: DocumentId,
        /// What must be true of it.
        precondition: Precondition,
    },
}

/// What an operation of a batch did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BatchResult {
    /// It wrote a document.
    Written(Written),
    /// It read this document.
    Read(Document),
    /// The precondition holds; the document, if there is one, has this revision.
    Checked(Option<Revision>),
}

impl Batch {
    /// A batch that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more operation.
    pub fn with(mut self, operation: BatchOperation) -> Self {
        self.operations.push(operation);
        self
    }

    /// Creates a document.
    pub fn create(self, collection: &CollectionName, document: NewDocument) -> Self {
        self.with(BatchOperation::Write(DocumentWrite::Create { collection: collection.clone(), document }))
    }

    /// Replaces a document, or creates it if it is not there and the precondition allows that.
    pub fn replace(
        self,
        collection: &CollectionName,
        id: &DocumentId,
        body: Object,
        precondition: Precondition,
    ) -> Self {
        let (collection, id) = (collection.clone(), id.clone());
        self.with(BatchOperation::Write(DocumentWrite::Replace { collection, id, body, precondition }))
    }

    /// Changes members of a document (RFC 7396 and [field operations](crate::collections::operation)).
    pub fn patch(
        self,
        collection: &CollectionName,
        id: &DocumentId,
        patch: Object,
        precondition: Precondition,
    ) -> Self {
        let (collection, id) = (collection.clone(), id.clone());
        self.with(BatchOperation::Write(DocumentWrite::Patch { collection, id, patch, precondition }))
    }

    /// Deletes a document.
    pub fn delete(self, collection: &CollectionName, id: &DocumentId, precondition: Precondition) -> Self {
        let (collection, id) = (collection.clone(), id.clone());
        self.with(BatchOperation::Write(DocumentWrite::Delete { collection, id, precondition }))
    }

    /// Reads a document, which nobody changes before the batch is done.
    pub fn get(self, collection: &CollectionName, id: &DocumentId) -> Self {
        let (collection, id) = (collection.clone(), id.clone());
        self.with(BatchOperation::Get { collection, id, precondition: Precondition::None })
    }

    /// Fails the batch unless the precondition holds.
    pub fn check(self, collection: &CollectionName, id: &DocumentId, precondition: Precondition) -> Self {
        let (collection, id) = (collection.clone(), id.clone());
        self.with(BatchOperation::Check { collection, id, precondition })
    }

    /// The operations, in their order.
    #[must_use]
    pub fn operations(&self) -> &[BatchOperation] {
        &self.operations
    }

    /// The documents that are named, in the order in which they are locked.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<(&CollectionName, &DocumentId)> {
        self.operations.iter().filter_map(BatchOperation::key).collect()
    }

    /// The refusal of the batch because of its operation `index`: the error names it as a JSON pointer into
    /// `{"operations": […]}`. Errors of the database are nobody's fault and stay as they are.
    #[must_use]
    pub fn failed_at(&self, index: usize, error: Error) -> Error {
        if matches!(
            error.kind(),
            ErrorKind::OutcomeUnknown
                | ErrorKind::Internal
                | ErrorKind::Busy
                | ErrorKind::Unavailable
                | ErrorKind::Timeout
                | ErrorKind::RateLimited
        ) {
            return error;
        }
        let content = match self.operations.get(index) {
            Some(BatchOperation::Write(DocumentWrite::Patch { .. })) => "/patch",
            _ => "/body",
        };
        let place = match error.field() {
            None => String::new(),
            Some(pointer) if pointer.starts_with('/') => format!("{content}{pointer}"),
            Some(member) => format!("/{member}"),
        };
        error.with_field(format!("/operations/{index}{place}"))
    }

    /// Refuses a batch with too many operations.
    ///
    /// # Errors
    /// `TooLarge` `batch-too-large` above [`MAX_OPERATIONS`].
    pub fn check_size(&self) -> Result<()> {
        if self.operations.len() > MAX_OPERATIONS { Err(too_many_operations()) } else { Ok(()) }
    }
}

/// The refusal of a batch with more than [`MAX_OPERATIONS`].
#[must_use]
pub fn too_many_operations() -> Error {
    let message = format!("a batch has at most {MAX_OPERATIONS} operations; send several");
    Error::new(ErrorKind::TooLarge, "batch-too-large", message).with_field("/operations")
}

impl BatchOperation {
    /// The collection that it is about.
    #[must_use]
    pub fn collection(&self) -> &CollectionName {
        match self {
            Self::Write(write) => write.collection(),
            Self::Get { collection, .. } | Self::Check { collection, .. } => collection,
        }
    }

    /// The rule that decides it.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::Write(write) => write.action(),
            Self::Get { .. } | Self::Check { .. } => Action::Get,
        }
    }

    /// The document, unless its id is still to be made.
    #[must_use]
    pub fn key(&self) -> Option<(&CollectionName, &DocumentId)> {
        match self {
            Self::Write(write) => Some((write.collection(), write.id()?)),
            Self::Get { collection, id, .. } | Self::Check { collection, id, .. } => Some((collection, id)),
        }
    }
}

impl BatchResult {
    /// The document that was read or written; for a deletion the one that is gone.
    #[must_use]
    pub fn document(&self) -> Option<&Document> {
        match self {
            Self::Written(written) => Some(written.document()),
            Self::Read(document) => Some(document),
            Self::Checked(_) => None,
        }
    }
}

/// The results of a batch so far, of bounded size.
#[derive(Debug, Default)]
pub struct BatchResults {
    results: Vec<BatchResult>,
    bytes: usize,
}

impl BatchResults {
    /// Adds the result of the next operation.
    ///
    /// # Errors
    /// `TooLarge` `batch-too-large` above [`MAX_DOCUMENT_BYTES`].
    pub fn push(&mut self, result: BatchResult) -> Result<()> {
        self.bytes = self.bytes.saturating_add(result.document().map_or(0, |document| document.body.len()));
        if self.bytes > MAX_DOCUMENT_BYTES {
            let message = format!("the documents of a batch have at most {MAX_DOCUMENT_BYTES} bytes; send several");
            return Err(Error::new(ErrorKind::TooLarge, "batch-too-large", message));
        }
        self.results.push(result);
        Ok(())
    }

    /// All of them.
    #[must_use]
    pub fn into_vec(self) -> Vec<BatchResult> {
        self.results
    }
}
