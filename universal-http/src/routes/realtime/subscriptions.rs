//! The open subscriptions of one connection.

use std::{
    fmt,
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Sleep, sleep};
use universal_core::{
    cursor::Cursor,
    error::{Error, Result},
    realtime::{Event, Subscription},
};

use super::{
    frame::ServerFrame,
    row::{Row, Source},
    wanted::Wanted,
};

/// The pause after a failed read of the feed.
const PAUSE: Duration = Duration::from_millis(500);

/// The code with which the services end subscriptions when their backend stops.
const SHUTTING_DOWN: &str = "shutting-down";

/// How far a subscription is, and of a watch what the client's documents stand on.
type Place = (Cursor, Option<Arc<str>>);

/// One open subscription.
struct Open {
    /// What was asked for, to ask again with other rights.
    wanted: Wanted,
    /// Of a watch: what the client's documents stand on.
    basis: Option<Arc<str>>,
    subscription: Subscription,
    /// After a failed read.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Source for Open {
    type Item = Result<Event>;

    /// A database that is away for a while is waited for.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.subscription.poll_next(cx)) {
                Err(error) if error.is_retryable() && error.code() != SHUTTING_DOWN => {
                    self.pause = Some(Box::pin(sleep(PAUSE)));
                }
                item => return Poll::Ready(item),
            }
        }
    }
}

impl Open {
    /// Where the client can go on; nothing while it cannot, because documents are on their way to it. All that comes
    /// before has been handed out.
    fn place(&self) -> Option<Place> {
        self.subscription.is_resumable().then(|| (self.subscription.cursor(), self.basis.clone()))
    }

    fn frame(&mut self, reference: Arc<str>, event: Event) -> Option<ServerFrame> {
        match event {
            Event::Change(delivery) => Some(ServerFrame::Change { reference, delivery, basis: self.basis.clone() }),
            Event::Resync { reason, cursor } => {
                Some(ServerFrame::Resync { reference, reason: reason.as_str(), cursor })
            }
            Event::Snapshot(page) => {
                self.basis = Some(Arc::clone(&page.basis));
                Some(ServerFrame::Snapshot { reference, page })
            }
            _ => None,
        }
    }
}

/// All of one connection.
#[derive(Default)]
pub(super) struct Subscriptions(Row<Open>);

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, reference: &str) -> bool {
        self.0.get(reference).is_some()
    }

    pub(super) fn add(&mut self, reference: Arc<str>, wanted: Wanted, subscription: Subscription) {
        let basis = subscription.basis().cloned();
        self.0.insert(reference, Open { wanted, basis, subscription, pause: None });
    }

    /// Answers whether there was one.
    pub(super) fn remove(&mut self, reference: &str) -> bool {
        self.0.remove(reference).is_some()
    }

    /// Takes all out, each with what it wanted and where it stands.
    pub(super) fn take_all(&mut self) -> Vec<(Arc<str>, Wanted)> {
        let again = |open: Open| {
            let place = open.place();
            open.wanted.from(place)
        };
        self.0.take_all().into_iter().map(|(reference, open)| (reference, again(open))).collect()
    }

    /// The place that every subscription has reached, with its basis if the only one is a watch; nothing while there is
    /// one that a client could not go on with from there.
    pub(super) fn place(&self) -> Option<Place> {
        let places: Option<Vec<Place>> = self.0.iter().map(|(_, open)| open.place()).collect();
        let (least, basis) = places?.into_iter().min_by_key(|(cursor, _)| cursor.seq())?;
        Some((least, basis.filter(|_| self.0.len() == 1)))
    }

    /// The next thing to tell the client.
    ///
    /// # Errors
    /// What ended the backend below: the connection is over.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<ServerFrame>> {
        loop {
            let (reference, open, item) = ready!(self.0.poll_next(cx));
            match item {
                Ok(event) => {
                    if let Some(frame) = open.frame(reference, event) {
                        return Poll::Ready(Ok(frame));
                    }
                }
                Err(error) if error.code() == SHUTTING_DOWN => return Poll::Ready(Err(error)),
                Err(error) => return Poll::Ready(Ok(self.ended(reference, &error))),
            }
        }
    }

    fn ended(&mut self, reference: Arc<str>, error: &Error) -> ServerFrame {
        self.0.remove(&reference);
        tracing::warn!(code = error.code(), error = ?error, "a subscription ended");
        ServerFrame::error(Some(reference), error)
    }
}

impl fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriptions").field("open", &self.len()).finish_non_exhaustive()
    }
}
