//! Builds new indexes and takes old ones away, beside reads and writes.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::collections::port::{IndexBuilder, Step};

/// How often it looks whether those it waits for have ended.
const WAITING: Duration = Duration::from_millis(50);
/// How often it looks without being woken: another node's settings, or its crash.
const IDLE: Duration = Duration::from_secs(5);
/// How long it waits after a failure.
const FAILED: Duration = Duration::from_secs(1);

/// Works on indexes until `stop`. Any number of nodes may do it at once; one that stops half-way leaves nothing to repair.
pub(crate) async fn run(builder: Arc<dyn IndexBuilder>, stop: CancellationToken) {
    let mut failed = false;
    while !stop.is_cancelled() {
        let pause = match builder.step().await {
            Ok(Step::More) => {
                failed = false;
                // Others write too: their turn comes between two steps.
                tokio::task::yield_now().await;
                continue;
            }
            Ok(Step::Waiting) => WAITING,
            Ok(Step::Idle) => IDLE,
            Err(error) => {
                if !failed && !stop.is_cancelled() {
                    tracing::warn!(error = ?error, "an index cannot be built at the moment; it goes on later");
                }
                failed = true;
                FAILED
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = builder.woken() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
