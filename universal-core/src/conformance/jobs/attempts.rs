//! Attempts that end badly, and what follows.

use std::time::Duration;

use serde_json::json;

use crate::{
    conformance::jobs::fixture::{
        Checked, Count, JobsFixture, cases, echo, ensure, ensure_error, impatient, quick, sleeper,
    },
    error::{Error, ErrorKind, Result},
    jobs::{Backoff, Enqueue, FunctionOptions, Functions, JobContext, JobState, Jobs as _},
};

cases![
    a_failed_job_waits_its_backoff_in_the_database,
    a_job_that_always_fails_is_dead_after_its_attempts,
    a_refused_input_is_not_tried_again,
    a_panic_is_a_failed_attempt,
    an_attempt_past_its_timeout_has_failed,
    cancel_stops_a_running_job,
    a_queued_job_is_cancelled_at_once,
    an_ended_job_is_not_cancelled,
    a_dead_job_is_queued_again_by_retry,
];

/// `flaky` fails until its third attempt.
fn flaky(count: &Count, options: FunctionOptions) -> Result<Functions> {
    let count = count.clone();
    let function = move |_: JobContext, (): ()| {
        let attempt = count.up();
        async move {
            if attempt < 3 {
                return Err(Error::new(ErrorKind::Unavailable, "not-yet", "not yet"));
            }
            Ok(attempt)
        }
    };
    Functions::builder().register_with("flaky", options, function).build()
}

async fn a_failed_job_waits_its_backoff_in_the_database(on: JobsFixture) -> Checked {
    let options = FunctionOptions::new().with_backoff(Backoff::new(Duration::from_millis(500), Duration::from_secs(9)));
    let functions = flaky(&Count::default(), options)?;
    let jobs = on.jobs(&functions);
    let first = on.work(&functions, quick())?;
    let id = jobs.enqueue(&on.system(), Enqueue::new("flaky", json!(null))).await?.id;
    let waiting = on.until(&id, |job| job.error.is_some()).await?;
    ensure(waiting.state == JobState::Queued && waiting.attempt == 1, format!("{waiting:?}"))?;
    let wait = waiting.run_at.as_micros() - waiting.started_at.map_or(0, |at| at.as_micros());
    ensure((390_000..900_000).contains(&wait), format!("it waits {wait} µs"))?;
    ensure(waiting.error.is_some_and(|error| error.code == "not-yet"), "another error")?;
    // The wait is in the database: another worker takes over.
    first.shutdown().await;
    let second = on.work(&functions, quick())?;
    let job = on.ended(&id).await?;
    ensure(job.state == JobState::Succeeded && job.attempt == 3, format!("{job:?}"))?;
    let took = job.started_at.map_or(0, |at| at.as_micros()) - job.created_at.as_micros();
    ensure(took >= 1_180_000, format!("three attempts with 0.5 s and 1 s between them took {took} µs"))?;
    second.shutdown().await;
    Ok(())
}

async fn a_job_that_always_fails_is_dead_after_its_attempts(on: JobsFixture) -> Checked {
    let count = Count::default();
    let functions = flaky(&count, impatient())?;
    let workers = on.work(&functions, quick())?;
    let order = Enqueue::new("flaky", json!(null)).with_max_attempts(2);
    let job = on.jobs(&functions).enqueue(&on.system(), order).await?;
    let job = on.ended(&job.id).await?;
    ensure(job.state == JobState::Dead && job.attempt == 2 && count.get() == 2, format!("{job:?}"))?;
    ensure(job.error.is_some_and(|error| error.message == "not yet"), "the error was not kept")?;
    workers.shutdown().await;
    Ok(())
}

async fn a_refused_input_is_not_tried_again(on: JobsFixture) -> Checked {
    let refuse = |_: JobContext, (): ()| async { Err::<(), _>(Error::invalid("bad", "never")) };
    let functions = Functions::builder().register("refuse", refuse).build()?;
    let workers = on.work(&functions, quick())?;
    let job = on.jobs(&functions).enqueue(&on.system(), Enqueue::new("refuse", json!(null))).await?;
    let job = on.ended(&job.id).await?;
    ensure(job.state == JobState::Dead && job.attempt == 1, format!("{job:?}"))?;
    workers.shutdown().await;
    Ok(())
}

async fn a_panic_is_a_failed_attempt(on: JobsFixture) -> Checked {
    let count = Count::default();
    let counted = count.clone();
    let function = move |_: JobContext, in_call: bool| {
        let attempt = counted.up();
        assert!(!(in_call && attempt == 1), "a panic of a case, in the call");
        async move {
            assert!(attempt > 2, "a panic of a case, in the future");
            Ok(attempt)
        }
    };
    let functions = Functions::builder().register_with("panics", impatient(), function).build()?;
    let workers = on.work(&functions, quick())?;
    let job = on.jobs(&functions).enqueue(&on.system(), Enqueue::new("panics", json!(true))).await?;
    let failed = on.until(&job.id, |job| job.error.is_some()).await?;
    ensure(failed.error.is_some_and(|error| error.code == "job-panicked"), "another error")?;
    let job = on.ended(&job.id).await?;
    ensure(job.state == JobState::Succeeded && job.attempt == 3, format!("{job:?}"))?;
    workers.shutdown().await;
    Ok(())
}

async fn an_attempt_past_its_timeout_has_failed(on: JobsFixture) -> Checked {
    let forever = |_: JobContext, (): ()| async {
        std::future::pending::<()>().await;
        Ok(())
    };
    let options = impatient().with_timeout(Duration::from_millis(200)).with_max_attempts(2);
    let functions = Functions::builder().register_with("forever", options, forever).build()?;
    let workers = on.work(&functions, quick())?;
    let job = on.jobs(&functions).enqueue(&on.system(), Enqueue::new("forever", json!(null))).await?;
    let job = on.ended(&job.id).await?;
    let code = job.error.as_ref().map(|error| error.code.as_str());
    ensure(job.state == JobState::Dead && job.attempt == 2 && code == Some("job-timeout"), format!("{job:?}"))?;
    workers.shutdown().await;
    Ok(())
}

async fn cancel_stops_a_running_job(on: JobsFixture) -> Checked {
    let count = Count::default();
    let functions = sleeper(&count).build()?;
    let (jobs, user) = (on.jobs(&functions), on.user());
    let workers = on.work(&functions, quick())?;
    let id = jobs.enqueue(&user, Enqueue::new("sleep", json!(60_000))).await?.id;
    on.until(&id, |job| job.state == JobState::Running).await?;
    let asked = jobs.cancel(&user, &id).await?;
    ensure(asked.state == JobState::Running && asked.cancel_requested, format!("{asked:?}"))?;
    let job = on.ended(&id).await?;
    ensure(job.state == JobState::Cancelled && count.get() == 1, format!("{job:?}"))?;
    ensure(jobs.cancel(&user, &id).await?.state == JobState::Cancelled, "a second cancel changed it")?;
    // Its slot is free again.
    let next = jobs.enqueue(&user, Enqueue::new("sleep", json!(1))).await?;
    ensure(on.ended(&next.id).await?.state == JobState::Succeeded, "nothing runs any more")?;
    workers.shutdown().await;
    Ok(())
}

async fn a_queued_job_is_cancelled_at_once(on: JobsFixture) -> Checked {
    let count = Count::default();
    let functions = echo(&count).build()?;
    let jobs = on.jobs(&functions);
    let id = on.echo_job(&jobs).await?.id;
    ensure(jobs.cancel(&on.system(), &id).await?.state == JobState::Cancelled, "it was not cancelled")?;
    let workers = on.work(&functions, quick())?;
    let next = on.echo_job(&jobs).await?;
    on.ended(&next.id).await?;
    ensure(count.get() == 1, "a cancelled job ran")?;
    workers.shutdown().await;
    Ok(())
}

async fn an_ended_job_is_not_cancelled(on: JobsFixture) -> Checked {
    let functions = echo(&Count::default()).build()?;
    let jobs = on.jobs(&functions);
    let workers = on.work(&functions, quick())?;
    let id = on.echo_job(&jobs).await?.id;
    on.ended(&id).await?;
    ensure_error(jobs.cancel(&on.system(), &id).await, ErrorKind::Conflict, "job-finished", "an ended job")?;
    ensure_error(
        jobs.retry(&on.system(), &id).await,
        ErrorKind::Conflict,
        "job-not-retryable",
        "a job that succeeded",
    )?;
    workers.shutdown().await;
    Ok(())
}

async fn a_dead_job_is_queued_again_by_retry(on: JobsFixture) -> Checked {
    let functions = flaky(&Count::default(), impatient())?;
    let jobs = on.jobs(&functions);
    let workers = on.work(&functions, quick())?;
    let id = jobs.enqueue(&on.system(), Enqueue::new("flaky", json!(null)).with_max_attempts(1)).await?.id;
    ensure(on.ended(&id).await?.state == JobState::Dead, "it is not dead")?;
    let again = jobs.retry(&on.system(), &id).await?;
    ensure(again.finished_at.is_none(), format!("{again:?}"))?;
    let job = on.ended(&id).await?;
    ensure(job.state == JobState::Succeeded && job.attempt == 3, format!("attempts do not go on counting: {job:?}"))?;
    workers.shutdown().await;
    Ok(())
}
