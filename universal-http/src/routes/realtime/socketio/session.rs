//! One Engine.IO session: what its requests, its WebSocket and its connection share.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;
use universal_core::{
    error::{Error, ErrorKind},
    realtime::Realtime,
};

use super::{
    super::{connection::Connection, rate::Rate},
    flow::Flow,
    inbox::Message,
    sockets::Sockets,
};
use crate::context::Context;

/// The most bytes of messages that wait until they are handled.
const MOST_WAITING: usize = 512 * 1024;

/// What a client did that ends its session.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    TooManyFrames,
    TooMuchWaiting,
    Binary,
}

impl Fault {
    /// What its client is told.
    pub(super) fn error(self) -> Error {
        match self {
            Self::TooManyFrames => {
                Error::new(ErrorKind::RateLimited, "too-many-frames", "too many packets in too short a time")
            }
            Self::TooMuchWaiting => Error::new(
                ErrorKind::RateLimited,
                "too-many-frames",
                "too many bytes of packets wait here; send on when earlier ones are acknowledged",
            ),
            Self::Binary => Error::invalid("binary-packet", "packets are JSON here, without binary attachments"),
        }
    }
}

/// A connection that was admitted to the namespace, until its life begins.
pub(super) struct Admitted {
    pub(super) connection: Connection,
    pub(super) inbox: mpsc::Receiver<Message>,
    /// Cancelled when the client has left the namespace.
    pub(super) gone: CancellationToken,
}

/// What all parts of a session share.
pub(super) struct Session {
    /// The request that opened it: who asked. Its head is empty.
    pub(super) cx: Context,
    pub(super) service: Arc<dyn Realtime>,
    sockets: Weak<Sockets>,
    pub(super) flow: Flow,
    /// Its id, where it was opened by polling.
    pub(super) sid: OnceLock<String>,
    /// Cancelled when the engine has let it go.
    pub(super) ended: CancellationToken,
    /// Cancelled when its transport must end.
    pub(super) goodbye: CancellationToken,
    faulty: CancellationToken,
    fault: OnceLock<Fault>,
    rate: Mutex<Rate>,
    waiting: AtomicUsize,
    admitted: Mutex<Option<Admitted>>,
    /// How many connections it has had; a client may leave the namespace and come again.
    lives: AtomicU64,
}

impl Session {
    pub(super) fn new(service: Arc<dyn Realtime>, sockets: Weak<Sockets>, cx: Context) -> Self {
        let rate = Rate::new(cx.state().limits.frames_per_second);
        Self {
            cx,
            service,
            sockets,
            flow: Flow::default(),
            sid: OnceLock::new(),
            ended: CancellationToken::new(),
            goodbye: CancellationToken::new(),
            faulty: CancellationToken::new(),
            fault: OnceLock::new(),
            rate: Mutex::new(rate),
            waiting: AtomicUsize::new(0),
            admitted: Mutex::new(None),
            lives: AtomicU64::new(0),
        }
    }

    /// Ends the transport: the client sees a lost connection, and comes back.
    pub(super) async fn hang_up(&self) {
        self.goodbye.cancel();
        if let (Some(sid), Some(sockets)) = (self.sid.get(), self.sockets.upgrade()) {
            sockets.close(sid).await;
        }
    }

    /// Counts a packet of the client's; one too many is a fault.
    pub(super) fn count(&self) -> Result<(), Fault> {
        match self.rate.lock().unwrap_or_else(PoisonError::into_inner).take() {
            true => Ok(()),
            false => Err(self.fail(Fault::TooManyFrames)),
        }
    }

    /// Notes the first fault, which ends the session.
    pub(super) fn fail(&self, fault: Fault) -> Fault {
        let fault = *self.fault.get_or_init(|| fault);
        self.faulty.cancel();
        fault
    }

    /// Waits for a fault.
    pub(super) async fn failed(&self) -> Fault {
        self.faulty.cancelled().await;
        // It was noted before the token was cancelled.
        self.fault.get().copied().unwrap_or(Fault::TooManyFrames)
    }

    /// A message is about to wait.
    pub(super) fn begin_waiting(&self, bytes: usize) -> Result<(), Fault> {
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > MOST_WAITING { Err(self.fail(Fault::TooMuchWaiting)) } else { Ok(()) }
    }

    /// A message waits no longer.
    pub(super) fn end_waiting(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Keeps what the namespace's middleware admitted for the handler that follows it.
    pub(super) fn admit(&self, admitted: Admitted) {
        self.lives.fetch_add(1, Ordering::Relaxed);
        *self.admitted.lock().unwrap_or_else(PoisonError::into_inner) = Some(admitted);
    }

    pub(super) fn take_admitted(&self) -> Option<Admitted> {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn lives(&self) -> u64 {
        self.lives.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("cx", &self.cx).finish_non_exhaustive()
    }
}

/// Lies in the extensions of the request that opened a session, which the engine keeps as long as the session: its end is
/// the session's.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) session: Arc<Session>,
    _place: OwnedSemaphorePermit,
}

impl Held {
    pub(super) fn new(session: Arc<Session>, place: OwnedSemaphorePermit) -> Self {
        Self { session, _place: place }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.session.ended.cancel();
    }
}
