//! What a function knows about the job it runs.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_core::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    jobs::{
        function,
        job::Job,
        queue::{Effects, Lease, Queue},
    },
    transaction::Transaction,
};

/// Why a function is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// Somebody called the job off.
    Cancelled,
    /// The lease could not be renewed, or was lost: another worker may run the job already.
    LeaseLost,
    /// The worker stops; the job is handed back.
    Shutdown,
}

/// The job that a function runs, and its way to finish it. Cheap to clone.
#[derive(Clone)]
pub struct JobContext {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Arc<dyn Queue>,
    job: Job,
    lease: Lease,
    stop: CancellationToken,
    reason: OnceLock<StopReason>,
    completed: AtomicBool,
}

impl JobContext {
    /// For workers: the context of an attempt on `job` that holds `lease`.
    #[must_use]
    pub fn new(queue: Arc<dyn Queue>, job: Job, lease: Lease) -> Self {
        let shared = Shared {
            queue,
            job,
            lease,
            stop: CancellationToken::new(),
            reason: OnceLock::new(),
            completed: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The job, as it was claimed: `attempt` is the number of this attempt, from 1.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.shared.job
    }

    /// The program itself, in the job's tenant: no rule binds it. To act within the rights of the user who enqueued
    /// the job, make a [`Caller::user`] of `job().owner`.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::system(self.shared.job.tenant.clone())
    }

    /// Whether the function should stop. Soon after, its future is dropped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.stop.is_cancelled()
    }

    /// Waits until the function should stop.
    pub async fn stopped(&self) {
        self.shared.stop.cancelled().await;
    }

    /// Why it should stop, once it should.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.shared.reason.get().copied()
    }

    /// Commits `effects` and the completion of the job in one transaction: both happen exactly once, or neither.
    /// What `effects` answers is the job's result. It is called again when the database asks to try the transaction again,
    /// so it should do nothing that a roll-back does not undo.
    ///
    /// The function should return soon after; what it returns then is not kept.
    ///
    /// # Errors
    /// `Conflict` (`job-fenced`) if the attempt no longer holds the job, (`job-completed`) if it has completed it
    /// before; those of `effects` and of the store. Nothing was written then.
    pub async fn complete_with<O, F>(&self, effects: F) -> Result<O>
    where
        O: Serialize + serde::de::DeserializeOwned + Send + 'static,
        F: for<'a, 'c> Fn(&'a mut Transaction<'c>) -> BoxFuture<'a, Result<O>> + Send + Sync + 'static,
    {
        if self.is_completed() {
            return Err(Error::new(ErrorKind::Conflict, "job-completed", "the job has been completed already"));
        }
        let effects = Arc::new(effects);
        let erased: Effects = Arc::new(move |tx| erase(effects.clone(), tx));
        let result = self.shared.queue.complete_with(&self.shared.lease, erased).await?;
        self.shared.completed.store(true, Ordering::SeqCst);
        serde_json::from_value(result).map_err(Error::internal)
    }

    /// For workers: asks the function to stop; the first reason counts.
    pub fn stop(&self, reason: StopReason) {
        // A second reason changes nothing.
        let _ = self.shared.reason.set(reason);
        self.shared.stop.cancel();
    }

    /// For workers: whether the function has completed its job by itself.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.shared.completed.load(Ordering::SeqCst)
    }

    /// For workers: the lease of this attempt.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.shared.lease
    }
}

fn erase<'a, O, F>(effects: Arc<F>, tx: &'a mut Transaction<'_>) -> BoxFuture<'a, Result<Value>>
where
    O: Serialize + Send + 'static,
    F: for<'b, 'd> Fn(&'b mut Transaction<'d>) -> BoxFuture<'b, Result<O>> + Send + Sync + 'static,
{
    Box::pin(async move {
        let output = effects(tx).await?;
        function::write(&output)
    })
}

impl fmt::Debug for JobContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobContext")
            .field("job", &self.shared.job)
            .field("stop", &self.stop_reason())
            .finish_non_exhaustive()
    }
}
