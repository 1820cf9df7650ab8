//! From the outbox to the feed: numbers what committed transactions left, then rings.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::realtime::{bus::Bus, feed::Sequencer};

/// How many changes of a tenant are numbered in one commit.
const BATCH: u32 = 500;
/// How often it looks without being woken, while there was something to do lately.
const ACTIVE: Duration = Duration::from_millis(250);
/// How often it looks without being woken, when it is quiet.
const IDLE: Duration = Duration::from_secs(1);

/// Numbers changes until `stop`. Any number of nodes may do it at once: the database decides who
/// numbers what, and a node that dies half-way leaves nothing behind.
pub async fn run(sequencer: Arc<dyn Sequencer>, bus: Arc<dyn Bus>, stop: CancellationToken) {
    let mut pause = ACTIVE;
    let mut failed = false;
    loop {
        match sequencer.sequence(BATCH).await {
            Ok(heads) => {
                failed = false;
                for (tenant, head) in &heads {
                    bus.ring(tenant, *head);
                }
                if !heads.is_empty() {
                    // More may have come, or the batch was full: look again before waiting.
                    pause = ACTIVE;
                    if stop.is_cancelled() {
                        return;
                    }
                    continue;
                }
            }
            Err(error) => {
                if !failed {
                    tracing::warn!(error = ?error, "changes cannot be numbered at the moment; it goes on when the database answers");
                }
                failed = true;
                pause = IDLE;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sequencer.woken(), if !failed => pause = ACTIVE,
            () = tokio::time::sleep(pause) => pause = IDLE,
        }
    }
}
