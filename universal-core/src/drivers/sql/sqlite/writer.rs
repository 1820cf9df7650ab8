//! SQLite's one writer, with group commit.
//!
//! It has a thread of its own, on which the writes' statements run one after the other without going
//! anywhere. All writes that wait at this moment run in one transaction and are answered after its one
//! `COMMIT`. There is no timer: a lone write goes at once, and groups form by themselves while the
//! previous commit runs. A write that is refused before it changed anything fails alone; if one
//! fails after that, or a statement of it fails (a full disk makes SQLite end the transaction by
//! itself) or is given up half-way, the group is rolled back and each member runs again in a transaction of its own, so
//! that what a caller sees is as if every write stood behind its own savepoint.

use std::{fmt, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use sqlx::SqlitePool;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    drivers::sql::{
        connection::Signals,
        error::{broken_transaction, from_sqlite, from_sqlite_commit, shutting_down},
        sqlite::{
            checkpoint::Checkpointer,
            connection::{NativeConnection, Place},
            heads::Heads,
            lender::{Grant, Lender},
        },
        write::{Effects, Write},
    },
    error::{Error, ErrorKind, Result},
};

/// How many writes wait before a caller is told that the database is busy.
const QUEUE: usize = 4096;
/// How many writes share one commit at most.
const GROUP: usize = 256;
/// How long one write may take inside a group.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

/// The sending end of the writer.
pub(in crate::drivers::sql) struct Writer {
    queue: mpsc::Sender<Request>,
    pool: SqlitePool,
}

enum Request {
    /// In a commit with others.
    Write(Box<dyn Member>),
    /// In a commit of its own.
    Alone(Box<dyn Member>),
    Exclusive(oneshot::Sender<Result<Grant>>),
}

impl Writer {
    /// Starts the writer of the file at `place`. What it lends comes from `pool`, which must hold one connection.
    ///
    /// # Errors
    /// The file cannot be opened, or the system gives no thread.
    pub(in crate::drivers::sql) fn start(
        place: Place,
        pool: SqlitePool,
        signals: Signals,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self> {
        let (queue, requests) = mpsc::channel(QUEUE);
        let native = NativeConnection::open_writer(&place).map_err(from_sqlite)?;
        let (lender, checkpointer) = (Lender::new(pool.clone()), Checkpointer::start(&place)?);
        let task = Loop { place, native, lender, checkpointer, signals, requests, stop };
        let (runtime, token) = (Handle::current(), tasks.token());
        let thread = std::thread::Builder::new().name("sqlite-writer".to_owned());
        let run = move || {
            let _until_the_end = token;
            runtime.block_on(task.run());
        };
        thread.spawn(run).map_err(Error::internal)?;
        Ok(Self { queue, pool })
    }

    /// Queues a write and answers after the commit that it was part of.
    pub(in crate::drivers::sql) async fn write<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Write<'_>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    {
        let (queued, answered) = Queued::new(operation, WRITE_LIMIT);
        self.send(Request::Write(Box::new(queued))).await?;
        answered.await.map_err(|_| shutting_down())?
    }

    /// The same for a write that may take so long: it shares its commit with no other, and so runs once.
    pub(in crate::drivers::sql) async fn write_alone<T, F>(&self, limit: Duration, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Write<'_>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    {
        let (queued, answered) = Queued::new(operation, limit);
        self.send(Request::Alone(Box::new(queued))).await?;
        answered.await.map_err(|_| shutting_down())?
    }

    /// Waits for the writer's turn and takes its connection, inside an open transaction.
    pub(in crate::drivers::sql) async fn exclusive(&self) -> Result<Grant> {
        let (grant, granted) = oneshot::channel();
        self.send(Request::Exclusive(grant)).await?;
        granted.await.map_err(|_| shutting_down())?
    }

    async fn send(&self, request: Request) -> Result<()> {
        match self.queue.try_send(request) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(shutting_down()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(Error::new(ErrorKind::Busy, "too-many-writes", "too many writes wait for the database; try again")
                    .with_retry_after(Duration::from_secs(1)))
            }
        }
    }

    /// Closes the connection that is lent. Call it after the writer's thread has ended.
    pub(in crate::drivers::sql) async fn close(&self) {
        self.pool.close().await;
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

/// One write of a group, whatever it answers.
trait Member: Send {
    /// Runs the operation and keeps its outcome; says whether it succeeded.
    fn run<'a>(&'a mut self, write: &'a mut Write<'_>) -> BoxFuture<'a, bool>;
    /// Replaces the outcome: the operation did not happen.
    fn fail(&mut self, error: Error);
    /// Tells the caller.
    fn answer(self: Box<Self>);
    /// Whether the caller still waits; a write that has not begun for one who left is dropped.
    fn is_wanted(&self) -> bool;
    /// How long it may take.
    fn limit(&self) -> Duration;
}

struct Queued<T, F> {
    operation: F,
    limit: Duration,
    answer: oneshot::Sender<Result<T>>,
    outcome: Option<Result<T>>,
}

impl<T, F> Queued<T, F> {
    fn new(operation: F, limit: Duration) -> (Self, oneshot::Receiver<Result<T>>) {
        let (answer, answered) = oneshot::channel();
        (Self { operation, limit, answer, outcome: None }, answered)
    }
}

impl<T, F> Member for Queued<T, F>
where
    T: Send + 'static,
    F: for<'a> Fn(&'a mut Write<'_>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
{
    fn run<'a>(&'a mut self, write: &'a mut Write<'_>) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let running = std::panic::AssertUnwindSafe((self.operation)(write)).catch_unwind();
            let outcome = match tokio::time::timeout(self.limit, running).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(Error::new(ErrorKind::Internal, "internal", "a write panicked; it was rolled back")),
                Err(_) => {
                    let message = format!("the write took longer than {} s", self.limit.as_secs_f64());
                    Err(Error::new(ErrorKind::Timeout, "write-timeout", message))
                }
            };
            let succeeded = outcome.is_ok();
            self.outcome = Some(outcome);
            succeeded
        })
    }

    fn fail(&mut self, error: Error) {
        self.outcome = Some(Err(error));
    }

    fn answer(self: Box<Self>) {
        let Self { operation, answer, outcome, .. } = *self;
        // What the operation holds is let go before its caller goes on.
        drop(operation);
        // The caller may have gone; its write stands all the same.
        let _ = answer.send(outcome.unwrap_or_else(|| Err(shutting_down())));
    }

    fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    fn limit(&self) -> Duration {
        self.limit
    }
}

/// What the thread owns. Its own connection and the one that it lends never both hold a transaction.
struct Loop {
    place: Place,
    native: NativeConnection,
    lender: Lender,
    checkpointer: Checkpointer,
    signals: Signals,
    requests: mpsc::Receiver<Request>,
    stop: CancellationToken,
}

impl Loop {
    async fn run(mut self) {
        let mut waiting = Vec::with_capacity(GROUP);
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                // First, or writers that never rest would keep it from ever being seen. What is queued
                // by then is still answered; what comes later is refused.
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.requests.close();
                    continue;
                }
                received = self.requests.recv_many(&mut waiting, GROUP) => if received == 0 { return },
            }
            let mut group: Vec<Box<dyn Member>> = Vec::with_capacity(waiting.len());
            for request in waiting.drain(..) {
                match request {
                    Request::Write(member) if member.is_wanted() => group.push(member),
                    Request::Alone(member) if member.is_wanted() => {
                        self.commit_group(std::mem::take(&mut group)).await;
                        self.commit_group(vec![member]).await;
                    }
                    Request::Write(_) | Request::Alone(_) => {}
                    Request::Exclusive(grant) => {
                        self.commit_group(std::mem::take(&mut group)).await;
                        self.lender.lend(grant).await;
                    }
                }
            }
            self.commit_group(group).await;
        }
    }

    async fn commit_group(&mut self, mut group: Vec<Box<dyn Member>>) {
        if group.is_empty() {
            return;
        }
        let alone = group.len() == 1;
        if !self.commit_together(&mut group).await && !alone {
            for member in &mut group {
                self.commit_together(std::slice::from_mut(member)).await;
            }
        }
        for member in group {
            member.answer();
        }
        self.checkpointer.look(&mut self.native);
    }

    /// Runs the members in one transaction. Answers `false` if it was rolled back because one of
    /// several failed after it had changed something, so that the others must run again.
    async fn commit_together(&mut self, group: &mut [Box<dyn Member>]) -> bool {
        if let Err(error) = self.native.begin() {
            fail_all(group, &error);
            // It may be that a rollback before did not work out.
            self.roll_back();
            return true;
        }
        let (mut effects, mut heads) = (Effects::default(), Heads::default());
        for member in group.iter_mut() {
            let mut own = Effects::default();
            self.native.set_limit(member.limit());
            let succeeded = member.run(&mut Write::native(&mut self.native, &mut heads, &mut own)).await;
            if own.broken() || (!succeeded && own.wrote()) {
                if succeeded {
                    member.fail(broken_transaction());
                }
                self.roll_back();
                return false;
            }
            effects.merge(own);
        }
        if !effects.wrote() {
            self.roll_back();
            return true;
        }
        if let Err(error) = heads.store(&mut self.native) {
            fail_all(group, &error);
            self.roll_back();
            return true;
        }
        match self.native.commit() {
            Ok(()) => self.signals.committed(&effects),
            Err(error) => {
                let error = from_sqlite_commit(error);
                tracing::error!(error = ?error, "a commit failed");
                fail_all(group, &error);
                self.roll_back();
            }
        }
        true
    }

    /// Leaves the connection without a transaction, or takes another one.
    fn roll_back(&mut self) {
        if self.native.roll_back() {
            return;
        }
        match NativeConnection::open_writer(&self.place) {
            Ok(connection) => self.native = connection,
            Err(error) => tracing::error!(error = ?error, "the writer's connection cannot be replaced"),
        }
    }
}

/// Tells every member that nothing of the group was written.
fn fail_all(group: &mut [Box<dyn Member>], error: &Error) {
    for member in group {
        let mut same = Error::new(error.kind(), error.code(), error.message());
        if let Some(after) = error.retry_after() {
            same = same.with_retry_after(after);
        }
        member.fail(same);
    }
}
