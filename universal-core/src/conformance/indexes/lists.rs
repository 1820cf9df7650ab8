//! Lists through indexes.

use serde_json::{Map, Value, json};

use crate::{
    caller::Caller,
    collections::{CollectionSettings, IndexState, NewDocument, Rules},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
        indexes::fixture::{
            Dice, Fixture, collection, configured, indexes, object, put, query, system, used, user, walked,
        },
    },
    error::ErrorKind,
    id::CollectionName,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(a_list_is_the_same_with_indexes_and_without),
    case!(explain_names_the_index_of_a_list),
    case!(explain_is_for_administrators),
    case!(an_index_serves_the_owner_rule_and_rules_of_ones_own),
    case!(an_index_on_moments_serves_ranges_of_time),
    case!(texts_that_are_longer_than_an_index_keeps_are_in_order),
    case!(a_list_goes_on_when_its_index_is_taken_away),
];

/// A document of values of every kind, few enough to tie.
pub(super) fn random(dice: &mut Dice) -> Value {
    let mut members = Map::new();
    for name in ["a", "b"] {
        let value = match dice.roll(12) {
            0 => continue,
            1 => json!(null),
            2 => json!(dice.roll(2) == 0),
            3 => json!([1]),
            4 => json!(1.5),
            5 => json!("x"),
            6 => json!(format!("y{}", dice.roll(3))),
            7 => json!(9_007_199_254_740_993_i64),
            8 => json!(9_007_199_254_740_992.0),
            n => json!(i64::try_from(n).unwrap_or(0) - 10),
        };
        members.insert(name.to_owned(), value);
    }
    members.insert("c".to_owned(), json!({"d": dice.roll(3)}));
    Value::Object(members)
}

pub(super) const FILTERS: [&str; 12] = [
    "",
    "a == -1",
    "a == 9007199254740993 && b >= 0",
    "a > -1",
    "a >= \"x\" && a < \"y2\"",
    "a == null",
    "b == true && a <= 1.5",
    "b < true",
    "c.d == 1",
    "c.d == 2 && a in [1.5, \"x\", -1]",
    "b in [\"y1\"]",
    "c.d == 1 && (a == -1 || b == -1)",
];

const SORTS: [&str; 10] = ["", "a", "-a", "-a,b", "a,-b", "c.d,-a", "-c.d,-a", "b,-id", "-id", "meta.created_at"];

async fn a_list_is_the_same_with_indexes_and_without(on: Fixture) -> Result<(), String> {
    let (name, mut dice) = (collection()?, Dice::new(7));
    for n in 0..120 {
        put(&on, &name, &format!("d{n:03}"), random(&mut dice)).await?;
    }
    let mut plain = Vec::new();
    for (filter, sort) in FILTERS.iter().flat_map(|filter| SORTS.map(|sort| (*filter, sort))) {
        plain.push(walked(&on, &system(), &name, &query(filter, sort)?, 500).await?);
    }
    let wanted: [(&str, &[&str]); 6] = [
        ("by_a", &["a"]),
        ("by_a_down", &["-a", "b"]),
        ("by_d", &["c.d", "-a"]),
        ("by_b", &["b"]),
        ("by_ab", &["a", "-b"]),
        ("by_time", &["meta.created_at"]),
    ];
    configured(&on, &name, indexes(&wanted)).await?;
    let mut served = 0;
    for ((filter, sort), plain) in FILTERS.iter().flat_map(|filter| SORTS.map(|sort| (*filter, sort))).zip(plain) {
        let query = query(filter, sort)?;
        served += u32::from(used(&on, &system(), &name, &query).await?.is_some());
        for page in [7, 500] {
            let found = walked(&on, &system(), &name, &query, page).await?;
            check(found == plain, &format!("`{filter}` by `{sort}`: {found:?} instead of {plain:?}"))?;
        }
    }
    check(served > 80, &format!("an index served {served} lists only"))
}

async fn explain_names_the_index_of_a_list(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    for n in 0..20 {
        put(&on, &name, &format!("d{n:02}"), json!({"done": n % 2 == 0, "priority": n, "title": "t"})).await?;
    }
    let wanted: [(&str, &[&str]); 2] = [("by_title", &["title"]), ("open_by_priority", &["done", "-priority"])];
    let states = configured(&on, &name, indexes(&wanted)).await?;
    check(states.iter().all(|(_, state)| *state == IndexState::Ready), "an index is not ready")?;
    let explained = |filter, sort| {
        let (on, name) = (Fixture::clone(&on), name.clone());
        async move { on.explain(&system(), &name, &query(filter, sort)?, None).await.map_err(failed) }
    };
    let explanation = explained("done == false && priority > 3", "-priority").await?;
    let index = explanation.index.ok_or("no index is used")?;
    check_eq(&index.name.as_str(), &"open_by_priority")?;
    check_eq(&index.equality, &vec!["doc.done".to_owned()])?;
    check_eq(&(index.range.as_deref(), index.order), &(Some("doc.priority"), true))?;
    check_eq(&(explanation.sorts, explanation.rule), &(false, None))?;
    check_eq(&explanation.filter.as_deref(), &Some("doc.done == false && doc.priority > 3"))?;
    let verdicts: Vec<&str> = explanation.considered.iter().map(|considered| considered.verdict.as_str()).collect();
    check(verdicts.contains(&"used") && verdicts.iter().any(|verdict| verdict.contains("`doc.title`")), "no verdicts")?;
    let explanation = explained("priority > 3", "priority").await?;
    check_eq(&(explanation.index, explanation.sorts), &(None, true))?;
    let explanation = explained("title == \"t\"", "priority").await?;
    check_eq(&(explanation.index.map(|index| index.name), explanation.sorts), &(Some("by_title".to_owned()), true))?;
    let found =
        on.list(&system(), &name, &query("done == false && priority > 3", "-priority")?).await.map_err(failed)?;
    let ids: Vec<String> = found.value.items.iter().map(|document| document.id.to_string()).collect();
    check_eq(&ids.first().map(String::as_str), &Some("d19"))?;
    check_eq(&ids.len(), &8)
}

async fn explain_is_for_administrators(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    let outcome = on.explain(&user(), &name, &query("", "a")?, None).await;
    refused(outcome, ErrorKind::Forbidden, "admin-required")?;
    let nobody = Caller::anonymous(crate::id::TenantId::default_tenant());
    refused(on.explain(&nobody, &name, &query("", "a")?, None).await, ErrorKind::Unauthenticated, "sign-in-required")
}

async fn create_as(on: &Fixture, caller: &Caller, name: &CollectionName, body: Value) -> Result<(), String> {
    on.create(caller, name, NewDocument::new(object(body)?)).await.map(|_| ()).map_err(failed)
}

async fn an_index_serves_the_owner_rule_and_rules_of_ones_own(on: Fixture) -> Result<(), String> {
    let (name, ada, bob) = (collection()?, user(), user());
    configured(&on, &name, indexes(&[("mine", &["meta.owner", "-n"])])).await?;
    for n in 0..15 {
        create_as(&on, if n % 3 == 0 { &bob } else { &ada }, &name, json!({"n": n % 4})).await?;
    }
    let by_n = query("", "-n")?;
    check_eq(&used(&on, &ada, &name, &by_n).await?.as_deref(), &Some("mine"))?;
    check_eq(&walked(&on, &ada, &name, &by_n, 3).await?.len(), &10)?;
    check_eq(&walked(&on, &bob, &name, &by_n, 3).await?.len(), &5)?;
    check_eq(&used(&on, &ada, &name, &query("n == 3", "")?).await?.as_deref(), &Some("mine"))?;
    // A rule of one's own is taken apart like a filter.
    let rule = Rules::default().with_list("meta.owner == caller.id && doc.n > 0");
    let settings: CollectionSettings = indexes(&[("mine", &["meta.owner", "-n"])]).with_rules(rule);
    configured(&on, &name, settings).await?;
    check_eq(&used(&on, &ada, &name, &by_n).await?.as_deref(), &Some("mine"))?;
    let all: Vec<String> = walked(&on, &ada, &name, &query("", "")?, 50).await?;
    let mut found = walked(&on, &ada, &name, &by_n, 2).await?;
    found.sort_unstable();
    check_eq(&found, &all)
}

async fn an_index_on_moments_serves_ranges_of_time(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    configured(&on, &name, indexes(&[("newest", &["-meta.created_at"])])).await?;
    for n in 0..9 {
        put(&on, &name, &format!("d{n}"), json!({"n": n})).await?;
    }
    let found = on.list(&system(), &name, &query("", "")?).await.map_err(failed)?.value.items;
    let middle = found.get(4).map(|document| document.created_at.to_string()).ok_or("a document is missing")?;
    let newest = query(&format!("meta.created_at >= \"{middle}\""), "-meta.created_at")?;
    check_eq(&used(&on, &system(), &name, &newest).await?.as_deref(), &Some("newest"))?;
    let shown = |document: &&crate::collections::Document| document.created_at.to_string() >= middle;
    let expected = found.iter().filter(shown).count();
    check_eq(&walked(&on, &system(), &name, &newest, 2).await?.len(), &expected)
}

async fn texts_that_are_longer_than_an_index_keeps_are_in_order(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    let long = |end: &str| format!("{}{end}", "x".repeat(256));
    configured(&on, &name, indexes(&[("by_text", &["text"])])).await?;
    for (id, end) in [("a", "c"), ("b", ""), ("c", "b")] {
        put(&on, &name, id, json!({"text": long(end)})).await?;
    }
    let by_text = query("", "text")?;
    check_eq(
        &walked(&on, &system(), &name, &by_text, 1).await?,
        &vec!["b".to_owned(), "c".to_owned(), "a".to_owned()],
    )?;
    let equal = query(&format!("text == \"{}\"", long("c")), "")?;
    check_eq(&used(&on, &system(), &name, &equal).await?.as_deref(), &Some("by_text"))?;
    check_eq(&walked(&on, &system(), &name, &equal, 5).await?, &vec!["a".to_owned()])?;
    let above = query(&format!("text > \"{}\"", long("b")), "text")?;
    check_eq(&walked(&on, &system(), &name, &above, 5).await?, &vec!["a".to_owned()])
}

async fn a_list_goes_on_when_its_index_is_taken_away(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    configured(&on, &name, indexes(&[("by_n", &["n"])])).await?;
    for n in 0..10 {
        put(&on, &name, &format!("d{n}"), json!({"n": 9 - n})).await?;
    }
    let by_n = query("", "n")?.with_limit(crate::page::Limit::new(4).map_err(failed)?);
    let first = on.list(&system(), &name, &by_n).await.map_err(failed)?.value;
    on.configure(&system(), &name, CollectionSettings::new(), None).await.map_err(failed)?;
    check_eq(&used(&on, &system(), &name, &by_n).await?, &None)?;
    let next = by_n.clone().with_cursor(first.next_cursor.ok_or("there is no next page")?);
    let second = on.list(&system(), &name, &next).await.map_err(failed)?.value;
    let ids: Vec<String> = second.items.iter().map(|document| document.id.to_string()).collect();
    check_eq(&ids, &vec!["d5".to_owned(), "d4".to_owned(), "d3".to_owned(), "d2".to_owned()])?;
    // Another index of the same name is another index.
    configured(&on, &name, indexes(&[("by_n", &["-n"])])).await?;
    check_eq(&used(&on, &system(), &name, &by_n).await?.as_deref(), &Some("by_n"))?;
    check_eq(&walked(&on, &system(), &name, &by_n, 3).await?.len(), &10)
}
