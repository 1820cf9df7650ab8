//! Idempotency keys, and commands as part of a transaction.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    caller::Caller,
    clock::{Clock as _, ManualClock},
    collections::{
        Batch, Collections, Command, DocumentWrite, IdempotencyKey, ListQuery, Matching, MatchingWrite, Precondition,
        idempotency::{KeptAnswers, LIFETIME},
    },
    conformance::{
        case::Case,
        collections::fixture::{collection, id, new, object, patch, stored, user, value},
        expect::{check, check_eq, failed, refused},
        jobs::Transact,
    },
    error::{Error, ErrorKind},
    id::{CollectionName, TenantId},
    realtime::Feed,
};

/// What a case runs on.
#[derive(Clone)]
#[non_exhaustive]
pub struct Fixture {
    /// Where it writes.
    pub collections: Arc<dyn Collections>,
    /// What forgets answers.
    pub answers: Arc<dyn KeptAnswers>,
    /// What changes are told to.
    pub feed: Arc<dyn Feed>,
    /// The clock of the implementation.
    pub clock: Arc<ManualClock>,
    /// Transactions of the same database.
    pub transact: Transact,
}

impl Fixture {
    /// A fixture.
    #[must_use]
    pub fn new(
        (collections, answers, feed): (Arc<dyn Collections>, Arc<dyn KeptAnswers>, Arc<dyn Feed>),
        clock: Arc<ManualClock>,
        transact: Transact,
    ) -> Self {
        Self { collections, answers, feed, clock, transact }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

/// Every promise. Run them one after the other: they turn the clock.
pub const CASES: &[Case<Fixture>] = &[
    case!(a_repeated_call_has_its_first_answer_and_no_second_effect),
    case!(every_kind_of_call_is_repeated_alike),
    case!(a_key_stands_for_one_call),
    case!(a_key_belongs_to_one_caller),
    case!(a_call_that_failed_is_tried_again),
    case!(of_many_calls_with_one_key_one_is_done),
    case!(an_answer_is_kept_for_a_day),
    case!(changes_of_one_command_share_a_transaction),
    case!(a_command_in_a_transaction_ends_with_it),
    case!(a_command_that_fails_in_a_transaction_leaves_nothing),
];

fn key() -> Result<IdempotencyKey, String> {
    IdempotencyKey::new(crate::id::random_hex(16).map_err(failed)?).map_err(failed)
}

fn creation(name: &CollectionName, body: Value) -> Result<Command, String> {
    Ok(Command::Write(DocumentWrite::Create { collection: name.clone(), document: new(body)? }))
}

async fn count(on: &Fixture, caller: &Caller, name: &CollectionName) -> Result<usize, String> {
    Ok(on.collections.list(caller, name, &ListQuery::new()).await.map_err(failed)?.value.items.len())
}

async fn a_repeated_call_has_its_first_answer_and_no_second_effect(on: Fixture) -> Result<(), String> {
    let (caller, name, key) = (user(), collection()?, key()?);
    let first = on.collections.once(&caller, &key, creation(&name, json!({"n": 1}))?).await.map_err(failed)?;
    check(!first.replayed, "the first answer was a repetition")?;
    let made = first.outcome.into_written().map_err(failed)?.into_document();
    // What happens to the document since does not change the answer.
    on.collections.delete(&caller, &name, &made.id, Precondition::None).await.map_err(failed)?;
    for _ in 0..3 {
        let again = on.collections.once(&caller, &key, creation(&name, json!({"n": 1.0}))?).await.map_err(failed)?;
        check(again.replayed, "the call was made again")?;
        check_eq(&again.outcome.into_written().map_err(failed)?.into_document(), &made)?;
    }
    check_eq(&count(&on, &caller, &name).await?, &0)
}

async fn every_kind_of_call_is_repeated_alike(on: Fixture) -> Result<(), String> {
    let (caller, name, target) = (user(), collection()?, id("x")?);
    let (collection, id) = (|| name.clone(), || target.clone());
    let precondition = Precondition::None;
    let body = object(json!({"n": 1}))?;
    let inc = patch(json!({"n": {"$inc": 1}}))?;
    let batch = Batch::new()
        .patch(&name, &target, inc.clone(), precondition.clone())
        .get(&name, &target)
        .check(&name, &target, Precondition::Exists)
        .create(&name, new(json!({"n": 10}))?);
    let all = Matching::new(name.clone(), "n >= 0").map_err(failed)?;
    let write = Command::Write;
    for (command, size) in [
        (
            write(DocumentWrite::Replace {
                collection: collection(),
                id: id(),
                body,
                precondition: Precondition::Absent,
            }),
            1,
        ),
        (write(DocumentWrite::Patch { collection: collection(), id: id(), patch: inc.clone(), precondition }), 1),
        (Command::Batch(batch), 2),
        (Command::Matching(all.clone(), MatchingWrite::Patch(inc)), 2),
        (write(DocumentWrite::Delete { collection: collection(), id: id(), precondition: Precondition::Exists }), 1),
        (Command::Matching(all, MatchingWrite::Delete), 0),
    ] {
        let key = key()?;
        let first = on.collections.once(&caller, &key, command.clone()).await.map_err(failed)?;
        let again = on.collections.once(&caller, &key, command).await.map_err(failed)?;
        check_eq(&(first.replayed, again.replayed), &(false, true))?;
        check_eq(&format!("{:?}", again.outcome), &format!("{:?}", first.outcome))?;
        check_eq(&count(&on, &caller, &name).await?, &size)?;
    }
    Ok(())
}

async fn a_key_stands_for_one_call(on: Fixture) -> Result<(), String> {
    let (caller, name, key) = (user(), collection()?, key()?);
    on.collections.once(&caller, &key, creation(&name, json!({"n": 1}))?).await.map_err(failed)?;
    for command in [
        creation(&name, json!({"n": 2}))?,
        creation(&collection()?, json!({"n": 1}))?,
        Command::Batch(Batch::new().create(&name, new(json!({"n": 1}))?)),
    ] {
        let outcome = on.collections.once(&caller, &key, command).await;
        refused(outcome, ErrorKind::Unprocessable, "idempotency-key-reused")?;
    }
    check_eq(&count(&on, &caller, &name).await?, &1)
}

async fn a_key_belongs_to_one_caller(on: Fixture) -> Result<(), String> {
    let (one, other, name, key) = (user(), user(), collection()?, key()?);
    let command = || creation(&name, json!({"n": 1}));
    on.collections.once(&one, &key, command()?).await.map_err(failed)?;
    let own = on.collections.once(&other, &key, command()?).await.map_err(failed)?;
    check(!own.replayed, "somebody else's answer was given")?;
    let system = Caller::system(TenantId::default_tenant());
    check(
        !on.collections.once(&system, &key, command()?).await.map_err(failed)?.replayed,
        "a user's answer was given",
    )?;
    let nobody = Caller::anonymous(TenantId::default_tenant());
    let outcome = on.collections.once(&nobody, &key, command()?).await;
    refused(outcome, ErrorKind::Unauthenticated, "sign-in-required")?;
    check_eq(&(count(&on, &one, &name).await?, count(&on, &system, &name).await?), &(1, 3))
}

async fn a_call_that_failed_is_tried_again(on: Fixture) -> Result<(), String> {
    let (caller, name, key, target) = (user(), collection()?, key()?, id("x")?);
    let command = || -> Result<Command, String> {
        let patch = patch(json!({"n": {"$inc": 1}}))?;
        let (collection, id) = (name.clone(), target.clone());
        Ok(Command::Write(DocumentWrite::Patch { collection, id, patch, precondition: Precondition::None }))
    };
    for _ in 0..2 {
        let outcome = on.collections.once(&caller, &key, command()?).await;
        refused(outcome, ErrorKind::NotFound, "document-not-found")?;
    }
    let document = new(json!({"n": 1}))?.with_id(target.clone());
    on.collections.create(&caller, &name, document).await.map_err(failed)?;
    check(!on.collections.once(&caller, &key, command()?).await.map_err(failed)?.replayed, "a failure was kept")?;
    check(on.collections.once(&caller, &key, command()?).await.map_err(failed)?.replayed, "the answer was not kept")?;
    check_eq(&value(&stored(&on.collections, &name, &target).await?.body)?, &json!({"n": 2}))
}

async fn of_many_calls_with_one_key_one_is_done(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    for _ in 0..4 {
        let key = key()?;
        let before = count(&on, &caller, &name).await?;
        let mut calls = Vec::new();
        for _ in 0..16 {
            let (collections, caller, key) = (Arc::clone(&on.collections), caller.clone(), key.clone());
            let command = creation(&name, json!({"n": 1}))?;
            calls.push(async move { collections.once(&caller, &key, command).await });
        }
        let mut done = 0;
        for outcome in join_all(calls).await {
            match outcome {
                Ok(once) => done += usize::from(!once.replayed),
                Err(error) => refused::<()>(Err(error), ErrorKind::Conflict, "idempotency-in-flight")?,
            }
        }
        check_eq(&done, &1)?;
        check_eq(&count(&on, &caller, &name).await?, &(before + 1))?;
    }
    Ok(())
}

async fn an_answer_is_kept_for_a_day(on: Fixture) -> Result<(), String> {
    let (caller, name, key) = (user(), collection()?, key()?);
    let command = || creation(&name, json!({"n": 1}));
    on.collections.once(&caller, &key, command()?).await.map_err(failed)?;
    on.clock.advance(LIFETIME - Duration::from_secs(1));
    while on.answers.forget(on.clock.now().minus(LIFETIME)).await.map_err(failed)? {}
    check(
        on.collections.once(&caller, &key, command()?).await.map_err(failed)?.replayed,
        "it was forgotten too early",
    )?;
    on.clock.advance(Duration::from_secs(1));
    // Before anybody has cleaned up, and under the same key for another call too.
    let other = on.collections.once(&caller, &key, creation(&name, json!({"n": 2}))?).await.map_err(failed)?;
    check(!other.replayed, "an old answer was given")?;
    check(
        on.collections.once(&caller, &key, creation(&name, json!({"n": 2}))?).await.map_err(failed)?.replayed,
        "kept",
    )?;
    on.clock.advance(LIFETIME);
    while on.answers.forget(on.clock.now().minus(LIFETIME)).await.map_err(failed)? {}
    check(!on.collections.once(&caller, &key, command()?).await.map_err(failed)?.replayed, "it was not forgotten")
}

async fn changes_of_one_command_share_a_transaction(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let tenant = TenantId::default_tenant();
    let start = on.feed.state(&tenant).await.map_err(failed)?.head;
    let batch = Batch::new()
        .create(&name, new(json!({"n": 1}))?.with_id(id("a")?))
        .create(&name, new(json!({"n": 2}))?.with_id(id("b")?))
        .patch(&name, &id("a")?, patch(json!({"n": {"$inc": 1}}))?, Precondition::None);
    on.collections.batch(&caller, batch).await.map_err(failed)?;
    let all = Matching::new(name.clone(), "true").map_err(failed)?;
    on.collections.update_where(&caller, all, patch(json!({"seen": true}))?).await.map_err(failed)?;
    let changes = loop {
        let changes = on.feed.read(&tenant, start, 100).await.map_err(failed)?;
        let own: Vec<_> = changes.into_iter().filter(|change| change.collection == name).collect();
        if own.len() >= 5 {
            break own;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let seen: Vec<_> = changes.iter().map(|change| (change.id.as_str(), change.operation.as_str())).collect();
    let expected = vec![("a", "create"), ("b", "create"), ("a", "update"), ("a", "update"), ("b", "update")];
    check_eq(&seen, &expected)?;
    let of: Vec<_> = changes.iter().map(|change| change.transaction).collect();
    match of.as_slice() {
        [a, b, c, d, e] if a == b && b == c && d == e && c != d => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

async fn a_command_in_a_transaction_ends_with_it(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    for commits in [false, true] {
        let (collections, caller, name) = (Arc::clone(&on.collections), caller.clone(), name.clone());
        let body = new(json!({"n": 1}))?;
        let change = patch(json!({"n": {"$inc": 1}}))?;
        let all = Matching::new(name.clone(), "n == 1").map_err(failed)?;
        let outcome = (on.transact)(Arc::new(move |tx| {
            let (collections, caller) = (Arc::clone(&collections), caller.clone());
            let batch = Batch::new().create(&name, body.clone());
            let (all, change) = (all.clone(), MatchingWrite::Patch(change.clone()));
            Box::pin(async move {
                collections.batch_in(tx, &caller, batch).await?;
                let affected = collections.write_where_in(tx, &caller, all, change).await?;
                if affected.changed != 1 {
                    return Err(Error::internal("the transaction does not see what it wrote"));
                }
                if commits { Ok(()) } else { Err(Error::invalid("no", "no")) }
            })
        }))
        .await;
        check_eq(&outcome.is_ok(), &commits)?;
    }
    check_eq(&count(&on, &caller, &name).await?, &1)
}

async fn a_command_that_fails_in_a_transaction_leaves_nothing(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let (collections, by, on_name) = (Arc::clone(&on.collections), caller.clone(), name.clone());
    let (kept, lost, missing) = (new(json!({"kept": true}))?, new(json!({"lost": true}))?, id("missing")?);
    (on.transact)(Arc::new(move |tx| {
        let (collections, by) = (Arc::clone(&collections), by.clone());
        let kept = Batch::new().create(&on_name, kept.clone());
        let failing = Batch::new().create(&on_name, lost.clone()).get(&on_name, &missing);
        Box::pin(async move {
            collections.batch_in(tx, &by, kept).await?;
            match collections.batch_in(tx, &by, failing).await {
                Err(error) if error.code() == "document-not-found" => Ok(()),
                outcome => Err(Error::internal(format!("{outcome:?}"))),
            }
        })
    }))
    .await
    .map_err(failed)?;
    let left = on.collections.list(&caller, &name, &ListQuery::new()).await.map_err(failed)?.value.items;
    let bodies: Vec<_> = left.iter().map(|document| value(&document.body)).collect::<Result<_, _>>()?;
    check_eq(&bodies, &vec![json!({"kept": true})])
}
