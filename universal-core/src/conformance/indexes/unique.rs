//! Values that no two documents may have.

use serde_json::json;

use crate::{
    collections::{CollectionSettings, IndexSettings, IndexState, NewDocument, Precondition, Rules},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
        indexes::fixture::{Fixture, collection, configured, id, object, put, query, system, user, walked},
    },
    error::{Error, ErrorKind},
    id::CollectionName,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(two_documents_cannot_have_what_must_be_unique),
    case!(what_is_missing_or_null_need_not_be_unique),
    case!(a_value_is_free_again_after_a_change_or_a_deletion),
    case!(of_two_at_once_one_wins),
    case!(several_fields_are_unique_together_and_long_texts_in_full),
    case!(a_violation_of_hidden_members_is_not_explained),
    case!(documents_that_are_there_twice_fail_the_index),
    case!(settings_of_indexes_that_are_not_valid_say_where),
];

fn unique(fields: &[&str]) -> CollectionSettings {
    CollectionSettings::new().with_index("one", IndexSettings::on(fields.iter().copied()).unique())
}

async fn create(on: &Fixture, name: &CollectionName, key: &str, body: serde_json::Value) -> Result<(), Error> {
    let document = NewDocument::new(object(body).map_err(Error::internal)?).with_id(id(key).map_err(Error::internal)?);
    on.create(&system(), name, document).await.map(|_| ())
}

async fn two_documents_cannot_have_what_must_be_unique(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    configured(&on, &name, unique(&["email"])).await?;
    put(&on, &name, "secret-id", json!({"email": "a@x.org", "n": 1})).await?;
    let outcome = create(&on, &name, "second", json!({"email": "a@x.org"})).await;
    let error = outcome.as_ref().err().map(|error| (error.message().to_owned(), error.field().map(str::to_owned)));
    refused(outcome, ErrorKind::Conflict, "unique-violation")?;
    let (message, field) = error.ok_or("no error")?;
    check_eq(&field.as_deref(), &Some("/email"))?;
    check(message.contains("`one`") && message.contains("doc.email"), &message)?;
    check(!message.contains("secret-id") && !message.contains("a@x.org"), &message)?;
    // Nothing of what was refused is there.
    refused(on.get(&system(), &name, &id("second")?).await, ErrorKind::NotFound, "document-not-found")?;
    put(&on, &name, "second", json!({"email": "b@x.org"})).await?;
    let change = object(json!({"email": "a@x.org"}))?;
    let taken = on.patch(&system(), &name, &id("second")?, change, Precondition::None).await;
    refused(taken, ErrorKind::Conflict, "unique-violation")?;
    check_eq(
        &walked(&on, &system(), &name, &query("email == \"b@x.org\"", "")?, 5).await?,
        &vec!["second".to_owned()],
    )?;
    // A document may keep its own value, and numbers are one whatever they are written as.
    on.patch(&system(), &name, &id("second")?, object(json!({"n": 2}))?, Precondition::None).await.map_err(failed)?;
    put(&on, &name, "third", json!({"email": 1})).await?;
    refused(create(&on, &name, "fourth", json!({"email": 1.0})).await, ErrorKind::Conflict, "unique-violation")
}

async fn what_is_missing_or_null_need_not_be_unique(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    configured(&on, &name, unique(&["a", "b"])).await?;
    for (n, body) in
        [json!({}), json!({}), json!({"a": 1}), json!({"a": 1}), json!({"a": 1, "b": null})].iter().enumerate()
    {
        put(&on, &name, &format!("d{n}"), body.clone()).await?;
    }
    check_eq(&walked(&on, &system(), &name, &query("a == 1", "")?, 2).await?.len(), &3)?;
    check_eq(&walked(&on, &system(), &name, &query("", "a,b")?, 2).await?.len(), &5)
}

async fn a_value_is_free_again_after_a_change_or_a_deletion(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    configured(&on, &name, unique(&["slot"])).await?;
    put(&on, &name, "a", json!({"slot": 1})).await?;
    put(&on, &name, "b", json!({"slot": 2})).await?;
    let body = object(json!({"slot": 3}))?;
    on.replace(&system(), &name, &id("a")?, body, Precondition::None).await.map_err(failed)?;
    put(&on, &name, "c", json!({"slot": 1})).await?;
    on.delete(&system(), &name, &id("b")?, Precondition::None).await.map_err(failed)?;
    put(&on, &name, "d", json!({"slot": 2})).await?;
    check_eq(
        &walked(&on, &system(), &name, &query("", "slot")?, 2).await?,
        &["c", "d", "a"].map(str::to_owned).to_vec(),
    )
}

async fn of_two_at_once_one_wins(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    configured(&on, &name, unique(&["slot"])).await?;
    for slot in 0..6 {
        let attempts = (0..8).map(|n| {
            let (on, name) = (Fixture::clone(&on), name.clone());
            async move { create(&on, &name, &format!("d{slot}-{n}"), json!({"slot": slot})).await }
        });
        let outcomes = futures_util::future::join_all(attempts).await;
        check_eq(&outcomes.iter().filter(|outcome| outcome.is_ok()).count(), &1)?;
        for outcome in outcomes.into_iter().filter(Result::is_err) {
            refused(outcome, ErrorKind::Conflict, "unique-violation")?;
        }
    }
    check_eq(&walked(&on, &system(), &name, &query("", "")?, 50).await?.len(), &6)
}

async fn several_fields_are_unique_together_and_long_texts_in_full(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    configured(&on, &name, unique(&["shop", "-code"])).await?;
    let long = |end: &str| format!("{}{end}", "x".repeat(400));
    put(&on, &name, "a", json!({"shop": 1, "code": long("a")})).await?;
    put(&on, &name, "b", json!({"shop": 1, "code": long("b")})).await?;
    put(&on, &name, "c", json!({"shop": 2, "code": long("a")})).await?;
    let twice = create(&on, &name, "d", json!({"shop": 2, "code": long("a")})).await;
    refused(twice, ErrorKind::Conflict, "unique-violation")?;
    let found =
        walked(&on, &system(), &name, &query(&format!("shop == 1 && code == \"{}\"", long("b")), "")?, 5).await?;
    check_eq(&found, &vec!["b".to_owned()])?;
    check_eq(
        &walked(&on, &system(), &name, &query("shop == 1", "-code")?, 1).await?,
        &["b", "a"].map(str::to_owned).to_vec(),
    )
}

async fn a_violation_of_hidden_members_is_not_explained(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    let open = Rules::default().with_update("true").with_get("true");
    let settings = unique(&["shown", "secret"]).with_hidden("secret").with_rules(open);
    configured(&on, &name, settings).await?;
    put(&on, &name, "a", json!({"shown": 1, "secret": "s"})).await?;
    put(&on, &name, "b", json!({"shown": 2, "secret": "s"})).await?;
    let outcome = on.patch(&user(), &name, &id("b")?, object(json!({"shown": 1}))?, Precondition::None).await;
    let error = outcome.as_ref().err().map(|error| (error.message().to_owned(), error.field().map(str::to_owned)));
    refused(outcome, ErrorKind::Conflict, "unique-violation")?;
    let (message, field) = error.ok_or("no error")?;
    check(field.is_none() && !message.contains("secret") && !message.contains("`one`"), &message)
}

async fn documents_that_are_there_twice_fail_the_index(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    for n in 0..20 {
        put(&on, &name, &format!("d{n:02}"), json!({"n": n % 19})).await?;
    }
    let states = configured(&on, &name, unique(&["n"])).await?;
    check_eq(&states, &vec![("one".to_owned(), IndexState::Failed)])?;
    let info = on.settings(&system(), &name).await.map_err(failed)?;
    let reason = info.indexes.first().and_then(|index| index.reason.clone()).ok_or("no reason")?;
    check(reason.contains("doc.n") && !reason.contains("d19"), &reason)?;
    // A failed index binds nobody and serves no list.
    put(&on, &name, "again", json!({"n": 1})).await?;
    check_eq(&walked(&on, &system(), &name, &query("n == 1", "")?, 5).await?.len(), &2)?;
    on.delete(&system(), &name, &id("again")?, Precondition::None).await.map_err(failed)?;
    on.delete(&system(), &name, &id("d19")?, Precondition::None).await.map_err(failed)?;
    let states = configured(&on, &name, unique(&["n"])).await?;
    check_eq(&states, &vec![("one".to_owned(), IndexState::Ready)])?;
    refused(create(&on, &name, "again", json!({"n": 1})).await, ErrorKind::Conflict, "unique-violation")
}

async fn settings_of_indexes_that_are_not_valid_say_where(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    let index = |name: &str, fields: &[&str]| {
        CollectionSettings::new().with_index(name, IndexSettings::on(fields.iter().copied()))
    };
    let many = (0..17)
        .fold(CollectionSettings::new(), |settings, n| settings.with_index(format!("i{n}"), IndexSettings::on(["a"])));
    for (settings, field) in [
        (index("By", &["a"]), "/indexes/By"),
        (index("by", &[]), "/indexes/by/fields"),
        (index("by", &["a", "b", "c", "d", "e"]), "/indexes/by/fields"),
        (index("by", &["a", "-a"]), "/indexes/by/fields"),
        (index("by", &["a..b"]), "/indexes/by/fields"),
        (index("by", &["meta.revision"]), "/indexes/by/fields"),
        (many, "/indexes"),
    ] {
        let outcome = on.configure(&system(), &name, settings, None).await;
        let found = outcome.as_ref().err().and_then(|error| error.field().map(str::to_owned));
        refused(outcome, ErrorKind::Invalid, "invalid-index")?;
        check_eq(&found.as_deref(), &Some(field))?;
    }
    Ok(())
}
