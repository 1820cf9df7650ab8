//! The open subscriptions of one connection, waited for together.
//!
//! They pull: while nobody asks for the next event, because the client does not read, nothing is fetched or queued.

use std::{collections::HashMap, fmt, pin::Pin, sync::Arc, time::Duration};

use futures_core::Stream;
use futures_util::{
    StreamExt as _,
    stream::{AbortHandle, SelectAll, abortable, unfold},
};
use tokio::time::{Interval, MissedTickBehavior, interval};
use universal_core::{
    cursor::Cursor,
    error::{Error, Result},
    realtime::{Event, Subscription},
};

use super::{frame::ServerFrame, wanted::Wanted};

/// The pause after a failed read of the feed.
const PAUSE: Duration = Duration::from_millis(500);

/// The code with which the services end subscriptions when their backend stops.
const SHUTTING_DOWN: &str = "shutting-down";

/// What came of one subscription.
enum Item {
    Event(Event, Place),
    /// Nothing new; everything up to here has been looked at.
    Looked(Place),
    /// It is over.
    Failed(Error),
}

type Items = Pin<Box<dyn Stream<Item = (String, Item)> + Send>>;

/// How far a subscription is; nothing while the client cannot go on from there, because documents are on their way.
type Place = Option<Cursor>;

/// One open subscription.
struct Open {
    /// What was asked for, to ask again with other rights.
    wanted: Wanted,
    place: Place,
    /// Of a watch: what the client's documents stand on.
    basis: Option<Arc<str>>,
    abort: AbortHandle,
}

/// All of one connection.
pub(super) struct Subscriptions {
    open: HashMap<String, Open>,
    items: SelectAll<Items>,
    heartbeat: Duration,
}

impl Subscriptions {
    pub(super) fn new(heartbeat: Duration) -> Self {
        Self { open: HashMap::new(), items: SelectAll::new(), heartbeat }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn contains(&self, reference: &str) -> bool {
        self.open.contains_key(reference)
    }

    pub(super) fn add(&mut self, reference: String, wanted: Wanted, subscription: Subscription) {
        let (place, basis) = (place(&subscription), subscription.basis().cloned());
        let mut looks = interval(self.heartbeat);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.reset();
        let name = reference.clone();
        let items = unfold(Some((subscription, looks)), move |reader| {
            let name = name.clone();
            async move {
                let (item, reader) = pull(reader?).await;
                Some(((name, item), reader))
            }
        });
        let (items, abort) = abortable(items);
        self.items.push(Box::pin(items));
        if let Some(replaced) = self.open.insert(reference, Open { wanted, place, basis, abort }) {
            replaced.abort.abort();
        }
    }

    /// Answers whether there was one.
    pub(super) fn remove(&mut self, reference: &str) -> bool {
        match self.open.remove(reference) {
            Some(open) => {
                open.abort.abort();
                true
            }
            None => false,
        }
    }

    /// Takes all out, each with what it wanted and where it stands.
    pub(super) fn take_all(&mut self) -> Vec<(String, Wanted)> {
        self.items.clear();
        let again = |open: Open| open.wanted.from(open.place.map(|cursor| (cursor, open.basis)));
        self.open.drain().map(|(reference, open)| (reference, again(open))).collect()
    }

    /// The place that every subscription has reached, with its basis if the only one is a watch; nothing while there is
    /// one that a client could not go on with from there.
    pub(super) fn place(&self) -> Option<(Cursor, Option<Arc<str>>)> {
        let places: Option<Vec<&Cursor>> = self.open.values().map(|open| open.place.as_ref()).collect();
        let least = places?.into_iter().min_by_key(|cursor| cursor.seq())?.clone();
        let basis = match self.open.len() {
            1 => self.open.values().next().and_then(|open| open.basis.clone()),
            _ => None,
        };
        Some((least, basis))
    }

    /// The next thing to tell the client; waits for ever without subscriptions. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What ended the backend below: the connection is over.
    pub(super) async fn next(&mut self) -> Result<ServerFrame> {
        loop {
            let Some((reference, item)) = self.items.next().await else { return std::future::pending().await };
            // What an aborted subscription had ready is for nobody.
            let Some(open) = self.open.get_mut(&reference) else { continue };
            match item {
                Item::Looked(place) => open.place = place,
                Item::Event(event, place) => {
                    open.place = place;
                    if let Event::Snapshot(page) = &event {
                        open.basis = Some(Arc::clone(&page.basis));
                    }
                    if let Some(frame) = frame(reference, event, open.basis.as_ref()) {
                        return Ok(frame);
                    }
                }
                Item::Failed(error) if error.code() == SHUTTING_DOWN => return Err(error),
                Item::Failed(error) => {
                    self.open.remove(&reference);
                    tracing::warn!(code = error.code(), error = ?error, "a subscription ended");
                    return Ok(ServerFrame::error(Some(reference), &error));
                }
            }
        }
    }
}

/// Waits for one item. A database that is away for a while is waited for.
async fn pull((mut subscription, mut looks): (Subscription, Interval)) -> (Item, Option<(Subscription, Interval)>) {
    loop {
        let next = tokio::select! {
            biased;
            next = subscription.next() => next,
            _ = looks.tick() => return (Item::Looked(place(&subscription)), Some((subscription, looks))),
        };
        match next {
            Ok(event) => {
                let place = match &event {
                    Event::Change(delivery) => Some(delivery.cursor().clone()),
                    Event::Resync { cursor, .. } => Some(cursor.clone()),
                    _ => place(&subscription),
                };
                return (Item::Event(event, place), Some((subscription, looks)));
            }
            Err(error) if error.is_retryable() && error.code() != SHUTTING_DOWN => tokio::time::sleep(PAUSE).await,
            Err(error) => return (Item::Failed(error), None),
        }
    }
}

fn place(subscription: &Subscription) -> Place {
    subscription.is_resumable().then(|| subscription.cursor())
}

fn frame(reference: String, event: Event, basis: Option<&Arc<str>>) -> Option<ServerFrame> {
    match event {
        Event::Change(delivery) => Some(ServerFrame::Change { reference, delivery, basis: basis.cloned() }),
        Event::Resync { reason, cursor } => Some(ServerFrame::Resync { reference, reason: reason.as_str(), cursor }),
        Event::Snapshot(page) => Some(ServerFrame::Snapshot { reference, page }),
        _ => None,
    }
}

impl fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriptions").field("open", &self.open.len()).finish_non_exhaustive()
    }
}
