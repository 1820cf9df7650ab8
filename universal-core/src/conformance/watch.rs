//! What every watch promises: whoever applies its events holds what a list answers.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::{
    caller::Caller,
    collections::{CollectionSettings, ListQuery, NewDocument, Precondition, Rules},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
        mirror::Mirror,
        realtime::Fixture,
    },
    error::ErrorKind,
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::Object,
    page::Limit,
    realtime::{DeliveryKind, Event, Subscribe, Subscription},
};

/// Every promise.
pub const CASES: &[Case<Fixture>] = &[
    case!(a_watch_begins_with_the_rows_and_follows_their_changes),
    case!(a_filter_lets_documents_enter_and_leave),
    case!(rows_come_in_pages_and_nothing_between_them_is_missed),
    case!(a_watch_goes_on_at_its_cursor_without_its_rows),
    case!(other_rules_bring_the_rows_anew),
    case!(rules_that_changed_while_nobody_watched_bring_the_rows_anew),
    case!(a_watch_of_one_document_sees_it_come_and_go),
    case!(rules_that_show_nothing_any_more_end_a_watch),
    case!(only_administrators_subscribe_to_a_whole_tenant),
];

/// How long a mirror may take to become the list.
const PATIENCE: Duration = Duration::from_secs(20);

fn user() -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::generate())
}

fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

fn collection() -> Result<CollectionName, String> {
    CollectionName::new(format!("w{}", crate::id::random_hex(6).map_err(failed)?)).map_err(failed)
}

fn members(value: Value) -> Result<Object, String> {
    Object::from_value(value).map_err(failed)
}

async fn create(on: &Fixture, caller: &Caller, name: &CollectionName, id: &str, value: Value) -> Result<(), String> {
    let document = NewDocument::new(members(value)?).with_id(DocumentId::new(id).map_err(failed)?);
    on.collections.create(caller, name, document).await.map(drop).map_err(failed)
}

async fn patch(on: &Fixture, caller: &Caller, name: &CollectionName, id: &str, value: Value) -> Result<(), String> {
    let id = DocumentId::new(id).map_err(failed)?;
    let patched = on.collections.patch(caller, name, &id, members(value)?, Precondition::None).await;
    patched.map(drop).map_err(failed)
}

async fn delete(on: &Fixture, caller: &Caller, name: &CollectionName, id: &str) -> Result<(), String> {
    let id = DocumentId::new(id).map_err(failed)?;
    on.collections.delete(caller, name, &id, Precondition::None).await.map(drop).map_err(failed)
}

async fn configure(on: &Fixture, name: &CollectionName, list: &str) -> Result<(), String> {
    let rules = Rules::default().with_list(list).with_get(list).with_create("true").with_update("true");
    let settings = CollectionSettings::new().with_rules(rules.with_delete("true"));
    on.collections.configure(&system(), name, settings, None).await.map(drop).map_err(failed)
}

async fn watch(on: &Fixture, caller: &Caller, subscribe: Subscribe) -> Result<Subscription, String> {
    on.realtime.watch(caller, subscribe).await.map_err(failed)
}

async fn next(watch: &mut Subscription) -> Result<Event, String> {
    let event = tokio::time::timeout(PATIENCE, watch.next()).await;
    event.map_err(|_| "no event came".to_owned())?.map_err(failed)
}

/// What a list with the same filter answers now.
async fn listed(on: &Fixture, caller: &Caller, watched: &Subscribe) -> Result<BTreeMap<String, Value>, String> {
    let Some(name) = &watched.collection else { return Err("a list is of one collection".to_owned()) };
    let mut found = BTreeMap::new();
    let mut query = ListQuery::new().with_limit(Limit::new(500).map_err(failed)?);
    query.filter.clone_from(&watched.filter);
    loop {
        let page = on.collections.list(caller, name, &query).await.map_err(failed)?.value;
        for document in page.items {
            found.insert(document.id.to_string(), serde_json::from_str(&document.body).map_err(failed)?);
        }
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return Ok(found),
        }
    }
}

/// Applies events until the mirror is what a list answers.
///
/// # Errors
/// If that does not come about in 20 s: what each of them holds.
pub async fn follow(
    on: &Fixture,
    caller: &Caller,
    watched: &Subscribe,
    (watch, mirror): (&mut Subscription, &mut Mirror),
) -> Result<(), String> {
    let expected = listed(on, caller, watched).await?;
    let until = tokio::time::Instant::now() + PATIENCE;
    while *mirror.documents() != expected {
        let Ok(event) = tokio::time::timeout_at(until, watch.next()).await else {
            return Err(format!("the mirror holds {:?}\nand the list {expected:?}", mirror.documents()));
        };
        mirror.apply(&event.map_err(failed)?)?;
    }
    Ok(())
}

async fn a_watch_begins_with_the_rows_and_follows_their_changes(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    create(&on, &caller, &name, "a", json!({"n": 1})).await?;
    create(&on, &caller, &name, "b", json!({"n": 2})).await?;
    let watched = Subscribe::to(name.clone());
    let mut watch = watch(&on, &caller, watched.clone()).await?;
    check(!watch.recovered(), "its rows come first")?;
    let mut mirror = Mirror::default();
    let Event::Snapshot(page) = next(&mut watch).await? else { return Err("the rows come first".to_owned()) };
    check_eq(&(page.rows.len(), page.is_first, page.is_last), &(2, true, true))?;
    mirror.apply(&Event::Snapshot(page))?;
    create(&on, &caller, &name, "c", json!({"n": 3})).await?;
    patch(&on, &caller, &name, "a", json!({"n": 4})).await?;
    delete(&on, &caller, &name, "b").await?;
    let mut kinds = Vec::new();
    while kinds.len() < 3 {
        let event = next(&mut watch).await?;
        mirror.apply(&event)?;
        if let Event::Change(change) = event {
            kinds.push(format!("{} {}", change.kind().as_str(), change.id()));
        }
    }
    check_eq(&kinds, &vec!["enter c".to_owned(), "update a".to_owned(), "leave b".to_owned()])?;
    let documents = BTreeMap::from([("a".to_owned(), json!({"n": 4})), ("c".to_owned(), json!({"n": 3}))]);
    check_eq(mirror.documents(), &documents)
}

async fn a_filter_lets_documents_enter_and_leave(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    create(&on, &caller, &name, "in", json!({"n": 9})).await?;
    create(&on, &caller, &name, "out", json!({"n": 1})).await?;
    let filter = ListQuery::new().with_filter("n > 5").map_err(failed)?.filter.ok_or("a filter was given")?;
    let watched = Subscribe::to(name.clone()).with_filter(filter);
    let mut watch = watch(&on, &caller, watched.clone()).await?;
    let mut mirror = Mirror::default();
    follow(&on, &caller, &watched, (&mut watch, &mut mirror)).await?;
    check_eq(&mirror.documents().keys().cloned().collect::<Vec<_>>(), &vec!["in".to_owned()])?;
    patch(&on, &caller, &name, "out", json!({"n": 6})).await?;
    patch(&on, &caller, &name, "in", json!({"n": 2})).await?;
    create(&on, &caller, &name, "never", json!({"n": 0})).await?;
    follow(&on, &caller, &watched, (&mut watch, &mut mirror)).await?;
    check_eq(&mirror.documents().keys().cloned().collect::<Vec<_>>(), &vec!["out".to_owned()])
}

async fn rows_come_in_pages_and_nothing_between_them_is_missed(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let long = "x".repeat(4000);
    for n in 0..450 {
        create(&on, &caller, &name, &format!("d{n:03}"), json!({"n": n, "long": long})).await?;
    }
    let watched = Subscribe::to(name.clone());
    let mut watch = watch(&on, &caller, watched.clone()).await?;
    let mut mirror = Mirror::default();
    let mut pages = 0;
    loop {
        let event = next(&mut watch).await?;
        mirror.apply(&event)?;
        pages += 1;
        // While pages are on their way, documents before and behind them change.
        patch(&on, &caller, &name, "d001", json!({"n": -pages})).await?;
        patch(&on, &caller, &name, "d449", json!({"n": -pages})).await?;
        delete(&on, &caller, &name, &format!("d{:03}", 100 + pages)).await?;
        create(&on, &caller, &name, &format!("e{pages}"), json!({"n": pages})).await?;
        match event {
            Event::Snapshot(page) if page.is_last => break,
            Event::Snapshot(_) => check(!watch.is_resumable(), "rows are on their way")?,
            other => return Err(format!("{other:?} came between the rows")),
        }
    }
    check(pages > 3, "the rows come in several pages")?;
    check(watch.is_resumable(), "all rows are there")?;
    follow(&on, &caller, &watched, (&mut watch, &mut mirror)).await
}

async fn a_watch_goes_on_at_its_cursor_without_its_rows(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    create(&on, &caller, &name, "a", json!({"n": 1})).await?;
    let watched = Subscribe::to(name.clone());
    let mut mirror = Mirror::default();
    let mut first = watch(&on, &caller, watched.clone()).await?;
    follow(&on, &caller, &watched, (&mut first, &mut mirror)).await?;
    drop(first);
    create(&on, &caller, &name, "b", json!({"n": 2})).await?;
    delete(&on, &caller, &name, "a").await?;
    let mut again = watch(&on, &caller, mirror.resume(watched.clone())).await?;
    check(again.recovered(), "nothing but changes is missing")?;
    follow(&on, &caller, &watched, (&mut again, &mut mirror)).await?;
    check_eq(&mirror.snapshots(), &1)?;
    let elsewhere = mirror.resume(watched.clone()).with_basis("something else");
    check(!watch(&on, &caller, elsewhere).await?.recovered(), "the rows stand on something else")
}

async fn other_rules_bring_the_rows_anew(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    configure(&on, &name, "doc.open == true").await?;
    create(&on, &caller, &name, "open", json!({"open": true})).await?;
    create(&on, &caller, &name, "shut", json!({"open": false})).await?;
    let watched = Subscribe::to(name.clone());
    let mut watch = watch(&on, &caller, watched.clone()).await?;
    let mut mirror = Mirror::default();
    follow(&on, &caller, &watched, (&mut watch, &mut mirror)).await?;
    check_eq(&mirror.documents().len(), &1)?;
    configure(&on, &name, "doc.open == false").await?;
    follow(&on, &caller, &watched, (&mut watch, &mut mirror)).await?;
    check_eq(&mirror.documents().keys().cloned().collect::<Vec<_>>(), &vec!["shut".to_owned()])?;
    patch(&on, &system(), &name, "open", json!({"open": false})).await?;
    follow(&on, &caller, &watched, (&mut watch, &mut mirror)).await
}

async fn rules_that_changed_while_nobody_watched_bring_the_rows_anew(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    configure(&on, &name, "doc.open == true").await?;
    create(&on, &caller, &name, "open", json!({"open": true})).await?;
    let watched = Subscribe::to(name.clone());
    let mut mirror = Mirror::default();
    let mut first = watch(&on, &caller, watched.clone()).await?;
    follow(&on, &caller, &watched, (&mut first, &mut mirror)).await?;
    drop(first);
    configure(&on, &name, "doc.open == false").await?;
    let mut again = watch(&on, &caller, mirror.resume(watched.clone())).await?;
    check(!again.recovered(), "its documents stand on other rules")?;
    follow(&on, &caller, &watched, (&mut again, &mut mirror)).await?;
    check_eq(&mirror.documents().len(), &0)
}

async fn a_watch_of_one_document_sees_it_come_and_go(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    create(&on, &caller, &name, "other", json!({"n": 0})).await?;
    let watched = Subscribe::to(name.clone()).with_id(DocumentId::new("one").map_err(failed)?);
    let mut watch = watch(&on, &caller, watched).await?;
    match next(&mut watch).await? {
        Event::Snapshot(page) => check_eq(&(page.rows.len(), page.is_last), &(0, true))?,
        other => return Err(format!("{other:?} came before the rows")),
    }
    create(&on, &caller, &name, "one", json!({"n": 1})).await?;
    delete(&on, &caller, &name, "one").await?;
    for expected in [DeliveryKind::Enter, DeliveryKind::Leave] {
        match next(&mut watch).await? {
            Event::Change(change) => check_eq(&(change.kind(), change.id().as_str()), &(expected, "one"))?,
            other => return Err(format!("{other:?} is no change")),
        }
    }
    Ok(())
}

async fn rules_that_show_nothing_any_more_end_a_watch(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    configure(&on, &name, "true").await?;
    create(&on, &caller, &name, "a", json!({"n": 1})).await?;
    let watched = Subscribe::to(name.clone());
    let mut watch = watch(&on, &caller, watched.clone()).await?;
    follow(&on, &caller, &watched, (&mut watch, &mut Mirror::default())).await?;
    configure(&on, &name, "false").await?;
    let ended = tokio::time::timeout(PATIENCE, watch.next()).await.map_err(|_| "it went on".to_owned())?;
    refused(ended, ErrorKind::Forbidden, "forbidden")
}

async fn only_administrators_subscribe_to_a_whole_tenant(on: Fixture) -> Result<(), String> {
    let refusal = on.realtime.subscribe(&user(), Subscribe::to_tenant()).await;
    refused(refusal, ErrorKind::Forbidden, "admin-required")?;
    let (owner, one, two) = (user(), collection()?, collection()?);
    let mut all = on.realtime.subscribe(&system(), Subscribe::to_tenant()).await.map_err(failed)?;
    create(&on, &owner, &one, "a", json!({"n": 1})).await?;
    create(&on, &owner, &two, "b", json!({"n": 2})).await?;
    let mut seen = Vec::new();
    // Other cases write in the same tenant.
    while seen.len() < 2 {
        match next(&mut all).await? {
            Event::Change(change) if [&one, &two].contains(&change.collection()) => seen.push(change.id().to_string()),
            Event::Change(_) => {}
            other => return Err(format!("{other:?} is no change")),
        }
    }
    check_eq(&seen, &vec!["a".to_owned(), "b".to_owned()])
}
