//! What has to be done from time to time: old changes and answers are forgotten, unneeded bytes deleted.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    clock::SharedClock,
    collections::{
        Maintenance,
        idempotency::{KeptAnswers, LIFETIME},
    },
    realtime::{Feed, feed::Retention},
    storage::Sweep,
};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(300);
/// How often collections are looked at: so much later than its time a document may be deleted.
const COLLECTIONS_EVERY: Duration = Duration::from_secs(10);
/// How long bytes that nobody needs are kept, for downloads that have begun.
const SWEEP_AFTER: Duration = Duration::from_secs(3600);

/// Does the upkeep until `stop`. Any number of nodes may do it at once.
pub(crate) async fn run(
    (sweep, feed, answers): (Arc<dyn Sweep>, Arc<dyn Feed>, Arc<dyn KeptAnswers>),
    clock: SharedClock,
    stop: CancellationToken,
) {
    let retention = Retention::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(error) = feed.retain(clock.now(), &retention).await {
            tracing::warn!(error = ?error, "old changes could not be trimmed; the next look tries again");
        }
        while !stop.is_cancelled() {
            match answers.forget(clock.now().minus(LIFETIME)).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(error = ?error, "old answers could not be forgotten; the next look tries again");
                    break;
                }
            }
        }
        while !stop.is_cancelled() {
            match sweep.sweep(SWEEP_AFTER).await {
                Ok(swept) if swept.has_more => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(error = ?error, "unneeded files could not be swept; the next look tries again");
                    break;
                }
            }
        }
    }
}

/// Does the upkeep of collections until `stop`. Any number of nodes may do it at once.
pub(crate) async fn run_collections(collections: Arc<dyn Maintenance>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(COLLECTIONS_EVERY) => {}
        }
        while !stop.is_cancelled() {
            match collections.maintain().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(error = ?error, "the upkeep of collections failed; the next look tries again");
                    break;
                }
            }
        }
    }
}
