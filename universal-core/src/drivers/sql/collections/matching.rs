//! Writes by filter: lock the candidates in the order of their ids, then look at each again and write it.

use std::collections::HashSet;

use crate::{
    collections::{
        list_cursor::Position,
        matching::{Affected, MAX_DOCUMENT_BYTES, Matching, MatchingWrite},
        write::Precondition,
    },
    drivers::sql::{
        collections::{
            candidates::{self, Candidates, Place},
            perform::Performance,
            write::{self, Author},
        },
        statement::column,
        write::Write,
    },
    error::{Error, ErrorKind, Result},
    id::DocumentId,
};

/// Writes every document that matches inside `write`'s transaction, which is rolled back if one fails. They are those
/// of `found`, or what the transaction finds itself, that still match when their row is locked.
pub(super) async fn perform(
    write: &mut Write<'_>,
    by: &Performance<'_>,
    (matching, change): (&Matching, &MatchingWrite),
) -> Result<Affected> {
    let author = by.author(&matching.collection)?;
    let searched;
    let found: &Candidates = match by.found {
        Some(found) => found,
        None => {
            searched = candidates::find(Place::Transaction(write), by, matching).await?;
            &searched
        }
    };
    let there = lock(write, author, (matching, change), &found.ids).await?;
    let (mut changed, mut bytes) = (0_u64, 0_usize);
    // The next call goes on after the last that was looked at, be it written or not.
    let (mut last, mut more) = (None, found.more);
    for id in &found.ids {
        if bytes >= MAX_DOCUMENT_BYTES {
            more = true;
            break;
        }
        last = Some(id);
        if !there.contains(id.as_str()) {
            continue;
        }
        let written = one(write, author, (matching, change), id).await.map_err(|error| refused(error, id))?;
        if let Some(size) = written {
            bytes = bytes.saturating_add(size);
            changed += 1;
        }
    }
    let next = last.filter(|_| more).map(|id| {
        let position = Position { backwards: false, values: vec![id.as_str().into()] };
        by.cursors.seal(&candidates::scope(by.caller, matching), &position)
    });
    Ok(Affected::new(changed, changed, next))
}

/// Locks the rows of the documents that are still there, in one order; answers which they are.
async fn lock(
    write: &mut Write<'_>,
    author: Author<'_>,
    (matching, change): (&Matching, &MatchingWrite),
    ids: &[DocumentId],
) -> Result<HashSet<String>> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let dialect = write.dialect();
    let lock = match change {
        MatchingWrite::Patch(_) => dialect.for_no_key_update(),
        MatchingWrite::Delete => dialect.for_update(),
    };
    let sql = format!(
        "SELECT id FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id IN {} ORDER BY id{lock}",
        dialect.texts("$3")
    );
    let ids: Vec<_> = ids.iter().map(DocumentId::as_str).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    let values = vec![author.tenant().as_str().into(), matching.collection.as_str().into(), ids.into()];
    write.all(&sql, values).await?.iter().map(|row| column(row, 0)).collect()
}

/// Writes a document that was there when the rows were locked, and answers its size; nothing if it does not match.
async fn one(
    write: &mut Write<'_>,
    author: Author<'_>,
    (matching, change): (&Matching, &MatchingWrite),
    id: &DocumentId,
) -> Result<Option<usize>> {
    let Some(current) = write.lock_document(author.tenant(), &matching.collection, id).await? else {
        // Nobody else can have deleted it: it went with one before it, to which it referred.
        return Ok(matches!(change, MatchingWrite::Delete).then_some(0));
    };
    if !matching.takes(&author.writing(), &current)? {
        return Ok(None);
    }
    let written = match change {
        MatchingWrite::Patch(patch) => {
            write::patch(write, author, Some(&current), (patch, &Precondition::None)).await?
        }
        MatchingWrite::Delete => write::delete(write, author, Some(current), &Precondition::None).await?,
    };
    Ok(Some(written.document().body.len()))
}

/// The refusal of the whole because of one document, which the caller may list: so it may be named.
fn refused(error: Error, id: &DocumentId) -> Error {
    let (kind, code) = match error.kind() {
        // It is there, and the caller may not read or write it.
        ErrorKind::NotFound => (ErrorKind::Forbidden, "forbidden"),
        ErrorKind::Forbidden
        | ErrorKind::Conflict
        | ErrorKind::Invalid
        | ErrorKind::Unprocessable
        | ErrorKind::TooLarge => (error.kind(), error.code()),
        _ => return error,
    };
    let reason = match kind {
        ErrorKind::Forbidden => "you may list this document and not write it, so none was written",
        _ => error.message(),
    };
    let named = Error::new(kind, code, format!("document `{id}`: {reason}"));
    match error.field() {
        Some(field) => named.with_field(field),
        None => named,
    }
}
