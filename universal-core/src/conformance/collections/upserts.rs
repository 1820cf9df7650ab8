//! PUT under conditions, and what happens when several come at once.

use std::{collections::HashSet, sync::Arc};

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    collections::{Precondition, Written},
    conformance::{
        case::Case,
        collections::fixture::{Fixture, collection, has, id, new, object, patch, stored, user, value},
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(one_of_many_creations_of_an_id_wins),
    case!(one_of_many_replacements_of_a_revision_wins),
    case!(replacements_and_deletions_that_cross_all_have_an_answer),
    case!(one_of_several_revisions_is_enough),
    case!(a_free_id_is_not_free_for_a_stranger_and_tells_nothing),
];

async fn one_of_many_creations_of_an_id_wins(on: Fixture) -> Result<(), String> {
    let (name, key) = (collection()?, id("prize")?);
    let caller = user();
    let mut tries = Vec::new();
    for n in 0..24 {
        let (on, caller, name, key) = (Arc::clone(&on), caller.clone(), name.clone(), key.clone());
        let body = object(json!({"n": n}))?;
        tries.push(async move { on.replace(&caller, &name, &key, body, Precondition::Absent).await });
    }
    let mut won = 0;
    for outcome in join_all(tries).await {
        match outcome {
            Ok(written) => {
                check(written.is_created(), "a creation replaced")?;
                won += 1;
            }
            Err(error) => refused::<()>(Err(error), ErrorKind::PreconditionFailed, "document-exists")?,
        }
    }
    check_eq(&won, &1)?;
    check(stored(&on, &name, &key).await?.revision.as_str().ends_with("-1"), "the winner was written over")
}

async fn one_of_many_replacements_of_a_revision_wins(on: Fixture) -> Result<(), String> {
    let (name, caller) = (collection()?, user());
    let made = on.create(&caller, &name, new(json!({"n": 0}))?).await.map_err(failed)?;
    for round in 0..5 {
        let before = stored(&on, &name, &made.id).await?.revision;
        let mut tries = Vec::new();
        for n in 0..12 {
            let (on, caller, name, key) = (Arc::clone(&on), caller.clone(), name.clone(), made.id.clone());
            let (body, held) = (object(json!({"round": round, "n": n}))?, has(before.as_str()));
            tries.push(async move { on.replace(&caller, &name, &key, body, held).await });
        }
        let outcomes = join_all(tries).await;
        check_eq(&outcomes.iter().filter(|outcome| outcome.is_ok()).count(), &1)?;
        for error in outcomes.into_iter().filter_map(Result::err) {
            refused::<()>(Err(error), ErrorKind::PreconditionFailed, "stale-revision")?;
        }
    }
    Ok(())
}

async fn replacements_and_deletions_that_cross_all_have_an_answer(on: Fixture) -> Result<(), String> {
    let (name, caller, key) = (collection()?, user(), id("contested")?);
    let mut tries = Vec::new();
    for n in 0..60 {
        let (on, caller, name, key) = (Arc::clone(&on), caller.clone(), name.clone(), key.clone());
        let body = object(json!({"n": n}))?;
        tries.push(async move {
            if n % 3 == 0 {
                match on.delete(&caller, &name, &key, Precondition::None).await {
                    Err(error) if error.code() == "document-not-found" => Ok(None),
                    outcome => outcome.map(|()| None),
                }
            } else {
                on.replace(&caller, &name, &key, body, Precondition::None).await.map(Some)
            }
        });
    }
    let mut revisions = HashSet::new();
    for outcome in join_all(tries).await {
        if let Some(written) = outcome.map_err(failed)? {
            check(revisions.insert(written.document().revision.clone()), "a revision came twice")?;
        }
    }
    check_eq(&revisions.len(), &40)
}

async fn one_of_several_revisions_is_enough(on: Fixture) -> Result<(), String> {
    let (name, caller) = (collection()?, user());
    let made = on.create(&caller, &name, new(json!({"n": 0}))?).await.map_err(failed)?;
    let several =
        |revision: &str| Precondition::Revision(vec!["other-1".to_owned(), revision.to_owned(), "other-2".to_owned()]);
    let first = several(made.revision.as_str());
    let patched = on.patch(&caller, &name, &made.id, patch(json!({"n": 1}))?, first.clone()).await.map_err(failed)?;
    let stale = on.patch(&caller, &name, &made.id, patch(json!({"n": 2}))?, first).await;
    refused(stale, ErrorKind::PreconditionFailed, "stale-revision")?;
    on.delete(&caller, &name, &made.id, several(patched.revision.as_str())).await.map_err(failed)?;
    let gone = on.delete(&caller, &name, &made.id, Precondition::Exists).await;
    refused(gone, ErrorKind::NotFound, "document-not-found")
}

async fn a_free_id_is_not_free_for_a_stranger_and_tells_nothing(on: Fixture) -> Result<(), String> {
    let (name, owner, stranger) = (collection()?, user(), user());
    let made = on.create(&owner, &name, new(json!({"secret": 1}))?).await.map_err(failed)?;
    let body = || object(json!({"mine": true}));
    let not_found = [Precondition::None, Precondition::Exists, has(made.revision.as_str()), has("old-1")];
    for precondition in not_found {
        let tried = on.replace(&stranger, &name, &made.id, body()?, precondition).await;
        refused(tried, ErrorKind::NotFound, "document-not-found")?;
    }
    let tried = on.replace(&stranger, &name, &made.id, body()?, Precondition::Absent).await;
    refused(tried, ErrorKind::PreconditionFailed, "document-exists")?;
    check_eq(&value(&stored(&on, &name, &made.id).await?.body)?, &json!({"secret": 1}))?;
    let owned = on.replace(&owner, &name, &made.id, body()?, Precondition::Exists).await.map_err(failed)?;
    check(matches!(owned, Written::Updated(_)), "the owner's document was replaced")
}
