//! A watch: the rows of a list, and then everything by which the list changes.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    clock::Timestamp,
    collections::Collections,
    cursor::Cursor,
    engine::{
        reader::{Next, Reader},
        rows::{self, Page},
        work::Work,
    },
    error::{Error, ErrorKind, Result},
    id::DocumentId,
    realtime::{
        change::Operation,
        delivery::Delivery,
        feed::FeedState,
        snapshot::{Row, SnapshotPage},
        subscription::{Event, Pull},
    },
};

/// How many documents a watch holds at most when it begins.
const MAX_ROWS: usize = 10_000;
/// How many bytes of documents are handed out at once, but for one that is larger.
const PAGE_BYTES: usize = 256 * 1024;
/// For how long it is kept which revisions the rows showed: their changes may be numbered a little later.
const REMEMBERED: Duration = Duration::from_secs(30);

/// A subscriber that holds documents.
#[derive(Debug)]
pub(crate) struct Watcher {
    reader: Reader,
    collections: Arc<dyn Collections>,
    state: State,
    shown: Shown,
    /// What is asked of the database.
    work: Option<Work<Done>>,
}

/// What came of a question to the database.
#[derive(Debug)]
enum Done {
    /// The place to begin at, the version of the tenant's settings and what they show documents on.
    Begun { state: FeedState, version: i64, basis: Arc<str> },
    /// Whether the rows that wait still stand on today's rules.
    Stand(bool),
    /// The next rows, and whether all were read by the same rules.
    Rows(Page, bool),
}

/// What is to be done next.
#[derive(Debug)]
enum State {
    /// Begin with the rows, because nothing is known or it no longer holds.
    Begin,
    /// Hand out rows.
    Rows(Rows),
    /// Follow the changes.
    Follow,
}

/// The rows on their way.
#[derive(Debug)]
struct Rows {
    cursor: Cursor,
    /// The version of the tenant's settings before the first row was read.
    version: i64,
    begun: Timestamp,
    basis: Arc<str>,
    queue: VecDeque<Row>,
    /// Where the next page begins; `None` before the first and after the last.
    next: Option<String>,
    is_read: bool,
    handed_out: usize,
}

impl Watcher {
    /// A watch that follows the changes after the reader's position.
    pub(crate) fn resumed(reader: Reader, collections: Arc<dyn Collections>) -> Self {
        Self { reader, collections, state: State::Follow, shown: Shown::default(), work: None }
    }

    /// A watch that begins with the rows.
    pub(crate) fn new(reader: Reader, collections: Arc<dyn Collections>) -> Self {
        Self { state: State::Begin, ..Self::resumed(reader, collections) }
    }

    /// Asks for the place in the feed before any row is read: every change after it will come.
    fn beginning(&self) -> Work<Done> {
        let (view, (feed, log)) = (Arc::clone(self.reader.view()), self.reader.source());
        Work::new(async move {
            view.check().await?;
            let (version, basis) = view.basis().await?;
            let state = feed.state(log.tenant()).await?;
            Ok(Done::Begun { state, version, basis })
        })
    }

    fn begin(&mut self, state: &FeedState, version: i64, basis: Arc<str>) {
        let cursor = state.cursor();
        self.reader.restart(state, Arc::clone(&basis));
        self.shown = Shown::default();
        let begun = self.reader.view().rules.clock.now();
        let (queue, next) = (VecDeque::new(), None);
        self.state = State::Rows(Rows { cursor, version, begun, basis, queue, next, is_read: false, handed_out: 0 });
    }

    /// Reads the next page if none is there, and looks whether the rows still stand on today's rules.
    fn filling(&self, rows: &Rows) -> Work<Done> {
        let view = Arc::clone(self.reader.view());
        if rows.is_read || !rows.queue.is_empty() {
            // What waits was read by rules that may have been taken back since.
            let basis = Arc::clone(&rows.basis);
            return Work::new(async move { Ok(Done::Stand(view.basis_of_now().await? == basis)) });
        }
        let (collections, next, version) = (Arc::clone(&self.collections), rows.next.clone(), rows.version);
        Work::new(async move {
            let page = rows::read(&*collections, &view, next).await?;
            // It is looked at after the last row too: all rows were read by the same rules.
            let holds = view.basis().await?.0 == version;
            Ok(Done::Rows(page, holds))
        })
    }

    /// Answers whether there are rows to hand out.
    fn finish(&mut self, done: Done) -> Result<bool> {
        let holds = match done {
            Done::Begun { state, version, basis } => {
                self.begin(&state, version, basis);
                return Ok(false);
            }
            Done::Stand(holds) => holds,
            Done::Rows(page, holds) => {
                self.queue(page)?;
                holds
            }
        };
        if !holds {
            self.state = State::Begin;
        }
        Ok(holds)
    }

    fn queue(&mut self, page: Page) -> Result<()> {
        let State::Rows(rows) = &mut self.state else { return Ok(()) };
        if rows.handed_out + page.rows.len() > MAX_ROWS {
            let message = format!("a watch holds {MAX_ROWS} documents at most when it begins; narrow it with a filter");
            return Err(Error::new(ErrorKind::TooLarge, "watch-too-large", message).with_field("filter"));
        }
        rows.queue.extend(page.rows);
        rows.is_read = page.next.is_none();
        rows.next = page.next;
        Ok(())
    }

    /// Takes some rows out of the queue.
    fn hand_out(&mut self) -> Option<SnapshotPage> {
        let State::Rows(rows) = &mut self.state else { return None };
        let is_first = rows.handed_out == 0;
        let (mut some, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.queue.pop_front() {
            bytes += row.present.body.len();
            if bytes > PAGE_BYTES && !some.is_empty() {
                rows.queue.push_front(row);
                break;
            }
            self.shown.note(&row, rows.begun);
            some.push(row);
        }
        rows.handed_out += some.len();
        let is_last = rows.is_read && rows.queue.is_empty();
        let page = SnapshotPage::new(some, rows.cursor.clone(), Arc::clone(&rows.basis)).at(is_first, is_last);
        if is_last {
            self.state = State::Follow;
            self.shown.forget_at = Some(Instant::now() + REMEMBERED);
        }
        Some(page)
    }
}

impl Pull for Watcher {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event>> {
        loop {
            if let Some(work) = &mut self.work {
                let done = ready!(work.poll(cx));
                self.work = None;
                if self.finish(done?)?
                    && let Some(page) = self.hand_out()
                {
                    return Poll::Ready(Ok(Event::Snapshot(page)));
                }
            }
            match &self.state {
                State::Begin => self.work = Some(self.beginning()),
                State::Rows(rows) => self.work = Some(self.filling(rows)),
                State::Follow => match ready!(self.reader.poll_advance(cx))? {
                    Next::Delivery(delivery) => {
                        if !self.shown.shows(&delivery) {
                            return Poll::Ready(Ok(Event::Change(delivery)));
                        }
                    }
                    Next::Lost(_) | Next::OtherBasis => self.state = State::Begin,
                },
            }
        }
    }

    fn cursor(&self) -> Cursor {
        self.reader.reached()
    }

    fn is_resumable(&self) -> bool {
        matches!(self.state, State::Follow)
    }
}

/// The revisions that the rows showed. The feed was read before them, so some of its changes are in them already.
#[derive(Debug, Default)]
struct Shown {
    revisions: HashMap<DocumentId, Arc<str>>,
    forget_at: Option<Instant>,
}

impl Shown {
    /// Changes that were numbered long before the rows were read are not told again anyway.
    fn note(&mut self, row: &Row, begun: Timestamp) {
        if row.present.updated_at < begun.minus(REMEMBERED) {
            return;
        }
        self.revisions.insert(row.id.clone(), Arc::clone(&row.present.revision));
    }

    /// Whether the rows show the document after this change already.
    fn shows(&mut self, delivery: &Delivery) -> bool {
        if self.forget_at.is_some_and(|at| at <= Instant::now()) {
            *self = Self::default();
        }
        let Some(shown) = self.revisions.get(delivery.id()) else { return false };
        let is_within = delivery.change().operation != Operation::Delete && is_not_after(delivery.revision(), shown);
        if !is_within {
            self.revisions.remove(delivery.id());
        }
        is_within
    }
}

/// Whether `revision` is of the same life of the document as `shown`, and not newer. Of another life nothing is known:
/// what belongs to it is told, and the later life's changes follow.
fn is_not_after(revision: &str, shown: &str) -> bool {
    let parts = |text: &str| {
        let (life, number) = text.rsplit_once('-')?;
        Some((life.to_owned(), number.parse::<u64>().ok()?))
    };
    match (parts(revision), parts(shown)) {
        (Some((life, number)), Some((shown_life, shown_number))) => life == shown_life && number <= shown_number,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_not_after;

    #[test]
    fn revisions_of_one_life_are_ordered_and_of_two_are_not() {
        assert!(is_not_after("a-1", "a-1"));
        assert!(is_not_after("a-9", "a-10"));
        assert!(!is_not_after("a-11", "a-10"));
        assert!(!is_not_after("b-1", "a-10"));
        assert!(!is_not_after("", "a-10"));
    }
}
