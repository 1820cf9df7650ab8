//! The loop that keeps leases, passes on cancellations and stops what can no longer be kept.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::{
    engine::worker::shared::{Shared, chance},
    jobs::StopReason,
};

/// How often ended jobs are cleared away, ± half by chance.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// Keeps leases until told to abandon them.
pub(super) async fn run(shared: Arc<Shared>) {
    let options = shared.options;
    // Every call is bounded by this, so that the leases are looked at in time whatever the database does.
    let patience = options.lease / 8;
    let mut tick = interval(options.watch.min(options.beat).min(options.lease / 8));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut beat_at, mut watch_at) = (Instant::now() + options.beat, Instant::now() + options.watch);
    loop {
        tokio::select! {
            () = shared.abandon.cancelled() => return,
            _ = tick.tick() => {}
        }
        let now = Instant::now();
        let late = shared.running.stop_held_until(now + options.margin(), StopReason::LeaseLost);
        if late > 0 {
            tracing::error!(jobs = late, "leases could not be renewed in time; their handlers are stopped");
        }
        let called = if now >= beat_at {
            (beat_at, watch_at) = (now + options.beat, now + options.watch);
            timeout(patience, beat(&shared)).await
        } else if now >= watch_at {
            watch_at = now + options.watch;
            timeout(patience, watch(&shared)).await
        } else {
            continue;
        };
        if called.is_err() {
            // Tried again with the next tick, not with the next beat.
            beat_at = now;
            tracing::warn!("the queue did not answer a beat in time");
        }
    }
}

async fn beat(shared: &Shared) {
    let leases = shared.running.leases();
    if leases.is_empty() {
        return;
    }
    let held_until = Instant::now() + shared.options.lease;
    let held = match shared.queue.beat(&leases, shared.options.lease).await {
        Ok(held) => held,
        Err(error) => {
            tracing::warn!(error = ?error, "leases could not be renewed");
            return;
        }
    };
    for lease in leases {
        match held.iter().find(|held| held.id == lease.id) {
            None => shared.running.stop(&lease, StopReason::LeaseLost),
            Some(held) => {
                shared.running.renew(&lease, held_until);
                if held.cancel_requested {
                    shared.running.stop(&lease, StopReason::Cancelled);
                }
            }
        }
    }
}

async fn watch(shared: &Shared) {
    let leases = shared.running.leases();
    if leases.is_empty() {
        return;
    }
    match shared.queue.called_off(&leases).await {
        Ok(ids) => leases
            .iter()
            .filter(|lease| ids.contains(&lease.id))
            .for_each(|lease| shared.running.stop(lease, StopReason::Cancelled)),
        Err(error) => tracing::debug!(error = ?error, "running jobs could not be looked at"),
    }
}

/// Clears ended jobs away until told to stop.
pub(super) async fn prune(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(PRUNE_EVERY.mul_f64(0.5 + chance())) => {}
        }
        loop {
            match shared.queue.prune(shared.options.keep).await {
                Ok(0) => break,
                Ok(pruned) => tracing::debug!(pruned, "ended jobs were cleared away"),
                Err(error) => {
                    tracing::debug!(error = ?error, "ended jobs could not be cleared away");
                    break;
                }
            }
            if shared.stop.is_cancelled() {
                return;
            }
        }
    }
}
