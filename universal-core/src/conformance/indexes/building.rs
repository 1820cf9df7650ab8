//! Indexes over documents that are there already, while others write.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    collections::{IndexSettings, IndexState, NewDocument, Precondition},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed},
        indexes::fixture::{
            Dice, Fixture, built, collection, configured, id, indexes, object, put, query, system, used, walked,
        },
    },
    error::ErrorKind,
    id::CollectionName,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(an_index_on_nothing_is_ready_at_once),
    case!(an_index_is_built_while_others_write),
    case!(an_index_tells_how_far_it_is),
    case!(documents_keep_their_place_in_an_index_through_every_write),
];

/// How many documents are there before the index.
const DOCUMENTS: u64 = 1_300;
/// How many tasks write meanwhile.
const WRITERS: u64 = 4;

async fn an_index_on_nothing_is_ready_at_once(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    let states = configured(&on, &name, indexes(&[("by_n", &["n"])])).await?;
    check_eq(&states, &vec![("by_n".to_owned(), IndexState::Ready)])?;
    check_eq(&used(&on, &system(), &name, &query("n == 1", "")?).await?.as_deref(), &Some("by_n"))
}

/// Some write of some document, whatever comes of it.
async fn write_something(on: &Fixture, name: &CollectionName, dice: &mut Dice) -> Result<(), String> {
    let key = id(&format!("d{:04}", dice.roll(DOCUMENTS + 100)))?;
    let body = object(json!({"n": dice.roll(50), "at": dice.roll(1_000_000)}))?;
    let outcome = match dice.roll(4) {
        0 => on.delete(&system(), name, &key, Precondition::None).await,
        1 => on.create(&system(), name, NewDocument::new(body).with_id(key)).await.map(|_| ()),
        2 => on.replace(&system(), name, &key, body, Precondition::None).await.map(|_| ()),
        _ => {
            on.patch(&system(), name, &key, object(json!({"n": dice.roll(50)}))?, Precondition::None).await.map(|_| ())
        }
    };
    match outcome {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => Err(failed(error)),
        _ => Ok(()),
    }
}

/// All documents as they are stored, by id.
async fn stored(on: &Fixture, name: &CollectionName) -> Result<Vec<(String, Value)>, String> {
    let mut found = Vec::new();
    let mut query = query("", "")?.with_limit(crate::page::Limit::new(500).map_err(failed)?);
    loop {
        let page = on.list(&system(), name, &query).await.map_err(failed)?.value;
        for document in page.items {
            let body: Value = serde_json::from_str(&document.body).map_err(failed)?;
            found.push((document.id.to_string(), body));
        }
        match page.next_cursor {
            Some(next) => query.cursor = Some(next),
            None => return Ok(found),
        }
    }
}

/// That the index on `n` answers what is stored.
async fn agrees(on: &Fixture, name: &CollectionName) -> Result<(), String> {
    let all = stored(on, name).await?;
    let by_n = query("", "n")?;
    check(used(on, &system(), name, &by_n).await?.is_some(), "the index is not used")?;
    let mut expected: Vec<(i64, String)> =
        all.iter().map(|(id, body)| (body.get("n").and_then(Value::as_i64).unwrap_or(-1), id.clone())).collect();
    expected.sort_unstable();
    let expected: Vec<String> = expected.into_iter().map(|(_, id)| id).collect();
    let found = walked(on, &system(), name, &by_n, 500).await?;
    check(found == expected, &format!("the index has {} documents and not {}", found.len(), expected.len()))
}

async fn an_index_is_built_while_others_write(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    fill(&on, &name).await?;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|seed| {
            let (on, name, stop) = (Fixture::clone(&on), name.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut dice, mut writes) = (Dice::new(seed), 0_u32);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    write_something(&on, &name, &mut dice).await?;
                    writes += 1;
                }
                Ok::<u32, String>(writes)
            })
        })
        .collect();
    let states = configured(&on, &name, indexes(&[("by_n", &["n"])])).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut writes = 0;
    for writer in writers {
        writes += writer.await.map_err(failed)??;
    }
    check_eq(&states?, &vec![("by_n".to_owned(), IndexState::Ready)])?;
    check(writes > 0, "nobody wrote meanwhile")?;
    agrees(&on, &name).await
}

async fn fill(on: &Fixture, name: &CollectionName) -> Result<(), String> {
    for some in (0..DOCUMENTS).collect::<Vec<_>>().chunks(100) {
        let creations =
            some.iter().map(|n| async move { put(on, name, &format!("d{n:04}"), json!({"n": n % 50})).await });
        for created in futures_util::future::join_all(creations).await {
            created?;
        }
    }
    Ok(())
}

async fn an_index_tells_how_far_it_is(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    fill(&on, &name).await?;
    let info = on.configure(&system(), &name, indexes(&[("by_n", &["n"])]), None).await.map_err(failed)?;
    let index = info.indexes.first().ok_or("the index is not shown")?;
    check(index.state != IndexState::Failed && index.name == "by_n", "the index is not being built")?;
    built(&on, &name).await?;
    let info = on.settings(&system(), &name).await.map_err(failed)?;
    let index = info.indexes.first().ok_or("the index is not shown")?;
    check_eq(&index.documents, &i64::try_from(DOCUMENTS).unwrap_or(0))?;
    // What is there already is not built again.
    let more = indexes(&[("by_n", &["doc.n"])]).with_index("by_at", IndexSettings::on(["at"]));
    let info = on.configure(&system(), &name, more, None).await.map_err(failed)?;
    let states: Vec<_> = info.indexes.iter().map(|index| (index.name.as_str(), index.state)).collect();
    check(states.contains(&("by_n", IndexState::Ready)), "an index was built again")?;
    built(&on, &name).await.map(|_| ())
}

async fn documents_keep_their_place_in_an_index_through_every_write(on: Fixture) -> Result<(), String> {
    let (name, mut dice) = (collection()?, Dice::new(3));
    configured(&on, &name, indexes(&[("by_n", &["n"])])).await?;
    for _ in 0..400 {
        write_something(&on, &name, &mut dice).await?;
    }
    agrees(&on, &name).await
}
