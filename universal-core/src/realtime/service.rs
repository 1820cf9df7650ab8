//! What a caller can ask of realtime.

use std::fmt;

use async_trait::async_trait;

use crate::{
    caller::Caller,
    cursor::Cursor,
    error::Result,
    realtime::subscription::{Subscribe, Subscription},
};

/// Subscriptions to documents.
///
/// Document changes are delivered at least once, in order, without gaps, and can be resumed; each is
/// seen once after dropping repeats by cursor.
#[async_trait]
pub trait Realtime: Send + Sync + fmt::Debug {
    /// Subscribes to a collection or a document. When it answers, no change after the subscription's
    /// cursor can be missed.
    ///
    /// # Errors
    /// `Unauthenticated` for an anonymous caller under the default rule; `Invalid` for a filter that
    /// does not parse; `NotFound` for a tenant that does not exist.
    async fn subscribe(&self, caller: &Caller, subscribe: Subscribe) -> Result<Subscription>;

    /// The place after the last change of the caller's tenant.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn head(&self, caller: &Caller) -> Result<Cursor>;
}
