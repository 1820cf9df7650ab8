//! One who has joined here: what waits for it to be heard.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    realtime::channel::{Budget, ChannelEvent, Member},
};

/// How many bytes wait for a slow listener, and for all channels of its connection together.
const QUEUE: usize = 256 * 1024;

/// One who has joined.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) key: Arc<str>,
    pub(super) echo: bool,
    caller: Mutex<Caller>,
    queue: Mutex<Queue>,
    pub(super) woken: Notify,
}

#[derive(Debug)]
struct Queue {
    /// What waits for its whole connection, in bytes.
    budget: Budget,
    events: VecDeque<(ChannelEvent, usize)>,
    bytes: usize,
    /// Messages that were lost before the first that waits.
    missed: u64,
    /// All members are told anew before anything else; changes of members do not wait meanwhile.
    resync: bool,
    end: Option<End>,
}

/// Why it is over.
#[derive(Clone, Debug)]
struct End {
    kind: ErrorKind,
    code: &'static str,
    message: String,
}

/// What is next.
#[derive(Debug)]
pub(super) enum Next {
    Event(ChannelEvent),
    /// All members: [`Session::sync`].
    Sync,
    Nothing,
}

impl Session {
    pub(super) fn new(key: Arc<str>, caller: Caller, (echo, budget): (bool, Budget)) -> Self {
        let queue = Queue { budget, events: VecDeque::new(), bytes: 0, missed: 0, resync: true, end: None };
        Self { key, echo, caller: Mutex::new(caller), queue: Mutex::new(queue), woken: Notify::new() }
    }

    pub(super) fn caller(&self) -> Caller {
        self.caller.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_caller(&self, caller: Caller) {
        *self.caller.lock().unwrap_or_else(PoisonError::into_inner) = caller;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an event of so many bytes wait; the oldest make room for it.
    pub(super) fn push(&self, event: ChannelEvent, bytes: usize) {
        self.queue().push(event, bytes);
        self.woken.notify_one();
    }

    /// So many messages were lost on their way to this node.
    pub(super) fn missed(&self, count: u64) {
        let mut queue = self.queue();
        queue.missed = queue.missed.saturating_add(count);
        drop(queue);
        self.woken.notify_one();
    }

    /// # Errors
    /// Why it is over.
    pub(super) fn pop(&self) -> Result<Next> {
        let mut queue = self.queue();
        if let Some(end) = &queue.end {
            return Err(Error::new(end.kind, end.code, end.message.clone()));
        }
        if queue.missed > 0 {
            let missed = std::mem::take(&mut queue.missed);
            return Ok(Next::Event(ChannelEvent::Lagged { missed }));
        }
        if queue.resync {
            return Ok(Next::Sync);
        }
        Ok(match queue.events.pop_front() {
            Some((event, bytes)) => {
                queue.freed(bytes);
                Next::Event(event)
            }
            None => Next::Nothing,
        })
    }

    /// All members as they are now; to be called while they cannot change.
    pub(super) fn sync(&self, members: Arc<[Member]>) -> ChannelEvent {
        self.queue().resync = false;
        ChannelEvent::Sync(members)
    }

    /// It is over, for this reason. What still waits is not heard.
    pub(super) fn end(&self, error: &Error) {
        let mut queue = self.queue();
        queue.clear();
        let end = End { kind: error.kind(), code: error.code(), message: error.message().to_owned() };
        queue.end.get_or_insert(end);
        drop(queue);
        self.woken.notify_waiters();
        self.woken.notify_one();
    }

    /// # Errors
    /// Why it is over, if it is.
    pub(super) fn is_open(&self) -> Result<()> {
        match &self.queue().end {
            Some(end) => Err(Error::new(end.kind, end.code, end.message.clone())),
            None => Ok(()),
        }
    }
}

impl Queue {
    fn push(&mut self, event: ChannelEvent, bytes: usize) {
        if self.end.is_some() || (self.resync && matches!(event, ChannelEvent::Presence(_))) {
            return;
        }
        if bytes > QUEUE && matches!(event, ChannelEvent::Presence(_)) {
            return self.resync_members();
        }
        self.events.push_back((event, bytes));
        self.bytes += bytes;
        self.budget.take(bytes);
        while self.bytes > QUEUE || self.budget.taken() > QUEUE {
            let Some((lost, bytes)) = self.events.pop_front() else { break };
            self.freed(bytes);
            match lost {
                ChannelEvent::Message(_) => self.missed += 1,
                _ => self.resync_members(),
            }
        }
    }

    /// A change of members was lost: what is known of them is told anew, and later changes are part of that.
    fn resync_members(&mut self) {
        self.resync = true;
        let mut freed = 0;
        self.events.retain(|(event, bytes)| {
            let stays = !matches!(event, ChannelEvent::Presence(_));
            freed += if stays { 0 } else { *bytes };
            stays
        });
        self.freed(freed);
    }

    fn freed(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.budget.give_back(bytes);
    }

    fn clear(&mut self) {
        self.events.clear();
        self.freed(self.bytes);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What who has left is told.
pub(super) fn left() -> Error {
    Error::new(ErrorKind::Conflict, "channel-left", "this one has left the channel; join it again")
}
