//! The port behind which jobs are kept: claim, beat, complete, fail, release.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_core::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{Notify, broadcast};

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    id::{TenantId, UserId},
    jobs::{
        function_name::FunctionName,
        job::{Job, JobFailure, JobId, JobState},
        list::ListJobs,
    },
    transaction::Transaction,
};

/// A job to insert, within its limits already.
#[derive(Clone)]
#[non_exhaustive]
pub struct NewJob {
    /// The tenant.
    pub tenant: TenantId,
    /// The id, new.
    pub id: JobId,
    /// The function.
    pub function: FunctionName,
    /// The input as JSON text, at most [`MAX_INPUT_BYTES`](crate::jobs::MAX_INPUT_BYTES).
    pub input: String,
    /// When it may run.
    pub wait: Wait,
    /// Higher is claimed first.
    pub priority: i16,
    /// How many claims it may have.
    pub max_attempts: u32,
    /// Who enqueued it.
    pub owner: Option<UserId>,
    /// Unique per tenant and function among jobs that wait or run.
    pub unique_key: Option<String>,
}

impl NewJob {
    /// A job to run now, with one attempt.
    #[must_use]
    pub fn new(tenant: TenantId, function: FunctionName, input: String) -> Self {
        Self {
            tenant,
            id: JobId::generate(),
            function,
            input,
            wait: Wait::For(Duration::ZERO),
            priority: 0,
            max_attempts: 1,
            owner: None,
            unique_key: None,
        }
    }
}

impl fmt::Debug for NewJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewJob").field("id", &self.id).field("function", &self.function).finish_non_exhaustive()
    }
}

/// When a job may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// This long from now, by the queue's own clock.
    For(Duration),
    /// Not before this moment.
    Until(Timestamp),
}

/// The right of one worker to one attempt. Everything that ends the attempt names it, and is refused
/// (`job-fenced`) once another claim has been made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The tenant of the job.
    pub tenant: TenantId,
    /// The job.
    pub id: JobId,
    /// Which claim this is.
    pub attempt: u32,
    /// The worker that made the claim, a name that no other start of a worker has.
    pub worker: Arc<str>,
}

impl Lease {
    /// The lease of `worker` on `job`, which a claim of that worker returned.
    #[must_use]
    pub fn new(job: &Job, worker: Arc<str>) -> Self {
        Self { tenant: job.tenant.clone(), id: job.id.clone(), attempt: job.attempt, worker }
    }
}

/// What a worker asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Claim {
    /// The worker's name.
    pub worker: Arc<str>,
    /// The functions that it can run; jobs of others are left alone.
    pub functions: Arc<[FunctionName]>,
    /// At most so many jobs.
    pub limit: u32,
    /// For how long it will hold them without a beat.
    pub lease: Duration,
}

impl Claim {
    /// A claim.
    #[must_use]
    pub fn new(worker: Arc<str>, functions: Arc<[FunctionName]>, limit: u32, lease: Duration) -> Self {
        Self { worker, functions, limit, lease }
    }
}

/// What a worker got.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Claimed {
    /// The jobs, running under a lease from here on. Each has `attempt` counted already.
    pub jobs: Vec<Job>,
    /// How long until there is something to claim that there is not now, if that is known.
    pub next_due: Option<Duration>,
}

impl Claimed {
    /// These jobs; the next is due in `next_due`.
    #[must_use]
    pub fn new(jobs: Vec<Job>, next_due: Option<Duration>) -> Self {
        Self { jobs, next_due }
    }
}

/// A job that a beat found still held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// The job.
    pub id: JobId,
    /// Whether somebody called it off meanwhile.
    pub cancel_requested: bool,
}

impl Held {
    /// A job that is still held.
    #[must_use]
    pub fn new(id: JobId, cancel_requested: bool) -> Self {
        Self { id, cancel_requested }
    }
}

/// How an attempt ended without a result.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// It failed; another attempt, if one is left, after `wait`.
    Again {
        /// Why.
        error: JobFailure,
        /// How long to wait, by the queue's own clock.
        wait: Duration,
    },
    /// It failed in a way that no attempt can mend.
    Final(JobFailure),
    /// It was stopped because somebody called it off.
    Cancelled,
}

/// What is committed together with a completion: reads and writes in the transaction that it is given, and answers
/// the job's result. It may be called more than once, when a database asks to try a transaction again.
pub type Effects = Arc<dyn for<'a, 'c> Fn(&'a mut Transaction<'c>) -> BoxFuture<'a, Result<Value>> + Send + Sync>;

/// Where jobs are kept.
///
/// Every moment is of the store's own clock, so that the clocks of workers do not matter. Every statement carries
/// the tenant of the job it is about; [`Queue::claim`] and [`Queue::prune`] alone go across tenants, because a worker serves them all.
#[async_trait]
pub trait Queue: Send + Sync + fmt::Debug {
    /// Inserts a job. If it has a unique key and a job of that key waits or runs, nothing is inserted and that job returned.
    ///
    /// # Errors
    /// Those of the store.
    async fn insert(&self, job: NewJob) -> Result<Job>;

    /// The same within the caller's transaction: the job is there if it commits.
    ///
    /// # Errors
    /// `Invalid` for a transaction of another store; those of the store.
    async fn insert_in(&self, tx: &mut Transaction<'_>, job: NewJob) -> Result<Job>;

    /// The job.
    ///
    /// # Errors
    /// Those of the store.
    async fn get(&self, tenant: &TenantId, id: &JobId) -> Result<Option<Job>>;

    /// Up to `limit + 1` jobs, newest first, without input (`null`) and result.
    ///
    /// # Errors
    /// Those of the store.
    async fn list(&self, tenant: &TenantId, list: &ListJobs) -> Result<Vec<Job>>;

    /// Calls a job off: a queued one is cancelled, of a running one its worker is told. The job as it is then;
    /// one that has ended is returned unchanged.
    ///
    /// # Errors
    /// Those of the store.
    async fn cancel(&self, tenant: &TenantId, id: &JobId) -> Result<Option<Job>>;

    /// Queues a dead or cancelled job again, now, with `attempts` more attempts. Attempts go on counting, so that no
    /// lease is given twice. The job as it is then; one in another state is returned unchanged.
    ///
    /// # Errors
    /// `Conflict` (`job-exists`) if another job of its unique key waits or runs; those of the store.
    async fn retry(&self, tenant: &TenantId, id: &JobId, attempts: u32) -> Result<Option<Job>>;

    /// Takes jobs that are due, highest priority first, then longest due. Jobs whose lease has ended are put back
    /// first: queued if an attempt is left, else dead; cancelled if that was asked.
    ///
    /// # Errors
    /// Those of the store; nothing was claimed then, or it will be put back when its lease ends.
    async fn claim(&self, claim: &Claim) -> Result<Claimed>;

    /// Renews leases for `lease` from now. What is missing in the answer is no longer held.
    ///
    /// # Errors
    /// Those of the store; whether the leases were renewed is then unknown.
    async fn beat(&self, leases: &[Lease], lease: Duration) -> Result<Vec<Held>>;

    /// Which of these were called off. A read.
    ///
    /// # Errors
    /// Those of the store.
    async fn called_off(&self, leases: &[Lease]) -> Result<Vec<JobId>>;

    /// The attempt succeeded.
    ///
    /// # Errors
    /// `Conflict` (`job-fenced`) if the lease was lost; those of the store.
    async fn complete(&self, lease: &Lease, result: &Value) -> Result<()>;

    /// The attempt succeeds with the commit of `effects`, or neither happens.
    ///
    /// # Errors
    /// `Conflict` (`job-fenced`) if the lease was lost, with the effects rolled back; those of `effects` and the store.
    async fn complete_with(&self, lease: &Lease, effects: Effects) -> Result<Value>;

    /// The attempt failed; the state of the job afterwards.
    ///
    /// # Errors
    /// `Conflict` (`job-fenced`) if the lease was lost; those of the store.
    async fn fail(&self, lease: &Lease, failure: Failure) -> Result<JobState>;

    /// The attempt is handed back as if it had not been: queued, not counted. For a worker that stops for good;
    /// it must not claim again under the same name, because the attempt's number will be given again.
    ///
    /// # Errors
    /// `Conflict` (`job-fenced`) if the lease was lost; those of the store.
    async fn release(&self, lease: &Lease) -> Result<()>;

    /// Deletes up to 1 000 jobs that ended longer than `age` ago; how many were deleted.
    ///
    /// # Errors
    /// Those of the store.
    async fn prune(&self, age: Duration) -> Result<u64>;

    /// Told after commits that may have made a job due. A hint: it may come too often or, from another
    /// process, not at all.
    fn wake(&self) -> Arc<Notify>;

    /// The ids of jobs that this process has seen end or wait again, after the commit. A hint like [`Queue::wake`].
    fn ended(&self) -> broadcast::Receiver<JobId>;
}

/// The refusal of a lease that was lost.
#[must_use]
pub(crate) fn fenced() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "job-fenced",
        "this attempt no longer holds its job: the lease ended and the job went on without it; nothing was written",
    )
}
