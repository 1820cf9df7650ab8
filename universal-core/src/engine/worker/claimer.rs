//! The loop that claims: as many jobs as there are free slots, when told or when due.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep},
};

use crate::{
    engine::worker::shared::{Ready, Shared},
    jobs::{Claim, Claimed, FunctionName, Lease},
};

/// The shortest wait between two looks at a queue that had nothing: something may be due that another worker is
/// taking at this moment.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);

/// Claims until told to stop. Dropping `ready` at the end tells the backend that no job follows.
pub(super) async fn run(shared: Arc<Shared>, ready: mpsc::Sender<Ready>) {
    let functions: Arc<[FunctionName]> = shared.functions.iter().map(|function| function.name().clone()).collect();
    let wake = shared.queue.wake();
    let mut failures = 0_u32;
    while let Some(mut slots) = free_slots(&shared).await {
        // From here on every hint counts: one that comes while the queue is being read is kept for the wait below.
        let notified = wake.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();

        let asked = Instant::now();
        let limit = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let claim = Claim::new(Arc::clone(&shared.name), Arc::clone(&functions), limit, shared.options.lease);
        // Not raced against the stop: a claim that is dropped half-way may have been made, and the job would wait for its lease.
        let wait = match shared.queue.claim(&claim).await {
            Ok(Claimed { jobs, next_due, .. }) => {
                failures = 0;
                let claimed_some = !jobs.is_empty();
                for job in jobs {
                    let Some(slot) = slots.pop() else { break };
                    let job = Ready { job, held_until: asked + shared.options.lease, slot };
                    hand_on(&shared, &ready, job).await;
                }
                if claimed_some {
                    continue;
                }
                next_due.unwrap_or(shared.options.poll).clamp(SHORTEST_WAIT, shared.options.poll.max(SHORTEST_WAIT))
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                let wait = Duration::from_millis(100 << failures.min(6)).min(Duration::from_secs(5));
                tracing::warn!(error = ?error, failures, "jobs cannot be claimed; trying again");
                // A hint says nothing about a queue that fails.
                tokio::select! {
                    () = shared.stop.cancelled() => return,
                    () = sleep(wait) => continue,
                }
            }
        };
        drop(slots);
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = notified => {}
            () = sleep(wait) => {}
        }
    }
}

/// All slots that are free, at least one; `None` when told to stop.
async fn free_slots(shared: &Shared) -> Option<Vec<OwnedSemaphorePermit>> {
    let first = tokio::select! {
        biased;
        () = shared.stop.cancelled() => return None,
        slot = Arc::clone(&shared.slots).acquire_owned() => slot.ok()?,
    };
    let mut slots = vec![first];
    while let Ok(slot) = Arc::clone(&shared.slots).try_acquire_owned() {
        slots.push(slot);
    }
    Some(slots)
}

async fn hand_on(shared: &Shared, ready: &mpsc::Sender<Ready>, job: Ready) {
    let job = if shared.stop.is_cancelled() {
        job
    } else {
        // There is a place for every slot, so this does not wait.
        match ready.send(job).await {
            Ok(()) => return,
            Err(refused) => refused.0,
        }
    };
    let lease = Lease::new(&job.job, Arc::clone(&shared.name));
    if let Err(error) = shared.queue.release(&lease).await {
        tracing::warn!(error = ?error, job.id = %lease.id, "a job could not be handed back; it runs again when its lease ends");
    }
}
