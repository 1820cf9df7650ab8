//! The different values of a field.

use serde_json::{Value, json};

use super::scene::{Fixture, collection, put, store, user};
use crate::{
    caller::Caller,
    collections::{DistinctQuery, GroupLimit},
    conformance::{
        case::Case,
        expect::{check_eq, failed, refused},
    },
    error::ErrorKind,
    id::{CollectionName, TenantId},
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(distinct_values_come_in_the_total_order_each_once),
    case!(distinct_values_are_of_what_the_caller_may_list_and_the_filter_matches),
    case!(more_distinct_values_than_the_limit_are_told),
    case!(the_row_has_distinct_values_too),
    case!(anonymous_callers_learn_no_values),
];

async fn distinct(
    on: &Fixture,
    caller: &Caller,
    name: &CollectionName,
    query: &DistinctQuery,
) -> Result<(Vec<Value>, bool), String> {
    let found = on.distinct(caller, name, query).await.map_err(failed)?.value;
    Ok((found.values, found.more))
}

async fn distinct_values_come_in_the_total_order_each_once(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let values = [
        json!("b"),
        json!(1),
        json!({"x": 1, "y": [2.5]}),
        json!(null),
        json!("B"),
        json!(1.0),
        json!(true),
        json!([2, 1]),
        json!(1e300),
        json!([1, 2]),
        json!(-1.7e203),
        json!({"y": [2.5], "x": 1}),
        json!(false),
        json!("b"),
        json!(9_007_199_254_740_993_i64),
        json!(9_007_199_254_740_992_i64),
        json!(5e-324),
    ];
    store(&on, &caller, &name, values.iter().map(|value| json!({"a": {"b": value}}))).await?;
    put(&on, &caller, &name, "missing", json!({"a": 1})).await?;
    let query = DistinctQuery::new("a.b").map_err(failed)?;
    let expected = vec![
        json!(null),
        json!(false),
        json!(true),
        json!(-1.7e203),
        json!(5e-324),
        json!(1),
        json!(9_007_199_254_740_992_i64),
        json!(9_007_199_254_740_993_i64),
        json!(1e300),
        json!("B"),
        json!("b"),
        // Arrays and objects tie; the smallest id decides.
        json!({"x": 1, "y": [2.5]}),
        json!([2, 1]),
        json!([1, 2]),
    ];
    check_eq(&distinct(&on, &caller, &name, &query).await?, &(expected, false))
}

async fn distinct_values_are_of_what_the_caller_may_list_and_the_filter_matches(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, (0..6).map(|n| json!({"n": n, "even": n % 2 == 0}))).await?;
    put(&on, &user(), &name, "foreign", json!({"n": 100, "even": true})).await?;
    let query = DistinctQuery::new("n").map_err(failed)?.with_filter("even == true").map_err(failed)?;
    check_eq(&distinct(&on, &caller, &name, &query).await?, &(vec![json!(0), json!(2), json!(4)], false))
}

async fn more_distinct_values_than_the_limit_are_told(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, [3, 1, 2, 1, 3].map(|n| json!({"n": n}))).await?;
    put(&on, &caller, &name, "missing", json!({})).await?;
    for (limit, expected) in [(2, (vec![json!(1), json!(2)], true)), (3, (vec![json!(1), json!(2), json!(3)], false))] {
        let query = DistinctQuery::new("n").map_err(failed)?.with_limit(GroupLimit::new(limit).map_err(failed)?);
        check_eq(&distinct(&on, &caller, &name, &query).await?, &expected)?;
    }
    Ok(())
}

async fn the_row_has_distinct_values_too(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let made = put(&on, &caller, &name, "only", json!({})).await?;
    let owner = caller.user_id().map(|user| user.as_str().to_owned());
    for (field, expected) in [
        ("id", json!("only")),
        ("meta.owner", json!(owner)),
        ("meta.revision", json!(made.revision.as_str())),
        ("meta.created_at", json!(made.created_at.to_string())),
    ] {
        let query = DistinctQuery::new(field).map_err(failed)?;
        check_eq(&distinct(&on, &caller, &name, &query).await?, &(vec![expected], false))?;
    }
    Ok(())
}

async fn anonymous_callers_learn_no_values(on: Fixture) -> Result<(), String> {
    let caller = Caller::anonymous(TenantId::default_tenant());
    let query = DistinctQuery::new("n").map_err(failed)?;
    refused(on.distinct(&caller, &collection()?, &query).await, ErrorKind::Unauthenticated, "sign-in-required")
}
