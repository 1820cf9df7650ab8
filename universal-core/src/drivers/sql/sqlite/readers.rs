//! The threads that read.
//!
//! A query is put in one queue and answered by the thread that takes it; of the threads that have
//! nothing to do, the one that worked last is woken, because its pages are warm.

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

/// How many bytes a row counts for.
type Size = Box<dyn Fn(&Row) -> Result<usize> + Send>;

/// What a query is asked for.
pub(in crate::drivers::sql) enum Want {
    /// Its first row.
    First,
    /// All of its rows.
    All,
    /// Its rows until their sizes reach so many bytes.
    Bytes(usize, Size),
}

/// The rows of a query, and whether there were more.
type Found = (Vec<Row>, bool);

struct Query {
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
    state: Mutex<State>,
    /// Set when what still runs has to end.
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Query>,
    idle: Vec<Thread>,
    closed: bool,
}

impl Readers {
    /// Starts `count` threads. Each opens its connection with its first query.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(in crate::drivers::sql) fn start(place: Place, count: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { place, state: Mutex::default(), stop: Arc::default() });
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

    /// Runs a query.
    pub(in crate::drivers::sql) async fn query(&self, sql: &str, values: Vec<Value>, want: Want) -> Result<Found> {
        let (answer, answered) = oneshot::channel();
        self.shared.put(Query { sql: sql.to_owned(), values, want, since: Instant::now(), answer })?;
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
        state.waiting.push_back(query);
        let woken = state.idle.pop();
        drop(state);
        if let Some(thread) = woken {
            thread.unpark();
        }
        Ok(())
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

    /// The next query, waited for; nothing when there will be no more.
    fn take(&self) -> Option<Query> {
        let me = thread::current();
        let mut state = self.state();
        loop {
            if let Some(query) = state.waiting.pop_front() {
                return Some(query);
            }
            if state.closed {
                return None;
            }
            state.idle.push(me.clone());
            drop(state);
            thread::park();
            state = self.state();
            // Woken by nobody, it would stand in the list twice.
            state.idle.retain(|thread| thread.id() != me.id());
        }
    }

    fn serve(&self) {
        let mut connection = None;
        while let Some(query) = self.take() {
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

    fn run(&self, connection: &mut Option<NativeConnection>, query: &Query) -> Result<Found> {
        let connection = match connection {
            Some(connection) => connection,
            None => {
                let opened = NativeConnection::open_reader(&self.place, Arc::clone(&self.stop));
                connection.insert(opened.map_err(from_sqlite)?)
            }
        };
        connection.set_limit(LIMIT);
        match &query.want {
            Want::First => connection.one(&query.sql, &query.values).map(|row| (row.into_iter().collect(), false)),
            Want::All => connection.all(&query.sql, &query.values).map(|rows| (rows, false)),
            Want::Bytes(bytes, size) => connection.some(&query.sql, &query.values, *bytes, size),
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
