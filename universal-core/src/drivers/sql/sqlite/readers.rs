//! The threads that read.
//!
//! A query is put in one queue and answered by the thread that takes it. Most take microseconds, less
//! than it costs to wake a thread: as long as one is awake, another is woken only if queries pile up or
//! have waited a while, or when a query that takes long looks around (see [`Shared::relieve`]). Of the
//! threads that rest, the one that worked last is woken, because its pages are warm.
//!
//! Lists do not get all threads ([`Shares`]): a query for a row by its key is not kept waiting by scans. Of the queries
//! that may run, the one that came first is next.

use std::{
    collections::VecDeque,
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use sea_orm::Value;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::{
    drivers::sql::{
        error::{from_sqlite, no_connection, shutting_down},
        reach::{Reach, Shares},
        sqlite::connection::{NativeConnection, Place},
        statement::Row,
    },
    error::{Error, ErrorKind, Result},
};

/// How many queries wait before a caller is told that the database is busy.
const QUEUE: usize = 4096;
/// How long a query waits for a thread.
const WAIT: Duration = Duration::from_secs(2);
/// How long a query may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How many queries each thread that is awake may have before it before another is woken.
const BACKLOG: usize = 8;
/// How long a query may have waited before another thread is woken.
const PATIENCE: Duration = Duration::from_micros(200);
/// How often a thread that has nothing to do lets others run, and looks again, before it rests.
const LOOKS: u32 = 2;

/// How many bytes a row counts for.
type Size = Box<dyn Fn(&Row) -> Result<usize> + Send>;

/// What takes a row.
type Take = Box<dyn Fn(Row) -> Result<()> + Send>;

/// What a query is asked for.
pub(in crate::drivers::sql) enum Want {
    /// Its first row.
    First,
    /// All of its rows.
    All,
    /// Its rows until their sizes reach so many bytes.
    Bytes(usize, Size),
    /// That each of its rows is taken by this; none is answered.
    Each(Take),
}

/// The rows of a query, and whether there were more.
type Found = (Vec<Row>, bool);

struct Query {
    reach: Reach,
    sql: String,
    values: Vec<Value>,
    want: Want,
    since: Instant,
    answer: oneshot::Sender<Result<Found>>,
}

/// The reading end of a SQLite database.
pub(in crate::drivers::sql) struct Readers {
    shared: Arc<Shared>,
    threads: TaskTracker,
}

struct Shared {
    place: Place,
    shares: Shares,
    state: Mutex<State>,
    /// Set when what still runs has to end.
    stop: AtomicBool,
}

#[derive(Default)]
struct State {
    waiting: Waiting,
    /// How many of each kind are being answered: of lists, and of scans among them.
    lists: usize,
    scans: usize,
    /// The threads that rest, and how many do not.
    idle: Vec<Thread>,
    awake: usize,
    closed: bool,
}

/// The queries that wait, by how far they reach.
#[derive(Default)]
struct Waiting {
    keys: VecDeque<Query>,
    indexes: VecDeque<Query>,
    scans: VecDeque<Query>,
}

impl Waiting {
    fn len(&self) -> usize {
        self.keys.len() + self.indexes.len() + self.scans.len()
    }

    fn of(&mut self, reach: Reach) -> &mut VecDeque<Query> {
        match reach {
            Reach::Key => &mut self.keys,
            Reach::Index => &mut self.indexes,
            Reach::Scan => &mut self.scans,
        }
    }
}

impl State {
    /// The kinds of which another query may run, with the moment at which their first one came.
    fn ready(&self, shares: Shares) -> impl Iterator<Item = (Instant, Reach)> {
        let list = self.lists < shares.lists;
        let scan = list && self.scans < shares.scans;
        let first = |queue: &VecDeque<Query>, may_run: bool, reach| {
            queue.front().filter(|_| may_run).map(|query| (query.since, reach))
        };
        let keys = first(&self.waiting.keys, true, Reach::Key);
        let indexes = first(&self.waiting.indexes, list, Reach::Index);
        keys.into_iter().chain(indexes).chain(first(&self.waiting.scans, scan, Reach::Scan))
    }

    /// The query that is next, which is being answered from here on.
    fn next(&mut self, shares: Shares) -> Option<Query> {
        let (_, reach) = self.ready(shares).min_by_key(|(since, _)| *since)?;
        let query = self.waiting.of(reach).pop_front()?;
        self.lists += usize::from(reach != Reach::Key);
        self.scans += usize::from(reach == Reach::Scan);
        Some(query)
    }

    /// A query was answered.
    fn done(&mut self, reach: Reach) {
        self.lists -= usize::from(reach != Reach::Key);
        self.scans -= usize::from(reach == Reach::Scan);
    }

    /// A thread to wake, if one rests.
    fn wake(&mut self) -> Option<Thread> {
        let thread = self.idle.pop()?;
        self.awake += 1;
        Some(thread)
    }
}

impl Readers {
    /// Starts `count` threads. Each opens its connection with its first query.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(in crate::drivers::sql) fn start(place: Place, count: usize) -> std::io::Result<Self> {
        let state = State { awake: count, ..State::default() };
        let shares = Shares::of(count);
        let shared = Arc::new(Shared { place, shares, state: Mutex::new(state), stop: AtomicBool::new(false) });
        let readers = Self { shared, threads: TaskTracker::new() };
        for _ in 0..count {
            let (shared, token) = (Arc::clone(&readers.shared), readers.threads.token());
            thread::Builder::new().name("sqlite-reader".to_owned()).spawn(move || {
                let _until_the_end = token;
                shared.serve();
            })?;
        }
        readers.threads.close();
        Ok(readers)
    }

    /// Runs a query that reaches so far.
    pub(in crate::drivers::sql) async fn query(
        &self,
        reach: Reach,
        sql: &str,
        values: Vec<Value>,
        want: Want,
    ) -> Result<Found> {
        let (answer, answered) = oneshot::channel();
        self.shared.put(Query { reach, sql: sql.to_owned(), values, want, since: Instant::now(), answer })?;
        answered.await.map_err(|_| shutting_down())?
    }

    /// Answers what waits, and ends the threads; what takes longer than `grace` is given up.
    pub(in crate::drivers::sql) async fn close(&self, grace: Duration) {
        self.shared.close();
        if tokio::time::timeout(grace, self.threads.wait()).await.is_err() {
            self.shared.stop.store(true, Ordering::Relaxed);
            let _ = tokio::time::timeout(grace, self.threads.wait()).await;
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.close();
    }
}

impl Shared {
    fn put(&self, query: Query) -> Result<()> {
        let mut state = self.state();
        if state.closed {
            return Err(shutting_down());
        }
        if state.waiting.len() >= QUEUE {
            return Err(no_connection());
        }
        let is_behind = state.awake == 0
            || state.waiting.len() >= BACKLOG * state.awake
            || state.ready(self.shares).any(|(since, _)| query.since.saturating_duration_since(since) > PATIENCE);
        state.waiting.of(query.reach).push_back(query);
        let woken = if is_behind { state.wake() } else { None };
        drop(state);
        if let Some(thread) = woken {
            thread.unpark();
        }
        Ok(())
    }

    /// Wakes another thread if queries wait: called by one that is busy for longer.
    fn relieve(&self) {
        let mut state = self.state();
        let woken = if state.ready(self.shares).next().is_none() { None } else { state.wake() };
        drop(state);
        if let Some(thread) = woken {
            thread.unpark();
        }
    }

    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        for thread in idle {
            thread.unpark();
        }
    }

    /// The next query, waited for, after one that reached so far; nothing when there will be no more.
    fn take(&self, mut answered: Option<Reach>) -> Option<Query> {
        let me = thread::current();
        let mut looks = 0;
        loop {
            let mut state = self.state();
            if let Some(reach) = answered.take() {
                state.done(reach);
            }
            // Woken by nobody, it still stands in the list.
            if let Some(at) = state.idle.iter().position(|thread| thread.id() == me.id()) {
                state.idle.remove(at);
                state.awake += 1;
            }
            if let Some(query) = state.next(self.shares) {
                return Some(query);
            }
            if state.closed {
                return None;
            }
            if looks < LOOKS {
                drop(state);
                looks += 1;
                thread::yield_now();
                continue;
            }
            state.idle.push(me.clone());
            state.awake -= 1;
            drop(state);
            thread::park();
            looks = 0;
        }
    }

    fn serve(self: &Arc<Self>) {
        let (mut connection, mut answered) = (None, None);
        while let Some(query) = self.take(answered) {
            answered = Some(query.reach);
            if query.answer.is_closed() {
                continue;
            }
            let outcome = if query.since.elapsed() > WAIT {
                Err(no_connection())
            } else {
                let run = AssertUnwindSafe(|| self.run(&mut connection, &query));
                std::panic::catch_unwind(run).unwrap_or_else(|_| {
                    connection = None;
                    Err(Error::new(ErrorKind::Internal, "internal", "a query panicked"))
                })
            };
            // The caller may have gone.
            let _ = query.answer.send(outcome);
        }
    }

    fn run(self: &Arc<Self>, connection: &mut Option<NativeConnection>, query: &Query) -> Result<Found> {
        let connection = match connection {
            Some(connection) => connection,
            None => {
                let shared = Arc::downgrade(self);
                let look = move || {
                    shared.upgrade().is_none_or(|shared| {
                        shared.relieve();
                        shared.stop.load(Ordering::Relaxed)
                    })
                };
                connection.insert(NativeConnection::open_reader(&self.place, look).map_err(from_sqlite)?)
            }
        };
        connection.set_limit(LIMIT);
        match &query.want {
            Want::First => connection.one(&query.sql, &query.values).map(|row| (row.into_iter().collect(), false)),
            Want::All => connection.all(&query.sql, &query.values).map(|rows| (rows, false)),
            Want::Bytes(bytes, size) => connection.some(&query.sql, &query.values, *bytes, size),
            Want::Each(take) => connection.each(&query.sql, &query.values, take).map(|()| (Vec::new(), false)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}
