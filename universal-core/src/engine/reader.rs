//! One subscriber's way through a tenant's feed.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{
    cursor::Cursor,
    engine::{
        hub::why_lost,
        judge::Judge,
        log::{Entry, Found, Log, Tip},
        view::View,
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId},
    realtime::{
        change::Change,
        delivery::Delivery,
        feed::{Feed, FeedState, Present},
        subscription::{Event, Pull, ResyncReason},
    },
};

/// How many changes a reader takes at once.
const STEP: usize = 64;
/// How many bytes of changes wait in a reader, but for one that is larger.
const READY_BYTES: usize = 256 * 1024;
/// How many changes a reader that is behind reads from the database at once.
const PAGE: u32 = 200;

/// A subscriber's place in the feed. It holds one step of changes at most.
#[derive(Debug)]
pub(crate) struct Reader {
    feed: Arc<dyn Feed>,
    log: Arc<Log>,
    tips: watch::Receiver<Tip>,
    view: View,
    judge: Option<Judge>,
    epoch: Arc<str>,
    /// Changes up to here happened before the subscription: a replay, judged by the present too.
    replay_until: i64,
    /// Everything up to here has been looked at and, unless it waits in `ready`, handed out.
    position: i64,
    ready: VecDeque<Delivery>,
    lost: Option<ResyncReason>,
    /// For a watch: what its rows were shown on. Nothing is judged by rules that make another.
    basis: Option<Arc<str>>,
    stop: CancellationToken,
    /// Resolves with `stop`; kept over many waits, each of which would otherwise queue up for it anew.
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What a reader comes upon.
#[derive(Debug)]
pub(crate) enum Next {
    Delivery(Delivery),
    /// The changes that follow cannot be had; it goes on behind them.
    Lost(ResyncReason),
    /// By the rules of today the subscriber sees other documents than its rows show.
    OtherBasis,
}

/// Where a reader begins.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) state: FeedState,
    pub(crate) position: i64,
    pub(crate) lost: Option<ResyncReason>,
}

impl Reader {
    pub(crate) fn new(feed: Arc<dyn Feed>, log: Arc<Log>, view: View, start: Start, stop: CancellationToken) -> Self {
        let tips = log.watch();
        let Start { state: FeedState { epoch, head, .. }, position, lost } = start;
        let ready = VecDeque::new();
        Self {
            feed,
            log,
            tips,
            view,
            judge: None,
            epoch,
            replay_until: head,
            position,
            ready,
            lost,
            basis: None,
            stopped: Box::pin(stop.clone().cancelled_owned()),
            stop,
        }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// How far the feed reaches now.
    pub(crate) async fn state(&self) -> Result<FeedState> {
        self.feed.state(self.log.tenant()).await
    }

    fn at(&self, seq: i64) -> Cursor {
        Cursor::new(Arc::clone(&self.epoch), seq)
    }

    /// Whether the changes that were asked for cannot be had.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// For a watch whose rows are known: what they were shown on.
    pub(crate) fn stand_on(&mut self, basis: Arc<str>) {
        self.basis = Some(basis);
    }

    /// Begins anew, from the end of the feed as it was at `state`.
    pub(crate) fn restart(&mut self, state: &FeedState, basis: Arc<str>) {
        self.epoch = Arc::clone(&state.epoch);
        (self.position, self.replay_until) = (state.head, state.head);
        (self.lost, self.basis) = (None, Some(basis));
        self.ready.clear();
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    pub(crate) async fn advance(&mut self) -> Result<Next> {
        loop {
            if self.stop.is_cancelled() {
                return Err(Error::new(ErrorKind::Unavailable, "shutting-down", "the backend is shutting down"));
            }
            if let Some(reason) = self.lost.take() {
                return Ok(Next::Lost(reason));
            }
            self.tips.mark_unchanged();
            self.judge_anew().await?;
            if self.basis.is_some() && self.basis != self.judged_on() {
                return Ok(Next::OtherBasis);
            }
            if let Some(delivery) = self.ready.pop_front() {
                return Ok(Next::Delivery(delivery));
            }
            if self.step().await? {
                continue;
            }
            tokio::select! {
                () = &mut self.stopped => {}
                moved = self.tips.changed() => moved.map_err(Error::internal)?,
            }
        }
    }

    /// Takes the rules of today. What waits and was judged by others is looked at again.
    async fn judge_anew(&mut self) -> Result<()> {
        let judge = self.view.judge(self.judge.as_ref()).await?;
        let Some(judge) = judge else { return Ok(()) };
        judge.check(&self.view)?;
        if let Some(front) = self.ready.front() {
            self.position = front.cursor().seq() - 1;
            self.ready.clear();
        }
        self.judge = Some(judge);
        Ok(())
    }

    /// What the rules of today show documents on, for a watch.
    fn judged_on(&self) -> Option<Arc<str>> {
        self.judge.as_ref().and_then(Judge::basis).cloned()
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

    /// Judges changes and moves on. Nothing of `self` changes after the last await but for the move itself.
    async fn take(&mut self, entries: Vec<Arc<Entry>>, replayed: bool) -> Result<bool> {
        let Some(judge) = self.judge.clone() else { return Ok(true) };
        let (mut ready, mut bytes, mut last) = (VecDeque::new(), 0, self.position);
        for entry in &entries {
            let seen = judge.sees(&self.view, entry, self.at(entry.change.seq))?;
            bytes += seen.as_ref().map_or(0, Delivery::bytes);
            if bytes > READY_BYTES && !ready.is_empty() {
                break;
            }
            last = entry.change.seq;
            ready.extend(seen.map(|delivery| (Arc::clone(entry), delivery)));
        }
        if replayed {
            let present = self.present(&ready).await?;
            let mut allowed = VecDeque::with_capacity(ready.len());
            for (entry, delivery) in ready {
                // What carries no data needs no right of today.
                let change = &entry.change;
                if !delivery.kind().carries_document()
                    || judge.may_see(&self.view, &change.id, present.get(&key(change)))?
                {
                    allowed.push_back((entry, delivery));
                }
            }
            ready = allowed;
        }
        self.position = last;
        self.ready = ready.into_iter().map(|(_, delivery)| delivery).collect();
        Ok(true)
    }

    async fn present(
        &self,
        seen: &VecDeque<(Arc<Entry>, Delivery)>,
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

    /// Everything up to here has been handed out.
    pub(crate) fn reached(&self) -> Cursor {
        match self.ready.front() {
            Some(delivery) => self.at(delivery.cursor().seq() - 1),
            None => self.at(self.position),
        }
    }
}

#[async_trait]
impl Pull for Reader {
    async fn next(&mut self) -> Result<Event> {
        loop {
            match self.advance().await? {
                Next::Delivery(delivery) => return Ok(Event::Change(delivery)),
                Next::Lost(reason) => return Ok(Event::Resync { reason, cursor: self.at(self.position) }),
                // Only a watch has a basis.
                Next::OtherBasis => self.basis = None,
            }
        }
    }

    fn cursor(&self) -> Cursor {
        self.reached()
    }

    fn is_resumable(&self) -> bool {
        !self.is_lost()
    }
}

fn key(change: &Change) -> (CollectionName, DocumentId) {
    (change.collection.clone(), change.id.clone())
}
