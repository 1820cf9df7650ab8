//! What a connection waits for beside its events, and what seldom happens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// A group of futures (timers, the stop of the server) that is polled only after one of them has called for it. The task
/// is woken for every event of a connection, and would otherwise look at each of them anew.
#[derive(Debug)]
pub(super) struct Rare {
    bell: Arc<Bell>,
    waker: Waker,
}

#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        Self::wake_by_ref(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Rare {
    pub(super) fn new() -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { waker: Waker::from(Arc::clone(&bell)), bell }
    }

    /// They are other ones from now on, or wait for other moments: they are polled the next time.
    pub(super) fn changed(&self) {
        self.bell.rung.store(true, Ordering::Release);
    }

    /// Polls them, if one of them has called since the last time. What is ready is polled again the next time: another
    /// may be ready too.
    pub(super) fn poll<T>(&self, cx: &Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.bell.task.register(cx.waker());
        if !self.bell.rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.bell.rung.store(false, Ordering::Release);
        let answer = poll(&mut Context::from_waker(&self.waker));
        if answer.is_ready() {
            self.changed();
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_polled_when_they_call_and_until_none_is_ready() {
        let rare = Rare::new();
        let cx = Context::from_waker(Waker::noop());
        let mut called = None;
        assert!(rare.poll(&cx, |_| Poll::Ready(())).is_ready());
        let first = rare.poll(&cx, |cx| {
            called = Some(cx.waker().clone());
            Poll::<()>::Pending
        });
        assert!(first.is_pending());
        assert!(rare.poll(&cx, |_| Poll::Ready(())).is_pending(), "nothing has called");
        called.unwrap().wake();
        assert!(rare.poll(&cx, |_| Poll::Ready(())).is_ready());
        rare.changed();
        assert!(rare.poll(&cx, |_| Poll::Ready(())).is_ready());
    }
}
