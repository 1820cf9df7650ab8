//! The decision of a write: the locked row, the input and the caller in; what to store, or why not, out.
//!
//! The order of refusals is the same everywhere: unreadable or absent (404), then not permitted
//! (403), then a precondition that does not hold (412), then what is wrong with the input (409, 422).

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        document::{Document, Revision},
        patch, rule,
        write::{NewDocument, Precondition},
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId},
    json::Object,
};

/// Decides a creation. Whether the id is free is decided by the insert itself.
///
/// # Errors
/// `Unauthenticated` for an anonymous caller; `TooLarge` for a body above the limit.
pub fn create(
    caller: &Caller,
    collection: &CollectionName,
    document: &NewDocument,
    now: Timestamp,
) -> Result<Document> {
    rule::signed_in(caller)?;
    let id = document.id.clone().unwrap_or_else(DocumentId::generate);
    fresh(caller, collection, id, &document.body, now)
}

/// Decides a replacement. `current` is the locked row; `None` says that there is none, and the
/// answer is then a document to insert.
///
/// # Errors
/// `Unauthenticated`, `NotFound`, `PreconditionFailed`, `TooLarge`, in this order.
pub fn replace(
    caller: &Caller,
    (collection, id): (&CollectionName, &DocumentId),
    current: Option<&Document>,
    body: &Object,
    precondition: &Precondition,
    now: Timestamp,
) -> Result<Document> {
    rule::signed_in(caller)?;
    let Some(current) = current else {
        if matches!(precondition, Precondition::Exists | Precondition::Revision(_)) {
            return Err(not_found());
        }
        return fresh(caller, collection, id.clone(), body, now);
    };
    if !rule::may_read(caller, current.owner.as_ref()) {
        // Whoever asks for a free id learns that it is taken, as with a creation.
        let taken = *precondition == Precondition::Absent;
        return Err(if taken { stale(precondition) } else { not_found() });
    }
    if !precondition.is_met_by(Some(&current.revision)) {
        return Err(stale(precondition));
    }
    without_id(body)?;
    changed(current, body.to_text(), now)
}

/// Decides a patch of the locked row.
///
/// # Errors
/// `Unauthenticated`, `NotFound`, `PreconditionFailed`, then `Invalid` for an operation that does
/// not fit the field, in this order.
pub fn patch(
    caller: &Caller,
    current: Option<&Document>,
    patch: &Object,
    precondition: &Precondition,
    now: Timestamp,
) -> Result<Document> {
    let current = existing(caller, current, precondition)?;
    let stored: serde_json::Value = serde_json::from_str(&current.body).map_err(Error::internal)?;
    let patched = Object::from_value(patch::apply(stored, patch.as_map(), now)?)?;
    without_id(&patched)?;
    changed(current, patched.to_text(), now)
}

/// Decides a deletion of the locked row.
///
/// # Errors
/// `Unauthenticated`, `NotFound`, `PreconditionFailed`, in this order.
pub fn delete(caller: &Caller, current: Option<&Document>, precondition: &Precondition) -> Result<()> {
    existing(caller, current, precondition).map(|_| ())
}

/// What a read of `current` answers.
///
/// # Errors
/// `Unauthenticated` for an anonymous caller; `NotFound` if there is none that the caller may read.
pub fn read(caller: &Caller, current: Option<Document>) -> Result<Document> {
    rule::signed_in(caller)?;
    current.filter(|document| rule::may_read(caller, document.owner.as_ref())).ok_or_else(not_found)
}

/// What a read of `current` answers if the precondition holds.
///
/// # Errors
/// As [`read`], and `PreconditionFailed`.
pub fn read_if(caller: &Caller, current: Option<Document>, precondition: &Precondition) -> Result<Document> {
    let current = read(caller, current)?;
    if !precondition.is_met_by(Some(&current.revision)) {
        return Err(stale(precondition));
    }
    Ok(current)
}

/// Whether the precondition holds. Whoever asks whether an id is free learns that it is taken, as with a creation.
///
/// # Errors
/// `Unauthenticated`; `NotFound` if the document must be there and the caller may not read it; `PreconditionFailed`.
pub fn check(caller: &Caller, current: Option<&Document>, precondition: &Precondition) -> Result<()> {
    if *precondition == Precondition::Absent {
        rule::signed_in(caller)?;
        return if current.is_none() { Ok(()) } else { Err(stale(precondition)) };
    }
    existing(caller, current, precondition).map(|_| ())
}

/// The answer to a creation whose id is taken.
#[must_use]
pub fn taken() -> Error {
    Error::new(ErrorKind::Conflict, "document-exists", "a document with this id exists already").with_field("id")
}

fn existing<'a>(caller: &Caller, current: Option<&'a Document>, precondition: &Precondition) -> Result<&'a Document> {
    rule::signed_in(caller)?;
    let current = current.filter(|document| rule::may_read(caller, document.owner.as_ref())).ok_or_else(not_found)?;
    if !precondition.is_met_by(Some(&current.revision)) {
        return Err(stale(precondition));
    }
    Ok(current)
}

fn fresh(
    caller: &Caller,
    collection: &CollectionName,
    id: DocumentId,
    body: &Object,
    now: Timestamp,
) -> Result<Document> {
    without_id(body)?;
    let owner = caller.user_id().cloned();
    Ok(Document::new(collection.clone(), id, body.to_text(), Revision::first()?, owner, (now, now)))
}

fn changed(current: &Document, body: String, now: Timestamp) -> Result<Document> {
    let mut after = current.clone();
    after.body = body.into();
    after.revision = current.revision.next();
    after.updated_at = now.max(current.updated_at);
    Ok(after)
}

/// The id stands beside the members, not among them: an answer would show it twice.
fn without_id(body: &Object) -> Result<()> {
    if body.as_map().contains_key("id") {
        return Err(
            Error::invalid("reserved-key", "`id` is the document's id; take it out of the members").with_field("/id")
        );
    }
    Ok(())
}

fn not_found() -> Error {
    Error::not_found("document-not-found", "there is no such document, or you may not read it")
}

fn stale(precondition: &Precondition) -> Error {
    let (code, message) = match precondition {
        Precondition::Absent => ("document-exists", "a document with this id exists already"),
        _ => ("stale-revision", "the document has another revision by now; read it again"),
    };
    Error::new(ErrorKind::PreconditionFailed, code, message)
}
