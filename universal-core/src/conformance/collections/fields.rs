//! Field operations.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    collections::Precondition,
    conformance::{
        case::Case,
        collections::fixture::{Fixture, collection, id, new, patch, stored, user, value},
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(operations_change_what_is_stored),
    case!(now_is_the_moment_that_meta_shows),
    case!(operations_that_do_not_fit_change_nothing),
    case!(limits_hold_for_what_operations_make),
    case!(numbers_are_equal_by_value_in_arrays),
    case!(parallel_operations_on_one_array_are_all_kept),
    case!(many_clients_count_exactly),
];

async fn operations_change_what_is_stored(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let body = json!({"n": 1, "tags": ["a", "b", "a"], "list": [1], "kept": 1, "deep": {"list": []}});
    let made = on.create(&caller, &name, new(body)?).await.map_err(failed)?;
    let change = patch(json!({
        "n": {"$inc": -3},
        "tags": {"$remove": "a"},
        "list": {"$append": {"x": [1]}},
        "seen": {"$add_unique": "me"},
        "kept": {"$set_if_absent": 2},
        "fresh": {"$set_if_absent": {"a": null}},
        "deep": {"list": {"$append": 1}, "count": {"$inc": 1.5}},
        "none": {"$remove": 1},
    }))?;
    let patched = on.patch(&caller, &name, &made.id, change, Precondition::None).await.map_err(failed)?;
    let expected = json!({
        "n": -2,
        "tags": ["b"],
        "list": [1, {"x": [1]}],
        "seen": ["me"],
        "kept": 1,
        "fresh": {"a": null},
        "deep": {"list": [1], "count": 1.5},
    });
    check_eq(&value(&patched.body)?, &expected)?;
    check_eq(&value(&stored(&on, &name, &made.id).await?.body)?, &expected)
}

async fn now_is_the_moment_that_meta_shows(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let made = on.create(&caller, &name, new(json!({}))?).await.map_err(failed)?;
    let change = patch(json!({"seen": {"$now": true}}))?;
    let patched = on.patch(&caller, &name, &made.id, change, Precondition::None).await.map_err(failed)?;
    let mut shown = String::new();
    patched.write_json(&mut shown);
    let shown = value(&shown)?;
    check(shown.pointer("/seen").is_some_and(Value::is_string), "no moment was set")?;
    check_eq(&shown.pointer("/seen"), &shown.pointer("/_meta/updated_at"))
}

async fn operations_that_do_not_fit_change_nothing(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let body = json!({"n": i64::MAX, "text": "x", "list": [1], "nothing": null});
    let made = on.create(&caller, &name, new(body.clone())?).await.map_err(failed)?;
    for (change, code, field) in [
        (json!({"text": {"$inc": 1}}), "operation-does-not-fit", "/text"),
        (json!({"text": {"$append": 1}}), "operation-does-not-fit", "/text"),
        (json!({"nothing": {"$add_unique": 1}}), "operation-does-not-fit", "/nothing"),
        (json!({"n": {"$remove": 1}}), "operation-does-not-fit", "/n"),
        (json!({"list": {"$now": false}}), "operation-does-not-fit", "/list"),
        (json!({"n": {"$inc": 1}}), "integer-out-of-range", "/n"),
        (json!({"a": {"b": {"$boom": 1}}}), "unknown-operation", "/a/b"),
        (json!({"list": {"$append": {"$inc": 1}}}), "misplaced-operation", "/list"),
        (json!({"a": {"$inc": 1, "$append": 1}}), "misplaced-operation", "/a/$append"),
        (json!({"$set": {"a": 1}}), "misplaced-operation", "/$set"),
        (json!({"a": [{"$inc": 1}]}), "reserved-key", "/a/0/$inc"),
    ] {
        // The first member would be changed if the rest were passed over.
        let mut whole = change.clone();
        whole.as_object_mut().ok_or("an object")?.insert("0".to_owned(), json!(1));
        let outcome = on.patch(&caller, &name, &made.id, patch(whole)?, Precondition::None).await;
        let place = outcome.as_ref().err().and_then(|error| error.field()).map(str::to_owned);
        refused(outcome, ErrorKind::Invalid, code).map_err(|found| format!("{change}: {found}"))?;
        check_eq(&place.as_deref(), &Some(field))?;
    }
    check_eq(&value(&stored(&on, &name, &made.id).await?.body)?, &body)
}

async fn limits_hold_for_what_operations_make(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let large = "x".repeat(1024 * 1024 - 100);
    let made = on.create(&caller, &name, new(json!({"large": large, "list": []}))?).await.map_err(failed)?;
    let change = patch(json!({"list": {"$append": "y".repeat(200)}}))?;
    let outcome = on.patch(&caller, &name, &made.id, change, Precondition::None).await;
    refused(outcome, ErrorKind::TooLarge, "document-too-large")?;
    let full: Vec<u32> = (0..19_990).collect();
    let made = on.create(&caller, &name, new(json!({"list": full}))?).await.map_err(failed)?;
    let change = patch(json!({"list": {"$append": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}}))?;
    let outcome = on.patch(&caller, &name, &made.id, change, Precondition::None).await;
    check_eq(&outcome.err().map(|error| error.code()), &Some("json-too-many-values"))
}

async fn numbers_are_equal_by_value_in_arrays(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let text = br#"{"list":[1.0,9007199254740993,0.1,1e300,-0.0,"1"]}"#;
    let body = crate::json::Object::parse(text).map_err(failed)?;
    let made = on.create(&caller, &name, crate::collections::NewDocument::new(body)).await.map_err(failed)?;
    for gone in [json!(1), json!(0.1), json!(1e300), json!(0)] {
        let change = patch(json!({"list": {"$remove": gone}}))?;
        on.patch(&caller, &name, &made.id, change, Precondition::None).await.map_err(failed)?;
    }
    // Neighbours that a double cannot tell apart are different numbers.
    let change = patch(json!({"list": {"$add_unique": 9_007_199_254_740_992_i64}}))?;
    on.patch(&caller, &name, &made.id, change, Precondition::None).await.map_err(failed)?;
    let expected = json!({"list": [9_007_199_254_740_993_i64, "1", 9_007_199_254_740_992_i64]});
    check_eq(&value(&stored(&on, &name, &made.id).await?.body)?, &expected)
}

async fn parallel_operations_on_one_array_are_all_kept(on: Fixture) -> Result<(), String> {
    let (caller, name, key) = (user(), collection()?, id("board")?);
    on.create(&caller, &name, new(json!({}))?.with_id(key.clone())).await.map_err(failed)?;
    let appends = (0..16).map(|client| {
        let (on, caller, name, key) = (Arc::clone(&on), caller.clone(), name.clone(), key.clone());
        async move {
            for n in 0..10 {
                let change = patch(json!({"all": {"$append": client * 10 + n}, "once": {"$add_unique": n}}))?;
                on.patch(&caller, &name, &key, change, Precondition::None).await.map_err(failed)?;
            }
            Ok::<_, String>(())
        }
    });
    futures_util::future::try_join_all(appends).await?;
    let body = value(&stored(&on, &name, &key).await?.body)?;
    let mut all: Vec<_> = body.pointer("/all").and_then(Value::as_array).into_iter().flatten().cloned().collect();
    all.sort_by_key(Value::as_i64);
    check_eq(&all, &(0..160).map(Value::from).collect::<Vec<_>>())?;
    check_eq(&body.pointer("/once").and_then(Value::as_array).map(Vec::len), &Some(10))
}

/// 64 clients; `tests/http` has each of them add 1 000 times, over a connection of its own.
async fn many_clients_count_exactly(on: Fixture) -> Result<(), String> {
    let (caller, name, key) = (user(), collection()?, id("counter")?);
    on.create(&caller, &name, new(json!({"n": 0}))?.with_id(key.clone())).await.map_err(failed)?;
    let clients = (0..64).map(|_| {
        let (on, caller, name, key) = (Arc::clone(&on), caller.clone(), name.clone(), key.clone());
        tokio::spawn(async move {
            for _ in 0..10 {
                on.patch(&caller, &name, &key, patch(json!({"n": {"$inc": 1}}))?, Precondition::None)
                    .await
                    .map_err(failed)?;
            }
            Ok::<_, String>(())
        })
    });
    for client in futures_util::future::join_all(clients).await {
        client.map_err(failed)??;
    }
    check_eq(&value(&stored(&on, &name, &key).await?.body)?, &json!({"n": 640}))
}
