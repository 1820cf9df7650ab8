//! Writers that get in each other's way.

use std::{sync::Arc, time::Duration};

use sea_orm::{DatabaseTransaction, TransactionTrait};
use serde_json::json;
use universal_core::{
    Backend,
    collections::{DocumentWrite, NewDocument, Precondition, Written},
    error::{Error, ErrorKind, Result},
    id::DocumentId,
    json::Object,
    realtime::Operation,
    transaction::Transaction,
};
use universal_tests::wait;

use super::{
    chaos::{DOCUMENTS, Field},
    chaos_chain::{Acknowledged, Dice},
};

/// The id of the last document that is written.
pub(super) const LAST: &str = "the-last";

/// Writes one document at a time.
pub(super) async fn single(field: Arc<Field>, seed: u64) {
    let mut dice = Dice::new(seed);
    while !field.is_over() {
        let (write, tag) = draw(&field, &mut dice);
        let outcome = backend(&field, &mut dice).collections().write(&field.caller, write).await;
        settle(&field, "single writes", &[tag], outcome.map(|written| vec![acknowledged(&written, tag)]));
    }
}

/// Writes several documents in one transaction, in an order that meets others head-on.
pub(super) async fn several(field: Arc<Field>, seed: u64) {
    let mut dice = Dice::new(seed);
    while !field.is_over() {
        let writes: Vec<_> = (0..2 + dice.below(4)).map(|_| draw(&field, &mut dice)).collect();
        let tags: Vec<_> = writes.iter().map(|(_, tag)| *tag).collect();
        let (gives_up, pause) = (dice.happens(20), dice.below(8));
        let on = backend(&field, &mut dice).clone();
        let (inner, within) = (Arc::clone(&field), on.clone());
        let outcome = on
            .transaction(move |tx| {
                Box::pin(async move {
                    let done = write_all(&within, tx, &inner, writes, pause).await?;
                    if gives_up { Err(Error::invalid("gave-up", "the body gave up")) } else { Ok(done) }
                })
            })
            .await;
        settle(&field, "transactions", &tags, outcome);
    }
}

/// Opens transactions of its own, holds them open, writes in savepoints, and lends them.
pub(super) async fn lent(field: Arc<Field>, seed: u64) {
    let mut dice = Dice::new(seed);
    while !field.is_over() {
        let which = usize::try_from(dice.below(2)).unwrap();
        let mut undone = Vec::new();
        let mut tags = Vec::new();
        let outcome = lend(&field, which, &mut dice, &mut tags, &mut undone).await;
        field.note(|book| book.undone.extend(undone));
        settle(&field, "lent transactions", &tags, outcome);
    }
}

async fn lend(
    field: &Field,
    which: usize,
    dice: &mut Dice,
    tags: &mut Vec<u64>,
    undone: &mut Vec<u64>,
) -> Result<Vec<Acknowledged>> {
    let (backend, pool) = (&field.backends[which], &field.pools[which]);
    let lost = |_| Error::new(ErrorKind::Unavailable, "host", "the host's connection was lost");
    let host = pool.begin().await.map_err(lost)?;
    let mut done = Vec::new();
    let mut signals = Vec::new();
    for _ in 0..1 + dice.below(3) {
        let writes: Vec<_> = (0..1 + dice.below(2)).map(|_| draw(field, dice)).collect();
        let these: Vec<_> = writes.iter().map(|(_, tag)| *tag).collect();
        tags.extend(&these);
        if dice.happens(50) {
            let savepoint = host.begin().await.map_err(lost)?;
            let (written, signal) = joined(backend, &savepoint, field, writes).await?;
            if dice.happens(40) {
                savepoint.rollback().await.map_err(lost)?;
                field.count("savepoints rolled back");
                undone.extend(these);
            } else {
                savepoint.commit().await.map_err(lost)?;
                done.extend(written);
            }
            signals.push(signal);
        } else {
            let (written, signal) = joined(backend, &host, field, writes).await?;
            done.extend(written);
            signals.push(signal);
        }
        wait::pause(Duration::from_millis(dice.below(120))).await;
    }
    if dice.happens(20) {
        host.rollback().await.map_err(lost)?;
        return Err(Error::invalid("gave-up", "the host gave up"));
    }
    host.commit().await.map_err(|_| Error::new(ErrorKind::OutcomeUnknown, "host", "the host's commit was lost"))?;
    if dice.happens(50) {
        signals.iter().for_each(|signal| backend.notify(signal));
    }
    Ok(done)
}

async fn joined(
    backend: &Backend,
    on: &DatabaseTransaction,
    field: &Field,
    writes: Vec<(DocumentWrite, u64)>,
) -> Result<(Vec<Acknowledged>, universal_core::Signalled)> {
    let mut tx = backend.join(on);
    let done = write_all(backend, &mut tx, field, writes, 0).await?;
    Ok((done, backend.signals_of(tx)))
}

/// A write that is refused leaves the transaction whole; one that fails ends it.
async fn write_all(
    backend: &Backend,
    tx: &mut Transaction<'_>,
    field: &Field,
    writes: Vec<(DocumentWrite, u64)>,
    pause: u64,
) -> Result<Vec<Acknowledged>> {
    let mut done = Vec::new();
    for (write, tag) in writes {
        match backend.collections().write_in(tx, &field.caller, write).await {
            Ok(written) => done.push(acknowledged(&written, tag)),
            Err(error) if is_refusal(&error) => {}
            Err(error) => return Err(error),
        }
        wait::pause(Duration::from_millis(pause)).await;
    }
    Ok(done)
}

/// The change after which nothing comes.
pub(super) async fn last(field: &Field) -> String {
    wait::until("the last write", Duration::from_secs(20), || async {
        let body = Object::from_value(json!({ "tag": field.tag() })).expect("an object");
        let document = NewDocument::new(body).with_id(DocumentId::new(LAST).unwrap());
        match field.backends[0].collections().create(&field.caller, &field.name, document).await {
            Ok(_) => true,
            // An attempt whose answer was lost may have done it.
            Err(error) => error.code() == "document-exists",
        }
    })
    .await;
    LAST.to_owned()
}

fn backend<'a>(field: &'a Field, dice: &mut Dice) -> &'a Backend {
    &field.backends[usize::try_from(dice.below(field.backends.len() as u64)).unwrap()]
}

fn draw(field: &Field, dice: &mut Dice) -> (DocumentWrite, u64) {
    let (collection, tag) = (field.name.clone(), field.tag());
    let id = DocumentId::new(format!("d{}", dice.below(DOCUMENTS))).unwrap();
    let body = Object::from_value(json!({ "tag": tag, "text": "x".repeat(64) })).unwrap();
    let precondition = Precondition::None;
    let write = match dice.below(10) {
        0 => DocumentWrite::Create { collection, document: NewDocument::new(body).with_id(id) },
        1..4 => DocumentWrite::Replace { collection, id, body, precondition },
        4 => DocumentWrite::Delete { collection, id, precondition },
        _ => DocumentWrite::Patch { collection, id, patch: body, precondition },
    };
    (write, tag)
}

fn acknowledged(written: &Written, tag: u64) -> Acknowledged {
    let (operation, document) = match written {
        Written::Created(document) => (Operation::Create, document),
        Written::Updated(document) => (Operation::Update, document),
        Written::Deleted(document) => (Operation::Delete, document),
        other => panic!("{other:?} is new to this test"),
    };
    let (id, revision) = (document.id.as_str().to_owned(), document.revision.as_str().to_owned());
    Acknowledged { id, operation, revision, tag: (operation != Operation::Delete).then_some(tag) }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.code(), "document-not-found" | "document-exists" | "stale-revision")
}

fn settle(field: &Field, what: &'static str, tags: &[u64], outcome: Result<Vec<Acknowledged>>) {
    field.note(|book| match outcome {
        Ok(done) => {
            *book.counts.entry(what).or_default() += 1;
            book.undone.extend(tags.iter().filter(|tag| !done.iter().any(|one| one.tag == Some(**tag))));
            book.acknowledged.extend(done);
        }
        Err(error) if error.kind() == ErrorKind::OutcomeUnknown => book.unknown += 1,
        Err(error) => {
            let expected = matches!(error.kind(), ErrorKind::Busy | ErrorKind::Unavailable | ErrorKind::Timeout);
            if !expected && !is_refusal(&error) && error.code() != "gave-up" {
                book.faults.push(format!("{what}: {error:?}"));
            }
            *book.counts.entry(error.code()).or_default() += 1;
            book.undone.extend(tags);
        }
    });
}
