//! What a connection's reader must know of its requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::Duration,
};

use futures_util::task::AtomicWaker;

/// Shared by a connection's service, which counts, and its socket, which waits accordingly.
#[derive(Debug)]
pub(super) struct Activity {
    started: AtomicU64,
    open: AtomicUsize,
    upgraded: AtomicBool,
    multiplexed: AtomicBool,
    /// In milliseconds.
    take_within: AtomicU64,
    reader: AtomicWaker,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            started: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            upgraded: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            take_within: AtomicU64::new(u64::MAX),
            reader: AtomicWaker::new(),
        }
    }
}

impl Activity {
    /// Counts a request until the guard is dropped, with the last byte of its answer.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.started.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }

    /// How many requests there were so far.
    pub(super) fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Whether a request is being answered; if so, `reader` is woken when it is not any more.
    pub(super) fn is_busy(&self, reader: &Waker) -> bool {
        if self.open.load(Ordering::Acquire) == 0 {
            return false;
        }
        self.reader.register(reader);
        // It may have ended between the look and the registration.
        self.open.load(Ordering::Acquire) > 0
    }

    /// The connection speaks another protocol now, which has its own pings.
    pub(super) fn set_upgraded(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Relaxed)
    }

    /// Of the answer that begins the client must take something within this time, if there is one. A
    /// connection of HTTP/2 keeps the shortest, for all its answers.
    pub(super) fn set_take_within(&self, time: Option<Duration>) {
        let millis = time.map_or(u64::MAX, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        match self.is_multiplexed() {
            true => drop(self.take_within.fetch_min(millis, Ordering::Relaxed)),
            false => self.take_within.store(millis, Ordering::Relaxed),
        }
    }

    pub(super) fn take_within(&self) -> Duration {
        Duration::from_millis(self.take_within.load(Ordering::Relaxed))
    }

    /// The connection is HTTP/2: bytes between requests are not the begin of a header.
    pub(super) fn set_multiplexed(&self) {
        self.multiplexed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Ordering::Relaxed)
    }
}

/// One request being answered.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.reader.wake();
        }
    }
}
