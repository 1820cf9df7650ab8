//! One subscriber's way through a tenant's feed.
//!
//! It is polled, and has everything in itself: what was begun and not finished (a read of the database) stays while
//! nobody polls. A subscriber that has everything costs a look at two numbers when it is woken.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    cursor::Cursor,
    engine::{
        entry::Entry,
        hub::why_lost,
        judge::Judge,
        log::{Found, Log},
        view::View,
        waiters::Group,
        work::{News, Work},
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId},
    realtime::{
        change::Change,
        delivery::Delivery,
        feed::{Feed, FeedState, Present, READ_BYTES},
        subscription::{Event, Pull, ResyncReason},
    },
};
/// How many changes a reader takes at once.
const STEP: usize = 64;
/// How many changes a reader that is behind reads from the database at once.
const PAGE: u32 = 200;

/// From how many readers of a tenant on a pages that one of them read are kept for the others.
const CROWD: usize = 16;

/// A subscriber's place in the feed. It holds one step of changes at most.
#[derive(Debug)]
pub(crate) struct Reader {
    feed: Arc<dyn Feed>,
    log: Arc<Log>,
    /// Those with whom it is woken.
    group: Arc<Group>,
    news: News,
    view: Arc<View>,
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
    /// What is asked of the database. Nothing else moves meanwhile.
    work: Option<Work<Done>>,
}

/// What came of a question to the database.
#[derive(Debug)]
enum Done {
    /// The rules of today, if they are others.
    Judge(Option<Judge>),
    /// The changes that follow, and when they were asked for.
    Changes(Vec<Change>, Instant),
    /// They do not follow: how far the feed reaches.
    Gap(FeedState),
    /// What was seen of changes up to a place, of those documents that may be seen today.
    Allowed(VecDeque<Delivery>, i64),
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
    pub(crate) fn new(feed: Arc<dyn Feed>, log: Arc<Log>, view: View, start: Start, stop: &CancellationToken) -> Self {
        let (place, group) = log.wait(view.subscribe.collection.as_ref());
        let news = News::new(place, stop);
        let Start { state: FeedState { epoch, head, .. }, position, lost } = start;
        Self {
            feed,
            log,
            group,
            news,
            view: Arc::new(view),
            judge: None,
            epoch,
            replay_until: head,
            position,
            ready: VecDeque::new(),
            lost,
            basis: None,
            work: None,
        }
    }

    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Where to ask how far the feed reaches.
    pub(crate) fn source(&self) -> (Arc<dyn Feed>, Arc<Log>) {
        (Arc::clone(&self.feed), Arc::clone(&self.log))
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
        self.work = None;
    }

    /// What comes next.
    pub(crate) fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next>> {
        // Rules that were asked for just now decide, however long the answer took.
        let mut judged = false;
        loop {
            if let Some(work) = &mut self.work {
                let done = ready!(work.poll(cx));
                self.work = None;
                let done = done?;
                judged |= matches!(done, Done::Judge(_));
                self.finish(done)?;
                if self.work.is_some() {
                    // What came must be asked about before anything moves on.
                    continue;
                }
            }
            if let Some(reason) = self.lost.take() {
                return Poll::Ready(Ok(Next::Lost(reason)));
            }
            let holds = |judge: &Judge| judged || self.view.holds(judge);
            if !self.judge.as_ref().is_some_and(holds) {
                self.not_stopped()?;
                self.work = Some(self.judging());
                continue;
            }
            if self.basis.is_some() && self.basis != self.judged_on() {
                return Poll::Ready(Ok(Next::OtherBasis));
            }
            if let Some(delivery) = self.ready.pop_front() {
                return Poll::Ready(Ok(Next::Delivery(delivery)));
            }
            match self.log.after(self.position, STEP) {
                Found::Entries(entries) => {
                    let replayed = entries.first().is_some_and(|entry| entry.change.seq <= self.replay_until);
                    self.take(&entries, replayed)?;
                    if !self.ready.is_empty() {
                        self.group.taken();
                    }
                }
                Found::Behind => {
                    self.not_stopped()?;
                    match self.log.pages().after(&self.epoch, self.position, Instant::now()) {
                        Some(entries) => {
                            self.take(&entries, true)?;
                            if self.work.is_none() && self.ready.is_empty() {
                                // Where a page has nothing for it, others have their turn before the next.
                                cx.waker().wake_by_ref();
                                return Poll::Pending;
                            }
                        }
                        None => self.work = Some(self.reading()),
                    }
                }
                Found::Nothing => {
                    self.news.register(cx);
                    self.not_stopped()?;
                    // It may have come between the look and the registration.
                    let latest = self.judge.as_ref().is_some_and(|judge| self.view.is_latest(judge));
                    if latest && self.position >= self.log.head() {
                        return Poll::Pending;
                    }
                    judged &= latest;
                }
            }
        }
    }

    fn not_stopped(&self) -> Result<()> {
        match self.news.is_stopped() {
            true => Err(Error::new(ErrorKind::Unavailable, "shutting-down", "the backend is shutting down")),
            false => Ok(()),
        }
    }

    /// Asks for the rules of today.
    fn judging(&self) -> Work<Done> {
        let (view, last) = (Arc::clone(&self.view), self.judge.clone());
        Work::new(async move { Ok(Done::Judge(view.judge(last).await?)) })
    }

    /// Reads on where memory does not reach back to.
    fn reading(&self) -> Work<Done> {
        let (feed, log, position) = (Arc::clone(&self.feed), Arc::clone(&self.log), self.position);
        Work::new(async move {
            let asked = Instant::now();
            let changes = feed.read(log.tenant(), position, PAGE).await?;
            match changes.first().is_some_and(|change| change.seq == position + 1) {
                true => Ok(Done::Changes(changes, asked)),
                false => Ok(Done::Gap(feed.state(log.tenant()).await?)),
            }
        })
    }

    fn finish(&mut self, done: Done) -> Result<()> {
        match done {
            Done::Judge(Some(judge)) => self.judge_by(judge),
            Done::Judge(None) => Ok(()),
            Done::Changes(changes, asked) => {
                let entries: Vec<_> = changes.into_iter().map(Entry::new).map(Arc::new).collect();
                let entries = match Arc::strong_count(&self.log) >= CROWD {
                    true => self.log.pages().keep(&self.epoch, entries, (asked, Instant::now())),
                    false => entries,
                };
                self.take(&entries, true)
            }
            Done::Gap(state) => self.lose(&state),
            Done::Allowed(ready, last) => {
                (self.ready, self.position) = (ready, last);
                Ok(())
            }
        }
    }

    /// Takes the rules of today. What waits and was judged by others is looked at again.
    fn judge_by(&mut self, judge: Judge) -> Result<()> {
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

    /// What follows is not there any more; it goes on at the end.
    fn lose(&mut self, state: &FeedState) -> Result<()> {
        let Some(reason) = why_lost(&self.at(self.position), state) else {
            return Err(Error::internal(format!("the feed has a gap after {}", self.position)));
        };
        self.epoch = Arc::clone(&state.epoch);
        (self.position, self.replay_until) = (state.head, state.head);
        self.lost = Some(reason);
        Ok(())
    }

    /// Judges changes, and moves on; of a replay when it is known what the documents are today.
    fn take(&mut self, entries: &[Arc<Entry>], replayed: bool) -> Result<()> {
        let Some(judge) = &self.judge else { return Ok(()) };
        let (mut bytes, mut last) = (0, self.position);
        let mut seen = std::mem::take(&mut self.ready);
        for entry in entries {
            if bytes >= READ_BYTES {
                break;
            }
            let cursor = Cursor::new(Arc::clone(&self.epoch), entry.change.seq);
            let delivery = judge.sees(&self.view, entry, cursor)?;
            bytes += delivery.as_ref().map_or(0, Delivery::bytes_unprinted);
            last = entry.change.seq;
            seen.extend(delivery);
        }
        match replayed && !seen.is_empty() {
            true => self.work = Some(self.allowing(judge.clone(), seen, last)),
            false => (self.ready, self.position) = (seen, last),
        }
        Ok(())
    }

    /// Asks what the documents are today: who may not see them now is not told what they were.
    fn allowing(&self, judge: Judge, seen: VecDeque<Delivery>, last: i64) -> Work<Done> {
        let (feed, log, view) = (Arc::clone(&self.feed), Arc::clone(&self.log), Arc::clone(&self.view));
        Work::new(async move {
            let present = present(&*feed, &log, &seen).await?;
            let mut allowed = VecDeque::with_capacity(seen.len());
            for delivery in seen {
                // What carries no data needs no right of today.
                let change = delivery.change();
                if !delivery.kind().carries_document() || judge.may_see(&view, &change.id, present.get(&key(change)))? {
                    allowed.push_back(delivery);
                }
            }
            Ok(Done::Allowed(allowed, last))
        })
    }

    /// Everything up to here has been handed out.
    pub(crate) fn reached(&self) -> Cursor {
        match self.ready.front() {
            Some(delivery) => self.at(delivery.cursor().seq() - 1),
            None => self.at(self.position),
        }
    }
}

async fn present(
    feed: &dyn Feed,
    log: &Log,
    seen: &VecDeque<Delivery>,
) -> Result<HashMap<(CollectionName, DocumentId), Present>> {
    let mut keys: Vec<_> = seen.iter().map(|delivery| key(delivery.change())).collect();
    keys.sort_unstable();
    keys.dedup();
    let present = feed.present(log.tenant(), &keys).await?;
    Ok(keys.into_iter().zip(present).filter_map(|(key, present)| Some((key, present?))).collect())
}

impl Pull for Reader {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event>> {
        loop {
            match ready!(self.poll_advance(cx))? {
                Next::Delivery(delivery) => return Poll::Ready(Ok(Event::Change(delivery))),
                Next::Lost(reason) => {
                    return Poll::Ready(Ok(Event::Resync { reason, cursor: self.at(self.position) }));
                }
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
