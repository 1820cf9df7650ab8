//! Subscriptions to documents of a Rust type.

use std::{fmt, marker::PhantomData};

use serde::de::DeserializeOwned;

use crate::{
    cursor::Cursor,
    error::Result,
    id::DocumentId,
    realtime::{
        delivery::DeliveryKind,
        snapshot::Row,
        subscription::{Event, ResyncReason, Subscription},
    },
};

/// A subscription whose documents are `T`. It comes from [`Subscription::typed`].
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use universal_core::{Backend, Caller, TenantId, realtime::{Subscribe, TypedEvent}};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Note { text: String }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> universal_core::Result<()> {
/// let backend = Backend::in_memory().await?;
/// let caller = Caller::system(TenantId::default_tenant());
/// let subscription = backend.realtime().subscribe(&caller, Subscribe::to("notes".parse()?)).await?;
/// let mut notes = subscription.typed::<Note>();
/// backend.collection::<Note>("notes")?.create(&caller, &Note { text: "hello".into() }).await?;
/// if let TypedEvent::Change(change) = notes.next().await? {
///     assert_eq!(change.document, Some(Note { text: "hello".into() }));
/// }
/// # backend.shutdown().await;
/// # Ok(()) }
/// ```
pub struct TypedSubscription<T> {
    subscription: Subscription,
    documents: PhantomData<fn() -> T>,
}

/// What a typed subscription yields.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TypedEvent<T> {
    /// A change.
    Change(TypedChange<T>),
    /// Changes were missed and cannot be replayed: read again, then go on from `cursor`.
    Resync {
        /// Why.
        reason: ResyncReason,
        /// Where the subscription goes on.
        cursor: Cursor,
    },
    /// In a watch: some of the documents that are there.
    Snapshot {
        /// The documents with their ids.
        rows: Vec<(DocumentId, T)>,
        /// Whether the rows begin with these: the watcher forgets what it held.
        is_first: bool,
        /// Whether they end with these.
        is_last: bool,
    },
}

/// A change as the subscriber may see it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TypedChange<T> {
    /// The place after this change.
    pub cursor: Cursor,
    /// What the subscriber sees happen.
    pub kind: DeliveryKind,
    /// The document's id.
    pub id: DocumentId,
    /// The document; `None` where the subscriber sees only the id.
    pub document: Option<T>,
}

impl Subscription {
    /// The same subscription with documents of a Rust type.
    #[must_use]
    pub fn typed<T: DeserializeOwned>(self) -> TypedSubscription<T> {
        TypedSubscription { subscription: self, documents: PhantomData }
    }
}

impl<T: DeserializeOwned> TypedSubscription<T> {
    /// The subscription, for what does not depend on the type.
    #[must_use]
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// Waits for the next event. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`Subscription::next`]; `Invalid` `document-does-not-fit` for a document that does not fit `T`: it is passed
    /// over, call again for the next.
    pub async fn next(&mut self) -> Result<TypedEvent<T>> {
        Ok(match self.subscription.next().await? {
            Event::Resync { reason, cursor } => TypedEvent::Resync { reason, cursor },
            Event::Snapshot(page) => TypedEvent::Snapshot {
                rows: page.rows.into_iter().map(typed_row).collect::<Result<_>>()?,
                is_first: page.is_first,
                is_last: page.is_last,
            },
            Event::Change(delivery) => TypedEvent::Change(TypedChange {
                document: delivery.document()?,
                cursor: delivery.cursor().clone(),
                kind: delivery.kind(),
                id: delivery.id().clone(),
            }),
        })
    }
}

fn typed_row<T: DeserializeOwned>(row: Row) -> Result<(DocumentId, T)> {
    let document = row.document()?;
    Ok((row.id, document))
}

impl<T> fmt::Debug for TypedSubscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedSubscription").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}
