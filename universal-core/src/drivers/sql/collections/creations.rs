//! The creations of a batch on PostgreSQL: their rows are stored before its first operation, in the order of locks.
//!
//! An id that nobody has cannot be locked; inserting it is the lock. Two batches that create the same ids, each in an
//! order of its own, would else wait for each other in a circle. What belongs to a document beside its row (entries,
//! words, its change) is stored when its operation's turn comes, so that the batch does what it says in its order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    collections::{
        batch::{Batch, BatchOperation},
        decide::{self, Decided},
        write::DocumentWrite,
    },
    drivers::sql::{
        collections::{
            beside,
            perform::Performance,
            write::{self, Author},
        },
        write::Write,
    },
    error::{ErrorKind, Result},
    id::{CollectionName, DocumentId},
};

/// What documents are called by.
type Key<'b> = (&'b CollectionName, &'b DocumentId);

/// Stores the rows of new documents whose place in the batch nobody can notice; answers what was decided of them, by
/// their operation. `there` are the documents that exist and are locked.
pub(super) async fn store_rows<'b>(
    write: &mut Write<'_>,
    by: &Performance<'_>,
    batch: &'b Batch,
    there: &BTreeSet<(String, String)>,
) -> Result<HashMap<usize, Decided<'b>>> {
    let mut stored = HashMap::new();
    // What hooks do in between may depend on what is there by then.
    if by.is_hooked() {
        return Ok(stored);
    }
    for ((collection, id), at) in named_once(batch) {
        if there.contains(&(collection.to_string(), id.to_string())) || !by.stands_apart(collection) {
            continue;
        }
        let Some(BatchOperation::Write(operation)) = batch.operations().get(at) else { continue };
        let author = by.author(collection)?;
        // What is refused is refused in its turn.
        let Some(decided) = decided(author, operation) else { continue };
        match beside::check(write, author, None, &decided).await {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Unprocessable) => continue,
            Err(error) => return Err(error),
        }
        if write::insert_row(write, author, &decided).await? {
            stored.insert(at, decided);
        }
    }
    Ok(stored)
}

/// The documents that one operation alone is about, in the order of locks, and which it is.
fn named_once(batch: &Batch) -> impl Iterator<Item = (Key<'_>, usize)> {
    let mut named: BTreeMap<Key<'_>, Option<usize>> = BTreeMap::new();
    for (at, operation) in batch.operations().iter().enumerate() {
        let Some(key) = operation.key() else { continue };
        named.entry(key).and_modify(|other| *other = None).or_insert(Some(at));
    }
    named.into_iter().filter_map(|(key, at)| Some((key, at?)))
}

/// What an operation stores where there is no document yet, if it may.
fn decided<'b>(author: Author<'_>, operation: &'b DocumentWrite) -> Option<Decided<'b>> {
    match operation {
        DocumentWrite::Create { collection, document } => decide::create(&author.writing(), collection, document).ok(),
        DocumentWrite::Replace { collection, id, body, precondition } => {
            decide::replace(&author.writing(), (collection, id), None, body, precondition).ok()
        }
        DocumentWrite::Patch { .. } | DocumentWrite::Delete { .. } => None,
    }
}
