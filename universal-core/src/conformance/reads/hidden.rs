//! Hidden members: no read tells of them.

use serde_json::{Value, json};

use super::scene::{Fixture, admin, collection, configure, page, put, shown, shown_groups, user};
use crate::{
    caller::Caller,
    collections::{AggregateQuery, CollectionSettings, Counting, DistinctQuery, GetQuery, ListQuery, Rules},
    conformance::{
        case::Case,
        expect::{check_eq, failed, refused},
    },
    error::{Error, ErrorKind},
    id::{CollectionName, DocumentId},
};

pub(super) const CASES: &[Case<Fixture>] =
    &[case!(no_read_may_name_a_hidden_member), case!(answers_do_not_depend_on_hidden_members)];

async fn scene(on: &Fixture) -> Result<CollectionName, String> {
    let name = collection()?;
    let rules = Rules::default().with_list("true").with_get("true");
    let settings = CollectionSettings::new().with_rules(rules).with_hidden("secret").with_hidden("a.b");
    configure(on, &name, settings).await?;
    Ok(name)
}

/// Every read that names `field`.
async fn reads(
    on: &Fixture,
    caller: &Caller,
    name: &CollectionName,
    field: &str,
) -> Vec<(&'static str, Result<(), Error>)> {
    let list = |query: Result<ListQuery, Error>| async move { on.list(caller, name, &query?).await.map(|_| ()) };
    let aggregate =
        |query: Result<AggregateQuery, Error>| async move { on.aggregate(caller, name, &query?).await.map(|_| ()) };
    let distinct =
        |query: Result<DistinctQuery, Error>| async move { on.distinct(caller, name, &query?).await.map(|_| ()) };
    let filter = format!("has({field})");
    let get = async {
        let id = DocumentId::new("00")?;
        on.get_with(caller, name, &id, &GetQuery::new().with_fields(field)?).await.map(|_| ())
    };
    vec![
        ("filter", list(ListQuery::new().with_filter(&filter)).await),
        ("sort", list(ListQuery::new().with_sort(&format!("-{field}"))).await),
        ("fields", list(ListQuery::new().with_fields(field)).await),
        ("fields of one", get.await),
        ("group", aggregate(AggregateQuery::new().with_group(field)).await),
        ("sum", aggregate(AggregateQuery::new().with_select(&format!("sum:{field}"))).await),
        ("min", aggregate(AggregateQuery::new().with_select(&format!("count,min:{field}"))).await),
        ("filter of an aggregate", aggregate(AggregateQuery::new().with_filter(&filter)).await),
        ("distinct", distinct(DistinctQuery::new(field)).await),
        ("filter of distinct", distinct(DistinctQuery::new("n").and_then(|query| query.with_filter(&filter))).await),
    ]
}

async fn no_read_may_name_a_hidden_member(on: Fixture) -> Result<(), String> {
    let name = scene(&on).await?;
    put(&on, &admin(), &name, "00", json!({"secret": 1, "a": {"b": 2, "c": 3}, "n": 4})).await?;
    for field in ["secret", "a.b", "secret.within", "a.b.c"] {
        for (read, outcome) in reads(&on, &user(), &name, field).await {
            refused(outcome, ErrorKind::Invalid, "invalid-field")
                .map_err(|wrong| format!("{read} {field}: {wrong}"))?;
        }
        for (read, outcome) in reads(&on, &admin(), &name, field).await {
            outcome.map_err(|error| format!("{read} {field} for an administrator: {error:?}"))?;
        }
    }
    for (read, outcome) in reads(&on, &user(), &name, "a.c").await {
        outcome.map_err(|error| format!("{read} a.c: {error:?}"))?;
    }
    // What holds a hidden member can be shown, without it, and not be asked for.
    for (read, outcome) in reads(&on, &user(), &name, "a").await {
        match read {
            "fields" | "fields of one" => outcome.map_err(failed)?,
            _ => refused(outcome, ErrorKind::Invalid, "invalid-field").map_err(|wrong| format!("{read} a: {wrong}"))?,
        }
    }
    let query = ListQuery::new().with_fields("a").map_err(failed)?;
    let listed = page(&on, &user(), &name, &query).await?;
    check_eq(&listed.items.first().map(|item| item.body.to_string()), &Some("{\"a\":{\"c\":3}}".to_owned()))
}

async fn answers_do_not_depend_on_hidden_members(on: Fixture) -> Result<(), String> {
    let (one, other) = (scene(&on).await?, scene(&on).await?);
    for n in 0..4 {
        put(&on, &admin(), &one, &format!("{n}"), json!({"n": n, "secret": n, "a": {"b": "x", "c": n}})).await?;
        let secret = json!({"n": n, "secret": {"large": [n, "other"]}, "a": {"c": n}});
        put(&on, &admin(), &other, &format!("{n}"), secret).await?;
    }
    let caller = user();
    let mut seen = Vec::new();
    for name in [&one, &other] {
        let query = ListQuery::new().with_filter("n >= 1").and_then(|query| query.with_sort("-n")).map_err(failed)?;
        let listed = page(&on, &caller, name, &query.with_count(Counting::Exact)).await?;
        let mut items = listed.items.iter().map(shown).collect::<Result<Vec<Value>, _>>()?;
        for item in &mut items {
            item.as_object_mut().map(|item| item.remove("_meta"));
        }
        let query =
            AggregateQuery::new().with_group("a.c").and_then(|query| query.with_select("sum:n")).map_err(failed)?;
        let groups = on.aggregate(&caller, name, &query).await.map_err(failed)?.value;
        seen.push((items, listed.count, shown_groups(&groups)?));
    }
    check_eq(&seen.first(), &seen.last())
}
