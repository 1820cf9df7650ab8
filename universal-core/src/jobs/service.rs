//! The service: order, wait, look, call off.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    caller::Caller,
    error::Result,
    jobs::{
        enqueue::Enqueue,
        function::Functions,
        job::{Job, JobId},
        list::ListJobs,
    },
    page::Page,
    transaction::Transaction,
};

/// What became of a function that somebody waits for.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Ran {
    /// It succeeded with this result.
    Finished {
        /// The job.
        id: JobId,
        /// What the function returned.
        result: Value,
    },
    /// The deadline passed first. The job goes on; [`Jobs::get`] shows what becomes of it.
    Pending {
        /// The job as it was when the deadline passed.
        job: Box<Job>,
    },
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished { id, .. } => f.debug_struct("Finished").field("id", id).finish_non_exhaustive(),
            Self::Pending { job } => f.debug_struct("Pending").field("job", job).finish(),
        }
    }
}

/// Functions and their jobs.
///
/// A user sees, cancels and retries the jobs that it enqueued; administrators and the program itself those of the
/// whole tenant. A job that a caller may not see does not exist for it.
///
/// Workers are another part (`engine::worker`): they may run in this process or in others, on the same database.
#[async_trait]
pub trait Jobs: Send + Sync + fmt::Debug {
    /// Orders a function to run. The job is durable when this returns.
    ///
    /// # Errors
    /// `NotFound` (`function-not-found`), `Unauthenticated`, `Forbidden` (`admin-required`), `Invalid` for input that the
    /// function does not take and options out of range, `TooLarge`.
    async fn enqueue(&self, caller: &Caller, order: Enqueue) -> Result<Job>;

    /// The same within a transaction: the job exists if it commits, and no worker sees it before.
    ///
    /// # Errors
    /// Those of [`Jobs::enqueue`]; `Invalid` for a transaction of another database.
    async fn enqueue_in(&self, tx: &mut Transaction<'_>, caller: &Caller, order: Enqueue) -> Result<Job>;

    /// Orders a function to run and waits for its result, at most until `deadline` from now. The job has **one** attempt
    /// unless the order asks for more: the one who waits hears of the failure and decides. If the caller goes away, the job goes on.
    ///
    /// # Errors
    /// Those of [`Jobs::enqueue`]; `Invalid` (`function-refused`) with the function's message if it refused the input, `Internal`
    /// (`function-failed`) if it failed, `Conflict` (`job-cancelled`) if the job was called off.
    async fn run(&self, caller: &Caller, order: Enqueue, deadline: Duration) -> Result<Ran>;

    /// A job.
    ///
    /// # Errors
    /// `NotFound` (`job-not-found`), also for a job that the caller may not see.
    async fn get(&self, caller: &Caller, id: &JobId) -> Result<Job>;

    /// The jobs that the caller may see, newest first, without input (`null`) and result. The cursor of a page is the id of its last job: it gives no right to
    /// anything, because the caller's own right is asked again with every page.
    ///
    /// # Errors
    /// `Unauthenticated` for anonymous callers.
    async fn list(&self, caller: &Caller, list: ListJobs) -> Result<Page<Job>>;

    /// Calls a job off. A queued job is `cancelled` at once; a running one has `cancel_requested` and is stopped by its worker
    /// within its next beat, unless it finishes first. Calling off a cancelled job changes nothing.
    ///
    /// # Errors
    /// `NotFound` (`job-not-found`), `Conflict` (`job-finished`) if it has succeeded or is dead.
    async fn cancel(&self, caller: &Caller, id: &JobId) -> Result<Job>;

    /// Queues a dead or cancelled job again, with the attempts of its function.
    ///
    /// # Errors
    /// `NotFound` (`job-not-found`), `Conflict` (`job-not-retryable`) in another state, (`job-exists`) if a job of its unique key
    /// waits or runs; those of the function's access.
    async fn retry(&self, caller: &Caller, id: &JobId) -> Result<Job>;

    /// The functions of this process.
    fn functions(&self) -> &Functions;
}
