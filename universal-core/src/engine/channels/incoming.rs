//! What came for a channel and was not heard yet, and the line of rooms that have something to hear.
//!
//! One task takes all messages of a node and only puts them where they belong, so that it keeps up. A room in which much is
//! said, or in which many listen, falls behind alone: what finds no place there is lost there.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::room::Room;
use crate::realtime::broadcast::Broadcast;

/// How many bytes wait to be heard in one room, and how many messages.
const MOST_BYTES: usize = 1024 * 1024;
const MOST: usize = 1024;
/// How many are heard in a room before the next room has its turn.
const TURN: usize = 64;

/// What waits for one room.
#[derive(Debug, Default)]
pub(super) struct Incoming(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    broadcasts: VecDeque<Arc<Broadcast>>,
    bytes: usize,
    lost: u64,
    /// It stands in line, or somebody hears what waits.
    has_place: bool,
}

impl Incoming {
    /// Lets something wait; the oldest make room for it. Answers whether the room is to be put into the line.
    pub(super) fn push(&self, broadcast: Arc<Broadcast>) -> bool {
        let mut waiting = self.waiting();
        waiting.bytes += broadcast.payload.len();
        waiting.broadcasts.push_back(broadcast);
        while waiting.bytes > MOST_BYTES || waiting.broadcasts.len() > MOST {
            let Some(lost) = waiting.broadcasts.pop_front() else { break };
            waiting.bytes -= lost.payload.len();
            waiting.lost += 1;
        }
        !std::mem::replace(&mut waiting.has_place, true)
    }

    /// What is to be heard in one turn, and how much was lost before it.
    pub(super) fn take(&self) -> (Vec<Arc<Broadcast>>, u64) {
        let mut waiting = self.waiting();
        let count = waiting.broadcasts.len().min(TURN);
        let some: Vec<_> = waiting.broadcasts.drain(..count).collect();
        waiting.bytes -= some.iter().map(|broadcast| broadcast.payload.len()).sum::<usize>();
        (some, std::mem::take(&mut waiting.lost))
    }

    /// A turn is over; answers whether the room is to be put into the line again.
    pub(super) fn ends_turn(&self) -> bool {
        let mut waiting = self.waiting();
        waiting.has_place = !waiting.broadcasts.is_empty();
        waiting.has_place
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rooms that have something to hear, each once.
#[derive(Debug, Default)]
pub(super) struct Line {
    rooms: Mutex<VecDeque<Arc<Room>>>,
    woken: Notify,
}

impl Line {
    pub(super) fn push(&self, room: Arc<Room>) {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).push_back(room);
        self.woken.notify_one();
    }

    /// The next room; several may wait. Dropping the future loses nothing.
    pub(super) async fn next(&self) -> Arc<Room> {
        loop {
            let room = self.rooms.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            if let Some(room) = room {
                return room;
            }
            self.woken.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TenantId;

    fn broadcast(bytes: usize) -> Arc<Broadcast> {
        let payload = "x".repeat(bytes).into();
        Arc::new(Broadcast { tenant: TenantId::default_tenant(), channel: "c".into(), payload })
    }

    #[test]
    fn what_waits_is_bounded_and_a_room_stands_in_line_once() {
        let incoming = Incoming::default();
        assert!(incoming.push(broadcast(1)));
        assert!(!incoming.push(broadcast(1)));
        for _ in 0..2_000 {
            incoming.push(broadcast(1));
        }
        let (some, lost) = incoming.take();
        assert_eq!((some.len(), lost), (TURN, 2_002 - 1_024));
        assert!(incoming.ends_turn(), "more waits");
        assert!(!incoming.push(broadcast(1)), "it is in line already");
        for _ in 0..50 {
            incoming.push(broadcast(64 * 1024));
        }
        let (some, lost) = incoming.take();
        assert_eq!(some.iter().map(|broadcast| broadcast.payload.len()).sum::<usize>(), MOST_BYTES);
        assert!(lost > 0);
        assert!(!incoming.ends_turn());
        assert!(incoming.push(broadcast(1)));
    }
}
