//! A connection of our own: statements prepared once, bound in time.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{CachedStatement, Connection, OpenFlags};
use sea_orm::Value;

use crate::{
    drivers::sql::{
        error::from_sqlite,
        sqlite::{bind::bind, cell::cells, checkpoint},
        statement::Row,
    },
    error::Result,
};

/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 200;
/// Under which target the texts of statements are traced.
const STATEMENTS_TARGET: &str = "universal_core::sql";
/// How long a connection waits for a lock that another holds.
const BUSY: Duration = Duration::from_secs(5);
/// After how many steps of SQLite's machine (tens of microseconds, if no disk is waited for) a statement's time is
/// looked at.
const STEPS: i32 = 1000;

/// After how many pages of the log they are moved to the file (16 MB): a page that is written again and again is moved
/// once.
pub(in crate::drivers::sql) const CHECKPOINT: u32 = 4000;

/// Which file is opened, and how.
#[derive(Clone, Debug)]
pub(in crate::drivers::sql) struct Place {
    /// The file.
    pub(in crate::drivers::sql) path: PathBuf,
    /// `FULL`, `NORMAL` or `OFF`.
    pub(in crate::drivers::sql) synchronous: &'static str,
}

/// A connection that its thread uses alone.
pub(in crate::drivers::sql) struct NativeConnection {
    inner: Connection,
    limit: Arc<Limit>,
}

/// When a statement is given up.
#[derive(Debug)]
struct Limit {
    begin: Instant,
    /// Nanoseconds after `begin`.
    deadline: AtomicU64,
}

impl Limit {
    fn is_over(&self) -> bool {
        let elapsed = u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        elapsed > self.deadline.load(Ordering::Relaxed)
    }
}

impl NativeConnection {
    /// Opens the connection that writes.
    pub(super) fn open_writer(place: &Place) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let inner = Connection::open_with_flags(&place.path, flags)?;
        inner.pragma_update(None, "synchronous", place.synchronous)?;
        // In the place of SQLite's own, which moves the log within a commit.
        checkpoint::watch(&inner);
        Self::set_up(inner, || false)
    }

    /// Opens a connection that cannot write. A statement that takes long asks `is_over` again and again whether it shall
    /// be given up.
    pub(super) fn open_reader(place: &Place, is_over: impl FnMut() -> bool + Send + 'static) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let inner = Connection::open_with_flags(&place.path, flags)?;
        inner.pragma_update(None, "query_only", true)?;
        Self::set_up(inner, is_over)
    }

    fn set_up(inner: Connection, mut is_over: impl FnMut() -> bool + Send + 'static) -> rusqlite::Result<Self> {
        inner.busy_timeout(BUSY)?;
        inner.pragma_update(None, "foreign_keys", true)?;
        inner.pragma_update(None, "cache_size", -16_384)?;
        inner.pragma_update_and_check(None, "journal_size_limit", 67_108_864, |_| Ok(()))?;
        inner.set_prepared_statement_cache_capacity(STATEMENTS);
        let limit = Arc::new(Limit { begin: Instant::now(), deadline: AtomicU64::new(u64::MAX) });
        let watched = Arc::clone(&limit);
        inner.progress_handler(STEPS, Some(move || is_over() || watched.is_over()))?;
        Ok(Self { inner, limit })
    }

    /// What runs from here on is given up after `time`.
    pub(super) fn set_limit(&self, time: Duration) {
        let deadline = (self.limit.begin.elapsed() + time).as_nanos();
        self.limit.deadline.store(u64::try_from(deadline).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn lift_limit(&self) {
        self.limit.deadline.store(u64::MAX, Ordering::Relaxed);
    }

    /// How many rows a statement changed.
    pub(in crate::drivers::sql) fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        self.run(sql, values, |mut statement| {
            let is_read = statement.readonly();
            let mut rows = statement.raw_query();
            while rows.next()?.is_some() {}
            // A statement that cannot write leaves the count of the one before.
            Ok(if is_read { 0 } else { self.inner.changes() })
        })
    }

    /// The first row of a query, or of a statement with `RETURNING`.
    pub(in crate::drivers::sql) fn one(&mut self, sql: &str, values: &[Value]) -> Result<Option<Row>> {
        self.run(sql, values, |mut statement| {
            let (columns, is_read) = (statement.column_count(), statement.readonly());
            let mut rows = statement.raw_query();
            let first = rows.next()?.map(|row| cells(row, columns)).transpose()?;
            // One that writes must come to its end, or its checks would not.
            while !is_read && rows.next()?.is_some() {}
            Ok(first.map(Row::from_cells))
        })
    }

    /// All rows.
    pub(in crate::drivers::sql) fn all(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
        self.run(sql, values, |mut statement| {
            let columns = statement.column_count();
            let (mut rows, mut found) = (statement.raw_query(), Vec::new());
            while let Some(row) = rows.next()? {
                found.push(Row::from_cells(cells(row, columns)?));
            }
            Ok(found)
        })
    }

    /// The rows until their sizes reach `bytes`, one at least; and whether there were more.
    pub(super) fn some(
        &mut self,
        sql: &str,
        values: &[Value],
        bytes: usize,
        size: &(dyn Fn(&Row) -> Result<usize> + Send),
    ) -> Result<(Vec<Row>, bool)> {
        let (found, more, failure) = self.run(sql, values, |mut statement| {
            let columns = statement.column_count();
            let (mut rows, mut found, mut total) = (statement.raw_query(), Vec::new(), 0_usize);
            while let Some(row) = rows.next()? {
                if total >= bytes {
                    return Ok((found, true, None));
                }
                let row = Row::from_cells(cells(row, columns)?);
                match size(&row) {
                    Ok(size) => total = total.saturating_add(size),
                    Err(error) => return Ok((found, false, Some(error))),
                }
                found.push(row);
            }
            Ok((found, false, None))
        })?;
        failure.map_or(Ok((found, more)), Err)
    }

    /// Each row, one after the other, so that none but the current one is held.
    pub(super) fn each(
        &mut self,
        sql: &str,
        values: &[Value],
        take: &(dyn Fn(Row) -> Result<()> + Send),
    ) -> Result<()> {
        let failure = self.run(sql, values, |mut statement| {
            let columns = statement.column_count();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                if let Err(error) = take(Row::from_cells(cells(row, columns)?)) {
                    return Ok(Some(error));
                }
            }
            Ok(None)
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// Begins the transaction of a writer.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.lift_limit();
        self.execute("BEGIN IMMEDIATE", &[]).map(|_| ())
    }

    /// Commits. It has no limit: nobody would know how it ended.
    pub(super) fn commit(&mut self) -> std::result::Result<(), rusqlite::Error> {
        self.lift_limit();
        let mut statement = self.inner.prepare_cached("COMMIT")?;
        statement.raw_execute().map(|_| ())
    }

    /// Ends the transaction, if SQLite has not done it by itself. Answers whether there is none now.
    pub(super) fn roll_back(&mut self) -> bool {
        self.lift_limit();
        self.inner.is_autocommit() || (self.execute("ROLLBACK", &[]).is_ok() && self.inner.is_autocommit())
    }

    fn run<T>(
        &self,
        sql: &str,
        values: &[Value],
        work: impl FnOnce(CachedStatement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        // The text alone: what a caller wrote is bound, and in no log.
        tracing::trace!(target: STATEMENTS_TARGET, database = self.inner.path(), sql, "statement");
        let prepared = || {
            let mut statement = self.inner.prepare_cached(sql)?;
            bind(&mut statement, values)?;
            work(statement)
        };
        prepared().map_err(from_sqlite)
    }
}

impl fmt::Debug for NativeConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeConnection").field("limit", &self.limit).finish_non_exhaustive()
    }
}
