//! The doorbell: it says that a tenant's feed grew, and nothing else.

use std::fmt;

use tokio::sync::broadcast;

use crate::id::TenantId;

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ring {
    /// That a tenant's feed holds changes up to a number.
    Grew {
        /// The tenant.
        tenant: TenantId,
        /// The last number that was there when it rang.
        seq: i64,
    },
    /// That rings may have been missed, because the way to other nodes was down: look at every feed.
    Missed,
}

/// Port: tells the nodes of an installation that there is something to read.
///
/// A ring may be lost, doubled or late: whoever listens polls as well, and reads the feed for the
/// truth. Ringing never waits.
pub trait Bus: Send + Sync + fmt::Debug {
    /// Rings for a tenant. Called after the commit that made `seq` readable.
    fn ring(&self, tenant: &TenantId, seq: i64);

    /// Everything that rings from now on. A listener that is too slow loses rings.
    fn listen(&self) -> broadcast::Receiver<Ring>;
}
