//! Who sees and stops what.

use serde_json::json;

use crate::{
    caller::{Caller, ROLE_ADMIN},
    conformance::jobs::fixture::{Checked, Count, JobsFixture, cases, echo, ensure, ensure_error},
    error::ErrorKind,
    id::UserId,
    jobs::{Enqueue, FunctionOptions, JobContext, JobId, JobState, Jobs as _, ListJobs},
    page::Limit,
};

cases![
    a_job_is_its_owners_and_the_administrators,
    functions_have_their_callers,
    lists_are_the_callers_own_in_pages,
    tenants_do_not_meet,
    a_unique_key_and_a_place_in_the_queue_are_nobody_elses,
];

async fn a_job_is_its_owners_and_the_administrators(on: JobsFixture) -> Checked {
    let jobs = on.jobs(&echo(&Count::default()).build()?);
    let (owner, other) = (on.user(), on.user());
    let id = jobs.enqueue(&owner, Enqueue::new("echo", json!(1))).await?.id;
    let of_system = on.echo_job(&jobs).await?.id;
    let anonymous = Caller::anonymous(on.tenant.clone());
    for stranger in [&other, &anonymous] {
        for id in [&id, &of_system, &JobId::generate()] {
            let unknown = |outcome, what| ensure_error(outcome, ErrorKind::NotFound, "job-not-found", what);
            unknown(jobs.get(stranger, id).await, "a stranger reads")?;
            unknown(jobs.cancel(stranger, id).await, "a stranger cancels")?;
            unknown(jobs.retry(stranger, id).await, "a stranger retries")?;
        }
    }
    ensure(jobs.get(&owner, &id).await?.owner.as_ref() == owner.user_id(), "another owner")?;
    let admin = on.user().with_roles([ROLE_ADMIN]);
    jobs.get(&admin, &id).await?;
    ensure(jobs.cancel(&admin, &of_system).await?.state == JobState::Cancelled, "an administrator cannot cancel")?;
    ensure(jobs.cancel(&owner, &id).await?.state == JobState::Cancelled, "the owner cannot cancel")
}

async fn functions_have_their_callers(on: JobsFixture) -> Checked {
    let nothing = |_: JobContext, (): ()| async { Ok(()) };
    let functions = echo(&Count::default())
        .register_with("admins", FunctionOptions::new().admin_only(), nothing)
        .register_with("inside", FunctionOptions::new().system_only(), nothing)
        .build()?;
    let jobs = on.jobs(&functions);
    let order = |name: &str| Enqueue::new(name, json!(null));
    let anonymous = Caller::anonymous(on.tenant.clone());
    let refused = jobs.enqueue(&anonymous, order("echo")).await;
    ensure_error(refused, ErrorKind::Unauthenticated, "unauthenticated", "an anonymous order")?;
    let refused = jobs.enqueue(&on.user(), order("admins")).await;
    ensure_error(refused, ErrorKind::Forbidden, "admin-required", "a user's order")?;
    let admin = on.user().with_roles([ROLE_ADMIN]);
    let refused = jobs.enqueue(&admin, order("inside")).await;
    ensure_error(refused, ErrorKind::NotFound, "function-not-found", "an order from outside")?;
    // A user whose id is the word for the program itself is a user.
    let named = Caller::user(on.tenant.clone(), UserId::new("system")?);
    let refused = jobs.enqueue(&named, order("inside")).await;
    ensure_error(refused, ErrorKind::NotFound, "function-not-found", "an order of a user called system")?;
    jobs.enqueue(&admin, order("admins")).await?;
    jobs.enqueue(&on.system(), order("inside")).await?;
    Ok(())
}

async fn lists_are_the_callers_own_in_pages(on: JobsFixture) -> Checked {
    let jobs = on.jobs(&echo(&Count::default()).build()?);
    let (owner, other) = (on.user(), on.user());
    let mut mine = Vec::new();
    for n in 0..5 {
        mine.push(jobs.enqueue(&owner, Enqueue::new("echo", json!(n))).await?.id);
        jobs.enqueue(&other, Enqueue::new("echo", json!(n))).await?;
    }
    mine.reverse();
    let mut seen = Vec::new();
    let mut list = ListJobs::new().with_limit(Limit::new(2)?);
    loop {
        let page = jobs.list(&owner, list.clone()).await?;
        ensure(page.items.len() <= 2, "a page is too long")?;
        seen.extend(page.items.into_iter().map(|job| job.id));
        match page.next_cursor {
            Some(cursor) => list = list.with_cursor(&cursor)?,
            None => break,
        }
    }
    ensure(seen == mine, format!("{seen:?} is not {mine:?}"))?;
    if let Some(theirs) = other.user_id() {
        let page = jobs.list(&owner, ListJobs::new().with_owner(theirs.clone())).await?;
        ensure(page.items.is_empty(), "somebody else's jobs")?;
        let page = jobs.list(&on.system(), ListJobs::new().with_owner(theirs.clone())).await?;
        ensure(page.items.len() == 5, "the program itself sees all")?;
    }
    if let Some(id) = mine.first() {
        jobs.cancel(&owner, id).await?;
        let page = jobs.list(&owner, ListJobs::new().with_state(JobState::Cancelled)).await?;
        ensure(page.items.len() == 1 && page.next_cursor.is_none(), "a list by state")?;
    }
    let anonymous = jobs.list(&Caller::anonymous(on.tenant.clone()), ListJobs::new()).await;
    ensure_error(anonymous, ErrorKind::Unauthenticated, "unauthenticated", "an anonymous list")
}

async fn tenants_do_not_meet(on: JobsFixture) -> Checked {
    let jobs = on.jobs(&echo(&Count::default()).build()?);
    let id = on.echo_job(&jobs).await?.id;
    let elsewhere = Caller::system(on.other_tenant.clone());
    ensure_error(jobs.get(&elsewhere, &id).await, ErrorKind::NotFound, "job-not-found", "another tenant reads")?;
    ensure_error(jobs.cancel(&elsewhere, &id).await, ErrorKind::NotFound, "job-not-found", "another tenant cancels")?;
    ensure(jobs.list(&elsewhere, ListJobs::new()).await?.items.is_empty(), "another tenant lists it")?;
    // The same unique key is another key there.
    let order = || Enqueue::new("echo", json!(1)).with_unique_key("k");
    let here = jobs.enqueue(&on.system(), order()).await?;
    let there = jobs.enqueue(&elsewhere, order()).await?;
    ensure(here.id != there.id, "a key reaches into another tenant")
}

async fn a_unique_key_and_a_place_in_the_queue_are_nobody_elses(on: JobsFixture) -> Checked {
    let jobs = on.jobs(&echo(&Count::default()).build()?);
    let order = || Enqueue::new("echo", json!(1)).with_unique_key("daily");
    // Whoever takes a key first takes it for itself alone.
    let (one, other) = (on.user(), on.user());
    let squatted = jobs.enqueue(&one, order()).await?;
    let ours = jobs.enqueue(&on.system(), order()).await?;
    ensure(ours.id != squatted.id, "the program was given a stranger's job")?;
    let theirs = jobs.enqueue(&other, order()).await?;
    ensure(theirs.id != squatted.id && theirs.id != ours.id, "a user was given another's job")?;
    ensure(jobs.enqueue(&one, order()).await?.id == squatted.id, "its own key gives its own job")?;
    let first = jobs.enqueue(&one, Enqueue::new("echo", json!(1)).with_priority(1)).await;
    ensure_error(first, ErrorKind::Forbidden, "admin-required", "a user goes before others")?;
    jobs.enqueue(&one, Enqueue::new("echo", json!(1)).with_priority(-1)).await?;
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    let deep = jobs.enqueue(&on.system(), Enqueue::new("echo", deep)).await;
    ensure_error(deep, ErrorKind::Invalid, "json-too-deep", "an input that cannot be read back")
}
