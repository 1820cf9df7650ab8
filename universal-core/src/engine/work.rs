//! What a reader waits for: answers of the database, and news.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::error::Result;

/// A question that is being answered. It stands while nobody polls it.
pub(crate) struct Work<T>(Pin<Box<dyn Future<Output = Result<T>> + Send>>);

impl<T> Work<T> {
    pub(crate) fn new(work: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(Box::pin(work))
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T>> {
        self.0.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Work<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

/// A place among the [waiters](super::waiters::Waiters) of a log, which hears too when the backend stops.
#[derive(Debug)]
pub(crate) struct News {
    place: Arc<AtomicWaker>,
    stop: Arc<Stop>,
    /// Tells `stop`. It is in the queue of those who wait for the stop once, not anew for every event.
    _stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

#[derive(Debug)]
struct Stop {
    stopped: AtomicBool,
    place: Arc<AtomicWaker>,
}

impl Wake for Stop {
    fn wake(self: Arc<Self>) {
        self.stopped.store(true, Ordering::Release);
        self.place.wake();
    }
}

impl News {
    pub(crate) fn new(place: Arc<AtomicWaker>, stop: &CancellationToken) -> Self {
        let mut stopped = Box::pin(stop.clone().cancelled_owned());
        let stop = Arc::new(Stop { stopped: AtomicBool::new(false), place: Arc::clone(&place) });
        let waker = Waker::from(Arc::clone(&stop));
        if stopped.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            stop.stopped.store(true, Ordering::Release);
        }
        Self { place, stop, _stopped: stopped }
    }

    /// The task shall be woken by news. Whoever registers looks again afterwards.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.place.register(cx.waker());
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.stopped.load(Ordering::Acquire)
    }
}
