//! What is written beside a document: the documents it refers to, and when it expires.
//!
//! [`check`] comes before the first statement of a write, so that a refusal leaves nothing half done in a transaction that
//! somebody else ends. The others come after the document's row and its change.

use serde_json::{Map, Value};

use crate::{
    collections::{decide::Decided, document::Document},
    drivers::sql::{collections::write::Author, write::Write},
    error::Result,
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
