//! Counts beside lists.

use serde_json::json;

use super::scene::{Fixture, collection, page, put, store, user};
use crate::{
    collections::{Counting, ListQuery},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed},
    },
    page::{Count, Limit, Precision},
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(a_list_is_counted_only_when_asked),
    case!(an_exact_count_is_of_all_pages_and_of_what_the_caller_may_list),
    case!(a_capped_count_stops_at_its_cap),
    case!(an_estimate_is_a_number),
];

async fn a_list_is_counted_only_when_asked(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    check_eq(&page(&on, &caller, &name, &ListQuery::new()).await?.count, &None)?;
    let query = ListQuery::new().with_count(Counting::Exact);
    check_eq(&page(&on, &caller, &name, &query).await?.count, &Some(Count::new(0, Precision::Exact)))
}

async fn an_exact_count_is_of_all_pages_and_of_what_the_caller_may_list(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, (0..7).map(|n| json!({"n": n}))).await?;
    put(&on, &user(), &name, "foreign", json!({"n": 6})).await?;
    let query = ListQuery::new().with_filter("n >= 2").map_err(failed)?.with_count(Counting::Exact);
    let query = query.with_limit(Limit::new(2).map_err(failed)?);
    let first = page(&on, &caller, &name, &query).await?;
    check_eq(&first.count, &Some(Count::new(5, Precision::Exact)))?;
    // The second page counts the same.
    let second = query.with_cursor(first.next_cursor.ok_or("there is a second page")?);
    check_eq(&page(&on, &caller, &name, &second).await?.count, &Some(Count::new(5, Precision::Exact)))
}

async fn a_capped_count_stops_at_its_cap(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, (0..7).map(|n| json!({"n": n}))).await?;
    for (cap, expected) in [
        (3, Count::new(3, Precision::AtLeast)),
        (6, Count::new(6, Precision::AtLeast)),
        (7, Count::new(7, Precision::Exact)),
        (1000, Count::new(7, Precision::Exact)),
    ] {
        let query = ListQuery::new().with_count(Counting::Capped(cap));
        check_eq(&page(&on, &caller, &name, &query).await?.count, &Some(expected))?;
    }
    Ok(())
}

async fn an_estimate_is_a_number(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, (0..3).map(|n| json!({"n": n}))).await?;
    let query = ListQuery::new().with_filter("n >= 1 && meta.owner == caller.id").map_err(failed)?;
    let found = page(&on, &caller, &name, &query.with_count(Counting::Estimated)).await?;
    let count = found.count.ok_or("an estimate was asked for")?;
    let honest = match count.precision {
        Precision::Exact => count.value == 2,
        Precision::AtLeast => count.value <= 2,
        Precision::Estimate => true,
    };
    check(honest, &format!("{count:?} of 2 documents"))?;
    check_eq(&found.items.len(), &2)
}
