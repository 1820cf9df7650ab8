//! Writes: lock the row, decide, store it with its change.

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        decide,
        document::Document,
        write::{DocumentWrite, NewDocument, Precondition, Written},
    },
    drivers::sql::{collections::rows, feed::Recorded, write::Write},
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId},
    json::Object,
    realtime::change::Operation,
};

/// How often a replacement looks again when the document comes and goes beside it.
const LOOKS: u32 = 8;

/// Does one write of one document inside `write`'s transaction.
pub(super) async fn apply(
    write: &mut Write<'_>,
    caller: &Caller,
    operation: &DocumentWrite,
    now: Timestamp,
) -> Result<Written> {
    match operation {
        DocumentWrite::Create { collection, document } => create(write, caller, collection, document, now).await,
        DocumentWrite::Replace { collection, id, body, precondition } => {
            replace(write, caller, (collection, id), (body, precondition), now).await
        }
        DocumentWrite::Patch { collection, id, patch, precondition } => {
            let current = write.lock_document(caller.tenant(), collection, id).await?;
            let after = decide::patch(caller, current.as_ref(), patch, precondition, now)?;
            update(write, caller, current, after).await
        }
        DocumentWrite::Delete { collection, id, precondition } => {
            let current = write.lock_document(caller.tenant(), collection, id).await?;
            decide::delete(caller, current.as_ref(), precondition)?;
            delete(write, caller, current, now).await
        }
    }
}

async fn create(
    write: &mut Write<'_>,
    caller: &Caller,
    collection: &CollectionName,
    document: &NewDocument,
    now: Timestamp,
) -> Result<Written> {
    let document = decide::create(caller, collection, document, now)?;
    match insert(write, caller, document).await? {
        Some(created) => Ok(Written::Created(created)),
        None => Err(decide::taken()),
    }
}

async fn replace(
    write: &mut Write<'_>,
    caller: &Caller,
    (collection, id): (&CollectionName, &DocumentId),
    (body, precondition): (&Object, &Precondition),
    now: Timestamp,
) -> Result<Written> {
    for _ in 0..LOOKS {
        let current = write.lock_document(caller.tenant(), collection, id).await?;
        let after = decide::replace(caller, (collection, id), current.as_ref(), body, precondition, now)?;
        if current.is_some() {
            return update(write, caller, current, after).await;
        }
        // Somebody may have created it since the look: then look again, now at a row that can be locked.
        if let Some(created) = insert(write, caller, after).await? {
            return Ok(Written::Created(created));
        }
    }
    Err(Error::new(ErrorKind::Busy, "write-conflict", "the document is created and deleted all the time; try again"))
}

/// Stores a new document; `None` if its id is taken.
async fn insert(write: &mut Write<'_>, caller: &Caller, document: Document) -> Result<Option<Document>> {
    let sql = format!(
        "INSERT INTO universal_documents (tenant_id, collection, id, body, revision, owner_id, created_at, updated_at)
         VALUES ($1, $2, $3, {}, $5, $6, $7, $7) ON CONFLICT DO NOTHING",
        write.dialect().json_in("$4")
    );
    let mut values = rows::key(caller.tenant(), &document.collection, &document.id);
    values.push((*document.body).into());
    values.push(document.revision.as_str().into());
    values.push(document.owner.as_ref().map(|owner| owner.as_str().to_owned()).into());
    values.push(document.created_at.as_micros().into());
    if write.execute(&sql, values).await? == 0 {
        return Ok(None);
    }
    record(write, caller, Operation::Create, None, Some(&document), document.created_at).await?;
    Ok(Some(document))
}

async fn update(
    write: &mut Write<'_>,
    caller: &Caller,
    current: Option<Document>,
    after: Document,
) -> Result<Written> {
    let sql = format!(
        "UPDATE universal_documents SET body = {}, revision = $5, updated_at = $6
         WHERE tenant_id = $1 AND collection = $2 AND id = $3",
        write.dialect().json_in("$4")
    );
    let mut values = rows::key(caller.tenant(), &after.collection, &after.id);
    values.push((*after.body).into());
    values.push(after.revision.as_str().into());
    values.push(after.updated_at.as_micros().into());
    expect_one(write.execute(&sql, values).await?)?;
    record(write, caller, Operation::Update, current.as_ref(), Some(&after), after.updated_at).await?;
    Ok(Written::Updated(after))
}

async fn delete(
    write: &mut Write<'_>,
    caller: &Caller,
    current: Option<Document>,
    now: Timestamp,
) -> Result<Written> {
    // The decision has refused a document that is not there.
    let current = current.ok_or_else(|| Error::internal("a deletion was decided without a document"))?;
    let sql = "DELETE FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id = $3";
    expect_one(write.execute(sql, rows::key(caller.tenant(), &current.collection, &current.id)).await?)?;
    record(write, caller, Operation::Delete, Some(&current), None, now).await?;
    Ok(Written::Deleted(current))
}

async fn record(
    write: &mut Write<'_>,
    caller: &Caller,
    operation: Operation,
    before: Option<&Document>,
    after: Option<&Document>,
    at: Timestamp,
) -> Result<()> {
    fn image(document: &Document) -> (&str, Option<&str>) {
        (&*document.body, document.owner.as_ref().map(|owner| owner.as_str()))
    }
    let Some(subject) = after.or(before) else { return Ok(()) };
    let change = Recorded {
        collection: &subject.collection,
        id: &subject.id,
        operation,
        revision: subject.revision.as_str(),
        before: before.map(image),
        after: after.map(image),
        actor: caller.actor(),
        request_id: caller.request_id(),
        created_at: subject.created_at,
        at,
    };
    write.record(caller.tenant(), &change).await
}

/// The row is locked, so a statement that finds none is a defect and must not pass for a success.
fn expect_one(changed: u64) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(Error::internal(format!("{changed} rows changed instead of one"))) }
}
