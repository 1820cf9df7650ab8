//! What is written beside a document: the documents it refers to, and when it expires.
//!
//! [`check`] comes before the first statement of a write, so that a refusal leaves nothing half done in a transaction that
//! somebody else ends. The others come after the document's row and its change.

use serde_json::{Map, Value};

use crate::{
    collections::{decide::Decided, document::Document},
    drivers::sql::{
        collections::write::Author,
        feed::{SETTINGS_CHANGED, settings_changed},
        statement::column,
        write::Write,
    },
    error::{Error, ErrorKind, Result},
};

/// Checks what is going to be stored against other documents.
///
/// # Errors
/// `Conflict` `collection-closed`; `Unprocessable` `invalid-reference`, `reference-not-found` or `invalid-moment`.
pub(super) async fn check(
    write: &mut Write<'_>,
    author: Author<'_>,
    current: Option<&Document>,
    decided: &Decided<'_>,
) -> Result<()> {
    match check_by_known(write, author, current, decided).await {
        Err(error) => Err(by_current(write, author, error).await?),
        Ok(()) => Ok(()),
    }
}

/// A refusal by settings that are no longer is none: what stores is held to them by its change, and what refuses by this.
pub(super) async fn by_current(write: &mut Write<'_>, author: Author<'_>, refusal: Error) -> Result<Error> {
    let refuses = matches!(refusal.kind(), ErrorKind::Conflict | ErrorKind::Unprocessable | ErrorKind::Busy);
    if !refuses || refusal.code() == SETTINGS_CHANGED {
        return Ok(refusal);
    }
    let sql = "SELECT settings_version FROM universal_tenants WHERE id = $1";
    // Where the database itself failed, the transaction answers nothing any more.
    let Ok(Some(row)) = write.one(sql, vec![author.tenant().as_str().into()]).await else { return Ok(refusal) };
    let current: i64 = column(&row, 0)?;
    Ok(if current == author.known.tenant_version { refusal } else { settings_changed() })
}

async fn check_by_known(
    write: &mut Write<'_>,
    author: Author<'_>,
    current: Option<&Document>,
    decided: &Decided<'_>,
) -> Result<()> {
    let configured = &author.known.configured;
    configured.takes_writes()?;
    let document = (&decided.document, &*decided.members);
    if let Some(expiry) = configured.expiry() {
        expiry.of(document.0, document.1)?;
    }
    let before = current.and(decided.before.as_ref());
    write.check_references(author.tenant(), configured, document, before).await
}

/// A document is new.
pub(super) async fn created(
    write: &mut Write<'_>,
    author: Author<'_>,
    document: &Document,
    members: &Map<String, Value>,
) -> Result<()> {
    let configured = &author.known.configured;
    write.store_references(author.tenant(), configured, (document, members), None).await?;
    write.store_expiry(author.tenant(), configured, (document, members), None).await
}

/// A document has changed.
pub(super) async fn changed(
    write: &mut Write<'_>,
    author: Author<'_>,
    current: Option<&Document>,
    decided: &Decided<'_>,
) -> Result<()> {
    let (configured, nothing) = (&author.known.configured, Map::new());
    let before = decided.before.as_ref().unwrap_or(&nothing);
    let after = (&decided.document, &*decided.members);
    write.store_references(author.tenant(), configured, after, Some(before)).await?;
    let before = current.map(|current| (current, before));
    write.store_expiry(author.tenant(), configured, after, before).await
}

/// A document is gone.
pub(super) async fn removed(write: &mut Write<'_>, author: Author<'_>, document: &Document) -> Result<()> {
    let configured = &author.known.configured;
    if configured.binds_references() {
        write.forget_references(author.tenant(), document).await?;
    }
    if configured.expiry().is_some() {
        write.forget_expiry(author.tenant(), &document.collection, &document.id).await?;
    }
    Ok(())
}
