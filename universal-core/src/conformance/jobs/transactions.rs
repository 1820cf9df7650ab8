//! Jobs and data in one commit.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    conformance::jobs::fixture::{
        Checked, Count, Failure, JobsFixture, Work, cases, echo, ensure, ensure_error, quick,
    },
    error::{Error, ErrorKind},
    jobs::{Claim, Effects, Enqueue, FunctionName, Functions, JobContext, JobState, Jobs as _, Lease, ListJobs},
};

cases![
    an_enqueue_in_a_rolled_back_transaction_leaves_nothing,
    an_enqueue_in_a_transaction_runs_after_its_commit,
    effects_and_completion_are_one_commit,
    effects_of_a_fenced_attempt_are_rolled_back,
    effects_that_fail_leave_the_job_to_its_next_attempt,
];

/// How many jobs of `echo` there are.
async fn echoes(on: &JobsFixture) -> Checked<usize> {
    let list = ListJobs::new().with_function(FunctionName::new("echo")?);
    Ok(on.queue.list(&on.tenant, &list).await?.len())
}

async fn an_enqueue_in_a_rolled_back_transaction_leaves_nothing(on: JobsFixture) -> Checked {
    let functions = echo(&Count::default()).build()?;
    let (jobs, caller) = (Arc::new(on.jobs(&functions)), on.system());
    let work: Work = Arc::new(move |tx| {
        let (jobs, caller) = (Arc::clone(&jobs), caller.clone());
        Box::pin(async move {
            jobs.enqueue_in(tx, &caller, Enqueue::new("echo", json!(1))).await?;
            Err(Error::new(ErrorKind::Conflict, "changed-my-mind", "rolled back"))
        })
    });
    ensure_error((on.transact)(work).await, ErrorKind::Conflict, "changed-my-mind", "a transaction rolled back")?;
    ensure(echoes(&on).await? == 0, "the job is there")
}

async fn an_enqueue_in_a_transaction_runs_after_its_commit(on: JobsFixture) -> Checked {
    let count = Count::default();
    let functions = echo(&count).build()?;
    let workers = on.work(&functions, quick().with_poll(Duration::from_secs(3600)))?;
    let (jobs, caller, counted) = (Arc::new(on.jobs(&functions)), on.system(), count.clone());
    let work: Work = Arc::new(move |tx| {
        let (jobs, caller, count) = (Arc::clone(&jobs), caller.clone(), counted.clone());
        Box::pin(async move {
            jobs.enqueue_in(tx, &caller, Enqueue::new("echo", json!(1))).await?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            if count.get() == 0 {
                return Ok(());
            }
            Err(Error::new(ErrorKind::Conflict, "ran-before-commit", "it ran before the commit"))
        })
    });
    (on.transact)(work).await?;
    for _ in 0..200 {
        if count.get() == 1 {
            workers.shutdown().await;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    ensure(false, "it did not run within 2 s of the commit")
}

/// `spawn` completes itself together with an order of `echo`, and fails until its `fail`th attempt.
fn spawning(on: &JobsFixture, fail_until: u32) -> Checked<Functions> {
    let inner = Arc::new(on.jobs(&echo(&Count::default()).build()?));
    let count = Count::default();
    let spawn = move |job: JobContext, (): ()| {
        let (inner, attempt) = (Arc::clone(&inner), count.up());
        async move {
            let caller = job.caller();
            job.complete_with(move |tx| {
                let (inner, caller) = (Arc::clone(&inner), caller.clone());
                Box::pin(async move {
                    inner.enqueue_in(tx, &caller, Enqueue::new("echo", json!(1))).await?;
                    if attempt < fail_until {
                        return Err(Error::new(ErrorKind::Unavailable, "not-yet", "not yet"));
                    }
                    Ok(attempt)
                })
            })
            .await
        }
    };
    let options = crate::conformance::jobs::fixture::impatient();
    Ok(Functions::builder().register_with("spawn", options, spawn).build()?)
}

async fn effects_and_completion_are_one_commit(on: JobsFixture) -> Checked {
    let functions = spawning(&on, 1)?;
    let workers = on.work(&functions, quick())?;
    let id = on.jobs(&functions).enqueue(&on.system(), Enqueue::new("spawn", json!(null))).await?.id;
    let job = on.ended(&id).await?;
    ensure(job.state == JobState::Succeeded && job.result == Some(json!(1)), format!("{job:?}"))?;
    workers.shutdown().await;
    ensure(echoes(&on).await? == 1, "the effect happened another number of times")
}

async fn effects_that_fail_leave_the_job_to_its_next_attempt(on: JobsFixture) -> Checked {
    let functions = spawning(&on, 3)?;
    let workers = on.work(&functions, quick())?;
    let id = on.jobs(&functions).enqueue(&on.system(), Enqueue::new("spawn", json!(null))).await?.id;
    let job = on.ended(&id).await?;
    ensure(job.state == JobState::Succeeded && job.attempt == 3, format!("{job:?}"))?;
    workers.shutdown().await;
    ensure(echoes(&on).await? == 1, "effects of failed attempts are there")
}

async fn effects_of_a_fenced_attempt_are_rolled_back(on: JobsFixture) -> Checked {
    let functions = spawning(&on, 1)?;
    let order = Enqueue::new("spawn", json!(null));
    let id = on.jobs(&functions).enqueue(&on.system(), order).await?.id;
    let lease = Duration::from_millis(200);
    let mut leases = Vec::new();
    for worker in ["old", "new"] {
        let worker: Arc<str> = worker.into();
        let claim = Claim::new(Arc::clone(&worker), Arc::from([FunctionName::new("spawn")?]), 1, lease);
        let job = on.queue.claim(&claim).await?.jobs.pop().ok_or_else(|| Failure(format!("{worker} got nothing")))?;
        leases.push(Lease::new(&job, worker));
        tokio::time::sleep(lease * 2).await;
    }
    let (jobs, caller) = (Arc::new(on.jobs(&echo(&Count::default()).build()?)), on.system());
    let effects: Effects = Arc::new(move |tx| {
        let (jobs, caller) = (Arc::clone(&jobs), caller.clone());
        Box::pin(async move {
            jobs.enqueue_in(tx, &caller, Enqueue::new("echo", json!(1))).await?;
            Ok(json!(null))
        })
    });
    let [old, new] = leases.as_slice() else { return ensure(false, "not two leases") };
    let fenced = on.queue.complete_with(old, Arc::clone(&effects)).await;
    ensure_error(fenced, ErrorKind::Conflict, "job-fenced", "the old attempt")?;
    ensure(echoes(&on).await? == 0, "effects of a fenced attempt are there")?;
    on.queue.complete_with(new, effects).await?;
    ensure(
        echoes(&on).await? == 1 && on.ended(&id).await?.state == JobState::Succeeded,
        "the new attempt did not count",
    )
}
