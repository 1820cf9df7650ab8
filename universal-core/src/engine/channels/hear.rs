//! Hearing what nodes say: one task sorts it by rooms, a few hear it in the rooms.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};

use super::hub::Shared;
use crate::realtime::broadcast::Arrival;

/// The pause before a way between the nodes that went away is asked for again.
const PAUSE: Duration = Duration::from_secs(1);
/// How many rooms are heard in at once.
pub(super) const EARS: usize = 4;

/// Puts what nodes say where it belongs, until the stop.
pub(super) async fn sort(shared: Arc<Shared>, mut arrivals: Receiver<Arrival>) {
    loop {
        let arrived = tokio::select! {
            () = shared.stop.cancelled() => return,
            arrived = arrivals.recv() => arrived,
        };
        match arrived {
            Ok(Arrival::Message(broadcast)) => shared.sort(broadcast),
            Ok(Arrival::Missed { count }) => missed(&shared, count),
            Err(RecvError::Lagged(count)) => {
                tracing::warn!(count, "this node was too slow for what others said in channels; some of it is lost");
                missed(&shared, Some(count));
            }
            Err(RecvError::Closed) => {
                tokio::select! {
                    () = shared.stop.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => arrivals = shared.broadcaster.arrivals(),
                }
            }
        }
    }
}

/// Nobody knows what was lost, or for whom.
fn missed(shared: &Shared, count: Option<u64>) {
    let now = Instant::now();
    for room in shared.all_rooms() {
        room.missed(count.unwrap_or_default(), now);
    }
}

/// Hears in one room after another what waits there, until the stop.
pub(super) async fn hear(shared: Arc<Shared>) {
    loop {
        let room = tokio::select! {
            () = shared.stop.cancelled() => return,
            room = shared.line.next() => room,
        };
        let (some, lost) = room.incoming.take();
        if lost > 0 {
            tracing::debug!(lost, channel = %room.channel, "more was said in a channel than could be heard");
            room.missed(lost, Instant::now());
        }
        for broadcast in some {
            // A defect met in one message costs that message, not the ear, nor the room's place in the line.
            if catch_unwind(AssertUnwindSafe(|| shared.hear(&room, &broadcast))).is_err() {
                tracing::error!(channel = %room.channel, "hearing a message of a channel panicked");
            }
        }
        if room.incoming.ends_turn() {
            shared.line.push(room);
        }
        tokio::task::yield_now().await;
    }
}
