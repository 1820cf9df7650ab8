//! How long a client may take nothing of what is written to it.

use std::time::Duration;
#[cfg(any(feature = "serve", feature = "websocket", feature = "socketio"))]
use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
};

#[cfg(any(feature = "serve", feature = "websocket", feature = "socketio"))]
use tokio::time::{Sleep, sleep};

/// How long one event may be on its way to a client that takes it little by little.
pub(crate) const WHOLE: Duration = Duration::from_secs(60);

/// A client must take something of this answer within this time: an extension of a response, for the listener below, which
/// alone sees whether bytes move.
#[cfg(feature = "serve")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct TakeWithin(pub(crate) Duration);

/// Ends the connection of a request: an extension of it, from the listener. Nothing else ends one whose client does not
/// want what it asked for, and (HTTP/2) lets nothing be written.
#[cfg(feature = "serve")]
#[derive(Clone, Debug)]
pub(crate) struct HangUp(pub(crate) tokio_util::sync::CancellationToken);

/// What watches over the writes of one connection. Most are taken at once, and need no timer.
#[cfg(any(feature = "serve", feature = "websocket", feature = "socketio"))]
#[derive(Debug, Default)]
pub(crate) struct Patience(Option<Pin<Box<Sleep>>>);

#[cfg(any(feature = "serve", feature = "websocket", feature = "socketio"))]
impl Patience {
    /// What a write said, or an error `TimedOut` when nothing has been taken for so long.
    pub(crate) fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
        limit: Duration,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.0 = None;
            return poll;
        }
        let stalled = self.0.get_or_insert_with(|| Box::pin(sleep(limit)));
        stalled.as_mut().poll(cx).map(|()| Err(too_slow()))
    }
}

/// A client that took too long.
#[cfg(any(feature = "serve", feature = "websocket", feature = "socketio"))]
pub(crate) fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client was too slow")
}

#[cfg(all(test, feature = "serve"))]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_client_that_takes_nothing_runs_out_of_it() {
        let (mut patience, limit) = (Patience::default(), Duration::from_secs(8));
        for _ in 0..5 {
            let still = tokio::time::timeout(
                Duration::from_secs(7),
                poll_fn(|cx| patience.watch(cx, Poll::<io::Result<usize>>::Pending, limit)),
            );
            assert!(still.await.is_err());
            let taken = patience.watch(&mut Context::from_waker(Waker::noop()), Poll::Ready(Ok(1)), limit);
            assert!(matches!(taken, Poll::Ready(Ok(1))));
        }
        let begun = tokio::time::Instant::now();
        let error = poll_fn(|cx| patience.watch(cx, Poll::<io::Result<usize>>::Pending, limit)).await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed().as_secs()), (io::ErrorKind::TimedOut, 8));
    }
}
