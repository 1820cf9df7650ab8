//! Rows of documents.

use std::sync::Arc;

use sea_orm::Value;

use crate::{
    clock::Timestamp,
    collections::document::{Document, Revision},
    drivers::sql::{
        dialect::Dialect,
        statement::{Row, column},
        write::Write,
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::restore,
};

/// How often a document that comes and goes is looked for before the caller is told to try again.
const LOOKS: u32 = 16;

/// The columns of [`document`], in its order.
pub(super) fn columns(dialect: Dialect) -> String {
    columns_of(dialect, "")
}

/// The same of a table that is named in the statement: `d.`.
pub(super) fn columns_of(dialect: Dialect, table: &str) -> String {
    let body = dialect.json_out(&format!("{table}body"));
    format!("{table}id, {body}, {table}revision, {table}owner_id, {table}created_at, {table}updated_at")
}

/// The document in a row of [`columns`].
pub(super) fn document(dialect: Dialect, collection: &CollectionName, row: &Row) -> Result<Document> {
    let body: Arc<str> = match dialect {
        Dialect::Postgres => restore(column(row, 1)?).into(),
        Dialect::Sqlite => column(row, 1)?,
    };
    let owner: Option<Arc<str>> = column(row, 3)?;
    Ok(Document::new(
        collection.clone(),
        DocumentId::trusted(column::<Arc<str>>(row, 0)?),
        body,
        Revision::stored(column::<Arc<str>>(row, 2)?),
        owner.map(UserId::trusted),
        (Timestamp::from_micros(column(row, 4)?), Timestamp::from_micros(column(row, 5)?)),
    ))
}

/// The values of a document's key.
pub(super) fn key(tenant: &TenantId, collection: &CollectionName, id: &DocumentId) -> Vec<Value> {
    vec![tenant.as_str().into(), collection.as_str().into(), id.as_str().into()]
}

impl Write<'_> {
    /// Reads a document and locks its row until the transaction ends. Writes of documents that refer to it go on, but
    /// not past its deletion.
    pub(super) async fn lock_document(
        &mut self,
        tenant: &TenantId,
        collection: &CollectionName,
        id: &DocumentId,
    ) -> Result<Option<Document>> {
        let dialect = self.dialect();
        let look = format!(
            "SELECT {} FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id = $3",
            columns(dialect)
        );
        let lock = format!("{look}{}", dialect.for_no_key_update());
        for _ in 0..LOOKS {
            if let Some(row) = self.one(&lock, key(tenant, collection, id)).await? {
                return document(dialect, collection, &row).map(Some);
            }
            // The row that PostgreSQL waited for may have been deleted, and another put in its place by
            // the same commit, which that statement cannot see: only a newer one can say "not there".
            if dialect == Dialect::Sqlite || self.one(&look, key(tenant, collection, id)).await?.is_none() {
                return Ok(None);
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            "write-conflict",
            "the document is deleted and created all the time; try again",
        ))
    }
}
