//! What stands between the network and a WebSocket: it counts frames as they come, and gives up a client that takes none.
//!
//! The WebSocket below hands out whole messages. Fragments of one that never ends would pass it by, as many as a client
//! likes.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    framing::{Frames, Seen},
    rate::Rate,
};
use crate::patience::Patience;

/// A stream of frames, of which there may be too many.
#[derive(Debug)]
pub(super) struct Counting<S> {
    io: S,
    frames: Frames,
    rate: Rate,
    flooded: Flooded,
    patience: Patience,
    reading: Duration,
}

/// Whether there were too many frames.
#[derive(Clone, Debug, Default)]
pub(super) struct Flooded(Arc<AtomicBool>);

impl Flooded {
    fn is_true(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Resolves when there were too many, if it is polled behind the read that counts them: it wakes nobody.
    pub(super) async fn behind_read(&self) {
        poll_fn(|_| if self.is_true() { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl<S> Counting<S> {
    /// With at most so many frames in, and a client that takes something of what goes out within `reading`.
    pub(super) fn new(io: S, frames_per_second: u32, reading: Duration) -> Self {
        let rate = Rate::new(frames_per_second);
        let (flooded, patience) = (Flooded::default(), Patience::default());
        Self { io, frames: Frames::default(), rate, flooded, patience, reading }
    }

    /// Whether there were too many. Whatever comes after is thrown away, so that the client can read why.
    pub(super) fn flooded(&self) -> Flooded {
        self.flooded.clone()
    }

    fn count(&mut self, bytes: &[u8]) {
        let (rate, mut too_many) = (&mut self.rate, false);
        self.frames.see(bytes, |seen| {
            if matches!(seen, Seen::Begin(_)) && !too_many {
                too_many = !rate.take();
            }
        });
        if too_many {
            self.flooded.0.store(true, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        loop {
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            let read = buf.filled().get(before..).unwrap_or_default();
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if !this.flooded.is_true() {
                this.count(read);
            }
            if !this.flooded.is_true() {
                return Poll::Ready(Ok(()));
            }
            buf.set_filled(before);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.patience.watch(cx, poll, this.reading)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.patience.watch(cx, poll, this.reading)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.io).poll_flush(cx);
        this.patience.watch(cx, poll, this.reading)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.io).poll_shutdown(cx);
        this.patience.watch(cx, poll, this.reading)
    }
}
