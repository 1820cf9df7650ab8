//! Writes by filter and counts, which find their documents through indexes.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::{
    collections::{Affected, IndexState, ListQuery, Matching, Precondition, count::Counting},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed},
        indexes::{
            fixture::{Dice, Fixture, collection, configured, id, indexes, object, put, query, system, used, walked},
            lists::{FILTERS, random},
        },
    },
    id::CollectionName,
    json::Object,
    page::Limit,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(counts_and_writes_by_filter_are_the_same_with_indexes_and_without),
    case!(what_many_look_for_is_found_by_one),
    case!(what_no_longer_matches_is_left_alone),
];

fn patch(value: Value) -> Result<Object, String> {
    Object::patch_from_value(value).map_err(failed)
}

fn matching(name: &CollectionName, filter: &str) -> Result<Matching, String> {
    Matching::new(name.clone(), if filter.is_empty() { "true" } else { filter }).map_err(failed)
}

/// Writes all that match, so many at once; answers how many were changed, and in how many calls.
async fn written(
    on: &Fixture,
    name: &CollectionName,
    (filter, change): (&str, &Value),
    limit: u32,
) -> Result<(u64, u32), String> {
    let (mut changed, mut calls, mut cursor) = (0, 0, None);
    loop {
        let mut some = matching(name, filter)?.with_limit(Limit::new(limit).map_err(failed)?);
        if let Some(cursor) = cursor {
            some = some.with_cursor(cursor);
        }
        let affected = on.update_where(&system(), some, patch(change.clone())?).await.map_err(failed)?;
        changed += affected.changed;
        calls += 1;
        match affected.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok((changed, calls)),
        }
    }
}

async fn counted(on: &Fixture, name: &CollectionName, filter: &str, counting: Counting) -> Result<u64, String> {
    let query = query(filter, "")?.with_limit(Limit::new(1).map_err(failed)?).with_count(counting);
    let count = on.list(&system(), name, &query).await.map_err(failed)?.value.count;
    count.map(|count| count.value).ok_or_else(|| "no count".to_owned())
}

async fn counts_and_writes_by_filter_are_the_same_with_indexes_and_without(on: Fixture) -> Result<(), String> {
    let (name, mut dice) = (collection()?, Dice::new(11));
    for n in 0..120 {
        put(&on, &name, &format!("d{n:03}"), random(&mut dice)).await?;
    }
    let mut plain = Vec::new();
    for filter in FILTERS {
        plain.push(walked(&on, &system(), &name, &query(filter, "")?, 500).await?);
    }
    let wanted: [(&str, &[&str]); 4] =
        [("by_a", &["a", "-b"]), ("by_d", &["c.d"]), ("by_b", &["-b"]), ("by_m", &["m"])];
    configured(&on, &name, indexes(&wanted)).await?;
    let mut served = 0;
    for (round, (filter, plain)) in FILTERS.into_iter().zip(&plain).enumerate() {
        served += u32::from(used(&on, &system(), &name, &query(filter, "")?).await?.is_some());
        let many = u64::try_from(plain.len()).map_err(failed)?;
        check_eq(&counted(&on, &name, filter, Counting::Exact).await?, &many)?;
        check_eq(&counted(&on, &name, filter, Counting::Capped(5)).await?, &many.min(5))?;
        for limit in [7, 500] {
            let mark = format!("{round} by {limit}");
            let (changed, calls) = written(&on, &name, (filter, &json!({"m": mark})), limit).await?;
            check_eq(&changed, &many)?;
            check_eq(&calls, &plain.len().div_ceil(limit as usize).max(1).try_into().map_err(failed)?)?;
            let marked = walked(&on, &system(), &name, &query(&format!("m == \"{mark}\""), "")?, 500).await?;
            check(marked == *plain, &format!("`{filter}` by {limit}: {marked:?} instead of {plain:?}"))?;
        }
    }
    check(served > 8, &format!("an index served {served} filters only"))?;
    // What it deletes it deletes from every index.
    let gone = on.delete_where(&system(), matching(&name, "c.d == 1")?).await.map_err(failed)?;
    let left = counted(&on, &name, "", Counting::Exact).await?;
    check_eq(&(left + gone.changed, counted(&on, &name, "c.d == 1", Counting::Exact).await?), &(120, 0))
}

async fn what_many_look_for_is_found_by_one(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    let states = configured(&on, &name, indexes(&[("by_state", &["state"])])).await?;
    check(states.iter().all(|(_, state)| *state == IndexState::Ready), "an index is not ready")?;
    for n in 0..60 {
        put(&on, &name, &format!("d{n:02}"), json!({"state": "open", "taken": 0})).await?;
    }
    let workers = (0..8).map(|worker| {
        let (on, name) = (Fixture::clone(&on), name.clone());
        async move {
            let mut mine = 0;
            loop {
                let some = matching(&name, "state == \"open\"")?.with_limit(Limit::new(7).map_err(failed)?);
                let change = patch(json!({"state": "taken", "by": worker, "taken": {"$inc": 1}}))?;
                let affected: Affected = on.update_where(&system(), some, change).await.map_err(failed)?;
                check_eq(&affected.matched, &affected.changed)?;
                mine += affected.changed;
                // Others may have been faster with all that was found; then there may be more.
                if affected.changed == 0 && affected.next_cursor.is_none() {
                    return Ok::<_, String>(mine);
                }
            }
        }
    });
    let found: Vec<u64> = try_join_all(workers).await?;
    check_eq(&found.iter().sum::<u64>(), &60)?;
    let all = ListQuery::new().with_limit(Limit::new(500).map_err(failed)?);
    let all = on.list(&system(), &name, &all).await.map_err(failed)?.value.items;
    for document in &all {
        let body: Value = serde_json::from_str(&document.body).map_err(failed)?;
        check_eq(&body.pointer("/taken"), &Some(&json!(1)))?;
        check(document.revision.as_str().ends_with("-2"), "a document was written twice")?;
    }
    check_eq(&all.len(), &60)
}

/// Some close documents by id while others mark what is open, by filter: none is marked after it was closed.
async fn what_no_longer_matches_is_left_alone(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    configured(&on, &name, indexes(&[("by_state", &["state"])])).await?;
    for n in 0..40 {
        put(&on, &name, &format!("d{n:02}"), json!({"state": "open", "marks": 0})).await?;
    }
    let closing = async {
        // Against the order of ids, in which the others go.
        for n in (0..40).rev() {
            let closed = object(json!({"state": "closed", "marks": 0}))?;
            on.replace(&system(), &name, &id(&format!("d{n:02}"))?, closed, Precondition::None)
                .await
                .map_err(failed)?;
        }
        Ok::<_, String>(0)
    };
    let marking = (0..4).map(|_| async {
        let mut marks = 0;
        loop {
            let (marked, _) = written(&on, &name, ("state == \"open\"", &json!({"marks": {"$inc": 1}})), 500).await?;
            marks += marked;
            if counted(&on, &name, "state == \"open\"", Counting::Exact).await? == 0 {
                return Ok::<_, String>(marks);
            }
        }
    });
    let (_, _) = futures_util::future::try_join(closing, try_join_all(marking)).await?;
    let marked = walked(&on, &system(), &name, &query("marks > 0", "")?, 500).await?;
    check_eq(&marked.into_iter().collect::<BTreeSet<_>>(), &BTreeSet::new())
}
