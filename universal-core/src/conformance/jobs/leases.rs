//! Leases: who may finish a job.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::sleep;

use crate::{
    conformance::jobs::fixture::{
        Checked, Count, Failure, JobsFixture, cases, echo, ensure, ensure_error, quick, sleeper,
    },
    error::{ErrorKind, Result},
    jobs::{Claim, Enqueue, FunctionName, Job, JobState, Jobs as _, Lease, Queue},
};

cases![
    a_lease_that_ended_is_claimed_again_and_the_old_worker_is_fenced,
    a_beat_keeps_a_lease,
    a_job_that_used_all_its_claims_is_dead_at_the_next_claim,
    a_worker_keeps_a_long_job,
    a_worker_that_is_dropped_loses_its_job_to_another,
    a_worker_that_lost_its_lease_stops_its_handler,
    a_shutdown_hands_running_jobs_back_uncounted,
    a_released_job_can_be_claimed_at_once,
];

const LEASE: Duration = Duration::from_millis(300);

/// What `worker` claims, at most one job.
async fn claim(queue: &Arc<dyn Queue>, worker: &str, function: &str) -> Result<Option<(Job, Lease)>> {
    let worker: Arc<str> = worker.into();
    let claim = Claim::new(Arc::clone(&worker), Arc::from([FunctionName::new(function)?]), 1, LEASE);
    let claimed = queue.claim(&claim).await?;
    Ok(claimed.jobs.into_iter().next().map(|job| {
        let lease = Lease::new(&job, worker);
        (job, lease)
    }))
}

async fn must_claim(queue: &Arc<dyn Queue>, worker: &str) -> Checked<(Job, Lease)> {
    claim(queue, worker, "echo").await?.ok_or_else(|| Failure(format!("{worker} got nothing")))
}

async fn a_lease_that_ended_is_claimed_again_and_the_old_worker_is_fenced(on: JobsFixture) -> Checked {
    let functions = echo(&Count::default()).build()?;
    let queue = &on.queue;
    let id = on.echo_job(&on.jobs(&functions)).await?.id;
    let (_, old) = must_claim(queue, "old").await?;
    ensure(claim(queue, "new", "echo").await?.is_none(), "a held job was claimed")?;
    sleep(LEASE * 2).await;
    let (job, new) = must_claim(queue, "new").await?;
    ensure(job.id == id && job.attempt == 2, format!("{job:?}"))?;
    let fenced = |outcome: Result<()>, what: &str| ensure_error(outcome, ErrorKind::Conflict, "job-fenced", what);
    fenced(queue.complete(&old, &json!("old")).await, "the old worker completed")?;
    fenced(queue.fail(&old, crate::jobs::Failure::Cancelled).await.map(drop), "the old worker failed it")?;
    fenced(queue.release(&old).await, "the old worker released it")?;
    ensure(queue.beat(std::slice::from_ref(&old), LEASE).await?.is_empty(), "the old worker's beat was taken")?;
    queue.complete(&new, &json!("new")).await?;
    fenced(queue.complete(&new, &json!("again")).await, "a second completion")?;
    let job = on.ended(&id).await?;
    ensure(job.result == Some(json!("new")), "another result")
}

async fn a_beat_keeps_a_lease(on: JobsFixture) -> Checked {
    let functions = echo(&Count::default()).build()?;
    on.echo_job(&on.jobs(&functions)).await?;
    let (_, lease) = must_claim(&on.queue, "one").await?;
    for _ in 0..6 {
        sleep(LEASE / 3).await;
        ensure(on.queue.beat(std::slice::from_ref(&lease), LEASE).await?.len() == 1, "a held lease was not renewed")?;
        ensure(claim(&on.queue, "two", "echo").await?.is_none(), "a held job was claimed")?;
    }
    Ok(on.queue.complete(&lease, &json!(null)).await?)
}

async fn a_job_that_used_all_its_claims_is_dead_at_the_next_claim(on: JobsFixture) -> Checked {
    let functions = echo(&Count::default()).build()?;
    let order = Enqueue::new("echo", json!(1)).with_max_attempts(2);
    let id = on.jobs(&functions).enqueue(&on.system(), order).await?.id;
    for worker in ["one", "two"] {
        must_claim(&on.queue, worker).await?;
        sleep(LEASE * 2).await;
    }
    ensure(claim(&on.queue, "three", "echo").await?.is_none(), "a third claim of two")?;
    let job = on.ended(&id).await?;
    let code = job.error.as_ref().map(|error| error.code.as_str());
    ensure(job.state == JobState::Dead && job.attempt == 2 && code == Some("job-lapsed"), format!("{job:?}"))
}

async fn a_worker_keeps_a_long_job(on: JobsFixture) -> Checked {
    let count = Count::default();
    let functions = sleeper(&count).build()?;
    let options = quick().with_lease(Duration::from_millis(900), Duration::from_millis(200));
    let (one, two) = (on.work(&functions, options)?, on.work(&functions, options)?);
    let job = on.jobs(&functions).enqueue(&on.system(), Enqueue::new("sleep", json!(3000))).await?;
    let job = on.ended(&job.id).await?;
    ensure(job.state == JobState::Succeeded && job.attempt == 1 && count.get() == 1, format!("{job:?}"))?;
    one.shutdown().await;
    two.shutdown().await;
    Ok(())
}

async fn a_worker_that_is_dropped_loses_its_job_to_another(on: JobsFixture) -> Checked {
    let count = Count::default();
    let functions = sleeper(&count).build()?;
    let first = on.work(&functions, quick())?;
    let id = on.jobs(&functions).enqueue(&on.system(), Enqueue::new("sleep", json!(1200))).await?.id;
    on.until(&id, |job| job.state == JobState::Running).await?;
    drop(first);
    let second = on.work(&functions, quick())?;
    let job = on.ended(&id).await?;
    ensure(job.state == JobState::Succeeded && job.attempt == 2 && count.get() == 2, format!("{job:?}"))?;
    second.shutdown().await;
    Ok(())
}

async fn a_worker_that_lost_its_lease_stops_its_handler(on: JobsFixture) -> Checked {
    let count = Count::default();
    let functions = sleeper(&count).build()?;
    let workers = on.work(&functions, quick())?;
    let id = on.jobs(&functions).enqueue(&on.system(), Enqueue::new("sleep", json!(60_000))).await?.id;
    let job = on.until(&id, |job| job.state == JobState::Running).await?;
    // The job is taken away behind the worker's back, as after a freeze of its process.
    let lease = Lease::new(&job, Arc::from(workers.name()));
    on.queue.fail(&lease, crate::jobs::Failure::Cancelled).await?;
    // Its slots are free again only when the handler has stopped.
    let jobs = on.jobs(&functions);
    let one_slot = on.work(&functions, quick().with_concurrency(1))?;
    one_slot.shutdown().await;
    for _ in 0..4 {
        let next = jobs.enqueue(&on.system(), Enqueue::new("sleep", json!(1))).await?;
        ensure(on.ended(&next.id).await?.state == JobState::Succeeded, "nothing runs any more")?;
    }
    let before = tokio::time::Instant::now();
    workers.shutdown().await;
    ensure(before.elapsed() < Duration::from_millis(1900), "the handler still ran at shutdown")
}

async fn a_shutdown_hands_running_jobs_back_uncounted(on: JobsFixture) -> Checked {
    let count = Count::default();
    let functions = sleeper(&count).build()?;
    let workers = on.work(&functions, quick().with_grace(Duration::from_millis(100)))?;
    let jobs = on.jobs(&functions);
    let long = jobs.enqueue(&on.system(), Enqueue::new("sleep", json!(60_000))).await?.id;
    on.until(&long, |job| job.state == JobState::Running).await?;
    workers.shutdown().await;
    let job = on.until(&long, |_| true).await?;
    ensure(job.state == JobState::Queued && job.attempt == 0, format!("{job:?}"))?;
    // What ends within the grace is not handed back.
    jobs.cancel(&on.system(), &long).await?;
    let workers = on.work(&functions, quick())?;
    let short = jobs.enqueue(&on.system(), Enqueue::new("sleep", json!(300))).await?.id;
    on.until(&short, |job| job.state == JobState::Running).await?;
    workers.shutdown().await;
    let job = on.until(&short, |_| true).await?;
    ensure(job.state == JobState::Succeeded, format!("{job:?}"))
}

async fn a_released_job_can_be_claimed_at_once(on: JobsFixture) -> Checked {
    let functions = echo(&Count::default()).build()?;
    on.echo_job(&on.jobs(&functions)).await?;
    let (_, lease) = must_claim(&on.queue, "one").await?;
    on.queue.release(&lease).await?;
    let (job, lease) = must_claim(&on.queue, "two").await?;
    ensure(job.attempt == 1, format!("the released attempt was counted: {job:?}"))?;
    Ok(on.queue.complete(&lease, &json!(null)).await?)
}
