//! From the order to the result.

use std::time::Duration;

use serde_json::json;

use crate::{
    conformance::jobs::fixture::{Checked, Count, JobsFixture, cases, echo, ensure, ensure_error, quick, sleeper},
    error::ErrorKind,
    id::TenantId,
    jobs::{Enqueue, Functions, JobContext, JobState, Jobs as _, Ran},
};

cases![
    a_job_runs_once_and_its_result_is_readable,
    a_delayed_job_waits,
    higher_priority_runs_first,
    every_job_of_a_burst_runs_once_on_two_workers,
    a_worker_that_is_asleep_wakes_for_a_job,
    run_answers_the_result,
    run_answers_the_job_when_the_deadline_passes,
    run_answers_the_failure_of_its_one_attempt,
    a_unique_key_gives_the_same_job_until_it_ends,
    input_of_another_form_is_refused_at_once,
    input_and_result_have_limits,
    a_tenant_that_does_not_exist_has_no_jobs,
];

async fn a_job_runs_once_and_its_result_is_readable(on: JobsFixture) -> Checked {
    let count = Count::default();
    let functions = echo(&count).build()?;
    let jobs = on.jobs(&functions);
    let queued = jobs.enqueue(&on.system(), Enqueue::new("echo", json!({"a": [1, null, "é\u{0}"]}))).await?;
    ensure(queued.state == JobState::Queued && queued.attempt == 0, format!("{queued:?} is not queued"))?;
    let workers = on.work(&functions, quick())?;
    let job = on.ended(&queued.id).await?;
    ensure(job.state == JobState::Succeeded, format!("{job:?}"))?;
    ensure(job.result == Some(json!({"a": [1, null, "é\u{0}"]})), "another result")?;
    ensure(job.attempt == 1 && job.started_at.is_some() && job.finished_at.is_some(), format!("{job:?}"))?;
    tokio::time::sleep(Duration::from_millis(400)).await;
    ensure(count.get() == 1, format!("it ran {} times", count.get()))?;
    workers.shutdown().await;
    Ok(())
}

async fn a_delayed_job_waits(on: JobsFixture) -> Checked {
    let functions = echo(&Count::default()).build()?;
    let workers = on.work(&functions, quick())?;
    let order = Enqueue::new("echo", json!(1)).with_delay(Duration::from_millis(600));
    let job = on.jobs(&functions).enqueue(&on.system(), order).await?;
    let job = on.ended(&job.id).await?;
    let waited = job.started_at.map_or(0, |at| at.as_micros() - job.created_at.as_micros());
    ensure((590_000..2_000_000).contains(&waited), format!("it waited {waited} µs"))?;
    workers.shutdown().await;
    Ok(())
}

async fn higher_priority_runs_first(on: JobsFixture) -> Checked {
    let functions = echo(&Count::default()).build()?;
    let jobs = on.jobs(&functions);
    let mut ids = Vec::new();
    for priority in [0, -1, 5, 0] {
        ids.push(jobs.enqueue(&on.system(), Enqueue::new("echo", json!(1)).with_priority(priority)).await?.id);
    }
    let workers = on.work(&functions, quick().with_concurrency(1))?;
    let mut ran = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        ran.push((on.ended(id).await?.finished_at, n));
    }
    ran.sort_unstable();
    let order: Vec<_> = ran.into_iter().map(|(_, n)| n).collect();
    ensure(order == [2, 0, 3, 1], format!("they ran in the order {order:?}"))?;
    workers.shutdown().await;
    Ok(())
}

async fn every_job_of_a_burst_runs_once_on_two_workers(on: JobsFixture) -> Checked {
    let count = Count::default();
    let functions = echo(&count).build()?;
    let jobs = on.jobs(&functions);
    let (one, two) = (on.work(&functions, quick())?, on.work(&functions, quick())?);
    let caller = on.system();
    let orders = (0..100).map(|n| jobs.enqueue(&caller, Enqueue::new("echo", json!(n))));
    let mut ids = Vec::new();
    for queued in futures_util::future::join_all(orders).await {
        ids.push(queued?.id);
    }
    for id in &ids {
        let job = on.ended(id).await?;
        ensure(job.state == JobState::Succeeded && job.attempt == 1, format!("{job:?}"))?;
    }
    ensure(count.get() == 100, format!("100 jobs ran {} times", count.get()))?;
    one.shutdown().await;
    two.shutdown().await;
    Ok(())
}

async fn a_worker_that_is_asleep_wakes_for_a_job(on: JobsFixture) -> Checked {
    let functions = echo(&Count::default()).build()?;
    let workers = on.work(&functions, quick().with_poll(Duration::from_secs(3600)))?;
    for _ in 0..20 {
        let job = on.echo_job(&on.jobs(&functions)).await?;
        on.ended(&job.id).await?;
    }
    workers.shutdown().await;
    Ok(())
}

async fn run_answers_the_result(on: JobsFixture) -> Checked {
    let functions = echo(&Count::default()).build()?;
    let workers = on.work(&functions, quick())?;
    let order = Enqueue::new("echo", json!([7]));
    match on.jobs(&functions).run(&on.user(), order, Duration::from_secs(10)).await? {
        Ran::Finished { result, .. } => ensure(result == json!([7]), "another result")?,
        Ran::Pending { job } => ensure(false, format!("still {job:?}"))?,
    }
    workers.shutdown().await;
    Ok(())
}

async fn run_answers_the_job_when_the_deadline_passes(on: JobsFixture) -> Checked {
    let functions = sleeper(&Count::default()).build()?;
    let workers = on.work(&functions, quick())?;
    let order = Enqueue::new("sleep", json!(700));
    match on.jobs(&functions).run(&on.user(), order, Duration::from_millis(200)).await? {
        Ran::Finished { .. } => ensure(false, "it had finished")?,
        Ran::Pending { job } => {
            let job = on.ended(&job.id).await?;
            ensure(job.state == JobState::Succeeded, format!("the job did not go on: {job:?}"))?;
        }
    }
    workers.shutdown().await;
    Ok(())
}

async fn run_answers_the_failure_of_its_one_attempt(on: JobsFixture) -> Checked {
    let count = Count::default();
    let counted = count.clone();
    let functions = Functions::builder().register("fail", move |_: JobContext, (): ()| {
        counted.up();
        async { Err::<(), _>(crate::error::Error::not_found("no-such-thing", "there is no such thing")) }
    });
    let functions = functions.build()?;
    let workers = on.work(&functions, quick())?;
    let ran = on.jobs(&functions).run(&on.user(), Enqueue::new("fail", json!(null)), Duration::from_secs(10)).await;
    ensure_error(ran, ErrorKind::Internal, "function-failed", "a failing function")?;
    ensure(count.get() == 1, format!("it ran {} times", count.get()))?;
    workers.shutdown().await;
    Ok(())
}

async fn a_unique_key_gives_the_same_job_until_it_ends(on: JobsFixture) -> Checked {
    let functions = echo(&Count::default()).build()?;
    let jobs = on.jobs(&functions);
    let order = || Enqueue::new("echo", json!(1)).with_unique_key("month:2026-01");
    let caller = on.system();
    let racing = futures_util::future::join_all((0..10).map(|_| jobs.enqueue(&caller, order()))).await;
    let mut ids = Vec::new();
    for queued in racing {
        ids.push(queued?.id);
    }
    ids.sort_unstable();
    ids.dedup();
    let [id] = ids.as_slice() else { return ensure(false, format!("{} jobs of one key", ids.len())) };
    ensure(jobs.enqueue(&on.user(), order()).await?.id != *id, "a key reaches another's job")?;
    let workers = on.work(&functions, quick())?;
    on.ended(id).await?;
    let next = jobs.enqueue(&caller, order()).await?;
    ensure(next.id != *id, "the key was not free after the end")?;
    workers.shutdown().await;
    Ok(())
}

async fn input_of_another_form_is_refused_at_once(on: JobsFixture) -> Checked {
    let functions = sleeper(&Count::default()).build()?;
    let jobs = on.jobs(&functions);
    for input in [json!("x"), json!(-1), json!(null), json!({})] {
        let order = jobs.enqueue(&on.system(), Enqueue::new("sleep", input)).await;
        ensure_error(order, ErrorKind::Invalid, "invalid-input", "input of another form")?;
    }
    let order = jobs.enqueue(&on.system(), Enqueue::new("slee", json!(1))).await;
    ensure_error(order, ErrorKind::NotFound, "function-not-found", "a function that is not")
}

async fn input_and_result_have_limits(on: JobsFixture) -> Checked {
    let functions =
        echo(&Count::default()).register("much", |_: JobContext, n: usize| async move { Ok("x".repeat(n)) }).build()?;
    let jobs = on.jobs(&functions);
    let text = |n: usize| Enqueue::new("echo", json!("x".repeat(n)));
    let caller = on.system();
    ensure_error(jobs.enqueue(&caller, text(64 * 1024)).await, ErrorKind::TooLarge, "input-too-large", "64 KiB + 2")?;
    let job = jobs.enqueue(&caller, text(64 * 1024 - 2)).await?;
    let large = jobs.enqueue(&caller, Enqueue::new("much", json!(256 * 1024)).with_max_attempts(1)).await?;
    let bad = jobs.enqueue(&caller, text(1).with_max_attempts(0)).await;
    ensure_error(bad, ErrorKind::Invalid, "invalid-max-attempts", "no attempts")?;
    let bad = jobs.enqueue(&caller, text(1).with_unique_key("a\u{0}")).await;
    ensure_error(bad, ErrorKind::Invalid, "invalid-unique-key", "a NUL in a key")?;
    let workers = on.work(&functions, quick())?;
    ensure(on.ended(&job.id).await?.state == JobState::Succeeded, "64 KiB were refused")?;
    let large = on.ended(&large.id).await?;
    let code = large.error.map(|error| error.code);
    ensure(large.state == JobState::Dead && code.as_deref() == Some("result-too-large"), format!("{code:?}"))?;
    workers.shutdown().await;
    Ok(())
}

async fn a_tenant_that_does_not_exist_has_no_jobs(on: JobsFixture) -> Checked {
    let functions = echo(&Count::default()).build()?;
    let nobody = crate::caller::Caller::system(TenantId::new("nobody-made-this")?);
    let order = on.jobs(&functions).enqueue(&nobody, Enqueue::new("echo", json!(1))).await;
    ensure_error(order, ErrorKind::NotFound, "tenant-not-found", "an unknown tenant")
}
