//! Deleting bytes that no object needs.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};

use crate::{
    drivers::blob::service::BlobStorage,
    error::Result,
    storage::{Blob, Sweep, Swept},
};

/// How many names are read at a time.
const BATCH: u32 = 100;
/// How many times in one sweep.
const BATCHES: u32 = 50;
/// How many bytes are deleted side by side.
const WIDTH: usize = 8;
/// How much longer than its life a used token is remembered: another node's clock may be behind.
const TOKEN_GRACE: Duration = Duration::from_secs(3600);

#[async_trait]
impl Sweep for BlobStorage {
    #[tracing::instrument(name = "storage.sweep", skip_all)]
    async fn sweep(&self, older_than: Duration) -> Result<Swept> {
        let now = self.clock.now();
        let before = now.minus(older_than);
        let mut swept = Swept { has_more: true, ..Swept::default() };
        let mut after: Option<Blob> = None;
        for _ in 0..BATCHES {
            let blobs = self.catalog.stale(before, after.as_ref(), BATCH).await?;
            swept.has_more = u32::try_from(blobs.len()).unwrap_or(u32::MAX) >= BATCH;
            after = blobs.last().cloned();
            let outcomes: Vec<(Blob, bool)> = stream::iter(blobs)
                .map(|blob| async move {
                    let discarded = self.store.discard(&blob).await;
                    if let Err(error) = &discarded {
                        tracing::warn!(?error, tenant.id = %blob.tenant, version = ?blob.version, "bytes could not be deleted");
                    }
                    (blob, discarded.is_ok())
                })
                .buffer_unordered(WIDTH)
                .collect()
                .await;
            let total = outcomes.len();
            let gone: Vec<Blob> = outcomes.into_iter().filter(|(_, is_gone)| *is_gone).map(|(blob, _)| blob).collect();
            swept.deleted += u64::try_from(gone.len()).unwrap_or(0);
            swept.failed += u64::try_from(total.saturating_sub(gone.len())).unwrap_or(0);
            if !gone.is_empty() {
                self.catalog.forget(gone).await?;
            }
            if !swept.has_more {
                break;
            }
        }
        self.catalog.forget_tokens(now.minus(TOKEN_GRACE)).await?;
        Ok(swept)
    }
}
