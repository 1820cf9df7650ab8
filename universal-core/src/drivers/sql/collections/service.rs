//! `Collections` over a SQL database.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    caller::Caller,
    clock::SharedClock,
    collections::{
        batch::{Batch, BatchResult},
        command::{Command, Outcome},
        decide,
        document::Document,
        idempotency::{IdempotencyKey, Once},
        list_cursor::CursorKey,
        matching::{Affected, Matching, MatchingWrite},
        query::ListQuery,
        rule,
        service::Collections,
        write::{DocumentWrite, Written},
    },
    cursor::Cursor,
    drivers::sql::{
        collections::{
            list,
            perform::{InFlight, Performance, perform, perform_once, perform_whole},
            rows, write,
        },
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
    pub(super) database: Database,
    clock: SharedClock,
    cursors: Arc<CursorKey>,
    in_flight: InFlight,
}

impl SqlCollections {
    pub(crate) fn new(database: Database, clock: SharedClock, cursors: CursorKey) -> Self {
        Self { database, clock, cursors: Arc::new(cursors), in_flight: InFlight::default() }
    }

    /// Does a command in a commit of its own.
    async fn command(&self, caller: &Caller, command: Command) -> Result<Outcome> {
        let now = self.clock.now();
        let work = Arc::new((caller.clone(), command, Arc::clone(&self.cursors)));
        self.database
            .write(move |write| {
                let work = Arc::clone(&work);
                Box::pin(async move {
                    let (caller, command, cursors) = &*work;
                    perform(write, &Performance { caller, now, cursors }, command).await
                })
            })
            .await
    }

    /// Does a command as part of `transaction`, whole or not at all.
    async fn command_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        command: &Command,
    ) -> Result<Outcome> {
        let by = Performance { caller, now: self.clock.now(), cursors: &self.cursors };
        perform_whole(&mut self.database.join(transaction)?, &by, command).await
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

    async fn batch(&self, caller: &Caller, batch: Batch) -> Result<Vec<BatchResult>> {
        batch.check_size()?;
        self.command(caller, Command::Batch(batch)).await?.into_batch()
    }

    async fn batch_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        batch: Batch,
    ) -> Result<Vec<BatchResult>> {
        self.command_in(transaction, caller, &Command::Batch(batch)).await?.into_batch()
    }

    async fn write_where(&self, caller: &Caller, matching: Matching, write: MatchingWrite) -> Result<Affected> {
        self.command(caller, Command::Matching(matching, write)).await?.into_affected()
    }

    async fn write_where_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        matching: Matching,
        write: MatchingWrite,
    ) -> Result<Affected> {
        self.command_in(transaction, caller, &Command::Matching(matching, write)).await?.into_affected()
    }

    async fn once(&self, caller: &Caller, key: &IdempotencyKey, command: Command) -> Result<Once> {
        // Held by the work itself: it goes on when the caller leaves.
        let guard = self.in_flight.enter(caller, key)?;
        let now = self.clock.now();
        let work = Arc::new((caller.clone(), key.clone(), command, Arc::clone(&self.cursors), guard));
        self.database
            .write(move |write| {
                let work = Arc::clone(&work);
                Box::pin(async move {
                    let (caller, key, command, cursors, _) = &*work;
                    perform_once(write, &Performance { caller, now, cursors }, key, command).await
                })
            })
            .await
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
        Ok(Snapshot { value: statement.page(&found, cut, &self.cursors)?, cursor })
    }
}

fn unknown_tenant() -> Error {
    Error::not_found("tenant-not-found", "there is no such tenant")
}
