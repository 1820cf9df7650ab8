//! One document at a time, and lists.

use std::{collections::HashSet, sync::Arc};

use serde_json::json;

use crate::{
    caller::{Caller, ROLE_ADMIN},
    collections::{DocumentWrite, ListQuery, NewDocument, Precondition, Written},
    conformance::{
        case::Case,
        collections::fixture::{Fixture, collection, id, new, object, system, user, value},
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
    id::{CollectionName, TenantId},
    json::Object,
    page::Limit,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(a_created_document_is_read_back_as_it_was_sent),
    case!(an_id_is_created_once),
    case!(anonymous_callers_are_refused),
    case!(a_document_of_somebody_else_does_not_exist),
    case!(administrators_and_the_program_see_everything),
    case!(a_tenant_that_was_not_created_does_not_exist),
    case!(a_stale_revision_changes_nothing),
    case!(replace_creates_only_where_the_precondition_allows),
    case!(a_patch_merges_and_increments),
    case!(parallel_increments_are_all_counted),
    case!(a_revision_never_repeats_for_an_id),
    case!(numbers_come_back_by_value),
    case!(a_list_is_ordered_by_the_total_order),
    case!(pages_meet_without_gap_or_overlap_both_ways),
    case!(pages_are_stable_while_others_write),
    case!(a_filter_matches_only_what_is_true),
    case!(a_cursor_of_another_list_is_refused),
    case!(a_dropped_write_happens_whole_or_not_at_all),
    case!(an_id_is_no_member),
    case!(a_page_of_large_documents_is_shorter_and_goes_on),
];

async fn a_created_document_is_read_back_as_it_was_sent(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let body = json!({"title": "milk \"fresh\" \u{1F95B}", "n": 3, "nested": {"a": [1, 2.5, null, true]}});
    let created = on.create(&caller, &name, new(body.clone())?).await.map_err(failed)?;
    let read = on.get(&caller, &name, &created.id).await.map_err(failed)?;
    check_eq(&value(&read.value.body)?, &body)?;
    check_eq(&read.value.revision, &created.revision)?;
    check_eq(&read.value.owner.as_ref(), &caller.user_id())?;
    let mut text = String::new();
    read.value.write_json(&mut text);
    let shown = value(&text)?;
    check_eq(&shown.pointer("/id"), &Some(&json!(created.id.as_str())))?;
    check_eq(&shown.pointer("/_meta/revision"), &Some(&json!(created.revision.as_str())))
}

async fn an_id_is_created_once(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let document = || Ok::<_, String>(new(json!({"n": 1}))?.with_id(id("same")?));
    on.create(&caller, &name, document()?).await.map_err(failed)?;
    refused(on.create(&caller, &name, document()?).await, ErrorKind::Conflict, "document-exists")?;
    // The same id in another collection is another document.
    on.create(&caller, &collection()?, document()?).await.map(|_| ()).map_err(failed)
}

async fn anonymous_callers_are_refused(on: Fixture) -> Result<(), String> {
    let (caller, name) = (Caller::anonymous(TenantId::default_tenant()), collection()?);
    let (kind, code) = (ErrorKind::Unauthenticated, "sign-in-required");
    refused(on.create(&caller, &name, new(json!({}))?).await, kind, code)?;
    refused(on.get(&caller, &name, &id("x")?).await, kind, code)?;
    refused(on.list(&caller, &name, &ListQuery::new()).await, kind, code)?;
    refused(on.delete(&caller, &name, &id("x")?, Precondition::None).await, kind, code)
}

async fn a_document_of_somebody_else_does_not_exist(on: Fixture) -> Result<(), String> {
    let (owner, stranger, name) = (user(), user(), collection()?);
    let made = on.create(&owner, &name, new(json!({"n": 1}))?).await.map_err(failed)?;
    let (kind, code) = (ErrorKind::NotFound, "document-not-found");
    let none = || Precondition::None;
    refused(on.get(&stranger, &name, &made.id).await, kind, code)?;
    refused(on.replace(&stranger, &name, &made.id, object(json!({}))?, none()).await, kind, code)?;
    refused(on.patch(&stranger, &name, &made.id, object(json!({}))?, none()).await, kind, code)?;
    refused(on.delete(&stranger, &name, &made.id, none()).await, kind, code)?;
    let stale = Precondition::Revision(vec!["other".to_owned()]);
    refused(on.delete(&stranger, &name, &made.id, stale).await, kind, code)?;
    let listed = on.list(&stranger, &name, &ListQuery::new()).await.map_err(failed)?;
    check(listed.value.items.is_empty(), "a stranger's list shows the document")?;
    on.get(&owner, &name, &made.id).await.map(|_| ()).map_err(failed)
}

async fn administrators_and_the_program_see_everything(on: Fixture) -> Result<(), String> {
    let (owner, name) = (user(), collection()?);
    let made = on.create(&owner, &name, new(json!({"n": 1}))?).await.map_err(failed)?;
    for caller in [system(), user().with_roles([ROLE_ADMIN])] {
        let patched = on.patch(&caller, &name, &made.id, object(json!({"n": 2}))?, Precondition::None).await;
        check_eq(&patched.map_err(failed)?.owner, &made.owner)?;
        let listed = on.list(&caller, &name, &ListQuery::new()).await.map_err(failed)?;
        check_eq(&listed.value.items.len(), &1)?;
    }
    Ok(())
}

async fn a_tenant_that_was_not_created_does_not_exist(on: Fixture) -> Result<(), String> {
    let caller = Caller::system(TenantId::new("nobody-made-this").map_err(failed)?);
    let (kind, code) = (ErrorKind::NotFound, "tenant-not-found");
    refused(on.create(&caller, &collection()?, new(json!({}))?).await, kind, code)?;
    refused(on.list(&caller, &collection()?, &ListQuery::new()).await, kind, code)
}

async fn a_stale_revision_changes_nothing(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let first = on.create(&caller, &name, new(json!({"n": 1}))?).await.map_err(failed)?;
    let held = || Precondition::Revision(vec![first.revision.as_str().to_owned()]);
    on.replace(&caller, &name, &first.id, object(json!({"n": 2}))?, held()).await.map_err(failed)?;
    let (kind, code) = (ErrorKind::PreconditionFailed, "stale-revision");
    refused(on.replace(&caller, &name, &first.id, object(json!({"n": 3}))?, held()).await, kind, code)?;
    refused(on.patch(&caller, &name, &first.id, object(json!({"n": 3}))?, held()).await, kind, code)?;
    refused(on.delete(&caller, &name, &first.id, held()).await, kind, code)?;
    let read = on.get(&caller, &name, &first.id).await.map_err(failed)?;
    check_eq(&value(&read.value.body)?, &json!({"n": 2}))
}

async fn replace_creates_only_where_the_precondition_allows(on: Fixture) -> Result<(), String> {
    let (caller, name, key) = (user(), collection()?, id("chosen")?);
    let body = || object(json!({"n": 1}));
    let missing = on.replace(&caller, &name, &key, body()?, Precondition::Exists).await;
    refused(missing, ErrorKind::NotFound, "document-not-found")?;
    let written = on.replace(&caller, &name, &key, body()?, Precondition::Absent).await.map_err(failed)?;
    check(written.is_created(), "the document is new")?;
    let again = on.replace(&caller, &name, &key, body()?, Precondition::Absent).await;
    refused(again, ErrorKind::PreconditionFailed, "document-exists")?;
    let written = on.replace(&caller, &name, &key, body()?, Precondition::None).await.map_err(failed)?;
    check(matches!(written, Written::Updated(_)), "the document was there")
}

async fn a_patch_merges_and_increments(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let body = json!({"keep": 1, "drop": 2, "in": {"a": 1}, "n": 1});
    let made = on.create(&caller, &name, new(body)?).await.map_err(failed)?;
    let patch = json!({"drop": null, "in": {"b": 2}, "n": {"$inc": 41}});
    let patch = Object::patch_from_value(patch).map_err(failed)?;
    let patched = on.patch(&caller, &name, &made.id, patch, Precondition::None).await.map_err(failed)?;
    check_eq(&value(&patched.body)?, &json!({"keep": 1, "in": {"a": 1, "b": 2}, "n": 42}))?;
    let wrong = Object::patch_from_value(json!({"keep": {"$inc": "x"}})).map_err(failed)?;
    let wrong = on.patch(&caller, &name, &made.id, wrong, Precondition::None).await;
    refused(wrong, ErrorKind::Invalid, "operation-does-not-fit")
}

async fn parallel_increments_are_all_counted(on: Fixture) -> Result<(), String> {
    let (caller, name, key) = (user(), collection()?, id("counter")?);
    on.create(&caller, &name, new(json!({"n": 0}))?.with_id(key.clone())).await.map_err(failed)?;
    let increments = (0..16).map(|_| {
        let (on, caller, name, key) = (Arc::clone(&on), caller.clone(), name.clone(), key.clone());
        async move {
            for _ in 0..25 {
                let patch = Object::patch_from_value(json!({"n": {"$inc": 1}})).map_err(failed)?;
                on.patch(&caller, &name, &key, patch, Precondition::None).await.map_err(failed)?;
            }
            Ok::<_, String>(())
        }
    });
    futures_util::future::try_join_all(increments).await?;
    let read = on.get(&caller, &name, &key).await.map_err(failed)?;
    check_eq(&value(&read.value.body)?, &json!({"n": 400}))
}

async fn a_revision_never_repeats_for_an_id(on: Fixture) -> Result<(), String> {
    let (caller, name, key) = (user(), collection()?, id("phoenix")?);
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let made = on.create(&caller, &name, new(json!({}))?.with_id(key.clone())).await.map_err(failed)?;
        let patched = on.patch(&caller, &name, &key, object(json!({"a": 1}))?, Precondition::None).await;
        check(seen.insert(made.revision), "a revision came twice")?;
        check(seen.insert(patched.map_err(failed)?.revision), "a revision came twice")?;
        on.delete(&caller, &name, &key, Precondition::None).await.map_err(failed)?;
    }
    Ok(())
}

async fn numbers_come_back_by_value(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let text = br#"{"max":9223372036854775807,"min":-9223372036854775808,"whole":1.0,"zero":-0.0,"big":1e300,"huge":1e19,"small":1e-300,"tenth":0.1}"#;
    let body = Object::parse(text).map_err(failed)?;
    let canonical = body.to_text();
    let made = on.create(&caller, &name, NewDocument::new(body)).await.map_err(failed)?;
    let read = on.get(&caller, &name, &made.id).await.map_err(failed)?.value;
    check_eq(&value(&read.body)?, &value(&canonical)?)?;
    // What was read can be sent back and is the same document.
    let again = Object::parse(read.body.as_bytes()).map_err(failed)?;
    check_eq(&again.to_text(), &canonical)
}

async fn a_list_is_ordered_by_the_total_order(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let ordered = [
        json!({}),
        json!({"v": null}),
        json!({"v": false}),
        json!({"v": true}),
        json!({"v": -1e300}),
        json!({"v": -3}),
        json!({"v": 2.5}),
        json!({"v": 9_007_199_254_740_992_i64}),
        json!({"v": 9_007_199_254_740_993_i64}),
        json!({"v": 1e300}),
        json!({"v": ""}),
        json!({"v": "B"}),
        json!({"v": "a"}),
        json!({"v": "é"}),
        json!({"v": "\u{1F600}"}),
        json!({"v": {}}),
    ];
    for (n, body) in ordered.iter().enumerate().rev() {
        let document = new(body.clone())?.with_id(id(&format!("{n:02}"))?);
        on.create(&caller, &name, document).await.map_err(failed)?;
    }
    let expected: Vec<_> = (0..ordered.len()).map(|n| format!("{n:02}")).collect();
    for limit in [3, 500] {
        let mut query = ListQuery::new().with_sort("v").map_err(failed)?;
        query = query.with_limit(Limit::new(limit).map_err(failed)?);
        check_eq(&pages(&on, &caller, &name, query).await?, &expected)?;
    }
    let query = ListQuery::new().with_sort("-v").map_err(failed)?;
    let down: Vec<_> = expected.iter().rev().cloned().collect();
    check_eq(&pages(&on, &caller, &name, query).await?, &down)
}

/// The ids of all pages, front to back.
async fn pages(
    on: &Fixture,
    caller: &Caller,
    name: &CollectionName,
    mut query: ListQuery,
) -> Result<Vec<String>, String> {
    let mut ids = Vec::new();
    loop {
        let page = on.list(caller, name, &query).await.map_err(failed)?.value;
        ids.extend(page.items.iter().map(|item| item.id.as_str().to_owned()));
        match page.next_cursor {
            Some(cursor) => query = query.with_cursor(cursor),
            None => return Ok(ids),
        }
    }
}

async fn pages_meet_without_gap_or_overlap_both_ways(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    for n in 0..23 {
        let body = json!({"group": n % 3, "name": format!("n{:02}", 30 - n)});
        on.create(&caller, &name, new(body)?.with_id(id(&format!("{n:02}"))?)).await.map_err(failed)?;
    }
    for sort in ["group,-name", "-group,name", "-group", "name"] {
        let whole = ListQuery::new().with_sort(sort).map_err(failed)?;
        let expected = pages(&on, &caller, &name, whole.clone()).await?;
        check_eq(&expected.len(), &23)?;
        let small = whole.with_limit(Limit::new(5).map_err(failed)?);
        check_eq(&pages(&on, &caller, &name, small.clone()).await?, &expected)?;
        // To the end, then back page by page.
        let mut last = on.list(&caller, &name, &small).await.map_err(failed)?.value;
        while let Some(cursor) = last.next_cursor.clone() {
            last = on.list(&caller, &name, &small.clone().with_cursor(cursor)).await.map_err(failed)?.value;
        }
        let ids = |page: &crate::page::Page<_>| -> Vec<String> {
            page.items.iter().map(|item: &crate::collections::Document| item.id.as_str().to_owned()).collect()
        };
        let mut back = ids(&last);
        while let Some(cursor) = last.previous_cursor.clone() {
            last = on.list(&caller, &name, &small.clone().with_cursor(cursor)).await.map_err(failed)?.value;
            let mut earlier = ids(&last);
            earlier.extend(back);
            back = earlier;
        }
        check_eq(&back, &expected)?;
    }
    Ok(())
}

async fn pages_are_stable_while_others_write(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    for n in 0..10 {
        let document = new(json!({"n": n}))?.with_id(id(&format!("d{n}"))?);
        on.create(&caller, &name, document).await.map_err(failed)?;
    }
    let query = ListQuery::new().with_sort("n").map_err(failed)?.with_limit(Limit::new(4).map_err(failed)?);
    let first = on.list(&caller, &name, &query).await.map_err(failed)?.value;
    // A row before the place of the cursor, and the cursor's own row, go away.
    on.delete(&caller, &name, &id("d0")?, Precondition::None).await.map_err(failed)?;
    on.delete(&caller, &name, &id("d3")?, Precondition::None).await.map_err(failed)?;
    let cursor = first.next_cursor.ok_or("there is a second page")?;
    let second = on.list(&caller, &name, &query.with_cursor(cursor)).await.map_err(failed)?.value;
    let ids: Vec<_> = second.items.iter().map(|item| item.id.as_str()).collect();
    check_eq(&ids, &vec!["d4", "d5", "d6", "d7"])
}

async fn a_filter_matches_only_what_is_true(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    for (key, body) in [
        ("a", json!({"done": false, "priority": 5})),
        ("b", json!({"done": true, "priority": 5})),
        ("c", json!({"priority": 5})),
        ("d", json!({"done": false, "priority": "5"})),
        ("e", json!({"done": null, "priority": 1})),
    ] {
        on.create(&caller, &name, new(body)?.with_id(id(key)?)).await.map_err(failed)?;
    }
    for (filter, expected) in [
        ("done == false && priority > 3", vec!["a"]),
        ("done == false || priority > 3", vec!["a", "b", "c", "d"]),
        ("!(done == true)", vec!["a", "d", "e"]),
        ("priority > 3", vec!["a", "b", "c"]),
        ("!(priority > 3)", vec!["e"]),
        ("done == null", vec!["e"]),
        ("has(doc.done) && !(done == null)", vec!["a", "b", "d"]),
        ("priority in [1, \"5\"]", vec!["d", "e"]),
        ("id == \"c\"", vec!["c"]),
        ("meta.owner == caller.id && done == true", vec!["b"]),
        ("nothing == 1", vec![]),
    ] {
        let query = ListQuery::new().with_filter(filter).map_err(failed)?;
        let found = pages(&on, &caller, &name, query).await?;
        check(found == expected, &format!("`{filter}` found {found:?} instead of {expected:?}"))?;
    }
    Ok(())
}

async fn a_cursor_of_another_list_is_refused(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    for n in 0..3 {
        on.create(&caller, &name, new(json!({"n": n}))?).await.map_err(failed)?;
    }
    let query = ListQuery::new().with_sort("n").map_err(failed)?.with_limit(Limit::new(1).map_err(failed)?);
    let cursor = on.list(&caller, &name, &query).await.map_err(failed)?.value.next_cursor;
    let cursor = cursor.ok_or("there is a second page")?;
    let other_sort = ListQuery::new().with_sort("-n").map_err(failed)?.with_cursor(cursor.clone());
    let other_filter = query.clone().with_filter("n > 0").map_err(failed)?.with_cursor(cursor.clone());
    let (kind, code) = (ErrorKind::Invalid, "invalid-cursor");
    refused(on.list(&caller, &name, &other_sort).await, kind, code)?;
    refused(on.list(&caller, &name, &other_filter).await, kind, code)?;
    refused(on.list(&caller, &collection()?, &query.clone().with_cursor(cursor)).await, kind, code)?;
    refused(on.list(&caller, &name, &query.with_cursor("forged")).await, kind, code)
}

async fn a_dropped_write_happens_whole_or_not_at_all(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    for n in 0..60_u32 {
        let document = new(json!({"n": n}))?.with_id(id(&format!("d{n}"))?);
        let write = DocumentWrite::Create { collection: name.clone(), document };
        let patience = std::time::Duration::from_micros(u64::from(n) * 40);
        let _ = tokio::time::timeout(patience, on.write(&caller, write)).await;
    }
    // Whatever became of them, the next writes go through, and each document is there whole or absent.
    on.create(&caller, &name, new(json!({"n": -1}))?).await.map_err(failed)?;
    for n in 0..60_u32 {
        match on.get(&caller, &name, &id(&format!("d{n}"))?).await {
            Ok(found) => check_eq(&value(&found.value.body)?, &json!({"n": n}))?,
            Err(error) => check_eq(&error.kind(), &ErrorKind::NotFound)?,
        }
    }
    Ok(())
}

async fn an_id_is_no_member(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let body = || object(json!({"id": "other", "n": 1}));
    let (kind, code) = (ErrorKind::Invalid, "reserved-key");
    refused(on.create(&caller, &name, NewDocument::new(body()?)).await, kind, code)?;
    let made = on.create(&caller, &name, new(json!({"n": 1}))?).await.map_err(failed)?;
    refused(on.replace(&caller, &name, &made.id, body()?, Precondition::None).await, kind, code)?;
    refused(on.patch(&caller, &name, &made.id, body()?, Precondition::None).await, kind, code)
}

async fn a_page_of_large_documents_is_shorter_and_goes_on(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    for n in 0..12 {
        let body = json!({"n": n, "text": "x".repeat(900_000)});
        on.create(&caller, &name, new(body)?.with_id(id(&format!("d{n:02}"))?)).await.map_err(failed)?;
    }
    let query = ListQuery::new().with_limit(Limit::new(500).map_err(failed)?);
    let first = on.list(&caller, &name, &query).await.map_err(failed)?.value;
    check(first.items.len() < 12 && first.next_cursor.is_some(), "a page holds more than its bytes")?;
    check_eq(&pages(&on, &caller, &name, query).await?, &(0..12).map(|n| format!("d{n:02}")).collect())
}
