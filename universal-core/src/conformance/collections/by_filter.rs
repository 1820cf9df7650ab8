//! Writes of every document that a filter matches.

use std::sync::Arc;

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::{
    caller::Caller,
    collections::{CollectionSettings, ListQuery, Matching, Precondition, Rules},
    conformance::{
        case::Case,
        collections::fixture::{Fixture, collection, id, new, patch, stored, system, user, value},
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
    id::{CollectionName, TenantId},
    page::Limit,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(what_matches_is_changed_and_nothing_else),
    case!(a_call_is_bounded_and_the_next_goes_on),
    case!(documents_of_others_are_not_touched),
    case!(one_that_may_not_be_written_refuses_the_whole),
    case!(one_that_does_not_fit_refuses_the_whole),
    case!(writes_by_filter_and_writes_by_id_are_all_counted),
    case!(a_write_by_filter_is_refused_where_a_list_is),
];

async fn fill(on: &Fixture, caller: &Caller, name: &CollectionName, count: usize) -> Result<(), String> {
    for n in 0..count {
        let document = new(json!({"n": n, "even": n % 2 == 0}))?.with_id(id(&format!("{n:03}"))?);
        on.create(caller, name, document).await.map_err(failed)?;
    }
    Ok(())
}

fn matching(name: &CollectionName, filter: &str) -> Result<Matching, String> {
    Matching::new(name.clone(), filter).map_err(failed)
}

async fn bodies(on: &Fixture, name: &CollectionName) -> Result<Vec<Value>, String> {
    let query = ListQuery::new().with_limit(Limit::new(500).map_err(failed)?);
    let page = on.list(&system(), name, &query).await.map_err(failed)?.value;
    page.items.iter().map(|document| value(&document.body)).collect()
}

async fn what_matches_is_changed_and_nothing_else(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    fill(&on, &caller, &name, 10).await?;
    let change = patch(json!({"n": {"$inc": 100}, "even": null}))?;
    let affected = on.update_where(&caller, matching(&name, "even == true")?, change).await.map_err(failed)?;
    check_eq(&(affected.matched, affected.changed, affected.next_cursor), &(5, 5, None))?;
    let expected: Vec<_> =
        (0..10).map(|n| if n % 2 == 0 { json!({"n": n + 100}) } else { json!({"n": n, "even": false}) }).collect();
    check_eq(&bodies(&on, &name).await?, &expected)?;
    // Each has a revision of its own.
    let one = stored(&on, &name, &id("000")?).await?;
    check(one.revision.as_str().ends_with("-2"), "the revision did not move")?;
    let affected = on.delete_where(&caller, matching(&name, "n >= 100 || n == 9")?).await.map_err(failed)?;
    check_eq(&(affected.matched, affected.changed), &(6, 6))?;
    let affected = on.delete_where(&caller, matching(&name, "n > 500")?).await.map_err(failed)?;
    check_eq(&(affected.matched, affected.changed, affected.next_cursor), &(0, 0, None))?;
    check_eq(&bodies(&on, &name).await?.len(), &4)?;
    on.delete_where(&caller, matching(&name, "true")?).await.map_err(failed)?;
    check_eq(&bodies(&on, &name).await?.len(), &0)
}

async fn a_call_is_bounded_and_the_next_goes_on(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    fill(&on, &caller, &name, 23).await?;
    let mut next = None;
    let mut counts = Vec::new();
    loop {
        let mut some = matching(&name, "n >= 0")?.with_limit(Limit::new(10).map_err(failed)?);
        if let Some(cursor) = next {
            some = some.with_cursor(cursor);
        }
        let affected = on.update_where(&caller, some, patch(json!({"n": {"$inc": 1}}))?).await.map_err(failed)?;
        counts.push(affected.changed);
        next = affected.next_cursor;
        if next.is_none() {
            break;
        }
    }
    check_eq(&counts, &vec![10, 10, 3])?;
    // Each once, although all still match.
    let numbers: Vec<_> = bodies(&on, &name).await?.iter().map(|body| body.pointer("/n").cloned()).collect();
    check_eq(&numbers, &(1..24).map(|n| Some(json!(n))).collect::<Vec<_>>())?;
    let ten = Limit::new(10).map_err(failed)?;
    let first = on.delete_where(&caller, matching(&name, "n > 1")?.with_limit(ten)).await.map_err(failed)?;
    let cursor = first.next_cursor.ok_or("a cursor")?;
    let other = matching(&name, "n > 2")?.with_cursor(cursor.clone());
    refused(on.delete_where(&caller, other).await, ErrorKind::Invalid, "invalid-cursor")?;
    let forged = matching(&name, "n > 1")?.with_cursor("AAAA");
    refused(on.delete_where(&caller, forged).await, ErrorKind::Invalid, "invalid-cursor")?;
    let rest = on.delete_where(&caller, matching(&name, "n > 1")?.with_cursor(cursor)).await.map_err(failed)?;
    check_eq(&(first.changed, rest.changed, rest.next_cursor), &(10, 12, None))
}

async fn documents_of_others_are_not_touched(on: Fixture) -> Result<(), String> {
    let (owner, stranger, name) = (user(), user(), collection()?);
    fill(&on, &owner, &name, 4).await?;
    let affected = on.delete_where(&stranger, matching(&name, "true")?).await.map_err(failed)?;
    check_eq(&(affected.matched, affected.changed), &(0, 0))?;
    let change = patch(json!({"taken": true}))?;
    on.update_where(&stranger, matching(&name, "n >= 0")?, change).await.map_err(failed)?;
    check(bodies(&on, &name).await?.iter().all(|body| body.pointer("/taken").is_none()), "a stranger wrote")?;
    let affected = on.delete_where(&system(), matching(&name, "true")?).await.map_err(failed)?;
    check_eq(&affected.changed, &4)
}

async fn one_that_may_not_be_written_refuses_the_whole(on: Fixture) -> Result<(), String> {
    let (caller, other, name) = (user(), user(), collection()?);
    let rules = Rules {
        list: Some("true".to_owned()),
        get: Some("doc.secret != true".to_owned()),
        update: Some("meta.owner == caller.id".to_owned()),
        delete: Some("meta.owner == caller.id".to_owned()),
        ..Rules::default()
    };
    let settings = CollectionSettings { rules, ..CollectionSettings::default() };
    on.configure(&system(), &name, settings, None).await.map_err(failed)?;
    let mine = || new(json!({"n": 1, "secret": false}));
    for key in ["a", "c"] {
        on.create(&caller, &name, mine()?.with_id(id(key)?)).await.map_err(failed)?;
    }
    on.create(&other, &name, mine()?.with_id(id("b")?)).await.map_err(failed)?;
    let before = bodies(&on, &name).await?;
    let change = || patch(json!({"n": 2}));
    let outcome = on.update_where(&caller, matching(&name, "n == 1")?, change()?).await;
    check(
        outcome.as_ref().err().is_some_and(|error| error.message().contains("`b`")),
        "the refusal does not name the document",
    )?;
    refused(outcome, ErrorKind::Forbidden, "forbidden")?;
    refused(on.delete_where(&caller, matching(&name, "n == 1")?).await, ErrorKind::Forbidden, "forbidden")?;
    check_eq(&bodies(&on, &name).await?, &before)?;
    // One that may be listed and not read is there, and may not be written either.
    on.patch(&system(), &name, &id("b")?, patch(json!({"secret": true}))?, Precondition::None).await.map_err(failed)?;
    let outcome = on.update_where(&caller, matching(&name, "n == 1")?, change()?).await;
    refused(outcome, ErrorKind::Forbidden, "forbidden")?;
    let own = matching(&name, "n == 1 && meta.owner == caller.id")?;
    check_eq(&on.update_where(&caller, own, change()?).await.map_err(failed)?.changed, &2)
}

async fn one_that_does_not_fit_refuses_the_whole(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    fill(&on, &caller, &name, 3).await?;
    on.create(&caller, &name, new(json!({"n": "text"}))?.with_id(id("zzz")?)).await.map_err(failed)?;
    let before = bodies(&on, &name).await?;
    let outcome = on.update_where(&caller, matching(&name, "true")?, patch(json!({"n": {"$inc": 1}}))?).await;
    let said =
        outcome.as_ref().err().map(|error| (error.field().map(str::to_owned), error.message().contains("`zzz`")));
    check_eq(&said, &Some((Some("/n".to_owned()), true)))?;
    refused(outcome, ErrorKind::Invalid, "operation-does-not-fit")?;
    check_eq(&bodies(&on, &name).await?, &before)
}

async fn writes_by_filter_and_writes_by_id_are_all_counted(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    fill(&on, &caller, &name, 12).await?;
    let writers = (0..10_usize).map(|writer| {
        let (on, caller, name) = (Arc::clone(&on), caller.clone(), name.clone());
        async move {
            for round in 0..6_usize {
                let change = patch(json!({"hits": {"$inc": 1}}))?;
                if writer % 2 == 0 {
                    on.update_where(&caller, matching(&name, "has(doc.n)")?, change).await.map_err(failed)?;
                } else {
                    for n in 0..12 {
                        // Against the order of ids.
                        let key = id(&format!("{:03}", 11 - (n + round) % 12))?;
                        on.patch(&caller, &name, &key, change.clone(), Precondition::None).await.map_err(failed)?;
                    }
                }
            }
            Ok::<_, String>(())
        }
    });
    try_join_all(writers).await?;
    let hits: Vec<_> = bodies(&on, &name).await?.iter().map(|body| body.pointer("/hits").cloned()).collect();
    check_eq(&hits, &vec![Some(json!(60)); 12])
}

async fn a_write_by_filter_is_refused_where_a_list_is(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    let nobody = Caller::anonymous(TenantId::default_tenant());
    let outcome = on.delete_where(&nobody, matching(&name, "true")?).await;
    refused(outcome, ErrorKind::Unauthenticated, "sign-in-required")?;
    let elsewhere = Caller::system(TenantId::new("nobody-made-this").map_err(failed)?);
    let outcome = on.delete_where(&elsewhere, matching(&name, "true")?).await;
    refused(outcome, ErrorKind::NotFound, "tenant-not-found")?;
    refused(Matching::new(name.clone(), "n ==").map(|_| ()), ErrorKind::Invalid, "invalid-filter")?;
    let settings = CollectionSettings { hidden: vec!["pay".to_owned()], ..CollectionSettings::default() };
    on.configure(&system(), &name, settings, None).await.map_err(failed)?;
    // A count of what was changed would tell what the member is.
    let outcome = on.delete_where(&user(), matching(&name, "pay > 1000")?).await;
    refused(outcome, ErrorKind::Invalid, "invalid-field")
}
