//! The durable, numbered log of changes: the truth behind every event.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    clock::Timestamp,
    cursor::Cursor,
    error::Result,
    id::{CollectionName, DocumentId, TenantId, UserId},
    realtime::change::Change,
};

/// How far a tenant's feed reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedState {
    /// The history its numbers belong to.
    pub epoch: Arc<str>,
    /// The number of the last change; 0 if there was none.
    pub head: i64,
    /// Changes up to and including this number are no longer kept.
    pub floor: i64,
}

impl FeedState {
    /// The place after the last change.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(Arc::clone(&self.epoch), self.head)
    }
}

/// How many bytes of changes one read brings, but for its last change; as many wait in a subscriber that is behind, so that
/// it takes all that it read.
pub(crate) const READ_BYTES: usize = 128 * 1024;
/// What a change counts besides its images.
pub(crate) const CHANGE_BYTES: usize = 256;

/// What the rules ask of a document as it stands today, or stood when it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Present {
    /// Its owner.
    pub owner: Option<UserId>,
    /// Its members as JSON text.
    pub body: Arc<str>,
    /// Its revision.
    pub revision: Arc<str>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl Present {
    /// A document of this owner, without members, of 1970.
    #[must_use]
    pub fn owned_by(owner: Option<UserId>) -> Self {
        let epoch = Timestamp::from_micros(0);
        Self { owner, body: Arc::from("{}"), revision: Arc::from(""), created_at: epoch, updated_at: epoch }
    }

    /// With these members and this revision.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Arc<str>>, revision: impl Into<Arc<str>>) -> Self {
        self.body = body.into();
        self.revision = revision.into();
        self
    }

    /// With these moments of creation and last write.
    #[must_use]
    pub fn with_moments(mut self, created_at: Timestamp, updated_at: Timestamp) -> Self {
        self.created_at = created_at;
        self.updated_at = updated_at;
        self
    }
}

/// How much of a feed is kept: whatever limit is reached first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Retention {
    /// For how long; 7 days.
    pub age: Duration,
    /// How many changes of a tenant; 1 000 000.
    pub changes: u32,
    /// How many bytes of documents in the changes of a tenant; 1 GiB.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 24 * 3600), changes: 1_000_000, bytes: 1 << 30 }
    }
}

/// Port: reads the log.
#[async_trait]
pub trait Feed: Send + Sync + fmt::Debug {
    /// How far the tenant's feed reaches now.
    ///
    /// # Errors
    /// `NotFound` for a tenant that does not exist; `Unavailable` and `Busy` from the database.
    async fn state(&self, tenant: &TenantId) -> Result<FeedState>;

    /// How far the feeds of these tenants reach now; unknown ones are left out.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn heads(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, i64)>>;

    /// The changes after `after`, at most `limit`, in order and without a gap. Fewer may come where
    /// they are large, but one at least if there is one.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn read(&self, tenant: &TenantId, after: i64, limit: u32) -> Result<Vec<Change>>;

    /// These documents as they are now, or, for one that is deleted, as it was at last: who may be
    /// shown what they were before. `None` where nothing is known any more.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn present(
        &self,
        tenant: &TenantId,
        documents: &[(CollectionName, DocumentId)],
    ) -> Result<Vec<Option<Present>>>;

    /// Forgets, in every tenant, the changes that `retention` does not keep at `now`.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn retain(&self, now: Timestamp, retention: &Retention) -> Result<()>;

    /// Forgets changes up to and including `through`; the numbers go on.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn trim(&self, tenant: &TenantId, through: i64) -> Result<()>;
}

/// Port: numbers the changes of committed transactions, where the database does not do it while it
/// writes. Any number of nodes may do it at once.
#[async_trait]
pub trait Sequencer: Send + Sync + fmt::Debug {
    /// Numbers what waits, at most `limit` changes of a tenant; answers each tenant's new head.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database; what was not committed is tried again.
    async fn sequence(&self, limit: u32) -> Result<Vec<(TenantId, i64)>>;

    /// Resolves when a transaction of this process has left something to number.
    async fn woken(&self);
}
