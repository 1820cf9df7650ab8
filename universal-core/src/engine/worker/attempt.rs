//! One attempt: from a claimed job to what the queue is told about it.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    engine::worker::shared::{Ready, Shared, chance},
    error::{Error, ErrorKind, Result},
    jobs::{Failure, Function, JobContext, JobFailure, Lease, StopReason},
};

/// How an attempt came to its end.
enum End {
    Returned(Result<Value>),
    Panicked,
    TimedOut,
    Stopped(StopReason),
}

/// Runs a job and tells the queue.
pub(super) async fn run(shared: Arc<Shared>, ready: Ready) -> Result<()> {
    let Ready { job, held_until, slot } = ready;
    let lease = Lease::new(&job, Arc::clone(&shared.name));
    let context = JobContext::new(Arc::clone(&shared.queue), job, lease.clone());
    shared.running.begin(&context, held_until);
    let outcome = tokio::select! {
        outcome = attempt(&shared, &context) => outcome,
        () = shared.abandon.cancelled() => Ok(()),
    };
    shared.running.end(&lease);
    // Only now may another job begin.
    drop(slot);
    outcome
}

async fn attempt(shared: &Shared, context: &JobContext) -> Result<()> {
    let job = context.job();
    // A claim asks only for functions that are here.
    let function =
        shared.functions.get(&job.function).ok_or_else(|| Error::internal("an unknown function was claimed"))?;
    let began = Instant::now();
    let end = until_end(shared, context, function).await;
    let took = began.elapsed();
    if context.is_completed() {
        tracing::debug!(job.id = %job.id, job.function = %job.function, ?took, "a job completed itself");
        return Ok(());
    }
    let (failure, answer) = match end {
        End::Returned(Ok(result)) => {
            let told =
                settle(shared, context.lease(), |lease| async { shared.queue.complete(lease, &result).await }).await;
            tracing::debug!(job.id = %job.id, job.function = %job.function, ?took, ok = told.is_ok(), "a job ended");
            return told;
        }
        End::Stopped(StopReason::Shutdown) => {
            return settle(shared, context.lease(), |lease| async { shared.queue.release(lease).await }).await;
        }
        // Nothing to tell: the queue has taken the job back, or will when the lease ends.
        End::Stopped(StopReason::LeaseLost) => return Err(lost(context)),
        End::Stopped(StopReason::Cancelled) => {
            (Failure::Cancelled, Error::new(ErrorKind::Conflict, "job-cancelled", "the job was called off"))
        }
        End::TimedOut => {
            let limit = function.options().timeout.as_secs_f64();
            let error =
                Error::new(ErrorKind::Timeout, "job-timeout", format!("the attempt took longer than {limit} s"));
            (again(context, function, &error), error)
        }
        End::Panicked => {
            let error =
                Error::new(ErrorKind::Internal, "job-panicked", "the function panicked; the log has the details");
            (again(context, function, &error), error)
        }
        End::Returned(Err(error)) if error.kind() == ErrorKind::Invalid => {
            (Failure::Final(JobFailure::new(JobFailure::REFUSED, error.message())), error)
        }
        End::Returned(Err(error)) => (again(context, function, &error), error),
    };
    tracing::warn!(
        job.id = %job.id, job.function = %job.function, job.attempt = job.attempt, ?took, error = ?answer, "an attempt failed"
    );
    settle(shared, context.lease(), |lease| {
        let failure = failure.clone();
        async move { shared.queue.fail(lease, failure).await.map(drop) }
    })
    .await
    .and(Err(answer))
}

/// Runs the handler until it returns, panics, takes too long or was asked to stop and did not.
async fn until_end(shared: &Shared, context: &JobContext, function: &Function) -> End {
    let job = context.job();
    let handler = AssertUnwindSafe(function.call(context.clone(), job.input.clone())).catch_unwind();
    let stopped = async {
        context.stopped().await;
        sleep(shared.options.stop_within()).await;
    };
    let end = tokio::select! {
        biased;
        returned = handler => match returned {
            Ok(returned) => End::Returned(returned),
            Err(payload) => {
                tracing::error!(job.id = %job.id, job.function = %job.function, panic = panic_text(&payload), "a function panicked");
                End::Panicked
            }
        },
        () = stopped => End::Returned(Err(Error::new(ErrorKind::Timeout, "job-stopped", "the function did not stop"))),
        () = sleep(function.options().timeout) => End::TimedOut,
    };
    match (end, context.stop_reason()) {
        // A result is a result, even if it came after the request to stop; an error then is most likely its consequence.
        (End::Returned(Err(_)) | End::Panicked | End::TimedOut, Some(reason)) => End::Stopped(reason),
        (end, _) => end,
    }
}

fn again(context: &JobContext, function: &Function, error: &Error) -> Failure {
    let wait = error.retry_after().unwrap_or_else(|| function.options().backoff.delay(context.job().attempt, chance()));
    Failure::Again { error: JobFailure::new(error.code(), error.message()), wait }
}

/// Tells the queue how the attempt ended, again and again while it may still be told: a job must not run twice
/// because the database was away for a moment.
async fn settle<'a, F, T>(shared: &Shared, lease: &'a Lease, tell: F) -> Result<()>
where
    F: Fn(&'a Lease) -> T,
    T: Future<Output = Result<()>>,
{
    let mut wait = Duration::from_millis(50);
    loop {
        let error = match tell(lease).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let may_help = error.is_retryable() || error.kind() == ErrorKind::OutcomeUnknown;
        if !may_help || !shared.running.holds(lease) {
            tracing::warn!(job.id = %lease.id, job.attempt = lease.attempt, error = ?error, "the end of an attempt was not taken");
            return Err(error);
        }
        sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(2));
    }
}

fn lost(context: &JobContext) -> Error {
    let job = context.job();
    tracing::warn!(job.id = %job.id, job.attempt = job.attempt, "an attempt was stopped: its lease could not be kept");
    Error::new(ErrorKind::Unavailable, "job-lease-lost", "the lease could not be kept; the job runs again")
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else {
        payload.downcast_ref::<String>().map_or("(no text)", String::as_str)
    }
}
