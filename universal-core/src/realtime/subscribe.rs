//! What a subscriber asks for.

use std::sync::Arc;

use crate::{
    cursor::Cursor,
    expr::Expression,
    id::{CollectionName, DocumentId},
};

/// What to subscribe to.
///
/// ```
/// use universal_core::realtime::Subscribe;
/// let subscribe = Subscribe::to("todos".parse()?).with_since("e1.42".parse()?);
/// # Ok::<(), universal_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Subscribe {
    /// The collection; all collections of the tenant without one, which is for administrators.
    pub collection: Option<CollectionName>,
    /// Only this document.
    pub id: Option<DocumentId>,
    /// Only documents that match.
    pub filter: Option<Expression>,
    /// Begin after this place instead of now.
    pub since: Option<Cursor>,
    /// For a watch that is taken up again at `since`: the basis that its rows were shown on.
    pub basis: Option<Arc<str>>,
}

impl Subscribe {
    /// To all documents of a collection, from now on.
    #[must_use]
    pub fn to(collection: CollectionName) -> Self {
        Self { collection: Some(collection), id: None, filter: None, since: None, basis: None }
    }

    /// To all documents of all collections of the caller's tenant, from now on. Only administrators may.
    #[must_use]
    pub fn to_tenant() -> Self {
        Self { collection: None, id: None, filter: None, since: None, basis: None }
    }

    /// Only to one document.
    #[must_use]
    pub fn with_id(mut self, id: DocumentId) -> Self {
        self.id = Some(id);
        self
    }

    /// Only to documents that match `filter`.
    #[must_use]
    pub fn with_filter(mut self, filter: Expression) -> Self {
        self.filter = Some(filter);
        self
    }

    /// From a place in the past on.
    #[must_use]
    pub fn with_since(mut self, since: Cursor) -> Self {
        self.since = Some(since);
        self
    }

    /// For a watch: its rows were shown on this [basis](crate::realtime::SnapshotPage::basis). If it still holds, the
    /// changes after [`since`](Self::since) follow without the rows.
    #[must_use]
    pub fn with_basis(mut self, basis: impl Into<Arc<str>>) -> Self {
        self.basis = Some(basis.into());
        self
    }
}
