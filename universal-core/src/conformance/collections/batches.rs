//! Several operations in one commit.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use serde_json::{Value, json};

use crate::{
    collections::{Batch, BatchResult, ListQuery, Precondition, Written, batch::MAX_OPERATIONS},
    conformance::{
        case::Case,
        collections::fixture::{Fixture, collection, has, id, new, object, patch, stored, system, user, value},
        expect::{check_eq, failed, refused},
    },
    error::ErrorKind,
    id::TenantId,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(operations_of_a_batch_see_those_before_them),
    case!(a_batch_that_fails_writes_nothing_and_names_the_operation),
    case!(preconditions_hold_for_each_operation),
    case!(rules_hold_for_each_operation),
    case!(a_check_says_what_is_there),
    case!(batches_that_cross_lose_nothing),
    case!(batches_that_create_the_same_ids_have_one_winner),
    case!(a_batch_has_limits),
    case!(a_batch_of_nothing_does_nothing),
];

async fn operations_of_a_batch_see_those_before_them(on: Fixture) -> Result<(), String> {
    let (caller, books, loans) = (user(), collection()?, collection()?);
    let (emma, loan) = (id("emma")?, id("loan-1")?);
    let batch = Batch::new()
        .create(&books, new(json!({"stock": 2}))?.with_id(emma.clone()))
        .patch(&books, &emma, patch(json!({"stock": {"$inc": -1}}))?, Precondition::Exists)
        .replace(&loans, &loan, object(json!({"book": "emma"}))?, Precondition::Absent)
        .get(&books, &emma)
        .create(&loans, new(json!({"book": "none"}))?)
        .delete(&loans, &loan, Precondition::None)
        .replace(&books, &emma, object(json!({"stock": 7}))?, Precondition::None);
    let results = on.batch(&caller, batch).await.map_err(failed)?;
    let kinds: Vec<_> = results
        .iter()
        .map(|result| match result {
            BatchResult::Written(Written::Created(_)) => "created",
            BatchResult::Written(Written::Updated(_)) => "updated",
            BatchResult::Written(Written::Deleted(_)) => "deleted",
            BatchResult::Read(_) => "read",
            BatchResult::Checked(_) => "checked",
        })
        .collect();
    check_eq(&kinds, &vec!["created", "updated", "created", "read", "created", "deleted", "updated"])?;
    let read = results.get(3).and_then(BatchResult::document).ok_or("a document")?;
    check_eq(&value(&read.body)?, &json!({"stock": 1}))?;
    let now = stored(&on, &books, &emma).await?;
    check_eq(&value(&now.body)?, &json!({"stock": 7}))?;
    check_eq(&Some(&now.revision), &results.last().and_then(BatchResult::document).map(|document| &document.revision))?;
    let left = on.list(&caller, &loans, &ListQuery::new()).await.map_err(failed)?.value.items;
    check_eq(&left.len(), &1)
}

async fn a_batch_that_fails_writes_nothing_and_names_the_operation(on: Fixture) -> Result<(), String> {
    let (caller, name, there) = (user(), collection()?, id("there")?);
    on.create(&caller, &name, new(json!({"n": 1, "text": "x"}))?.with_id(there.clone())).await.map_err(failed)?;
    let before = stored(&on, &name, &there).await?;
    let begun = || -> Result<Batch, String> {
        Ok(Batch::new().create(&name, new(json!({"n": 2}))?.with_id(id("new")?)).patch(
            &name,
            &there,
            patch(json!({"n": {"$inc": 1}}))?,
            Precondition::None,
        ))
    };
    let missing = id("missing")?;
    let many = json!({"a": {"b": {"$inc": "x"}}});
    for (batch, kind, code, field) in [
        (begun()?.get(&name, &missing), ErrorKind::NotFound, "document-not-found", "/operations/2"),
        (
            begun()?.delete(&name, &there, has("old-1")),
            ErrorKind::PreconditionFailed,
            "stale-revision",
            "/operations/2",
        ),
        (
            begun()?.create(&name, new(json!({}))?.with_id(there.clone())),
            ErrorKind::Conflict,
            "document-exists",
            "/operations/2/id",
        ),
        (
            begun()?.patch(&name, &there, patch(json!({"text": {"$inc": 1}}))?, Precondition::None),
            ErrorKind::Invalid,
            "operation-does-not-fit",
            "/operations/2/patch/text",
        ),
        (
            begun()?.patch(&name, &there, patch(many)?, Precondition::None),
            ErrorKind::Invalid,
            "operation-does-not-fit",
            "/operations/2/patch/a/b",
        ),
        (
            begun()?.replace(&name, &there, object(json!({"id": 5}))?, Precondition::None),
            ErrorKind::Invalid,
            "reserved-key",
            "/operations/2/body/id",
        ),
    ] {
        let outcome = on.batch(&caller, batch).await;
        let place = outcome.as_ref().err().and_then(|error| error.field()).map(str::to_owned);
        refused(outcome, kind, code)?;
        check_eq(&place.as_deref(), &Some(field))?;
        check_eq(&stored(&on, &name, &there).await?, &before)?;
        let listed = on.list(&caller, &name, &ListQuery::new()).await.map_err(failed)?.value.items;
        check_eq(&listed.len(), &1)?;
    }
    Ok(())
}

async fn preconditions_hold_for_each_operation(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let made = on.create(&caller, &name, new(json!({"n": 1}))?).await.map_err(failed)?;
    let one = || has(made.revision.as_str());
    let twice = Batch::new().patch(&name, &made.id, patch(json!({"n": 2}))?, one()).patch(
        &name,
        &made.id,
        patch(json!({"n": 3}))?,
        one(),
    );
    // The first gave it another revision.
    let outcome = on.batch(&caller, twice).await;
    check_eq(&outcome.as_ref().err().and_then(|error| error.field()), &Some("/operations/1"))?;
    refused(outcome, ErrorKind::PreconditionFailed, "stale-revision")?;
    let absent = Batch::new().replace(&name, &made.id, object(json!({}))?, Precondition::Absent);
    refused(on.batch(&caller, absent).await, ErrorKind::PreconditionFailed, "document-exists")?;
    let exists = Batch::new().replace(&name, &id("none")?, object(json!({}))?, Precondition::Exists);
    refused(on.batch(&caller, exists).await, ErrorKind::NotFound, "document-not-found")?;
    let several = Precondition::Revision(vec!["x-1".to_owned(), made.revision.as_str().to_owned()]);
    let good = Batch::new().patch(&name, &made.id, patch(json!({"n": 4}))?, several).get(&name, &made.id);
    let results = on.batch(&caller, good).await.map_err(failed)?;
    let read = results.last().and_then(BatchResult::document).ok_or("a document")?;
    check_eq(&value(&read.body)?, &json!({"n": 4}))
}

async fn rules_hold_for_each_operation(on: Fixture) -> Result<(), String> {
    let (owner, stranger, name) = (user(), user(), collection()?);
    let made = on.create(&owner, &name, new(json!({"n": 1}))?).await.map_err(failed)?;
    for batch in [
        Batch::new().get(&name, &made.id),
        Batch::new().check(&name, &made.id, Precondition::Exists),
        Batch::new().check(&name, &made.id, has("old-1")),
        Batch::new().delete(&name, &made.id, Precondition::None),
        Batch::new().replace(&name, &made.id, object(json!({}))?, Precondition::None),
        Batch::new().create(&name, new(json!({}))?).patch(&name, &made.id, object(json!({}))?, Precondition::None),
    ] {
        refused(on.batch(&stranger, batch).await, ErrorKind::NotFound, "document-not-found")?;
    }
    let nobody = crate::caller::Caller::anonymous(TenantId::default_tenant());
    let outcome = on.batch(&nobody, Batch::new().create(&name, new(json!({}))?)).await;
    refused(outcome, ErrorKind::Unauthenticated, "sign-in-required")?;
    let listed = on.list(&system(), &name, &ListQuery::new()).await.map_err(failed)?.value.items;
    check_eq(&listed.len(), &1)?;
    let elsewhere = crate::caller::Caller::system(TenantId::new("nobody-made-this").map_err(failed)?);
    let outcome = on.batch(&elsewhere, Batch::new().create(&name, new(json!({}))?)).await;
    refused(outcome, ErrorKind::NotFound, "tenant-not-found")
}

async fn a_check_says_what_is_there(on: Fixture) -> Result<(), String> {
    let (caller, name, free) = (user(), collection()?, id("free")?);
    let made = on.create(&caller, &name, new(json!({"n": 1}))?).await.map_err(failed)?;
    let batch = Batch::new()
        .check(&name, &made.id, has(made.revision.as_str()))
        .check(&name, &made.id, Precondition::Exists)
        .check(&name, &free, Precondition::Absent)
        .create(&name, new(json!({}))?.with_id(free.clone()))
        .check(&name, &free, Precondition::Exists);
    let results = on.batch(&caller, batch).await.map_err(failed)?;
    match results.as_slice() {
        [BatchResult::Checked(Some(one)), _, BatchResult::Checked(None), _, BatchResult::Checked(Some(_))] => {
            check_eq(one, &made.revision)?;
        }
        other => return Err(format!("{other:?}")),
    }
    let taken = Batch::new().check(&name, &free, Precondition::Absent);
    refused(on.batch(&caller, taken).await, ErrorKind::PreconditionFailed, "document-exists")?;
    let none = Batch::new().check(&name, &id("none")?, Precondition::Exists);
    refused(on.batch(&caller, none).await, ErrorKind::NotFound, "document-not-found")
}

/// Transfers between accounts, each in the order in which it was drawn: without one order of locks they
/// would wait for each other.
async fn batches_that_cross_lose_nothing(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let accounts: Vec<_> = (0..6).map(|n| id(&format!("account-{n}"))).collect::<Result<_, _>>()?;
    for account in &accounts {
        on.create(&caller, &name, new(json!({"money": 100}))?.with_id(account.clone())).await.map_err(failed)?;
    }
    let tellers = (0..12_usize).map(|teller| {
        let (on, caller, name, accounts) = (Arc::clone(&on), caller.clone(), name.clone(), accounts.clone());
        async move {
            for n in 0..12_usize {
                let from = accounts.get((teller + n) % 6).ok_or("an account")?;
                let to = accounts.get((teller * 5 + n * 2 + 1 + (teller + n) % 6) % 6).ok_or("an account")?;
                let batch = Batch::new()
                    .patch(&name, from, patch(json!({"money": {"$inc": -1}}))?, Precondition::None)
                    .patch(&name, to, patch(json!({"money": {"$inc": 1}}))?, Precondition::None);
                on.batch(&caller, batch).await.map_err(failed)?;
            }
            Ok::<_, String>(())
        }
    });
    try_join_all(tellers).await?;
    let (mut money, mut writes) = (0, 0);
    for account in &accounts {
        let document = stored(&on, &name, account).await?;
        money += value(&document.body)?.pointer("/money").and_then(Value::as_i64).ok_or("money")?;
        let number = document.revision.as_str().rsplit('-').next().and_then(|number| number.parse::<u64>().ok());
        writes += number.ok_or("a revision")? - 1;
    }
    check_eq(&(money, writes), &(600, 2 * 144))
}

async fn batches_that_create_the_same_ids_have_one_winner(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let mut batches = Vec::new();
    for n in 0..8 {
        let mut ids = vec![id("a")?, id("b")?, id("c")?];
        if n % 2 == 0 {
            ids.reverse();
        }
        let mut batch = Batch::new();
        for id in ids {
            batch = batch.create(&name, new(json!({"by": n}))?.with_id(id));
        }
        let (on, caller) = (Arc::clone(&on), caller.clone());
        batches.push(async move { on.batch(&caller, batch).await });
    }
    let outcomes = join_all(batches).await;
    check_eq(&outcomes.iter().filter(|outcome| outcome.is_ok()).count(), &1)?;
    for error in outcomes.into_iter().filter_map(Result::err) {
        refused::<()>(Err(error), ErrorKind::Conflict, "document-exists")?;
    }
    let listed = on.list(&caller, &name, &ListQuery::new()).await.map_err(failed)?.value.items;
    let bodies: std::collections::HashSet<_> = listed.iter().map(|document| document.body.clone()).collect();
    check_eq(&(listed.len(), bodies.len()), &(3, 1))
}

async fn a_batch_has_limits(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let of = |count: usize| -> Result<Batch, String> {
        (0..count).try_fold(Batch::new(), |batch, n| Ok(batch.create(&name, new(json!({"n": n}))?)))
    };
    let outcome = on.batch(&caller, of(MAX_OPERATIONS + 1)?).await;
    refused(outcome, ErrorKind::TooLarge, "batch-too-large")?;
    let results = on.batch(&caller, of(MAX_OPERATIONS)?).await.map_err(failed)?;
    check_eq(&results.len(), &MAX_OPERATIONS)?;
    // What it answers is bounded too: 20 times a document of a megabyte.
    let large = on.create(&caller, &name, new(json!({"text": "x".repeat(1_000_000)}))?).await.map_err(failed)?;
    let reads = (0..20).fold(Batch::new(), |batch, _| batch.get(&name, &large.id));
    let outcome = on.batch(&caller, reads).await;
    check_eq(&outcome.as_ref().err().and_then(|error| error.field()), &Some("/operations/16"))?;
    refused(outcome, ErrorKind::TooLarge, "batch-too-large")
}

async fn a_batch_of_nothing_does_nothing(on: Fixture) -> Result<(), String> {
    check_eq(&on.batch(&user(), Batch::new()).await.map_err(failed)?.len(), &0)
}
