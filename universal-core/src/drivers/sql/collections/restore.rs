//! A write whose document keeps the owner and the moments that it had elsewhere.

use crate::{
    collections::{
        decide,
        document::Document,
        import_line::Kept,
        write::{DocumentWrite, NewDocument},
    },
    drivers::sql::{
        collections::{
            rows,
            write::{self, Author},
        },
        write::Write,
    },
    error::Result,
};

/// Does a write of an import; says whether the document is new. With `kept`, the caller is one whom no rule binds.
pub(super) async fn apply(
    write: &mut Write<'_>,
    author: Author<'_>,
    operation: &DocumentWrite,
    kept: Option<&Kept>,
) -> Result<bool> {
    let Some(kept) = kept else {
        return Ok(write::apply(write, author, operation).await?.is_created());
    };
    match operation {
        DocumentWrite::Create { collection, document } => {
            let decided = decide::create(&author.writing(), collection, document)?;
            let mut decided = author.before_store(write, None, decided).await?;
            keep(&mut decided.document, kept);
            let decided = author.before_store(write, None, decided).await?;
            write::insert(write, author, decided).await?.map(|_| true).ok_or_else(decide::taken)
        }
        DocumentWrite::Replace { collection, id, body, precondition } => {
            let current = write.lock_document(author.tenant(), collection, id).await?;
            let Some(current) = current else {
                let document = NewDocument::new(body.clone()).with_id(id.clone());
                let create = DocumentWrite::Create { collection: collection.clone(), document };
                return Box::pin(apply(write, author, &create, Some(kept))).await;
            };
            let decided = decide::replace(&author.writing(), (collection, id), Some(&current), body, precondition)?;
            let mut decided = author.before_store(write, Some(&current), decided).await?;
            keep(&mut decided.document, kept);
            let decided = author.before_store(write, Some(&current), decided).await?;
            let kept = decided.document.clone();
            write::update(write, author, Some(&current), decided).await?;
            move_to_owner(write, author, &kept).await.map(|()| false)
        }
        other => Ok(write::apply(write, author, other).await?.is_created()),
    }
}

fn keep(document: &mut Document, kept: &Kept) {
    if let Some(owner) = &kept.owner {
        document.owner.clone_from(owner);
    }
    if let Some(moment) = kept.created_at {
        document.created_at = moment;
    }
    // A document was not written before it was created.
    document.updated_at = kept.updated_at.unwrap_or(document.updated_at).max(document.created_at);
}

/// The columns that no other write changes.
async fn move_to_owner(write: &mut Write<'_>, author: Author<'_>, document: &Document) -> Result<()> {
    let sql = "UPDATE universal_documents SET owner_id = $4, created_at = $5
        WHERE tenant_id = $1 AND collection = $2 AND id = $3";
    let mut values = rows::key(author.tenant(), &document.collection, &document.id);
    values.push(document.owner.as_ref().map(|owner| owner.as_str().to_owned()).into());
    values.push(document.created_at.as_micros().into());
    write.execute(sql, values).await.map(|_| ())
}
