//! Dropping and renaming collections.

use serde_json::json;

use super::fixture::{Fixture, admin, collection, heard, new, open, refers, user, value};
use crate::{
    collections::{CollectionSettings, CollectionState, OnDelete},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
    id::DocumentId,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(dropping_and_renaming_are_for_administrators),
    case!(a_dropped_collection_is_gone_with_its_documents_and_settings),
    case!(a_collection_that_is_referred_to_with_refuse_is_not_dropped),
    case!(a_dropped_collection_takes_along_what_refers_with_cascade),
    case!(a_renamed_collection_keeps_documents_revisions_and_settings),
    case!(references_follow_a_renamed_collection),
    case!(a_name_that_is_taken_is_refused),
    case!(writes_beside_a_rename_are_lost_nowhere),
];

async fn dropping_and_renaming_are_for_administrators(on: Fixture) -> Result<(), String> {
    let (name, other) = (collection()?, collection()?);
    on.make(&name, "a", json!({})).await?;
    refused(on.collections.drop_collection(&user(), &name).await, ErrorKind::Forbidden, "admin-required")?;
    refused(on.collections.rename_collection(&user(), &name, &other).await, ErrorKind::Forbidden, "admin-required")?;
    refused(on.collections.drop_collection(&admin(), &other).await, ErrorKind::NotFound, "collection-not-found")?;
    let unknown = on.collections.rename_collection(&admin(), &other, &name).await;
    refused(unknown, ErrorKind::NotFound, "collection-not-found")?;
    on.holds(&name, &["a"]).await
}

async fn a_dropped_collection_is_gone_with_its_documents_and_settings(on: Fixture) -> Result<(), String> {
    let name = on.configured(CollectionSettings::new().with_rules(open()).with_hidden("secret")).await?;
    for n in 0..230 {
        on.make(&name, &format!("d{n:03}"), json!({"secret": n})).await?;
    }
    let mut subscription = on.subscribe(&name).await?;
    on.drop(&name).await?;
    on.holds(&name, &[]).await?;
    let info = on.collections.settings(&admin(), &name).await.map_err(failed)?;
    check_eq(&(info.version, info.settings, info.state), &(0, CollectionSettings::default(), CollectionState::Active))?;
    let all = on.collections.collections(&admin()).await.map_err(failed)?;
    check(all.iter().all(|info| info.name != name), "the dropped collection is among all")?;
    heard(&mut subscription, (0..230).map(|n| format!("delete d{n:03}"))).await?;
    refused(on.collections.drop_collection(&admin(), &name).await, ErrorKind::NotFound, "collection-not-found")?;
    // The name is free, and what was hidden is not any more.
    let made = on.collections.create(&user(), &name, new(json!({"secret": 1}))?).await.map_err(failed)?;
    check_eq(&value(&made.body)?, &json!({"secret": 1}))
}

async fn a_collection_that_is_referred_to_with_refuse_is_not_dropped(on: Fixture) -> Result<(), String> {
    let people = collection()?;
    on.configure(&people, refers("boss", &people, OnDelete::Refuse)).await?;
    let books = on.referring(&people, OnDelete::Refuse).await?;
    on.make(&people, "ada", json!({})).await?;
    on.make(&people, "bob", json!({"boss": "ada"})).await?;
    on.make(&books, "a", json!({"to": "bob"})).await?;
    let refusal = on.collections.drop_collection(&admin(), &people).await;
    refused(refusal, ErrorKind::Conflict, "collection-is-referenced")?;
    on.holds(&people, &["ada", "bob"]).await?;
    on.patch(&people, "ada", json!({"n": 1})).await.map_err(failed)?;
    // Among themselves they may refer as they will.
    on.drop(&books).await?;
    on.drop(&people).await?;
    on.holds(&people, &[]).await
}

async fn a_dropped_collection_takes_along_what_refers_with_cascade(on: Fixture) -> Result<(), String> {
    let people = collection()?;
    let books = on.referring(&people, OnDelete::Cascade).await?;
    on.make(&people, "ada", json!({})).await?;
    on.make(&books, "a", json!({"to": "ada"})).await?;
    on.make(&books, "b", json!({})).await?;
    on.drop(&people).await?;
    on.holds(&books, &["b"]).await?;
    refused(on.put(&books, "c", json!({"to": "ada"})).await, ErrorKind::Unprocessable, "reference-not-found")
}

async fn a_renamed_collection_keeps_documents_revisions_and_settings(on: Fixture) -> Result<(), String> {
    let settings = || CollectionSettings::new().with_rules(open()).with_hidden("secret");
    let (from, to) = (on.configured(settings()).await?, collection()?);
    let mut made = Vec::new();
    for n in 0..130 {
        made.push(on.make(&from, &format!("d{n:03}"), json!({"secret": n})).await?);
    }
    let (mut left, mut entered) = (on.subscribe(&from).await?, on.subscribe(&to).await?);
    on.rename(&from, &to).await?;
    on.holds(&from, &[]).await?;
    for document in &made {
        let found = on.collections.get(&admin(), &to, &document.id).await.map_err(failed)?.value;
        check_eq(&(&found.revision, &found.owner), &(&document.revision, &document.owner))?;
        check_eq(&value(&found.body)?, &value(&document.body)?)?;
        check_eq(&(found.created_at, found.updated_at), &(document.created_at, document.updated_at))?;
    }
    check_eq(&on.collections.settings(&admin(), &to).await.map_err(failed)?.settings, &settings())?;
    check_eq(&on.collections.settings(&admin(), &from).await.map_err(failed)?.version, &0)?;
    heard(&mut left, (0..130).map(|n| format!("delete d{n:03}"))).await?;
    heard(&mut entered, (0..130).map(|n| format!("create d{n:03}"))).await?;
    // One that nobody has configured, to a name that was used before.
    let bare = collection()?;
    on.make(&bare, "x", json!({})).await?;
    on.rename(&bare, &from).await?;
    on.holds(&from, &["x"]).await?;
    check_eq(&on.collections.settings(&admin(), &from).await.map_err(failed)?.version, &0)
}

async fn references_follow_a_renamed_collection(on: Fixture) -> Result<(), String> {
    let (people, users) = (collection()?, collection()?);
    on.configure(&people, refers("boss", &people, OnDelete::Refuse)).await?;
    let books = on.referring(&people, OnDelete::Cascade).await?;
    on.make(&people, "ada", json!({})).await?;
    on.make(&people, "bob", json!({"boss": "ada"})).await?;
    on.make(&books, "a", json!({"to": "bob"})).await?;
    on.rename(&people, &users).await?;
    let info = on.collections.settings(&admin(), &books).await.map_err(failed)?;
    check_eq(&info.settings, &refers("to", &users, OnDelete::Cascade))?;
    let own = on.collections.settings(&admin(), &users).await.map_err(failed)?;
    check_eq(&own.settings, &refers("boss", &users, OnDelete::Refuse))?;
    refused(on.delete(&users, "ada").await, ErrorKind::Conflict, "document-is-referenced")?;
    on.make(&books, "b", json!({"to": "ada"})).await?;
    // The one that refers may be renamed too.
    let volumes = collection()?;
    on.rename(&books, &volumes).await?;
    on.delete(&users, "bob").await.map_err(failed)?;
    on.holds(&volumes, &["b"]).await?;
    on.delete(&users, "ada").await.map_err(failed)?;
    on.holds(&volumes, &[]).await
}

async fn a_name_that_is_taken_is_refused(on: Fixture) -> Result<(), String> {
    let (from, held) = (collection()?, collection()?);
    let configured = on.configured(CollectionSettings::new()).await?;
    on.make(&from, "a", json!({})).await?;
    on.make(&held, "b", json!({})).await?;
    for to in [&held, &configured, &from] {
        let refusal = on.collections.rename_collection(&admin(), &from, to).await;
        refused(refusal, ErrorKind::Conflict, "collection-exists")?;
    }
    on.make(&from, "c", json!({})).await?;
    on.holds(&from, &["a", "c"]).await?;
    on.holds(&held, &["b"]).await
}

async fn writes_beside_a_rename_are_lost_nowhere(on: Fixture) -> Result<(), String> {
    let (from, to) = (collection()?, collection()?);
    on.make(&from, "first", json!({})).await?;
    let writes = async {
        let mut made = Vec::new();
        for n in 0..60 {
            let id = format!("w{n}");
            let target = if n % 2 == 0 { &from } else { &to };
            match on.put(target, &id, json!({"n": n})).await {
                Ok(_) => made.push(id),
                Err(error) if error.code() == "collection-closed" => {}
                Err(error) => return Err(format!("{error:?}")),
            }
        }
        Ok(made)
    };
    let caller = admin();
    let (made, renamed) = tokio::join!(writes, on.collections.rename_collection(&caller, &from, &to));
    let (made, renamed) = (made?, renamed.map(|_| ()));
    match renamed {
        Ok(()) => {}
        // Somebody wrote to the new name first.
        Err(error) if error.code() == "collection-exists" => {}
        Err(error) => return Err(format!("{error:?}")),
    }
    while on.maintenance.maintain().await.map_err(failed)? {}
    for id in &made {
        let id = DocumentId::new(id.as_str()).map_err(failed)?;
        let old = on.collections.get(&admin(), &from, &id).await;
        let new = on.collections.get(&admin(), &to, &id).await;
        check(old.is_ok() != new.is_ok(), &format!("`{id}` is not in one of the two"))?;
    }
    for name in [&from, &to] {
        let state = on.collections.settings(&admin(), name).await.map_err(failed)?.state;
        check_eq(&state, &CollectionState::Active)?;
    }
    Ok(())
}
