//! A socket that gives up: on a header that does not end, on a client that rests too long or does not read.
//!
//! hyper has a time limit for headers, but it covers the rest between requests too, and not a connection's first bytes
//! while its version is unknown. Here each wait has its own limit.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

use super::{activity::Activity, options::ServeOptions};
use crate::patience::{Patience, too_slow};

/// What the reader waits for.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The first byte of a request, until then.
    Rest(Instant),
    /// The end of a header, until then.
    Header(Instant),
    /// A request is being answered: its body and its handler have limits of their own.
    Busy,
}

#[derive(Debug)]
pub(super) struct TimedIo {
    stream: TcpStream,
    /// The connection's place among those that are allowed; an upgraded connection keeps it.
    _held: Box<dyn std::any::Any + Send + Sync>,
    activity: Arc<Activity>,
    header: Duration,
    idle: Duration,
    write: Duration,
    patience: Patience,
    phase: Phase,
    seen: u64,
    reading: Pin<Box<Sleep>>,
}

impl TimedIo {
    pub(super) fn new(
        stream: TcpStream,
        activity: Arc<Activity>,
        options: &ServeOptions,
        held: impl std::any::Any + Send + Sync,
    ) -> Self {
        let first = Instant::now() + options.header;
        Self {
            stream,
            _held: Box::new(held),
            activity,
            header: options.header,
            idle: options.idle,
            write: options.write,
            patience: Patience::default(),
            phase: Phase::Rest(first),
            seen: 0,
            reading: Box::pin(tokio::time::sleep_until(first)),
        }
    }

    /// Brings the phase up to date with what the service has done meanwhile.
    fn look(&mut self, reader: &Waker) {
        let started = self.activity.started();
        if self.activity.is_busy(reader) {
            self.phase = Phase::Busy;
        } else if started != self.seen || matches!(self.phase, Phase::Busy) {
            self.phase = Phase::Rest(Instant::now() + self.idle);
        }
        self.seen = started;
    }

    fn wait(&mut self, cx: &mut Context<'_>, limit: Instant) -> Poll<io::Result<()>> {
        if self.reading.deadline() != limit {
            self.reading.as_mut().reset(limit);
        }
        self.reading.as_mut().poll(cx).map(|()| Err(too_slow()))
    }

    /// Lets a write that makes no progress fail after a while.
    fn watch_write<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.patience.watch(cx, poll, self.write.min(self.activity.take_within()))
    }
}

impl AsyncRead for TimedIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let poll = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if this.activity.is_upgraded() {
            return poll;
        }
        this.look(cx.waker());
        match (poll, this.phase) {
            (Poll::Ready(result), Phase::Rest(_)) => {
                if buffer.filled().len() > before && !this.activity.is_multiplexed() {
                    this.phase = Phase::Header(Instant::now() + this.header);
                }
                Poll::Ready(result)
            }
            // A header that comes byte by byte never waits long, and still ends in time or not at all.
            (Poll::Ready(Ok(())), Phase::Header(limit)) if Instant::now() >= limit => Poll::Ready(Err(too_slow())),
            (Poll::Ready(result), _) => Poll::Ready(result),
            (Poll::Pending, Phase::Busy) => Poll::Pending,
            (Poll::Pending, Phase::Rest(limit) | Phase::Header(limit)) => this.wait(cx, limit),
        }
    }
}

impl AsyncWrite for TimedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch_write(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch_write(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch_write(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch_write(cx, poll)
    }
}
