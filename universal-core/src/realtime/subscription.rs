//! One reader's way through the feed.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    cursor::Cursor,
    error::Result,
    realtime::{delivery::Delivery, snapshot::SnapshotPage},
};

/// Why a reader must read everything again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResyncReason {
    /// The changes after its cursor are no longer kept.
    TooOld,
    /// Its cursor belongs to another history: the database was restored.
    OtherHistory,
    /// Its cursor is ahead of the feed.
    Ahead,
}

impl ResyncReason {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too-old",
            Self::OtherHistory => "other-history",
            Self::Ahead => "ahead",
        }
    }
}

/// What a subscription yields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A change.
    Change(Delivery),
    /// Changes were missed and cannot be replayed: read again, then go on from `cursor`.
    Resync {
        /// Why.
        reason: ResyncReason,
        /// Where the subscription goes on.
        cursor: Cursor,
    },
    /// In a watch: some of the documents that are there.
    Snapshot(SnapshotPage),
}

/// For implementations: the way through the feed.
pub trait Pull: Send + fmt::Debug {
    /// The next event. While there is none, the task of the last call is woken when it is worth asking again. Nothing is
    /// lost if it never asks.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event>>;
    /// Everything up to this place has been looked at.
    fn cursor(&self) -> Cursor;
    /// Whether a reader that knows all that was handed out can go on from [`cursor`](Self::cursor): not while the rows
    /// of a watch are on their way.
    fn is_resumable(&self) -> bool {
        true
    }
}

/// An open subscription. It pulls: nothing is queued for it while nobody calls [`next`](Self::next).
#[derive(Debug)]
pub struct Subscription {
    cursor: Cursor,
    recovered: bool,
    basis: Option<Arc<str>>,
    pull: Box<dyn Pull>,
}

impl Subscription {
    /// For implementations.
    #[must_use]
    pub fn new(cursor: Cursor, recovered: bool, pull: Box<dyn Pull>) -> Self {
        Self { cursor, recovered, basis: None, pull }
    }

    /// For implementations: a watch that begins on this basis.
    #[must_use]
    pub fn with_basis(mut self, basis: Arc<str>) -> Self {
        self.basis = Some(basis);
        self
    }

    /// For a watch: what its rows are shown on when it begins; see [`SnapshotPage::basis`].
    #[must_use]
    pub fn basis(&self) -> Option<&Arc<str>> {
        self.basis.as_ref()
    }

    /// The head of the feed when the subscription began; every later change will come.
    #[must_use]
    pub fn start(&self) -> &Cursor {
        &self.cursor
    }

    /// Whether everything after the cursor that was asked for will come (true also if none was). A watch for which it
    /// is false begins with its rows.
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.recovered
    }

    /// Everything up to this place has been looked at: what a heartbeat tells.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.pull.cursor()
    }

    /// Whether whoever knows all that was handed out can go on from [`cursor`](Self::cursor) later: not while the rows of
    /// a watch are on their way.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        self.pull.is_resumable()
    }

    /// Waits for the next event. Dropping the future loses nothing.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database: the subscription stands, call again.
    pub async fn next(&mut self) -> Result<Event> {
        poll_fn(|cx| self.pull.poll_next(cx)).await
    }

    /// As [`next`](Self::next), for a task that waits for several things at once. A read of the database that has begun
    /// goes on only while it is polled.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event>> {
        self.pull.poll_next(cx)
    }
}
