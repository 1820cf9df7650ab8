//! Rows of documents.

use sea_orm::{QueryResult, Value};

use crate::{
    clock::Timestamp,
    collections::document::{Document, Revision},
    drivers::sql::{dialect::Dialect, statement::column, write::Write},
    error::Result,
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::restore,
};

/// The columns of [`document`], in its order.
pub(super) fn columns(dialect: Dialect) -> String {
    format!("id, {}, revision, owner_id, created_at, updated_at", dialect.json_out("body"))
}

/// The document in a row of [`columns`].
pub(super) fn document(dialect: Dialect, collection: &CollectionName, row: &QueryResult) -> Result<Document> {
    let mut body: String = column(row, 1)?;
    if dialect == Dialect::Postgres {
        body = restore(body);
    }
    let owner: Option<String> = column(row, 3)?;
    Ok(Document::new(
        collection.clone(),
        DocumentId::trusted(column::<String>(row, 0)?),
        body,
        Revision::stored(column::<String>(row, 2)?),
        owner.map(UserId::trusted),
        (Timestamp::from_micros(column(row, 4)?), Timestamp::from_micros(column(row, 5)?)),
    ))
}

/// The values of a document's key.
pub(super) fn key(tenant: &TenantId, collection: &CollectionName, id: &DocumentId) -> Vec<Value> {
    vec![tenant.as_str().into(), collection.as_str().into(), id.as_str().into()]
}

impl Write<'_> {
    /// Reads a document and locks its row until the transaction ends.
    pub(super) async fn lock_document(
        &mut self,
        tenant: &TenantId,
        collection: &CollectionName,
        id: &DocumentId,
    ) -> Result<Option<Document>> {
        let dialect = self.dialect();
        let sql = format!(
            "SELECT {} FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id = $3{}",
            columns(dialect),
            dialect.for_update()
        );
        let mut row = self.one(&sql, key(tenant, collection, id)).await?;
        if row.is_none() && dialect == Dialect::Postgres {
            // The row that this statement saw may have been deleted while it waited for the lock, and
            // another put in its place by the same commit: only a newer snapshot shows that one.
            row = self.one(&sql, key(tenant, collection, id)).await?;
        }
        row.map(|row| document(dialect, collection, &row)).transpose()
    }
}
