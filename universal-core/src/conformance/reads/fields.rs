//! Field selection.

use serde_json::{Value, json};

use super::scene::{Fixture, collection, page, put, shown, store, user};
use crate::{
    collections::{GetQuery, ListQuery},
    conformance::{
        case::Case,
        expect::{check_eq, failed},
    },
    page::Limit,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(a_selection_shows_its_members_and_always_id_and_meta),
    case!(a_selection_changes_neither_order_nor_cursors),
    case!(numbers_and_texts_survive_a_selection),
];

async fn a_selection_shows_its_members_and_always_id_and_meta(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let body = json!({"title": "Emma", "author": {"name": "Jane", "born": 1775}, "parts": [{"n": 1, "x": 2}, 3]});
    let made = put(&on, &caller, &name, "emma", body.clone()).await?;
    for (fields, expected) in [
        ("title", json!({"title": "Emma"})),
        ("author.name,title", json!({"title": "Emma", "author": {"name": "Jane"}})),
        ("parts.n", json!({"parts": [{"n": 1}]})),
        ("none,id,_meta", json!({})),
    ] {
        let query = GetQuery::new().with_fields(fields).map_err(failed)?;
        let found = on.get_with(&caller, &name, &made.id, &query).await.map_err(failed)?.value;
        let mut whole = json!({"id": "emma"});
        if let (Some(whole), Value::Object(expected)) = (whole.as_object_mut(), expected) {
            whole.extend(expected);
            whole.insert("_meta".to_owned(), shown(&made)?["_meta"].clone());
        }
        check_eq(&(fields, &shown(&found)?), &(fields, &whole))?;
        let query = ListQuery::new().with_fields(fields).map_err(failed)?;
        let listed = page(&on, &caller, &name, &query).await?;
        check_eq(&listed.items.iter().map(shown).collect::<Result<Vec<_>, _>>()?, &vec![whole])?;
    }
    let whole = on.get_with(&caller, &name, &made.id, &GetQuery::new()).await.map_err(failed)?.value;
    check_eq(&serde_json::from_str::<Value>(&whole.body).map_err(failed)?, &body)
}

async fn a_selection_changes_neither_order_nor_cursors(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, (0..5).map(|n| json!({"n": 9 - n, "t": "x"}))).await?;
    let query = ListQuery::new().with_sort("n").map_err(failed)?.with_limit(Limit::new(2).map_err(failed)?);
    let plain = page(&on, &caller, &name, &query).await?;
    let query = query.with_fields("t").map_err(failed)?;
    let selected = page(&on, &caller, &name, &query).await?;
    check_eq(&selected.next_cursor, &plain.next_cursor)?;
    check_eq(
        &selected.items.iter().map(|item| item.body.to_string()).collect::<Vec<_>>(),
        &vec!["{\"t\":\"x\"}".to_owned(); 2],
    )?;
    let next = query.with_cursor(selected.next_cursor.ok_or("there is a second page")?);
    let ids: Vec<_> = page(&on, &caller, &name, &next).await?.items.iter().map(|item| item.id.to_string()).collect();
    check_eq(&ids, &vec!["02".to_owned(), "01".to_owned()])
}

async fn numbers_and_texts_survive_a_selection(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let value = json!([1e300, 9_007_199_254_740_993_i64, 5e-324, 0.1, "\u{1F600}\u{1}\"\\", null, {"é": []}]);
    let made = put(&on, &caller, &name, "a", json!({"v": value, "w": 1})).await?;
    let query = GetQuery::new().with_fields("v").map_err(failed)?;
    let found = on.get_with(&caller, &name, &made.id, &query).await.map_err(failed)?.value;
    check_eq(&serde_json::from_str::<Value>(&found.body).map_err(failed)?, &json!({"v": value}))
}
