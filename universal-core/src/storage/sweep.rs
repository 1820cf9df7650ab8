//! Removing bytes that no object needs any more.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// How many versions were deleted with their bytes.
    pub deleted: u64,
    /// How many could not be deleted now; a later sweep tries them again.
    pub failed: u64,
    /// Whether the sweep ended at its own limit, so that another one is worth running at once.
    pub has_more: bool,
}

/// Removes bytes that no object needs any more. Run it every few minutes, on any number of nodes.
#[async_trait]
pub trait Sweep: Send + Sync + std::fmt::Debug {
    /// Deletes versions that were replaced or deleted, and uploads that never ended, longer than
    /// `older_than` ago; at most some thousands in one call.
    ///
    /// `older_than` is how long a download of the old version may still be opening and an upload may
    /// take: an hour in a running backend, more than the limit of an upload in any case. An upload
    /// that is swept while it runs ends with an error; its bytes may stay behind.
    ///
    /// # Errors
    /// `Unavailable`, `Busy`, `Internal` of the catalog. Failures of the store are counted instead.
    async fn sweep(&self, older_than: Duration) -> Result<Swept>;
}
