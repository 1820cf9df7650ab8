//! Speaking to other nodes: one task says what rooms have to say.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{frame::Said, hub::Shared, room::Room};

/// Of how many rooms it is spoken at once: one that is slow does not keep the others silent, and what waits together is
/// carried together.
const AT_ONCE: usize = 64;
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(2);

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
        let rooms = shared.all_rooms().into_iter().filter(|room| room.has_members() || room.has_untold());
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
            // Others will find that they missed it; what this node wanted to know it asks again, later: while the way
            // between the nodes is down, and when it is there again, rooms do not all ask at once.
            tracing::debug!(error = ?error, channel = %room.channel, "members of a channel could not be told to other nodes");
            room.asks_again(Instant::now());
            break;
        }
    }
    shared.reap(&room);
}
