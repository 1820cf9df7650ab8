//! What runs in the background: one task hears other nodes, one speaks to them, one asks the rules again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{frame::Said, hub::Shared, room::Room};
use crate::realtime::broadcast::Broadcast;

/// The pause before a way between the nodes that went away is asked for again.
const PAUSE: Duration = Duration::from_secs(1);
/// Of how many rooms it is spoken at once: one that is slow does not keep the others silent, and what waits together is
/// carried together.
const AT_ONCE: usize = 64;
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Hears what nodes say, until the stop.
pub(super) async fn hear(shared: Arc<Shared>, mut arrivals: Receiver<Arc<Broadcast>>) {
    loop {
        let arrived = tokio::select! {
            () = shared.stop.cancelled() => return,
            arrived = arrivals.recv() => arrived,
        };
        match arrived {
            Ok(broadcast) => shared.hear(&broadcast),
            Err(RecvError::Lagged(count)) => {
                tracing::warn!(count, "this node was too slow for what others said in channels; some of it is lost");
                for room in shared.all_rooms() {
                    room.missed(count);
                    room.ask_all();
                    shared.wait(&room);
                }
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

/// Speaks to other nodes, until the stop, and says farewell. It alone speaks of members, so that what it says is in
/// order.
pub(super) async fn speak(shared: Arc<Shared>) {
    let mut ticks = interval(shared.options.tick());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            () = shared.woken.notified() => {
                stream::iter(shared.take_waiting()).for_each_concurrent(AT_ONCE, |room| speak_of(&shared, room)).await;
            }
            _ = ticks.tick() => {
                stream::iter(shared.all_rooms()).for_each_concurrent(AT_ONCE, |room| {
                    room.expire(Instant::now());
                    speak_of(&shared, room)
                }).await;
            }
        }
    }
    let farewell = async {
        let rooms = shared.all_rooms().into_iter().filter(|room| room.has_members() || room.has_news());
        let said = stream::iter(rooms).for_each_concurrent(AT_ONCE, |room| {
            let shared = &shared;
            // Those who did not hear it will notice the silence.
            async move { drop(shared.say(&room.tenant, &room.channel, Said::Bye).await) }
        });
        said.await;
    };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

/// Says what is to be said of a room; of one room one after the other.
async fn speak_of(shared: &Shared, room: Arc<Room>) {
    room.waits.store(false, Ordering::Release);
    for said in room.outgoing(Instant::now()) {
        if let Err(error) = shared.say(&room.tenant, &room.channel, said).await {
            // Others will find that they missed it; what this node wanted to know it asks again with the next tick.
            // The way between the nodes tells of its loss once, for all rooms.
            tracing::debug!(error = ?error, channel = %room.channel, "members of a channel could not be told to other nodes");
            room.ask_all();
            break;
        }
    }
    shared.reap(&room);
}

/// Asks the rules whether those who joined may still be there, until the stop.
pub(super) async fn review(shared: Arc<Shared>) {
    let mut ticks = interval(shared.options.review);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        for room in shared.all_rooms() {
            if shared.stop.is_cancelled() {
                return;
            }
            // Rules that are known are judged without waiting; others shall have their turn all the same.
            tokio::task::consume_budget().await;
            for session in room.sessions() {
                let caller = session.caller();
                if let Err(error) = shared.review(&room, &session, &caller).await
                    && !error.is_retryable()
                    // What went wrong here is no answer of the rules.
                    && error.kind() != crate::error::ErrorKind::Internal
                {
                    session.end(&error);
                    shared.leave(&room, &session.key);
                }
            }
        }
    }
}
