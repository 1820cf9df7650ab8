//! What every feed, with its hub, promises to subscribers.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    caller::Caller,
    collections::{Collections, NewDocument, Precondition},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    cursor::Cursor,
    error::ErrorKind,
    expr::{Expression, Scope},
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::Object,
    realtime::{Event, Feed, Realtime, ResyncReason, Subscribe, Subscription},
};

/// What a case runs on: the documents, the subscriptions to them, and the feed between the two.
#[derive(Clone)]
#[non_exhaustive]
pub struct Fixture {
    /// Where a case writes.
    pub collections: Arc<dyn Collections>,
    /// Where it subscribes.
    pub realtime: Arc<dyn Realtime>,
    /// What it trims.
    pub feed: Arc<dyn Feed>,
}

impl Fixture {
    /// A fixture.
    #[must_use]
    pub fn new(collections: Arc<dyn Collections>, realtime: Arc<dyn Realtime>, feed: Arc<dyn Feed>) -> Self {
        Self { collections, realtime, feed }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

/// Every promise. The last one trims the feed, so run them in this order.
pub const CASES: &[Case<Fixture>] = &[
    case!(a_change_after_the_answer_is_delivered),
    case!(changes_come_in_the_order_of_a_documents_versions),
    case!(a_cursor_resumes_without_loss_and_without_repeat),
    case!(a_snapshots_cursor_misses_nothing),
    case!(a_stranger_sees_nothing),
    case!(a_filter_lets_matches_in_and_says_when_they_leave),
    case!(a_subscription_to_a_document_sees_only_it),
    case!(a_refused_write_is_never_announced),
    case!(a_deleted_documents_history_is_replayed),
    case!(a_replay_of_large_documents_is_whole),
    case!(dropping_next_loses_nothing),
    case!(a_cursor_of_another_history_or_the_future_is_told),
    case!(an_anonymous_caller_cannot_subscribe),
    case!(a_trimmed_place_is_told_and_numbers_go_on),
];

/// How long an event may take before a case gives up.
const PATIENCE: Duration = Duration::from_secs(20);

fn user() -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::generate())
}

fn collection() -> Result<CollectionName, String> {
    let name = format!("r{}", crate::id::random_hex(6).map_err(failed)?);
    CollectionName::new(name).map_err(failed)
}

fn document(n: i64, id: &str) -> Result<NewDocument, String> {
    let body = Object::from_value(json!({"n": n})).map_err(failed)?;
    Ok(NewDocument::new(body).with_id(DocumentId::new(id).map_err(failed)?))
}

fn patch(n: i64) -> Result<Object, String> {
    Object::from_value(json!({"n": n})).map_err(failed)
}

async fn next(subscription: &mut Subscription) -> Result<Event, String> {
    let event = tokio::time::timeout(PATIENCE, subscription.next()).await;
    event.map_err(|_| "no event came".to_owned())?.map_err(failed)
}

/// The next changes as `op id n`, with their cursors.
async fn changes(subscription: &mut Subscription, count: usize) -> Result<Vec<(String, Cursor)>, String> {
    let mut seen = Vec::new();
    while seen.len() < count {
        match next(subscription).await? {
            Event::Change(change) => {
                let body: Option<serde_json::Value> = change.document().map_err(failed)?;
                let n = body.as_ref().and_then(|body| body.get("n")).map_or_else(String::new, |n| format!(" {n}"));
                seen.push((format!("{} {}{n}", change.kind().as_str(), change.id()), change.cursor().clone()));
            }
            other => return Err(format!("no change but {other:?}")),
        }
    }
    Ok(seen)
}

fn words(seen: &[(String, Cursor)]) -> Vec<&str> {
    seen.iter().map(|(word, _)| word.as_str()).collect()
}

/// That nothing comes: a marker written now is the next event.
async fn silent_until_marker(
    on: &Fixture,
    caller: &Caller,
    name: &CollectionName,
    subscription: &mut Subscription,
) -> Result<(), String> {
    on.collections.create(caller, name, document(99, "marker")?).await.map_err(failed)?;
    check_eq(&words(&changes(subscription, 1).await?), &vec!["create marker 99"])
}

async fn a_change_after_the_answer_is_delivered(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    for n in 0..20 {
        let subscribe = Subscribe::to(name.clone());
        let mut subscription = on.realtime.subscribe(&caller, subscribe).await.map_err(failed)?;
        check(subscription.recovered(), "nothing was asked for that could be lost")?;
        on.collections.create(&caller, &name, document(n, &format!("d{n}"))?).await.map_err(failed)?;
        check_eq(&words(&changes(&mut subscription, 1).await?), &vec![format!("create d{n} {n}").as_str()])?;
    }
    Ok(())
}

async fn changes_come_in_the_order_of_a_documents_versions(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let mut subscription = on.realtime.subscribe(&caller, Subscribe::to(name.clone())).await.map_err(failed)?;
    let id = DocumentId::new("d").map_err(failed)?;
    on.collections.create(&caller, &name, document(0, "d")?).await.map_err(failed)?;
    for n in 1..30 {
        on.collections.patch(&caller, &name, &id, patch(n)?, Precondition::None).await.map_err(failed)?;
    }
    on.collections.delete(&caller, &name, &id, Precondition::None).await.map_err(failed)?;
    let mut expected = vec!["create d 0".to_owned()];
    expected.extend((1..30).map(|n| format!("update d {n}")));
    expected.push("delete d".to_owned());
    let seen = changes(&mut subscription, 31).await?;
    check_eq(&words(&seen), &expected.iter().map(String::as_str).collect())?;
    let rising = seen.iter().zip(seen.iter().skip(1)).all(|((_, one), (_, next))| one.seq() < next.seq());
    check(rising, "cursors rise")
}

async fn a_cursor_resumes_without_loss_and_without_repeat(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let mut subscription = on.realtime.subscribe(&caller, Subscribe::to(name.clone())).await.map_err(failed)?;
    for n in 0..700 {
        on.collections.create(&caller, &name, document(n, &format!("d{n}"))?).await.map_err(failed)?;
    }
    let first = changes(&mut subscription, 10).await?;
    drop(subscription);
    let since = first.last().map(|(_, cursor)| cursor.clone()).ok_or("ten changes came")?;
    let subscribe = Subscribe::to(name.clone()).with_since(since);
    let mut resumed = on.realtime.subscribe(&caller, subscribe).await.map_err(failed)?;
    check(resumed.recovered(), "the cursor is recent")?;
    let rest = changes(&mut resumed, 690).await?;
    let expected: Vec<_> = (10..700).map(|n| format!("create d{n} {n}")).collect();
    check_eq(&words(&rest), &expected.iter().map(String::as_str).collect())
}

async fn a_snapshots_cursor_misses_nothing(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    on.collections.create(&caller, &name, document(1, "before")?).await.map_err(failed)?;
    let list = on.collections.list(&caller, &name, &crate::collections::ListQuery::new()).await.map_err(failed)?;
    on.collections.create(&caller, &name, document(2, "after")?).await.map_err(failed)?;
    let subscribe = Subscribe::to(name).with_since(list.cursor);
    let mut subscription = on.realtime.subscribe(&caller, subscribe).await.map_err(failed)?;
    // On PostgreSQL a change that the list shows already may come again: at least once, never less.
    loop {
        let seen = changes(&mut subscription, 1).await?;
        match words(&seen).as_slice() {
            ["create after 2"] => return Ok(()),
            ["create before 1"] => {}
            other => return Err(format!("{other:?} came")),
        }
    }
}

async fn a_stranger_sees_nothing(on: Fixture) -> Result<(), String> {
    let (owner, stranger, name) = (user(), user(), collection()?);
    let mut theirs = on.realtime.subscribe(&stranger, Subscribe::to(name.clone())).await.map_err(failed)?;
    on.collections.create(&owner, &name, document(1, "secret")?).await.map_err(failed)?;
    let id = DocumentId::new("secret").map_err(failed)?;
    on.collections.patch(&owner, &name, &id, patch(2)?, Precondition::None).await.map_err(failed)?;
    on.collections.delete(&owner, &name, &id, Precondition::None).await.map_err(failed)?;
    silent_until_marker(&on, &stranger, &name, &mut theirs).await
}

async fn a_filter_lets_matches_in_and_says_when_they_leave(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let filter = Expression::parse("n > 5", Scope::Filter).map_err(failed)?;
    let subscribe = Subscribe::to(name.clone()).with_filter(filter);
    let mut subscription = on.realtime.subscribe(&caller, subscribe).await.map_err(failed)?;
    let id = DocumentId::new("d").map_err(failed)?;
    on.collections.create(&caller, &name, document(1, "d")?).await.map_err(failed)?;
    for n in [9, 2, 3, 7] {
        on.collections.patch(&caller, &name, &id, patch(n)?, Precondition::None).await.map_err(failed)?;
    }
    on.collections.delete(&caller, &name, &id, Precondition::None).await.map_err(failed)?;
    let expected = vec!["update d 9", "leave d", "update d 7", "delete d"];
    check_eq(&words(&changes(&mut subscription, 4).await?), &expected)
}

async fn a_subscription_to_a_document_sees_only_it(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let id = DocumentId::new("mine").map_err(failed)?;
    let subscribe = Subscribe::to(name.clone()).with_id(id);
    let mut subscription = on.realtime.subscribe(&caller, subscribe).await.map_err(failed)?;
    on.collections.create(&caller, &name, document(1, "other")?).await.map_err(failed)?;
    on.collections.create(&caller, &name, document(2, "mine")?).await.map_err(failed)?;
    check_eq(&words(&changes(&mut subscription, 1).await?), &vec!["create mine 2"])
}

async fn a_refused_write_is_never_announced(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let mut subscription = on.realtime.subscribe(&caller, Subscribe::to(name.clone())).await.map_err(failed)?;
    on.collections.create(&caller, &name, document(1, "d")?).await.map_err(failed)?;
    // Waited for: a change may get its number, and come, after the write was answered.
    check_eq(&words(&changes(&mut subscription, 1).await?), &vec!["create d 1"])?;
    let taken = on.collections.create(&caller, &name, document(2, "d")?).await;
    refused(taken, ErrorKind::Conflict, "document-exists")?;
    let id = DocumentId::new("d").map_err(failed)?;
    let stale = Precondition::Revision(vec!["no".to_owned()]);
    let stale = on.collections.patch(&caller, &name, &id, patch(3)?, stale).await;
    refused(stale, ErrorKind::PreconditionFailed, "stale-revision")?;
    silent_until_marker(&on, &caller, &name, &mut subscription).await
}

async fn a_deleted_documents_history_is_replayed(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let since = on.realtime.head(&caller).await.map_err(failed)?;
    on.collections.create(&caller, &name, document(1, "d")?).await.map_err(failed)?;
    let id = DocumentId::new("d").map_err(failed)?;
    on.collections.delete(&caller, &name, &id, Precondition::None).await.map_err(failed)?;
    let subscribe = Subscribe::to(name).with_since(since);
    let mut subscription = on.realtime.subscribe(&caller, subscribe).await.map_err(failed)?;
    check_eq(&words(&changes(&mut subscription, 2).await?), &vec!["create d 1", "delete d"])
}

async fn a_replay_of_large_documents_is_whole(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let since = on.realtime.head(&caller).await.map_err(failed)?;
    for n in 0..12 {
        let body = Object::from_value(json!({"n": n, "text": "x".repeat(900_000)})).map_err(failed)?;
        let id = DocumentId::new(format!("d{n}")).map_err(failed)?;
        on.collections.create(&caller, &name, NewDocument::new(body).with_id(id)).await.map_err(failed)?;
    }
    let subscribe = Subscribe::to(name).with_since(since.clone());
    let mut subscription = on.realtime.subscribe(&caller, subscribe).await.map_err(failed)?;
    let expected: Vec<_> = (0..12).map(|n| format!("create d{n} {n}")).collect();
    check_eq(&words(&changes(&mut subscription, 12).await?), &expected.iter().map(String::as_str).collect())?;
    // One that is behind holds what it read until it is handed out.
    let read = on.feed.read(caller.tenant(), since.seq(), 100).await.map_err(failed)?;
    check(read.len() <= 2, &format!("{} changes of 900 KB were read at once", read.len()))
}

async fn dropping_next_loses_nothing(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let mut subscription = on.realtime.subscribe(&caller, Subscribe::to(name.clone())).await.map_err(failed)?;
    let writer = {
        let (on, caller, name) = (on.clone(), caller.clone(), name.clone());
        async move {
            for n in 0..100 {
                on.collections.create(&caller, &name, document(n, &format!("d{n}"))?).await.map_err(failed)?;
            }
            Ok::<_, String>(())
        }
    };
    let reader = async {
        let mut seen = Vec::new();
        let mut polls = 0_u64;
        while seen.len() < 100 {
            polls += 1;
            let patience = if polls < 50_000 { Duration::from_micros(50 * (polls % 40)) } else { PATIENCE };
            match tokio::time::timeout(patience, subscription.next()).await {
                Err(_) if polls < 50_000 => {}
                Err(_) => return Err("an event was lost".to_owned()),
                Ok(Ok(Event::Change(change))) => seen.push(change.id().as_str().to_owned()),
                Ok(other) => return Err(format!("{other:?} came")),
            }
        }
        check_eq(&seen, &(0..100).map(|n| format!("d{n}")).collect())
    };
    futures_util::future::try_join(writer, reader).await.map(|_| ())
}

async fn a_cursor_of_another_history_or_the_future_is_told(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let head = on.realtime.head(&caller).await.map_err(failed)?;
    let ahead = Cursor::new(std::sync::Arc::clone(head.epoch()), head.seq() + 1_000_000);
    for (since, expected) in [(Cursor::new("elsewhere", 1), ResyncReason::OtherHistory), (ahead, ResyncReason::Ahead)] {
        let subscribe = Subscribe::to(name.clone()).with_since(since);
        let mut subscription = on.realtime.subscribe(&caller, subscribe).await.map_err(failed)?;
        check(!subscription.recovered(), "it cannot recover")?;
        match next(&mut subscription).await? {
            Event::Resync { reason, .. } => check_eq(&reason, &expected)?,
            other => return Err(format!("no resync but {other:?}")),
        }
    }
    Ok(())
}

async fn an_anonymous_caller_cannot_subscribe(on: Fixture) -> Result<(), String> {
    let caller = Caller::anonymous(TenantId::default_tenant());
    let outcome = on.realtime.subscribe(&caller, Subscribe::to(collection()?)).await;
    refused(outcome, ErrorKind::Unauthenticated, "sign-in-required")
}

async fn a_trimmed_place_is_told_and_numbers_go_on(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let mut live = on.realtime.subscribe(&caller, Subscribe::to(name.clone())).await.map_err(failed)?;
    let old = on.realtime.head(&caller).await.map_err(failed)?;
    for n in 0..3 {
        on.collections.create(&caller, &name, document(n, &format!("d{n}"))?).await.map_err(failed)?;
    }
    let seen = changes(&mut live, 3).await?;
    let last = seen.last().map(|(_, cursor)| cursor.clone()).ok_or("three changes came")?;
    on.feed.trim(caller.tenant(), last.seq()).await.map_err(failed)?;
    let subscribe = Subscribe::to(name.clone()).with_since(old);
    let mut late = on.realtime.subscribe(&caller, subscribe).await.map_err(failed)?;
    match next(&mut late).await? {
        Event::Resync { reason: ResyncReason::TooOld, cursor } => check_eq(&cursor, &last)?,
        other => return Err(format!("{other:?} came instead of a resync")),
    }
    on.collections.create(&caller, &name, document(4, "d4")?).await.map_err(failed)?;
    for subscription in [&mut live, &mut late] {
        let seen = changes(subscription, 1).await?;
        check(seen.iter().all(|(_, cursor)| cursor.seq() == last.seq() + 1), "the numbers began again")?;
    }
    Ok(())
}
