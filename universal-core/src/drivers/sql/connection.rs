//! A database: reads from a pool, writes through [`Write`], signals after each commit.

#[cfg(feature = "sqlite")]
use std::sync::{Mutex, PoisonError};
use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use sea_orm::{DatabaseConnection, TransactionTrait as _, Value};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[cfg(feature = "postgres")]
use crate::drivers::sql::reach::{Turn, Turns};
#[cfg(feature = "sqlite")]
use crate::drivers::sql::sqlite::{
    readers::{Readers, Want},
    writer::Writer,
};
use crate::{
    drivers::sql::{
        dialect::Dialect,
        error::{broken_transaction, from_commit, from_db, is_serialization_failure, shutting_down},
        reach::Reach,
        statement::{self, Row},
        transaction::inside_transaction,
        write::{Effects, Write},
    },
    error::{Error, ErrorKind, Result},
    realtime::bus::Bus,
};

/// How often a write that fell victim to another transaction is tried before the caller is told.
const ATTEMPTS: u32 = 8;
/// How much later than its own limit says a write that writes much is stopped.
#[cfg(feature = "sqlite")]
const MOMENT: Duration = Duration::from_secs(1);
/// How long `shutdown` waits for connections that somebody else still uses (a host's open transaction).
const CLOSE: Duration = Duration::from_secs(5);

/// A database that this backend reads and writes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Database(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) dialect: Dialect,
    pub(super) connection: DatabaseConnection,
    #[cfg(feature = "sqlite")]
    pub(super) writer: Option<Writer>,
    #[cfg(feature = "sqlite")]
    pub(super) readers: Option<Readers>,
    /// The turns of lists on PostgreSQL's connections.
    #[cfg(feature = "postgres")]
    pub(super) turns: Option<Turns>,
    pub(super) signals: Signals,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) transaction_limit: Duration,
    #[cfg(feature = "sqlite")]
    pub(super) _folder: Option<tempfile::TempDir>,
}

/// Whom to wake after a commit.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) jobs: Arc<Notify>,
    pub(crate) outbox: Arc<Notify>,
}

impl Signals {
    /// Tells of a commit. SQLite numbers inline, so the bus rings at once; on PostgreSQL the changes
    /// are still in the outbox, so the sequencer is woken, and rings after it has numbered them.
    pub(super) fn committed(&self, effects: &Effects) {
        if effects.jobs() {
            self.jobs.notify_waiters();
            self.jobs.notify_one();
        }
        for (tenant, seq) in effects.tenants() {
            match seq {
                Some(seq) => self.bus.ring(tenant, *seq),
                None => self.outbox.notify_one(),
            }
        }
    }
}

impl Database {
    /// Which SQL is spoken.
    pub(crate) fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// Notified after a commit in this process that queued a job.
    pub(crate) fn jobs_signal(&self) -> Arc<Notify> {
        Arc::clone(&self.0.signals.jobs)
    }

    /// Notified after a commit in this process that filled the outbox (PostgreSQL only).
    pub(crate) fn outbox_signal(&self) -> Arc<Notify> {
        Arc::clone(&self.0.signals.outbox)
    }

    /// sea-orm's connections: all there are on PostgreSQL; on SQLite they can only read, and queries here
    /// do not use them.
    pub(crate) fn connection(&self) -> &DatabaseConnection {
        &self.0.connection
    }

    /// All rows of a query, outside any transaction.
    pub(crate) async fn all(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        #[cfg(feature = "sqlite")]
        if let Some(readers) = &self.0.readers {
            return readers.query(Reach::Key, sql, values, Want::All).await.map(|(rows, _)| rows);
        }
        statement::all(&self.0.connection, self.0.dialect, sql, values).await
    }

    /// The rows of a query, outside any transaction, until their sizes reach `bytes`; and whether there were more.
    pub(crate) async fn some(
        &self,
        reach: Reach,
        sql: &str,
        values: Vec<Value>,
        bytes: usize,
        size: impl Fn(&Row) -> Result<usize> + Send + 'static,
    ) -> Result<(Vec<Row>, bool)> {
        #[cfg(feature = "sqlite")]
        if let Some(readers) = &self.0.readers {
            return readers.query(reach, sql, values, Want::Bytes(bytes, Box::new(size))).await;
        }
        let _turn = self.turn(reach).await?;
        statement::some(&self.0.connection, self.0.dialect, sql, values, bytes, size).await
    }

    /// What `take` makes of `state` with each row of a query, outside any transaction. No row but the current one is
    /// held. It is a scan.
    pub(crate) async fn fold<S: Send + 'static>(
        &self,
        sql: &str,
        values: Vec<Value>,
        mut state: S,
        take: impl Fn(&mut S, &Row) -> Result<()> + Send + Sync + 'static,
    ) -> Result<S> {
        #[cfg(feature = "sqlite")]
        if let Some(readers) = &self.0.readers {
            // The reader's thread works on the state; when it has answered, nobody touches it any more.
            let shared = Arc::new(Mutex::new(Some(state)));
            let worked = Arc::clone(&shared);
            let each = move |row: Row| match worked.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                Some(state) => take(state, &row),
                None => Err(Error::internal("a query has no state to work on")),
            };
            readers.query(Reach::Scan, sql, values, Want::Each(Box::new(each))).await?;
            let state = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
            return state.ok_or_else(|| Error::internal("a query lost what it worked on"));
        }
        let _turn = self.turn(Reach::Scan).await?;
        statement::each(&self.0.connection, self.0.dialect, sql, values, |row| take(&mut state, &row)).await?;
        Ok(state)
    }

    /// The first row of a query, outside any transaction.
    pub(crate) async fn one(&self, sql: &str, values: Vec<Value>) -> Result<Option<Row>> {
        self.first(Reach::Key, sql, values).await
    }

    /// The first row of a query that reaches so far, outside any transaction.
    pub(crate) async fn first(&self, reach: Reach, sql: &str, values: Vec<Value>) -> Result<Option<Row>> {
        #[cfg(feature = "sqlite")]
        if let Some(readers) = &self.0.readers {
            return readers.query(reach, sql, values, Want::First).await.map(|(rows, _)| rows.into_iter().next());
        }
        let _turn = self.turn(reach).await?;
        statement::one(&self.0.connection, self.0.dialect, sql, values).await
    }

    /// Waits for the turn of what reaches so far on PostgreSQL; it ends when the answer of this is dropped. SQLite's
    /// readers do it themselves, and its writer is alone.
    ///
    /// # Errors
    /// `Busy` if too many wait, or for too long.
    #[cfg(feature = "postgres")]
    pub(crate) async fn turn(&self, reach: Reach) -> Result<Option<Turn<'_>>> {
        match &self.0.turns {
            Some(turns) => turns.take(reach).await.map(Some),
            None => Ok(None),
        }
    }

    /// SQLite's readers take turns themselves.
    #[cfg(not(feature = "postgres"))]
    pub(crate) async fn turn(&self, _: Reach) -> Result<Option<std::convert::Infallible>> {
        Ok(None)
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<()> {
        self.one("SELECT 1", vec![]).await.map(|_| ())
    }

    /// Runs `operation` in a transaction and answers after its commit.
    ///
    /// It runs in a task of the backend: a caller that goes away does not stop it half-way. It may
    /// run more than once (a deadlock on PostgreSQL, a failed neighbour in SQLite's group), so it
    /// must do nothing but speak to the database.
    pub(crate) async fn write<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Write<'_>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    {
        self.is_outside()?;
        #[cfg(feature = "sqlite")]
        if let Some(writer) = &self.0.writer {
            return writer.write(operation).await;
        }
        // Else writers that never rest would keep `shutdown` waiting for ever.
        if self.0.stop.is_cancelled() {
            return Err(shutting_down());
        }
        let database = self.clone();
        let written = self.0.tasks.spawn(async move { database.write_alone(operation).await });
        written.await.map_err(Error::internal)?
    }

    /// As [`write`](Self::write), for an operation that writes much: on SQLite it has a commit of its own, and the time
    /// of a transaction. It looks at the time itself; one that does not is stopped a moment later.
    pub(crate) async fn write_much<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Write<'_>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    {
        self.is_outside()?;
        #[cfg(feature = "sqlite")]
        if let Some(writer) = &self.0.writer {
            return writer.write_alone(self.0.transaction_limit + MOMENT, operation).await;
        }
        self.write(operation).await
    }

    /// How long a transaction may take.
    pub(crate) fn transaction_limit(&self) -> Duration {
        self.0.transaction_limit
    }

    /// As [`write`](Self::write), for operations that run code of the host's: on SQLite they have the writer alone,
    /// and a caller that goes away stops them.
    pub(crate) async fn write_alone_with_host<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Write<'_>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    {
        self.is_outside()?;
        if self.dialect() == Dialect::Postgres {
            return self.write(operation).await;
        }
        let database = self.clone();
        self.transaction(move |transaction| Box::pin(async move { operation(&mut database.join(transaction)?).await }))
            .await
    }

    fn is_outside(&self) -> Result<()> {
        if !inside_transaction(self) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "write-outside-transaction",
            "this task is inside a transaction or a hook; use its handle (the `…_in` methods)",
        ))
    }

    async fn write_alone<T, F>(&self, operation: F) -> Result<T>
    where
        F: for<'a> Fn(&'a mut Write<'_>) -> BoxFuture<'a, Result<T>> + Send + Sync,
    {
        let mut attempt = 1;
        loop {
            match self.try_write(&operation).await {
                Err(error) if attempt < ATTEMPTS && is_serialization_failure(&error) => {
                    tracing::debug!(attempt, code = error.code(), "a write is tried again");
                    // By chance: those who were in each other's way must not meet again in step.
                    let (_, chance) = uuid::Uuid::new_v4().as_u64_pair();
                    tokio::time::sleep(Duration::from_millis(chance % (u64::from(attempt) * 20))).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_write<T, F>(&self, operation: &F) -> Result<T>
    where
        F: for<'a> Fn(&'a mut Write<'_>) -> BoxFuture<'a, Result<T>> + Send + Sync,
    {
        let transaction = self.0.connection.begin().await.map_err(from_db)?;
        let mut effects = Effects::default();
        let outcome = operation(&mut Write::new(&transaction, self.0.dialect, &mut effects)).await;
        match outcome.and_then(|value| if effects.broken() { Err(broken_transaction()) } else { Ok(value) }) {
            Ok(value) => {
                transaction.commit().await.map_err(from_commit)?;
                self.0.signals.committed(&effects);
                Ok(value)
            }
            Err(error) => {
                // The answer is the operation's error; a rollback that fails too only loses the connection.
                let _ = transaction.rollback().await;
                Err(error)
            }
        }
    }

    /// Stops the writer after it has answered what waits, and closes the connections; one that a
    /// host's transaction holds is closed when that ends.
    pub(crate) async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(CLOSE, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("a write still waits for the database and is left behind");
        }
        #[cfg(feature = "sqlite")]
        if let Some(readers) = &self.0.readers {
            readers.close(CLOSE).await;
        }
        let _ = tokio::time::timeout(CLOSE, self.0.connection.close_by_ref()).await;
        #[cfg(feature = "sqlite")]
        if let Some(writer) = &self.0.writer {
            // A transaction that a host still holds is not waited for longer.
            let _ = tokio::time::timeout(CLOSE, writer.close()).await;
        }
    }

    pub(super) fn same_as(&self, identity: usize) -> bool {
        self.identity() == identity
    }

    pub(super) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("dialect", &self.0.dialect).finish_non_exhaustive()
    }
}
