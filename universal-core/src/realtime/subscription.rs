//! One reader's way through the feed.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{
    cursor::Cursor,
    error::{Error, Result},
    expr::Expression,
    id::{CollectionName, DocumentId},
    realtime::change::Change,
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
    /// The collection.
    pub collection: CollectionName,
    /// Only this document.
    pub id: Option<DocumentId>,
    /// Only documents that match.
    pub filter: Option<Expression>,
    /// Begin after this place instead of now.
    pub since: Option<Cursor>,
}

impl Subscribe {
    /// To all documents of a collection, from now on.
    #[must_use]
    pub fn to(collection: CollectionName) -> Self {
        Self { collection, id: None, filter: None, since: None }
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
}

/// What a subscriber sees of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryKind {
    /// A document came into being.
    Create,
    /// A document changed.
    Update,
    /// A document that could be seen was deleted.
    Delete,
    /// A document that could be seen no longer matches, or may no longer be seen.
    Leave,
}

impl DeliveryKind {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Leave => "leave",
        }
    }
}

/// A change as one subscriber may see it.
#[derive(Clone, Debug)]
pub struct Delivery {
    cursor: Cursor,
    kind: DeliveryKind,
    change: Arc<Change>,
    /// What the subscriber sees in place of the change's own body, if something of it is hidden.
    body: Option<Arc<str>>,
}

impl Delivery {
    /// For implementations: `change` as `kind`.
    #[must_use]
    pub fn new(cursor: Cursor, kind: DeliveryKind, change: Arc<Change>) -> Self {
        Self { cursor, kind, change, body: None }
    }

    /// For implementations: with these members instead of those of the change.
    #[must_use]
    pub fn with_body(mut self, body: Arc<str>) -> Self {
        self.body = Some(body);
        self
    }

    /// The members that the subscriber sees.
    fn shown(&self) -> Option<&str> {
        let after = self.change.after.as_ref()?;
        matches!(self.kind, DeliveryKind::Create | DeliveryKind::Update)
            .then(|| self.body.as_deref().unwrap_or(&after.body))
    }

    /// The place after this change.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// What the subscriber sees happen.
    #[must_use]
    pub fn kind(&self) -> DeliveryKind {
        self.kind
    }

    /// The collection.
    #[must_use]
    pub fn collection(&self) -> &CollectionName {
        &self.change.collection
    }

    /// The document's id.
    #[must_use]
    pub fn id(&self) -> &DocumentId {
        &self.change.id
    }

    /// The revision that the change made (for a deletion: ended).
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.change.revision
    }

    /// Writes the document as a read answers it, or nothing where the subscriber sees only the id.
    /// Answers whether it wrote.
    pub fn write_document(&self, out: &mut String) -> bool {
        match (&self.change.after, self.shown()) {
            (Some(after), Some(body)) => {
                let meta = crate::json::envelope::Meta {
                    revision: &self.change.revision,
                    owner: after.owner.as_ref().map(AsRef::as_ref),
                    created_at: self.change.created_at,
                    updated_at: self.change.at,
                };
                crate::json::envelope::write(out, self.change.id.as_str(), body, &meta);
                true
            }
            _ => false,
        }
    }

    /// The members of the document, or `None` where the subscriber sees only the id.
    ///
    /// # Errors
    /// `Invalid` if they do not fit `T`.
    pub fn document<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>> {
        self.shown()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| Error::invalid("document-does-not-fit", error.to_string()))
    }
}

/// Why a reader must read everything again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResyncReason {
    /// The changes after its cursor are no longer kept.
    TooOld,
    /// Its cursor belongs to another history: the database was restored.
    OtherHistory,
    /// Its cursor is ahead of the feed.
    Ahead,
}

impl ResyncReason {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too-old",
            Self::OtherHistory => "other-history",
            Self::Ahead => "ahead",
        }
    }
}

/// What a subscription yields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A change.
    Change(Delivery),
    /// Changes were missed and cannot be replayed: read again, then go on from `cursor`.
    Resync {
        /// Why.
        reason: ResyncReason,
        /// Where the subscription goes on.
        cursor: Cursor,
    },
}

/// For implementations: the way through the feed.
#[async_trait]
pub trait Pull: Send + fmt::Debug {
    /// The next event. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Event>;
    /// Everything up to this place has been looked at.
    fn cursor(&self) -> Cursor;
}

/// An open subscription. It pulls: nothing is queued for it while nobody calls [`next`](Self::next).
#[derive(Debug)]
pub struct Subscription {
    cursor: Cursor,
    recovered: bool,
    pull: Box<dyn Pull>,
}

impl Subscription {
    /// For implementations.
    #[must_use]
    pub fn new(cursor: Cursor, recovered: bool, pull: Box<dyn Pull>) -> Self {
        Self { cursor, recovered, pull }
    }

    /// The head of the feed when the subscription began; every later change will come.
    #[must_use]
    pub fn start(&self) -> &Cursor {
        &self.cursor
    }

    /// Whether everything after the cursor that was asked for will come (true also if none was).
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.recovered
    }

    /// Everything up to this place has been looked at: what a heartbeat tells.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.pull.cursor()
    }

    /// Waits for the next event. Dropping the future loses nothing.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database: the subscription stands, call again.
    pub async fn next(&mut self) -> Result<Event> {
        self.pull.next().await
    }
}
