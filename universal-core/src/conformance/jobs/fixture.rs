//! What the cases run on, and small words for them.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    caller::Caller,
    engine::worker::{WorkerOptions, Workers},
    error::{Error, ErrorKind, Result},
    id::{TenantId, UserId},
    jobs::{
        Backoff, Enqueue, FunctionOptions, Functions, FunctionsBuilder, Job, JobContext, JobId, Jobs as _, Queue,
        QueuedJobs,
    },
    transaction::Transaction,
};

/// What is done in a transaction.
pub type Work = Arc<dyn for<'a, 'c> Fn(&'a mut Transaction<'c>) -> BoxFuture<'a, Result<()>> + Send + Sync>;
/// Runs work in a transaction, which is committed if the work answers `Ok` and rolled back if not.
pub type Transact = Arc<dyn Fn(Work) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// An implementation to be checked.
#[derive(Clone)]
pub struct JobsFixture {
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// Transactions of the same database.
    pub transact: Transact,
    /// A tenant that exists.
    pub tenant: TenantId,
    /// Another tenant that exists.
    pub other_tenant: TenantId,
}

impl fmt::Debug for JobsFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobsFixture").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// What was found instead of what was promised.
pub(super) struct Failure(pub(super) String);

/// The outcome of a check.
pub(super) type Checked<T = ()> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(format!("{error:?}"))
    }
}

/// The check fails unless `holds`.
pub(super) fn ensure(holds: bool, found: impl fmt::Display) -> Checked {
    if holds { Ok(()) } else { Err(Failure(found.to_string())) }
}

/// The check fails unless `outcome` is the error of this kind and code.
pub(super) fn ensure_error<T>(outcome: Result<T>, kind: ErrorKind, code: &str, what: &str) -> Checked {
    match outcome {
        Ok(_) => Err(Failure(format!("{what}: it was done"))),
        Err(error) if error.kind() == kind && error.code() == code => Ok(()),
        Err(error) => Err(Failure(format!("{what}: {error:?}"))),
    }
}

/// A list of cases from functions: `name` becomes the promise.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        pub(super) const CASES: &[crate::conformance::case::Case<crate::conformance::jobs::fixture::JobsFixture>] = &[$(
            crate::conformance::case::Case {
                name: stringify!($name),
                run: |fixture| Box::pin(async move { $name(fixture).await.map_err(|failure| failure.0) }),
            }
        ),+];
    };
}
pub(super) use cases;

/// How often functions of a case were run.
#[derive(Clone, Debug, Default)]
pub(super) struct Count(Arc<AtomicU32>);

impl Count {
    /// Counts one more; how many it is now.
    pub(super) fn up(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Options under which a case does not take long.
pub(super) fn quick() -> WorkerOptions {
    WorkerOptions::new()
        .with_lease(Duration::from_millis(1500), Duration::from_millis(300))
        .with_poll(Duration::from_millis(100))
        .with_watch(Duration::from_millis(100))
        .with_grace(Duration::from_secs(2))
        .with_concurrency(4)
}

/// Functions whose failed jobs wait 100 ms.
pub(super) fn impatient() -> FunctionOptions {
    FunctionOptions::new().with_backoff(Backoff::new(Duration::from_millis(100), Duration::from_secs(1)))
}

/// `echo` answers its input and counts.
pub(super) fn echo(count: &Count) -> FunctionsBuilder {
    let count = count.clone();
    Functions::builder().register("echo", move |_: JobContext, input: Value| {
        let count = count.clone();
        async move {
            count.up();
            Ok(input)
        }
    })
}

/// `sleep` sleeps for its input in milliseconds, unless its future is dropped, and counts its beginnings.
pub(super) fn sleeper(count: &Count) -> FunctionsBuilder {
    let count = count.clone();
    Functions::builder().register("sleep", move |_: JobContext, ms: u64| {
        let count = count.clone();
        async move {
            count.up();
            sleep(Duration::from_millis(ms)).await;
            Ok(())
        }
    })
}

impl JobsFixture {
    pub(super) fn system(&self) -> Caller {
        Caller::system(self.tenant.clone())
    }

    /// A user that no other case knows.
    pub(super) fn user(&self) -> Caller {
        Caller::user(self.tenant.clone(), UserId::generate())
    }

    pub(super) fn jobs(&self, functions: &Functions) -> QueuedJobs {
        QueuedJobs::new(Arc::clone(&self.queue), functions.clone())
    }

    pub(super) fn work(&self, functions: &Functions, options: WorkerOptions) -> Result<Workers> {
        Workers::start(Arc::clone(&self.queue), functions.clone(), options)
    }

    /// The job as soon as it is as wished, within 15 s.
    pub(super) async fn until(&self, id: &JobId, wish: impl Fn(&Job) -> bool) -> Checked<Job> {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let job = self.queue.get(&self.tenant, id).await?.ok_or_else(|| Failure(format!("job {id} is gone")))?;
            if wish(&job) {
                return Ok(job);
            }
            if Instant::now() > deadline {
                return Err(Failure(format!("after 15 s still {job:?}")));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The job when it has ended.
    pub(super) async fn ended(&self, id: &JobId) -> Checked<Job> {
        self.until(id, |job| job.state.is_final()).await
    }

    /// A job of `echo`.
    pub(super) async fn echo_job(&self, jobs: &QueuedJobs) -> Result<Job> {
        jobs.enqueue(&self.system(), Enqueue::new("echo", json!(1))).await
    }
}
