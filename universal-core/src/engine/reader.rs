//! One subscriber's way through a tenant's feed.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    cursor::Cursor,
    engine::{
        hub::why_lost,
        log::{Entry, Found, Log},
        view::View,
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId},
    realtime::{
        change::Change,
        feed::{Feed, FeedState, Present},
        subscription::{Delivery, DeliveryKind, Event, Pull, ResyncReason},
    },
};

/// How many changes a reader takes at once.
const STEP: usize = 64;
/// How many changes a reader that is behind reads from the database at once.
const PAGE: u32 = 200;

/// A subscriber's place in the feed. It holds one step of changes at most.
#[derive(Debug)]
pub(crate) struct Reader {
    feed: Arc<dyn Feed>,
    log: Arc<Log>,
    heads: watch::Receiver<i64>,
    view: View,
    epoch: Arc<str>,
    /// Changes up to here happened before the subscription: a replay, judged by the present too.
    replay_until: i64,
    /// Everything up to here has been looked at and, unless it waits in `ready`, handed out.
    position: i64,
    ready: VecDeque<Delivery>,
    lost: Option<ResyncReason>,
    stop: CancellationToken,
}

impl Reader {
    pub(crate) fn new(
        feed: Arc<dyn Feed>,
        log: Arc<Log>,
        view: View,
        state: FeedState,
        position: i64,
        lost: Option<ResyncReason>,
        stop: CancellationToken,
    ) -> Self {
        let heads = log.watch();
        let (epoch, replay_until) = (state.epoch, state.head);
        Self { feed, log, heads, view, epoch, replay_until, position, ready: VecDeque::new(), lost, stop }
    }

    fn at(&self, seq: i64) -> Cursor {
        Cursor::new(Arc::clone(&self.epoch), seq)
    }

    /// Takes the next step; answers whether there was one.
    async fn step(&mut self) -> Result<bool> {
        match self.log.after(self.position, STEP) {
            Found::Nothing => Ok(false),
            Found::Behind => self.step_from_feed().await,
            Found::Entries(entries) => {
                let replayed = entries.first().is_some_and(|entry| entry.change.seq <= self.replay_until);
                self.take(entries, replayed).await
            }
        }
    }

    async fn step_from_feed(&mut self) -> Result<bool> {
        let changes = self.feed.read(self.log.tenant(), self.position, PAGE).await?;
        let follows = changes.first().is_some_and(|change| change.seq == self.position + 1);
        if !follows {
            let state = self.feed.state(self.log.tenant()).await?;
            if let Some(reason) = why_lost(&self.at(self.position), &state) {
                self.epoch = Arc::clone(&state.epoch);
                self.position = state.head;
                self.replay_until = state.head;
                self.lost = Some(reason);
                return Ok(true);
            }
            return Err(Error::internal(format!("the feed has a gap after {}", self.position)));
        }
        self.take(changes.into_iter().map(Entry::new).map(Arc::new).collect(), true).await
    }

    /// Judges changes and moves on. Nothing of `self` changes before the last await.
    async fn take(&mut self, entries: Vec<Arc<Entry>>, replayed: bool) -> Result<bool> {
        let judge = self.view.judge().await?;
        let seen: Vec<_> = entries.iter().filter_map(|entry| Some((entry, judge.of(entry)?))).collect();
        let present = if replayed { self.present(&seen).await? } else { HashMap::new() };
        let mut ready = VecDeque::with_capacity(seen.len());
        for (entry, kind) in &seen {
            // What carries no data needs no right of today.
            let bare = matches!(kind, DeliveryKind::Delete | DeliveryKind::Leave);
            let change = &entry.change;
            if replayed && !bare && !judge.may_see(&change.id, present.get(&key(change)))? {
                continue;
            }
            let delivery = Delivery::new(self.at(change.seq), *kind, Arc::clone(change));
            ready.push_back(match judge.shown(change, *kind)? {
                Some(body) => delivery.with_body(body),
                None => delivery,
            });
        }
        if let Some(last) = entries.last() {
            self.position = last.change.seq;
        }
        self.ready = ready;
        Ok(true)
    }

    async fn present(
        &self,
        seen: &[(&Arc<Entry>, DeliveryKind)],
    ) -> Result<HashMap<(CollectionName, DocumentId), Present>> {
        let mut keys: Vec<_> = seen.iter().map(|(entry, _)| key(&entry.change)).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let present = self.feed.present(self.log.tenant(), &keys).await?;
        Ok(keys.into_iter().zip(present).filter_map(|(key, present)| Some((key, present?))).collect())
    }
}

#[async_trait]
impl Pull for Reader {
    async fn next(&mut self) -> Result<Event> {
        loop {
            if self.stop.is_cancelled() {
                return Err(Error::new(ErrorKind::Unavailable, "shutting-down", "the backend is shutting down"));
            }
            if let Some(reason) = self.lost.take() {
                return Ok(Event::Resync { reason, cursor: self.at(self.position) });
            }
            if let Some(delivery) = self.ready.pop_front() {
                return Ok(Event::Change(delivery));
            }
            self.heads.mark_unchanged();
            if self.step().await? {
                continue;
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                moved = self.heads.changed() => moved.map_err(Error::internal)?,
            }
        }
    }

    fn cursor(&self) -> Cursor {
        match self.ready.front() {
            Some(delivery) => self.at(delivery.cursor().seq() - 1),
            None => self.at(self.position),
        }
    }
}

fn key(change: &Change) -> (CollectionName, DocumentId) {
    (change.collection.clone(), change.id.clone())
}
