//! What a caller can ask of realtime.

use std::fmt;

use async_trait::async_trait;

use crate::{
    caller::Caller,
    cursor::Cursor,
    error::Result,
    realtime::{subscribe::Subscribe, subscription::Subscription},
};

/// Subscriptions to documents.
///
/// Document changes are delivered at least once, in order, without gaps, and can be resumed; each is
/// seen once after dropping repeats by cursor.
#[async_trait]
pub trait Realtime: Send + Sync + fmt::Debug {
    /// Subscribes to a collection, a document or all of the tenant. When it answers, no change after the subscription's
    /// cursor can be missed.
    ///
    /// # Errors
    /// `Unauthenticated` for an anonymous caller under the default rule; `Forbidden` for a whole tenant unless the caller
    /// is an administrator; `Invalid` for a filter that
    /// does not parse; `NotFound` for a tenant that does not exist.
    async fn subscribe(&self, caller: &Caller, subscribe: Subscribe) -> Result<Subscription>;

    /// Watches a list or a document: first its rows as [`Event::Snapshot`](crate::realtime::Event::Snapshot), then what
    /// enters it, changes in it and leaves it. Whoever puts rows and changes into a map by id holds what a list
    /// with the same filter would answer. When the collection's rules change, the rows come anew.
    ///
    /// ```
    /// use universal_core::{Backend, Caller, TenantId, collections::NewDocument, json::Object};
    /// use universal_core::realtime::{DeliveryKind, Event, Subscribe};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> universal_core::Result<()> {
    /// let backend = Backend::in_memory().await?;
    /// let caller = Caller::system(TenantId::default_tenant());
    /// let todos = "todos".parse()?;
    /// let milk = NewDocument::new(Object::parse(br#"{"title": "milk"}"#)?);
    /// backend.collections().create(&caller, &todos, milk).await?;
    /// let mut watch = backend.realtime().watch(&caller, Subscribe::to(todos.clone())).await?;
    /// let Event::Snapshot(page) = watch.next().await? else { panic!("the rows come first") };
    /// assert_eq!((page.rows.len(), page.is_last), (1, true));
    /// let bread = NewDocument::new(Object::parse(br#"{"title": "bread"}"#)?);
    /// backend.collections().create(&caller, &todos, bread).await?;
    /// let Event::Change(change) = watch.next().await? else { panic!("then the changes") };
    /// assert_eq!(change.kind(), DeliveryKind::Enter);
    /// # backend.shutdown().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe); `Invalid` for a whole tenant; `TooLarge` `watch-too-large`, here or later, for
    /// more than 10 000 documents.
    async fn watch(&self, caller: &Caller, subscribe: Subscribe) -> Result<Subscription>;

    /// The place after the last change of the caller's tenant.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn head(&self, caller: &Caller) -> Result<Cursor>;
}
