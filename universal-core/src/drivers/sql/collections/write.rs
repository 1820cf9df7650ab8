//! Writes: lock the row, decide, store it with its change.

use crate::{
    clock::Timestamp,
    collections::{
        decide::{self, Decided, Writing},
        document::Document,
        write::{DocumentWrite, NewDocument, Precondition, Written},
    },
    drivers::sql::{
        collections::{beside, cascade, configurations::Known, references::members, rows},
        feed::Recorded,
        write::Write,
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId, TenantId},
    json::Object,
    realtime::change::Operation,
};

/// How often a replacement looks again when the document comes and goes beside it.
const LOOKS: u32 = 8;

/// Who writes, when, and by which settings of the collection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Author<'a> {
    pub(super) caller: &'a crate::caller::Caller,
    pub(super) known: &'a Known,
    pub(super) now: Timestamp,
}

impl<'a> Author<'a> {
    pub(super) fn writing(&self) -> Writing<'a> {
        let configured = &*self.known.configured;
        Writing { caller: self.caller, configured, now: self.now, wants_before: configured.compares_members() }
    }

    pub(super) fn tenant(&self) -> &'a TenantId {
        self.caller.tenant()
    }

    /// What will be stored after the host's hooks had their say.
    pub(super) async fn before_store<'d>(
        &self,
        write: &mut Write<'_>,
        before: Option<&Document>,
        decided: Decided<'d>,
    ) -> Result<Decided<'d>> {
        match &self.known.hooks {
            Some(hooks) => {
                let by = (self.caller, &*self.known.configured);
                hooks.before_store(write, by, before, decided).await
            }
            None => Ok(decided),
        }
    }
}

/// Does one write of one document inside `write`'s transaction.
pub(super) async fn apply(write: &mut Write<'_>, author: Author<'_>, operation: &DocumentWrite) -> Result<Written> {
    let written = match operation {
        DocumentWrite::Create { collection, document } => create(write, author, collection, document).await?,
        DocumentWrite::Replace { collection, id, body, precondition } => {
            replace(write, author, (collection, id), (body, precondition)).await?
        }
        DocumentWrite::Patch { collection, id, patch: changes, precondition } => {
            let current = write.lock_document(author.tenant(), collection, id).await?;
            patch(write, author, current.as_ref(), (changes, precondition)).await?
        }
        DocumentWrite::Delete { collection, id, precondition } => {
            let current = write.lock_document(author.tenant(), collection, id).await?;
            delete(write, author, current, precondition).await?
        }
    };
    let shown = |document| author.known.configured.shown(author.caller, document);
    Ok(match written {
        Written::Created(document) => Written::Created(shown(document)?),
        Written::Updated(document) => Written::Updated(shown(document)?),
        Written::Deleted(document) => Written::Deleted(shown(document)?),
    })
}

async fn create(
    write: &mut Write<'_>,
    author: Author<'_>,
    collection: &CollectionName,
    document: &NewDocument,
) -> Result<Written> {
    let decided = decide::create(&author.writing(), collection, document)?;
    let decided = author.before_store(write, None, decided).await?;
    match insert(write, author, decided).await? {
        Some(created) => Ok(Written::Created(created)),
        None => Err(decide::taken()),
    }
}

async fn replace(
    write: &mut Write<'_>,
    author: Author<'_>,
    (collection, id): (&CollectionName, &DocumentId),
    (body, precondition): (&Object, &Precondition),
) -> Result<Written> {
    for _ in 0..LOOKS {
        let current = write.lock_document(author.tenant(), collection, id).await?;
        let decided = decide::replace(&author.writing(), (collection, id), current.as_ref(), body, precondition)?;
        let decided = author.before_store(write, current.as_ref(), decided).await?;
        if current.is_some() {
            return update(write, author, current.as_ref(), decided).await;
        }
        // Somebody may have created it since the look: then look again, now at a row that can be locked.
        if let Some(created) = insert(write, author, decided).await? {
            return Ok(Written::Created(created));
        }
        if author.known.hooks.is_some() {
            // What they did cannot be undone alone: the whole write is done again.
            break;
        }
    }
    Err(Error::new(ErrorKind::Busy, WRITE_CONFLICT, "the document is created and deleted all the time; try again"))
}

/// Patches a document whose row is locked.
pub(super) async fn patch(
    write: &mut Write<'_>,
    author: Author<'_>,
    current: Option<&Document>,
    (changes, precondition): (&Object, &Precondition),
) -> Result<Written> {
    let decided = decide::patch(&author.writing(), current, changes, precondition)?;
    let decided = author.before_store(write, current, decided).await?;
    update(write, author, current, decided).await
}

/// The code of a write that met others of the same document and may succeed when it is done again.
pub(super) const WRITE_CONFLICT: &str = "write-conflict";

/// Stores a new document; `None` if its id is taken.
pub(super) async fn insert(
    write: &mut Write<'_>,
    author: Author<'_>,
    decided: Decided<'_>,
) -> Result<Option<Document>> {
    beside::check(write, author, None, &decided).await?;
    if let Some(violation) = write.refusal(&author, (&decided.document, &decided.members)).await? {
        // That the id is taken is told first.
        let sql = "SELECT 1 FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id = $3";
        let key = rows::key(author.tenant(), &decided.document.collection, &decided.document.id);
        return if write.one(sql, key).await?.is_some() { Ok(None) } else { Err(violation) };
    }
    if !insert_row(write, author, &decided).await? {
        return Ok(None);
    }
    complete(write, author, decided).await.map(Some)
}

/// Takes the id of a new document that was checked; answers `false` if it is taken. [`complete`] must follow.
pub(super) async fn insert_row(write: &mut Write<'_>, author: Author<'_>, decided: &Decided<'_>) -> Result<bool> {
    let document = &decided.document;
    let sql = format!(
        "INSERT INTO universal_documents (tenant_id, collection, id, body, revision, owner_id, created_at, updated_at)
         VALUES ($1, $2, $3, {}, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        write.dialect().json_in("$4")
    );
    let mut values = rows::key(author.tenant(), &document.collection, &document.id);
    values.push((*document.body).into());
    values.push(document.revision.as_str().into());
    values.push(document.owner.as_ref().map(|owner| owner.as_str().to_owned()).into());
    values.push(document.created_at.as_micros().into());
    values.push(document.updated_at.as_micros().into());
    Ok(write.execute(&sql, values).await? > 0)
}

/// Stores what belongs to a document whose row is new: its entries, its words, its change.
pub(super) async fn complete(write: &mut Write<'_>, author: Author<'_>, decided: Decided<'_>) -> Result<Document> {
    let Decided { document, members, .. } = decided;
    if let Err(error) = write.change_entries(&author, None, Some((&document, Some(&members)))).await {
        if error.code() == "unique-violation" {
            // Nothing must be left in a transaction that goes on.
            write.execute(DELETE, rows::key(author.tenant(), &document.collection, &document.id)).await?;
        }
        return Err(error);
    }
    write.store_words(author.tenant(), &author.known.configured, &document, &members).await?;
    record(write, author, Operation::Create, None, Some(&document), moment(author, &document)).await?;
    beside::created(write, author, &document, &members).await?;
    Ok(document)
}

pub(super) async fn update(
    write: &mut Write<'_>,
    author: Author<'_>,
    current: Option<&Document>,
    decided: Decided<'_>,
) -> Result<Written> {
    beside::check(write, author, current, &decided).await?;
    let after = &decided.document;
    let before = current.map(|current| (current, decided.before.as_ref()));
    write.change_entries(&author, before, Some((after, Some(&decided.members)))).await?;
    let sql = format!(
        "UPDATE universal_documents SET body = {}, revision = $5, updated_at = $6
         WHERE tenant_id = $1 AND collection = $2 AND id = $3",
        write.dialect().json_in("$4")
    );
    let mut values = rows::key(author.tenant(), &after.collection, &after.id);
    values.push((*after.body).into());
    values.push(after.revision.as_str().into());
    values.push(after.updated_at.as_micros().into());
    expect_one(write.execute(&sql, values).await?)?;
    write.store_words(author.tenant(), &author.known.configured, after, &decided.members).await?;
    record(write, author, Operation::Update, current, Some(after), moment(author, after)).await?;
    beside::changed(write, author, current, &decided).await?;
    Ok(Written::Updated(decided.document))
}

/// Deletes a document whose row is locked.
pub(super) async fn delete(
    write: &mut Write<'_>,
    author: Author<'_>,
    current: Option<Document>,
    precondition: &Precondition,
) -> Result<Written> {
    decide::delete(&author.writing(), current.as_ref(), precondition)?;
    // The decision has refused a document that is not there.
    let current = current.ok_or_else(|| Error::internal("a deletion was decided without a document"))?;
    if let Err(error) = author.known.configured.takes_writes() {
        return Err(beside::by_current(write, author, error).await?);
    }
    delete_with(write, author, &current, None).await?;
    Ok(Written::Deleted(current))
}

/// Deletes a locked document and those that refer to it with `cascade`, but for those in the collection `spared`;
/// answers how many.
pub(super) async fn delete_with(
    write: &mut Write<'_>,
    author: Author<'_>,
    current: &Document,
    spared: Option<&CollectionName>,
) -> Result<usize> {
    let referring = match cascade::referring(write, author, current, spared).await {
        Ok(referring) => referring,
        Err(error) => return Err(beside::by_current(write, author, error).await?),
    };
    for doomed in &referring {
        let known = author.known.of(&doomed.configured, doomed.hooks.clone());
        remove(write, Author { known: &known, ..author }, &doomed.document).await?;
    }
    remove(write, author, current).await?;
    Ok(referring.len() + 1)
}

async fn remove(write: &mut Write<'_>, author: Author<'_>, current: &Document) -> Result<()> {
    if let Some(hooks) = &author.known.hooks {
        hooks.before_delete(write, author.caller, current).await?;
    }
    write.change_entries(&author, Some((current, None)), None).await?;
    expect_one(write.execute(DELETE, rows::key(author.tenant(), &current.collection, &current.id)).await?)?;
    if author.known.configured.searchable().is_some() {
        write.forget_words(author.tenant(), &current.collection, &current.id).await?;
    }
    record(write, author, Operation::Delete, Some(current), None, author.now).await?;
    beside::removed(write, author, current).await
}

/// Gives a locked document another collection; the feed tells of a deletion in the one and a creation in the other.
pub(super) async fn move_to(
    write: &mut Write<'_>,
    author: Author<'_>,
    current: &Document,
    to: &CollectionName,
) -> Result<()> {
    for sql in MOVE {
        let mut values = rows::key(author.tenant(), &current.collection, &current.id);
        values.push(to.as_str().into());
        write.execute(sql, values).await?;
    }
    let moved = Document { collection: to.clone(), ..current.clone() };
    if author.known.configured.searchable().is_some() {
        write.forget_words(author.tenant(), &current.collection, &current.id).await?;
        write.store_words(author.tenant(), &author.known.configured, &moved, &members(current)?).await?;
    }
    record(write, author, Operation::Delete, Some(current), None, author.now).await?;
    record(write, author, Operation::Create, None, Some(&moved), author.now).await
}

/// The document and what is written beside it.
const MOVE: [&str; 3] = [
    "UPDATE universal_documents SET collection = $4 WHERE tenant_id = $1 AND collection = $2 AND id = $3",
    "UPDATE universal_references SET collection = $4 WHERE tenant_id = $1 AND collection = $2 AND doc_id = $3",
    "UPDATE universal_expiries SET collection = $4 WHERE tenant_id = $1 AND collection = $2 AND doc_id = $3",
];

const DELETE: &str = "DELETE FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id = $3";

/// When a change was made: when its document was written, and not earlier than now, whatever an import keeps of it. A
/// change of long ago would be forgotten at once, with all before it.
fn moment(author: Author<'_>, document: &Document) -> Timestamp {
    document.updated_at.max(author.now)
}

async fn record(
    write: &mut Write<'_>,
    author: Author<'_>,
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
        actor: author.caller.actor(),
        request_id: author.caller.request_id(),
        created_at: subject.created_at,
        at,
        settings_version: author.known.tenant_version,
    };
    write.record(author.tenant(), &change).await
}

/// The row is locked, so a statement that finds none is a defect and must not pass for a success.
fn expect_one(changed: u64) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(Error::internal(format!("{changed} rows changed instead of one"))) }
}
