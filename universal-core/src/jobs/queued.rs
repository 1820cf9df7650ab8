//! The service over any queue: who may do what, within which limits.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, timeout_at},
};

use crate::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    jobs::{
        enqueue::{Due, Enqueue},
        function::Functions,
        job::{Job, JobEvent, JobFailure, JobId, JobState},
        list::ListJobs,
        queue::{NewJob, Queue, Wait},
        service::{Jobs, Ran},
    },
    page::Page,
    transaction::Transaction,
};

/// How often a waiting caller looks at its job when no hint comes, because a worker of another process runs it.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The longest deadline of [`Jobs::run`].
const LONGEST_RUN: Duration = Duration::from_secs(3600);

/// [`Jobs`] over a [`Queue`].
#[derive(Clone, Debug)]
pub struct QueuedJobs {
    queue: Arc<dyn Queue>,
    functions: Functions,
}

impl QueuedJobs {
    /// The service over `queue` with these functions.
    #[must_use]
    pub fn new(queue: Arc<dyn Queue>, functions: Functions) -> Self {
        Self { queue, functions }
    }

    fn prepare(&self, caller: &Caller, order: &Enqueue, default_attempts: Option<u32>) -> Result<NewJob> {
        let function = self.functions.allowed(caller, &order.function)?;
        let input = order.check()?;
        if order.priority > 0 && !caller.bypasses_rules() {
            return Err(Error::new(
                ErrorKind::Forbidden,
                "admin-required",
                "only administrators may put a job before others; leave the priority out, or make it negative",
            )
            .with_field("priority"));
        }
        function.check_input(&order.input)?;
        let mut job = NewJob::new(caller.tenant().clone(), function.name().clone(), input);
        job.wait = match order.due {
            Due::Now => Wait::For(Duration::ZERO),
            Due::After(delay) => Wait::For(delay),
            Due::At(moment) => Wait::Until(moment),
        };
        job.priority = order.priority;
        job.max_attempts = order.max_attempts.or(default_attempts).unwrap_or(function.options().max_attempts);
        job.owner = caller.user_id().cloned();
        job.unique_key.clone_from(&order.unique_key);
        Ok(job)
    }

    async fn visible(&self, caller: &Caller, id: &JobId) -> Result<Job> {
        match self.queue.get(caller.tenant(), id).await? {
            Some(job) if may_see(caller, &job) => Ok(job),
            _ => Err(not_found()),
        }
    }

    /// Waits for the end of a job: by the hint of this process, and by looking now and then.
    async fn wait(&self, caller: &Caller, id: &JobId, deadline: Instant) -> Result<Ran> {
        let mut ended = self.queue.ended();
        loop {
            // The receiver is older than this read, so an end between them is heard.
            let job = self.queue.get(caller.tenant(), id).await?.ok_or_else(not_found)?;
            match job.state {
                JobState::Succeeded => {
                    return Ok(Ran::Finished { id: job.id, result: job.result.unwrap_or_default() });
                }
                JobState::Dead => return Err(failed(job.error)),
                JobState::Cancelled => {
                    return Err(Error::new(ErrorKind::Conflict, "job-cancelled", "the job was called off"));
                }
                JobState::Queued | JobState::Running => {}
            }
            if Instant::now() >= deadline {
                return Ok(Ran::Pending { job: Box::new(job) });
            }
            let look = deadline.min(Instant::now() + LOOK_EVERY);
            let hint = async {
                loop {
                    match ended.recv().await {
                        Ok(other) if other != *id => {}
                        Ok(_) | Err(RecvError::Lagged(_)) => return,
                        // The queue is going away: only looking is left.
                        Err(RecvError::Closed) => return std::future::pending().await,
                    }
                }
            };
            // Either way the next thing is to look.
            let _ = timeout_at(look, hint).await;
        }
    }
}

#[async_trait]
impl Jobs for QueuedJobs {
    async fn enqueue(&self, caller: &Caller, order: Enqueue) -> Result<Job> {
        let job = self.queue.insert(self.prepare(caller, &order, None)?).await?;
        owned(caller, job)
    }

    async fn enqueue_in(&self, tx: &mut Transaction<'_>, caller: &Caller, order: Enqueue) -> Result<Job> {
        let job = self.queue.insert_in(tx, self.prepare(caller, &order, None)?).await?;
        owned(caller, job)
    }

    async fn run(&self, caller: &Caller, order: Enqueue, deadline: Duration) -> Result<Ran> {
        let deadline = Instant::now() + deadline.min(LONGEST_RUN);
        let job = owned(caller, self.queue.insert(self.prepare(caller, &order, Some(1))?).await?)?;
        self.wait(caller, &job.id, deadline).await
    }

    async fn get(&self, caller: &Caller, id: &JobId) -> Result<Job> {
        self.visible(caller, id).await
    }

    async fn list(&self, caller: &Caller, mut list: ListJobs) -> Result<Page<Job>> {
        if !caller.bypasses_rules() {
            let Some(user) = caller.user_id() else {
                return Err(Error::new(
                    ErrorKind::Unauthenticated,
                    "unauthenticated",
                    "jobs belong to the user who enqueued them; send an access token",
                ));
            };
            if list.owner.as_ref().is_some_and(|owner| owner != user) {
                return Ok(list.cut(Vec::new()));
            }
            list.owner = Some(user.clone());
        }
        let items = self.queue.list(caller.tenant(), &list).await?;
        Ok(list.cut(items))
    }

    async fn cancel(&self, caller: &Caller, id: &JobId) -> Result<Job> {
        self.visible(caller, id).await?;
        let job = self.queue.cancel(caller.tenant(), id).await?.ok_or_else(not_found)?;
        if job.state == JobState::Cancelled || job.state.after(JobEvent::Cancel).is_some() {
            return Ok(job);
        }
        Err(Error::new(ErrorKind::Conflict, "job-finished", format!("the job has ended already: it is {}", job.state)))
    }

    async fn retry(&self, caller: &Caller, id: &JobId) -> Result<Job> {
        let job = self.visible(caller, id).await?;
        let function = self.functions.allowed(caller, job.function.as_str())?;
        if job.state.after(JobEvent::Retry).is_some() {
            let job =
                self.queue.retry(caller.tenant(), id, function.options().max_attempts).await?.ok_or_else(not_found)?;
            if !job.state.is_final() {
                return Ok(job);
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "job-not-retryable",
            format!("only a dead or cancelled job is queued again; this one is {}", job.state),
        ))
    }

    fn functions(&self) -> &Functions {
        &self.functions
    }
}

fn may_see(caller: &Caller, job: &Job) -> bool {
    caller.bypasses_rules() || (job.owner.is_some() && job.owner.as_ref() == caller.user_id())
}

/// The job, unless a unique key led to somebody else's.
fn owned(caller: &Caller, job: Job) -> Result<Job> {
    if may_see(caller, &job) {
        return Ok(job);
    }
    Err(Error::new(ErrorKind::Conflict, "job-exists", "a job with this unique key is waiting or running already")
        .with_field("unique_key"))
}

fn not_found() -> Error {
    Error::not_found("job-not-found", "there is no such job, or it is not yours; ended jobs are kept for a while only")
}

fn failed(error: Option<JobFailure>) -> Error {
    let Some(JobFailure { code, message }) = error else {
        return Error::new(ErrorKind::Internal, "function-failed", "the function failed");
    };
    if code == JobFailure::REFUSED {
        return Error::invalid("function-refused", message).with_field("input");
    }
    Error::new(ErrorKind::Internal, "function-failed", format!("the function failed ({code}): {message}"))
}
