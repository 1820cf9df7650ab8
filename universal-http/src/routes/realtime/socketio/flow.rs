//! What was given to a session and has not left for its client yet.
//!
//! `socketioxide` queues by count, and a document may have a megabyte. The queue gives no sign when something leaves it, so
//! that is seen where it leaves: by the guard of a WebSocket, and in the answer to a poll.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

/// The most bytes that wait for one client; one larger packet may wait alone.
const MOST_BYTES: usize = 256 * 1024;

/// The most packets that wait for one client.
const MOST_PACKETS: usize = 64;

/// Room in the queue below: ours, and as many of the protocol's own (pings, answers to CONNECT).
pub(super) const QUEUE: usize = 2 * MOST_PACKETS;

/// The packets that wait, oldest first. They leave in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Flow {
    waiting: Mutex<Waiting>,
    left: Notify,
    polled: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    sizes: VecDeque<usize>,
    bytes: usize,
    gone: u64,
}

impl Flow {
    /// Counts a packet that is about to be queued.
    pub(super) fn put(&self, bytes: usize) {
        let mut waiting = self.waiting();
        waiting.sizes.push_back(bytes);
        waiting.bytes += bytes;
    }

    /// A packet has left, if it is one that is counted here.
    pub(super) fn left(&self, packet: &[u8]) {
        if !is_counted(packet) {
            return;
        }
        let mut waiting = self.waiting();
        if let Some(bytes) = waiting.sizes.pop_front() {
            waiting.bytes -= bytes;
            waiting.gone += 1;
        }
        drop(waiting);
        self.left.notify_one();
    }

    /// How many packets have left.
    pub(super) fn gone(&self) -> u64 {
        self.waiting().gone
    }

    /// Whether its client fetches what waits: between two polls nobody sees how far it is with what it was given.
    pub(super) fn polled(&self, is: bool) {
        self.polled.store(is, Ordering::Relaxed);
    }

    pub(super) fn is_polled(&self) -> bool {
        self.polled.load(Ordering::Relaxed)
    }

    /// A part of a packet has left: its client takes something.
    pub(super) fn moved(&self) {
        self.left.notify_one();
    }

    /// Whether one more may be queued.
    pub(super) fn has_room(&self) -> bool {
        let waiting = self.waiting();
        waiting.bytes < MOST_BYTES && waiting.sizes.len() < MOST_PACKETS
    }

    /// Waits until a packet, or a part of one, has left since the last call. For one waiter.
    pub(super) async fn changed(&self) {
        self.left.notified().await;
    }

    /// Waits until all has left. For one waiter.
    pub(super) async fn drained(&self) {
        while !self.waiting().sizes.is_empty() {
            self.changed().await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether only a connection of ours sends such packets: messages (`4`) that are a disconnect, an event or an ack.
fn is_counted(packet: &[u8]) -> bool {
    matches!(packet, [b'4', b'1'..=b'3', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_and_packets_are_bounded() {
        let flow = Flow::default();
        assert!(flow.has_room());
        flow.put(2 * MOST_BYTES);
        assert!(!flow.has_room());
        flow.left(b"2");
        flow.left(b"40{}");
        assert!(!flow.has_room());
        flow.left(b"42[]");
        assert!(flow.has_room());
        flow.changed().await;
        for _ in 0..MOST_PACKETS {
            assert!(flow.has_room());
            flow.put(1);
        }
        assert!(!flow.has_room());
        for _ in 0..MOST_PACKETS {
            flow.left(b"43[]");
        }
        flow.drained().await;
        // More than was put is nobody's.
        flow.left(b"41");
        assert!(flow.has_room());
    }
}
