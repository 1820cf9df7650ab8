//! Writes by filter: lock what matches in the order of ids, then write one after the other.

use crate::{
    caller::Caller,
    collections::{
        list_cursor::Position,
        matching::{Affected, MAX_DOCUMENT_BYTES, Matching, MatchingWrite},
        query::ListQuery,
        rule::Action,
        write::{DocumentWrite, Precondition},
    },
    drivers::sql::{
        collections::{
            list,
            perform::Performance,
            rows,
            selection::Selection,
            write::{self, Author},
        },
        lower::Lowered,
        statement::column,
        write::Write,
    },
    error::{Error, ErrorKind, Result},
    id::DocumentId,
};

/// Writes every document that matches inside `write`'s transaction, which is rolled back if one fails.
pub(super) async fn perform(
    write: &mut Write<'_>,
    by: &Performance<'_>,
    matching: &Matching,
    change: &MatchingWrite,
) -> Result<Affected> {
    let author = by.author(&matching.collection)?;
    let scope = scope(by.caller, matching);
    let (ids, mut more) = lock(write, by, matching, &scope).await?;
    let mut last = None;
    let (mut changed, mut bytes) = (0_u64, 0_usize);
    for id in ids {
        if bytes >= MAX_DOCUMENT_BYTES {
            more = true;
            break;
        }
        if matches!(change, MatchingWrite::Delete) && went_with_another(write, author, matching, &id).await? {
            changed += 1;
            last = Some(id);
            continue;
        }
        let one = one(matching, change, &id);
        let written = write::apply(write, author, &one).await.map_err(|error| refused(error, &id))?;
        bytes = bytes.saturating_add(written.document().body.len());
        changed += 1;
        last = Some(id);
    }
    let next = last
        .filter(|_| more)
        .map(|id| by.cursors.seal(&scope, &Position { backwards: false, values: vec![id.as_str().into()] }));
    Ok(Affected::new(changed, changed, next))
}

/// The ids of the documents, whose rows are locked, and whether there are more than the limit.
async fn lock(
    write: &mut Write<'_>,
    by: &Performance<'_>,
    matching: &Matching,
    scope: &str,
) -> Result<(Vec<DocumentId>, bool)> {
    let dialect = write.dialect();
    let configured = &by.author(&matching.collection)?.known.configured;
    let visible = configured.rule(Action::List).visible(by.caller, by.now)?;
    configured.may_ask(by.caller, &matching.filter)?;
    let mut selection =
        Selection::new(dialect, by.caller, &matching.collection, &visible, Some(&matching.filter), by.now)?;
    if let Some(cursor) = &matching.cursor {
        let after = start(by, scope, cursor)?;
        let sql = format!("id > ${}", selection.next());
        selection.restrict(Lowered { sql, values: vec![after.into()] });
    }
    let limit = matching.limit.get();
    let bound = selection.bind(i64::from(limit) + 1);
    // PostgreSQL asks the condition again of a row that it waited for, and passes over one that is gone.
    let sql = format!("SELECT id{} ORDER BY id LIMIT ${bound}{}", selection.rows(), dialect.for_update());
    let rows = write.all(&sql, selection.values()).await?;
    let mut ids = Vec::with_capacity(rows.len());
    for row in &rows {
        ids.push(DocumentId::trusted(column::<String>(row, 0)?));
    }
    let more = ids.len() > limit as usize;
    ids.truncate(limit as usize);
    Ok((ids, more))
}

/// Whether the document, whose row is locked, was deleted because it refers to one before it.
async fn went_with_another(
    write: &mut Write<'_>,
    author: Author<'_>,
    matching: &Matching,
    id: &DocumentId,
) -> Result<bool> {
    if author.known.inbound.of(&matching.collection).is_empty() {
        return Ok(false);
    }
    let sql = "SELECT id FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id = $3";
    Ok(write.one(sql, rows::key(author.tenant(), &matching.collection, id)).await?.is_none())
}

fn one(matching: &Matching, change: &MatchingWrite, id: &DocumentId) -> DocumentWrite {
    let (collection, id, precondition) = (matching.collection.clone(), id.clone(), Precondition::None);
    match change {
        MatchingWrite::Patch(patch) => DocumentWrite::Patch { collection, id, patch: patch.clone(), precondition },
        MatchingWrite::Delete => DocumentWrite::Delete { collection, id, precondition },
    }
}

/// What a cursor belongs to: the same documents in the same order as a list without keys.
fn scope(caller: &Caller, matching: &Matching) -> String {
    list::scope(caller, &matching.collection, &ListQuery::new().with_expression(matching.filter.clone()))
}

fn start(by: &Performance<'_>, scope: &str, cursor: &str) -> Result<String> {
    let position = by.cursors.open(scope, cursor)?;
    match position.values.as_slice() {
        [id] if !position.backwards => id.as_str().map(str::to_owned),
        _ => None,
    }
    .ok_or_else(|| {
        let message = "a cursor of a write goes on from where the call before ended; take its `next_cursor`";
        Error::invalid("invalid-cursor", message).with_field("cursor")
    })
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
