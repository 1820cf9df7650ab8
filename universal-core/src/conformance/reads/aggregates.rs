//! Aggregates.

use serde_json::{Value, json};

use super::scene::{Fixture, collection, put, shown_groups, store, system, user};
use crate::{
    caller::Caller,
    collections::{AggregateQuery, GroupLimit},
    conformance::{
        case::Case,
        expect::{check_eq, failed, refused},
    },
    error::{Error, ErrorKind},
    id::{CollectionName, TenantId},
    json::{decimal::DecimalSum, order::compare},
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(without_a_group_all_documents_are_one),
    case!(documents_are_grouped_by_equal_values_in_the_total_order),
    case!(only_numbers_are_added_up),
    case!(sums_are_exact_whatever_the_order),
    case!(sums_and_bounds_of_many_doubles_are_exact),
    case!(integers_beyond_64_bits_become_doubles),
    case!(a_sum_too_large_for_a_double_is_null),
    case!(the_smallest_and_largest_are_those_of_the_total_order),
    case!(groups_are_sorted_by_metrics_and_cut_at_the_limit),
    case!(groups_are_of_what_the_caller_may_list_and_the_filter_matches),
    case!(moments_and_owners_group_and_compare),
    case!(anonymous_callers_are_told_no_sums),
];

type Build = Result<AggregateQuery, Error>;

async fn groups(on: &Fixture, caller: &Caller, name: &CollectionName, query: Build) -> Result<Value, String> {
    let found = on.aggregate(caller, name, &query.map_err(failed)?).await.map_err(failed)?;
    shown_groups(&found.value)
}

/// The one group of all documents.
async fn all(on: &Fixture, caller: &Caller, name: &CollectionName, select: &str) -> Result<Value, String> {
    let found = groups(on, caller, name, AggregateQuery::new().with_select(select)).await?;
    check_eq(&found["more"], &json!(false))?;
    Ok(found["groups"][0].clone())
}

async fn without_a_group_all_documents_are_one(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let select = "count,sum:n,avg:n,min:n,max:n";
    let none =
        json!({"key": {}, "count": 0, "sum": {"n": 0}, "avg": {"n": null}, "min": {"n": null}, "max": {"n": null}});
    check_eq(&all(&on, &caller, &name, select).await?, &none)?;
    store(&on, &caller, &name, [json!({"n": 1}), json!({"n": 4}), json!({})]).await?;
    let expected = json!({"key": {}, "count": 3, "sum": {"n": 5}, "avg": {"n": 2.5}, "min": {"n": 1}, "max": {"n": 4}});
    check_eq(&all(&on, &caller, &name, select).await?, &expected)
}

async fn documents_are_grouped_by_equal_values_in_the_total_order(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let bodies = [
        json!({"k": "b", "x": {"m": 1}}),
        json!({"k": [1]}),
        json!({"k": 1.0}),
        json!({"k": null}),
        json!({}),
        json!({"k": 1}),
        json!({"k": "B"}),
        json!({"k": "b", "x": {"m": 2}}),
        json!({"k": [1.0]}),
        json!({"k": "b", "x": {"m": 1}}),
    ];
    store(&on, &caller, &name, bodies).await?;
    let found = groups(&on, &caller, &name, AggregateQuery::new().with_group("k, x.m")).await?;
    let expected = json!({"more": false, "groups": [
        {"key": {}, "count": 1},
        {"key": {"k": null}, "count": 1},
        {"key": {"k": 1}, "count": 2},
        {"key": {"k": "B"}, "count": 1},
        {"key": {"k": "b", "x.m": 1}, "count": 2},
        {"key": {"k": "b", "x.m": 2}, "count": 1},
        {"key": {"k": [1]}, "count": 2},
    ]});
    check_eq(&found, &expected)
}

async fn only_numbers_are_added_up(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let values = [json!(3), json!("4"), json!(null), json!(true), json!([5]), json!({"n": 6}), json!(0.5)];
    store(&on, &caller, &name, values.map(|value| json!({"n": value}))).await?;
    let found = all(&on, &caller, &name, "sum:n,avg:n").await?;
    check_eq(&found, &json!({"key": {}, "count": 7, "sum": {"n": 3.5}, "avg": {"n": 1.75}}))
}

async fn sums_are_exact_whatever_the_order(on: Fixture) -> Result<(), String> {
    for (values, expected) in [
        (vec![json!(0.1), json!(0.2)], json!(0.3)),
        (vec![json!(0.1), json!(0.7), json!(-0.8)], json!(0)),
        (vec![json!(1e300), json!(1), json!(-1e300)], json!(1)),
        (vec![json!(1e-7), json!(-1), json!(1.25e-7)], json!(-0.999_999_775)),
        (vec![json!(9_007_199_254_740_993_i64), json!(-0.5), json!(0.5)], json!(9_007_199_254_740_993_i64)),
        (vec![json!(i64::MAX), json!(i64::MIN), json!(-1)], json!(-2)),
        (vec![json!(i64::MIN), json!(i64::MIN), json!(i64::MAX), json!(i64::MAX)], json!(-2)),
        (vec![json!(-12.34), json!(-0.000_012_345_678_901_234_5), json!(12.34)], json!(-0.000_012_345_678_901_234_5)),
        (vec![json!(5e-324), json!(5e-324)], json!(1e-323)),
        (vec![json!(4_503_599_627_370_495.5), json!(0.5)], json!(4_503_599_627_370_496_i64)),
    ] {
        let (caller, name) = (user(), collection()?);
        store(&on, &caller, &name, values.iter().map(|value| json!({"n": value}))).await?;
        let found = all(&on, &caller, &name, "sum:n").await?;
        check_eq(&(&values, &found["sum"]["n"]), &(&values, &expected))?;
    }
    Ok(())
}

async fn sums_and_bounds_of_many_doubles_are_exact(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let (mut bits, mut values, mut sum) = (0x2545_F491_4F6C_DD1D_u64, Vec::new(), DecimalSum::new());
    while values.len() < 120 {
        // xorshift64 (Marsaglia 2003); every third as any double there is, the others of everyday size.
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        let any = f64::from_bits(bits);
        let everyday = f64::from(u32::try_from(bits >> 40).map_err(failed)?) / 1000.0 - 8000.0;
        let value = if values.len() % 3 == 0 { any } else { everyday };
        if let Some(number) = crate::json::from_f64(value) {
            let text = crate::json::number_to_text(&number);
            sum.add_scaled(&text);
            values.push(json!(number));
        }
    }
    for (at, value) in values.iter().enumerate() {
        put(&on, &caller, &name, &format!("{at:03}"), json!({"n": value})).await?;
    }
    let found = all(&on, &caller, &name, "sum:n,min:n,max:n").await?;
    check_eq(&found["sum"]["n"], &json!(sum.number()))?;
    values.sort_by(|a, b| compare(Some(a), Some(b)));
    check_eq(&Some(&found["min"]["n"]), &values.first())?;
    check_eq(&Some(&found["max"]["n"]), &values.last())
}

async fn integers_beyond_64_bits_become_doubles(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, [json!({"n": i64::MAX}), json!({"n": 1}), json!({"n": i64::MAX})]).await?;
    let found = all(&on, &caller, &name, "sum:n,avg:n").await?;
    // 2^64 - 1 is nearest to 2^64, and a third of that to an integer.
    check_eq(&found["sum"], &json!({"n": 18_446_744_073_709_551_616.0}))?;
    check_eq(&found["avg"], &json!({"n": 6_148_914_691_236_516_864_i64}))
}

async fn a_sum_too_large_for_a_double_is_null(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, [json!({"n": f64::MAX}), json!({"n": f64::MAX})]).await?;
    let found = all(&on, &caller, &name, "sum:n,avg:n,max:n").await?;
    let expected = json!({"key": {}, "count": 2, "sum": {"n": null}, "avg": {"n": null}, "max": {"n": f64::MAX}});
    check_eq(&found, &expected)
}

async fn the_smallest_and_largest_are_those_of_the_total_order(on: Fixture) -> Result<(), String> {
    for (values, min, max) in [
        (vec![json!(2), json!("a"), json!(null), json!([0]), json!(true)], json!(true), json!("a")),
        (vec![json!(2), json!(10), json!(-1.5), json!({})], json!(-1.5), json!(10)),
        (vec![json!("é"), json!("z"), json!("Z"), json!("\u{1F600}")], json!("Z"), json!("\u{1F600}")),
        (vec![json!(false), json!(true)], json!(false), json!(true)),
        (vec![json!(1.7e203), json!(1.7000000000000002e203)], json!(1.7e203), json!(1.7000000000000002e203)),
        (vec![json!(-5e-324), json!(0), json!(5e-324)], json!(-5e-324), json!(5e-324)),
        (
            vec![json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64)],
            json!(9_007_199_254_740_992_i64),
            json!(9_007_199_254_740_993_i64),
        ),
        (vec![json!(0.1), json!(0.300_000_000_000_000_04)], json!(0.1), json!(0.300_000_000_000_000_04)),
        (vec![json!(null), json!([1])], json!(null), json!(null)),
    ] {
        let (caller, name) = (user(), collection()?);
        store(&on, &caller, &name, values.iter().map(|value| json!({"v": value}))).await?;
        let found = all(&on, &caller, &name, "min:v,max:v").await?;
        check_eq(&(&values, &found["min"]["v"], &found["max"]["v"]), &(&values, &min, &max))?;
    }
    Ok(())
}

async fn groups_are_sorted_by_metrics_and_cut_at_the_limit(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    for (at, (k, n)) in [("a", 1), ("b", 5), ("c", 2), ("b", 1), ("c", 4), ("d", 6)].into_iter().enumerate() {
        put(&on, &caller, &name, &format!("{at}"), json!({"k": k, "n": n})).await?;
    }
    for (sort, limit, expected, more) in [
        ("-sum:n", 2, vec!["b", "c"], true),
        ("-count,-k", 3, vec!["c", "b", "d"], true),
        ("sum:n", 4, vec!["a", "b", "c", "d"], false),
        ("-k", 1000, vec!["d", "c", "b", "a"], false),
    ] {
        let build = || AggregateQuery::new().with_group("k")?.with_select("sum:n")?.with_sort(sort);
        let build = || Ok(build()?.with_limit(GroupLimit::new(limit)?));
        let found = groups(&on, &caller, &name, build()).await?;
        let groups = found["groups"].as_array().cloned().unwrap_or_default();
        let keys: Vec<_> = groups.iter().filter_map(|group| group["key"]["k"].as_str()).collect();
        check_eq(&(sort, keys, &found["more"]), &(sort, expected, &json!(more)))?;
    }
    Ok(())
}

async fn groups_are_of_what_the_caller_may_list_and_the_filter_matches(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, (0..6).map(|n| json!({"n": n}))).await?;
    put(&on, &user(), &name, "foreign", json!({"n": 100})).await?;
    let build = || AggregateQuery::new().with_filter("n >= 2")?.with_select("sum:n");
    let found = groups(&on, &caller, &name, build()).await?;
    check_eq(&found["groups"], &json!([{"key": {}, "count": 4, "sum": {"n": 14}}]))?;
    let found = groups(&on, &system(), &name, build()).await?;
    check_eq(&found["groups"], &json!([{"key": {}, "count": 5, "sum": {"n": 114}}]))
}

async fn moments_and_owners_group_and_compare(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let made = put(&on, &caller, &name, "a", json!({})).await?;
    put(&on, &system(), &name, "b", json!({})).await?;
    let build = AggregateQuery::new()
        .with_group("meta.owner")
        .and_then(|query| query.with_select("min:meta.created_at,max:id"));
    let found = groups(&on, &system(), &name, build).await?;
    let owner = caller.user_id().map(|user| user.as_str().to_owned());
    check_eq(&found["groups"][0]["key"], &json!({"meta.owner": null}))?;
    let of_user = json!({
        "key": {"meta.owner": owner}, "count": 1,
        "min": {"meta.created_at": made.created_at.to_string()}, "max": {"id": "a"},
    });
    check_eq(&found["groups"][1], &of_user)
}

async fn anonymous_callers_are_told_no_sums(on: Fixture) -> Result<(), String> {
    let caller = Caller::anonymous(TenantId::default_tenant());
    let found = on.aggregate(&caller, &collection()?, &AggregateQuery::new()).await;
    refused(found, ErrorKind::Unauthenticated, "sign-in-required")
}
