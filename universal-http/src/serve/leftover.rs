//! What becomes of a body that nobody reads to its end.
//!
//! A request that is refused early (401, 413) is answered while its body is still arriving. Closing then would reset the
//! connection, and the client could lose the answer; so a little is read and thrown away, as other servers do.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio_util::task::TaskTracker;

/// How much is thrown away at most, twice the largest body that a route takes into memory; a larger rest is worth a reset.
const MOST: u64 = 8 * 1024 * 1024;
/// For how long.
const LONGEST: Duration = Duration::from_secs(5);

/// A request's body that is thrown away behind its handler.
#[derive(Debug)]
pub(super) struct Leftover {
    body: Option<Incoming>,
    tasks: TaskTracker,
}

impl Leftover {
    pub(super) fn new(body: Incoming, tasks: TaskTracker) -> Self {
        Self { body: Some(body), tasks }
    }
}

impl Body for Leftover {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let poll = Pin::new(body).poll_frame(cx);
        if matches!(poll, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        // Dropped outside a runtime there is no connection any more either.
        if body.size_hint().lower() > MOST || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        self.tasks.spawn(tokio::time::timeout(LONGEST, async move {
            let mut seen = 0;
            while let Some(Ok(frame)) = body.frame().await {
                seen += frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
                if seen > MOST {
                    return;
                }
            }
        }));
    }
}
