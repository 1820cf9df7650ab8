//! `Collections` over a SQL database.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    caller::Caller,
    clock::SharedClock,
    collections::{
        aggregate::{AggregateQuery, Aggregates},
        count::Counting,
        decide,
        distinct::{Distinct, DistinctQuery},
        document::Document,
        list_cursor::CursorKey,
        query::ListQuery,
        rule,
        service::Collections,
        write::{DocumentWrite, Written},
    },
    cursor::Cursor,
    drivers::sql::{
        collections::{aggregate, count, list, rows, selection::Selection, write},
        connection::Database,
        statement::{Row, column},
    },
    error::{Error, Result},
    id::{CollectionName, DocumentId, TenantId},
    page::{Page, Snapshot},
    transaction::Transaction,
};

/// How many bytes of documents a page holds, but for its last one; it is then shorter than its limit.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Documents in a SQL database.
#[derive(Clone, Debug)]
pub(crate) struct SqlCollections {
    database: Database,
    clock: SharedClock,
    cursors: Arc<CursorKey>,
}

impl SqlCollections {
    pub(crate) fn new(database: Database, clock: SharedClock, cursors: CursorKey) -> Self {
        Self { database, clock, cursors: Arc::new(cursors) }
    }

    /// The place in the feed before a read that follows.
    pub(super) async fn head(&self, tenant: &TenantId) -> Result<Cursor> {
        let sql = "SELECT epoch, head FROM universal_feeds WHERE tenant_id = $1";
        let row = self.database.one(sql, vec![tenant.as_str().into()]).await?.ok_or_else(unknown_tenant)?;
        Ok(Cursor::new(column::<String>(&row, 0)?, column(&row, 1)?))
    }
}

#[async_trait]
impl Collections for SqlCollections {
    async fn write(&self, caller: &Caller, operation: DocumentWrite) -> Result<Written> {
        // Refused here already, so that strangers do not queue for the writer.
        rule::signed_in(caller)?;
        let now = self.clock.now();
        let work = Arc::new((caller.clone(), operation));
        self.database
            .write(move |write| {
                let work = Arc::clone(&work);
                Box::pin(async move { write::apply(write, &work.0, &work.1, now).await })
            })
            .await
    }

    async fn write_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        operation: DocumentWrite,
    ) -> Result<Written> {
        let now = self.clock.now();
        let mut joined = self.database.join(transaction)?;
        write::apply(&mut joined, caller, &operation, now).await
    }

    async fn get(&self, caller: &Caller, collection: &CollectionName, id: &DocumentId) -> Result<Snapshot<Document>> {
        rule::signed_in(caller)?;
        let dialect = self.database.dialect();
        // One statement, so one snapshot: the feed's head is exactly as old as the row.
        let sql = format!(
            "SELECT {}, f.epoch, f.head FROM universal_feeds f
             LEFT JOIN universal_documents d ON d.tenant_id = f.tenant_id AND d.collection = $2 AND d.id = $3
             WHERE f.tenant_id = $1",
            rows::columns(dialect)
        );
        let row = self.database.one(&sql, rows::key(caller.tenant(), collection, id)).await?;
        let row = row.ok_or_else(unknown_tenant)?;
        let cursor = Cursor::new(column::<String>(&row, 6)?, column(&row, 7)?);
        let found: Option<String> = column(&row, 0)?;
        let current = found.map(|_| rows::document(dialect, collection, &row)).transpose()?;
        Ok(Snapshot { value: decide::read(caller, current)?, cursor })
    }

    async fn get_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        collection: &CollectionName,
        id: &DocumentId,
    ) -> Result<Document> {
        let mut joined = self.database.join(transaction)?;
        let current = joined.lock_document(caller.tenant(), collection, id).await?;
        decide::read(caller, current)
    }

    async fn list(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &ListQuery,
    ) -> Result<Snapshot<Page<Document>>> {
        let visible = rule::visible(caller)?;
        let cursor = self.head(caller.tenant()).await?;
        let dialect = self.database.dialect();
        let statement = list::Statement::build(dialect, caller, collection, query, &visible, &self.cursors)?;
        let body = |row: &Row| column::<String>(row, 1).map(|body| body.len());
        let (found, cut) = self.database.some(statement.sql(), statement.values(), PAGE_BYTES, body).await?;
        let mut page = statement.page(&found, cut, &self.cursors)?;
        if query.count != Counting::None {
            let all = Selection::new(dialect, caller, collection, &visible, query.filter.as_ref())?;
            page.count = count::count(&self.database, all, query.count).await?;
        }
        Ok(Snapshot { value: page, cursor })
    }

    async fn aggregate(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &AggregateQuery,
    ) -> Result<Snapshot<Aggregates>> {
        let visible = rule::visible(caller)?;
        let cursor = self.head(caller.tenant()).await?;
        let dialect = self.database.dialect();
        let rows = Selection::new(dialect, caller, collection, &visible, query.filter.as_ref())?;
        Ok(Snapshot { value: aggregate::aggregate(&self.database, rows, query).await?, cursor })
    }

    async fn distinct(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &DistinctQuery,
    ) -> Result<Snapshot<Distinct>> {
        let visible = rule::visible(caller)?;
        let cursor = self.head(caller.tenant()).await?;
        let dialect = self.database.dialect();
        let rows = Selection::new(dialect, caller, collection, &visible, query.filter.as_ref())?;
        Ok(Snapshot { value: aggregate::distinct(&self.database, rows, query).await?, cursor })
    }
}

fn unknown_tenant() -> Error {
    Error::not_found("tenant-not-found", "there is no such tenant")
}
