//! Code of the host's that sees every change after its commit.

use std::fmt;

use async_trait::async_trait;

use crate::{clock::Timestamp, cursor::Cursor, error::Result, id::TenantId, realtime::change::Change};

/// A change as a consumer gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The tenant.
    pub tenant: TenantId,
    /// The place after the change; a consumer that must do a thing once keeps it beside what it did.
    pub cursor: Cursor,
    /// The change.
    pub change: Change,
}

impl Committed {
    /// For implementations.
    #[must_use]
    pub fn new(tenant: TenantId, cursor: Cursor, change: Change) -> Self {
        Self { tenant, cursor, change }
    }
}

/// Port: what runs after the commit of every change, at least once, in the order of each tenant.
#[async_trait]
pub trait Consumer: Send + Sync + fmt::Debug {
    /// Under this name its place in the feed is kept: the same name goes on where it was, another begins anew.
    fn name(&self) -> &str;

    /// Whether it wants to see this change.
    fn wants(&self, change: &Change) -> bool;

    /// Does its part. After an error the same change comes again, later and later; changes behind it wait.
    ///
    /// # Errors
    /// Whatever kept it from doing its part.
    async fn consume(&self, committed: &Committed) -> Result<()>;
}

/// Who holds a consumer's place, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// The node.
    pub node: &'a str,
    /// The present moment.
    pub now: Timestamp,
    /// Until when nobody else takes the place.
    pub until: Timestamp,
}

/// Port: the places of consumers in the feeds, which outlive the process.
#[async_trait]
pub trait Positions: Send + Sync + fmt::Debug {
    /// Makes a consumer known. One of a new name begins behind the present end of every feed; for one that is known,
    /// feeds that have come since begin with their first change.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn register(&self, consumer: &str) -> Result<()>;

    /// The tenants, at most `limit`, in whose feeds there is something behind the consumer's place, and that nobody
    /// else than `holder` holds; tenants after `after` in their order.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn waiting(
        &self,
        consumer: &str,
        holder: Holder<'_>,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>>;

    /// Takes the consumer's place in a feed; `None` if somebody else holds it. A place in a history that is no more,
    /// or before the first change that is kept, is given as it is.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn take(&self, consumer: &str, tenant: &TenantId, holder: Holder<'_>) -> Result<Option<Cursor>>;

    /// Moves the place from `from` to `to` and holds it on. Answers whether `holder` still held it there.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn advance(
        &self,
        consumer: &str,
        tenant: &TenantId,
        holder: Holder<'_>,
        from: &Cursor,
        to: &Cursor,
    ) -> Result<bool>;

    /// Gives back all places that `node` holds for the consumer.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn release(&self, consumer: &str, node: &str) -> Result<()>;
}
