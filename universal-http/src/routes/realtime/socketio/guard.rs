//! What stands between the network and the engine's WebSocket.
//!
//! The engine reads frames as fast as they come, answers pings without counting them, and waits for ever for a client that
//! takes nothing. Here frames are counted and looked at before it reads them, a client that takes nothing for a while is cut
//! off, what leaves is noted, and the session can be told to end.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    super::framing::{Frames, Seen},
    refusals::Refusals,
    session::{Fault, Session},
};
use crate::patience::Patience;

/// The engine's own packet for the end of a session, as a client's frame (masked with zeros): it sends what waits, says
/// goodbye and closes.
const CLOSE: &[u8] = &[0x81, 0x81, 0, 0, 0, 0, b'1'];

/// How long a session has to end by itself.
const GRACE: Duration = Duration::from_secs(2);

const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// The stream of a WebSocket.
pub(super) struct Guard<S> {
    io: S,
    session: Arc<Session>,
    incoming: Frames,
    outgoing: Frames,
    refusals: Refusals,
    goodbye: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Nothing more is read from the client.
    deaf: bool,
    goodbye_said: bool,
    /// Then it is over, whatever the engine does.
    over_at: Option<Pin<Box<Sleep>>>,
    over: bool,
    patience: Patience,
    reading: Duration,
    /// Its end tells that the engine has let go.
    _alive: oneshot::Sender<()>,
}

impl<S> Guard<S> {
    pub(super) fn new(io: S, session: Arc<Session>, alive: oneshot::Sender<()>) -> Self {
        session.flow.polled(false);
        Self {
            io,
            incoming: Frames::default(),
            outgoing: Frames::default(),
            refusals: Refusals::default(),
            goodbye: Box::pin(session.goodbye.clone().cancelled_owned()),
            deaf: false,
            goodbye_said: false,
            over_at: None,
            over: false,
            patience: Patience::default(),
            reading: session.cx.state().limits.reading,
            session,
            _alive: alive,
        }
    }

    fn end_after(&mut self, time: Duration) {
        self.deaf = true;
        self.over_at = Some(Box::pin(sleep_until(Instant::now() + time)));
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(at) = &mut self.over_at {
            self.over |= at.as_mut().poll(cx).is_ready();
        }
        self.over
    }

    /// Whether the client may send what it has begun or completed here.
    fn look(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut found = Ok(());
        let session = &self.session;
        self.incoming.see(bytes, |seen| {
            if let Seen::Begin(frame) = seen
                && found.is_ok()
            {
                found = session.count();
                let packet = (frame.opcode == TEXT).then(|| frame.first());
                if frame.opcode == BINARY || packet.is_some_and(is_binary) {
                    found = Err(session.fail(Fault::Binary));
                }
            }
        });
        found
    }

    fn note(&mut self, bytes: &[u8]) {
        let session = &self.session;
        self.outgoing.see(bytes, |seen| {
            // A pong carries what the client's ping carried.
            if let Seen::End(frame) = seen
                && frame.opcode == TEXT
            {
                session.flow.left(frame.first());
            }
        });
    }

    /// Sends what goes on before anything else.
    fn pass_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        while !self.refusals.due().is_empty() {
            let due = self.refusals.due().to_vec();
            let sent = ready!(self.send(cx, &due))?;
            self.refusals.gone(sent);
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>
    where
        S: AsyncWrite + Unpin,
    {
        let poll = Pin::new(&mut self.io).poll_write(cx, bytes);
        match ready!(self.watch(cx, poll))? {
            // A stream that takes nothing will take nothing more.
            0 if !bytes.is_empty() => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => {
                self.note(bytes.get(..written).unwrap_or_default());
                if written < bytes.len() {
                    self.session.flow.moved();
                }
                Poll::Ready(Ok(written))
            }
        }
    }

    /// A write that waits too long ends the session.
    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let waited = poll.is_pending();
        let poll = self.patience.watch(cx, poll, self.reading);
        if waited && poll.is_ready() {
            self.over = true;
            self.session.goodbye.cancel();
        }
        poll
    }
}

/// Whether a packet has, or is, an attachment.
pub(super) fn is_binary(packet: &[u8]) -> bool {
    matches!(packet, [b'b', ..] | [b'4', b'5' | b'6', ..])
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.goodbye_said && this.goodbye.as_mut().poll(cx).is_ready() {
            this.goodbye_said = true;
            this.end_after(GRACE);
            if this.incoming.at_boundary() && buf.remaining() >= CLOSE.len() {
                buf.put_slice(CLOSE);
                return Poll::Ready(Ok(()));
            }
            this.over = true;
        }
        if this.is_over(cx) {
            // The end of the stream.
            return Poll::Ready(Ok(()));
        }
        if this.deaf {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        let known = this.incoming.clone();
        let read = buf.filled().get(before..).unwrap_or_default();
        if this.look(read).is_ok() {
            return Poll::Ready(Ok(()));
        }
        // The engine sees nothing of it. Whoever lives on this session says why; then, or soon, it is over.
        buf.set_filled(before);
        this.incoming = known;
        this.end_after(2 * GRACE);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        // The engine reads no more once it was told to end, and writes on for as long as something waits.
        if this.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(this.pass_on(cx))?;
        let count = this.refusals.passable(bytes);
        if count == 0 {
            return Poll::Ready(Ok(this.refusals.keep(bytes)));
        }
        let passes = bytes.get(..count).unwrap_or_default();
        let written = ready!(this.send(cx, passes))?;
        this.refusals.passed(bytes, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.pass_on(cx))?;
        let poll = Pin::new(&mut this.io).poll_flush(cx);
        this.watch(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.pass_on(cx))?;
        let poll = Pin::new(&mut this.io).poll_shutdown(cx);
        this.watch(cx, poll)
    }
}
