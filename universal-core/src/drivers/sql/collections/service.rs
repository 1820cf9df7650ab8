//! `Collections` over a SQL database.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    caller::Caller,
    clock::SharedClock,
    collections::{
        configured::Configured,
        decide,
        document::Document,
        list_cursor::CursorKey,
        query::ListQuery,
        rule::{Action, administers},
        service::Collections,
        settings::{CollectionInfo, CollectionSettings},
        state::Progress,
        write::{DocumentWrite, Written},
    },
    cursor::Cursor,
    drivers::sql::{
        collections::{
            configurations::{Known, SqlConfigurations, unknown_tenant},
            list, rows,
            write::{self, Author},
        },
        connection::Database,
        feed::SETTINGS_CHANGED,
        statement::{Row, column},
    },
    error::Result,
    id::{CollectionName, DocumentId, TenantId},
    page::{Page, Snapshot},
    transaction::Transaction,
};
#[cfg(feature = "postgres")]
use crate::{
    collections::decide::Writing,
    drivers::sql::{
        collections::coalesce::{Coalescer, Creation, Outcome},
        dialect::Dialect,
        transaction::inside_transaction,
    },
};

/// How many bytes of documents a page holds, but for its last one; it is then shorter than its limit.
const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// How often a write is decided anew because the settings changed while it was under way.
const DECISIONS: u32 = 5;

/// Documents in a SQL database.
#[derive(Clone, Debug)]
pub(crate) struct SqlCollections {
    pub(super) database: Database,
    pub(super) clock: SharedClock,
    pub(super) cursors: Arc<CursorKey>,
    pub(super) configurations: SqlConfigurations,
    #[cfg(feature = "postgres")]
    coalescer: Option<Coalescer>,
}

impl SqlCollections {
    pub(crate) fn new(
        database: Database,
        clock: SharedClock,
        cursors: CursorKey,
        configurations: SqlConfigurations,
    ) -> Self {
        Self {
            #[cfg(feature = "postgres")]
            coalescer: (database.dialect() == Dialect::Postgres).then(|| Coalescer::start(database.clone())),
            database,
            clock,
            cursors: Arc::new(cursors),
            configurations,
        }
    }

    /// The place in the feed before a read that follows, and the settings by which it is made.
    pub(super) async fn before_read(&self, tenant: &TenantId, collection: &CollectionName) -> Result<(Cursor, Known)> {
        let sql = "SELECT f.epoch, f.head, t.settings_version FROM universal_feeds f
            JOIN universal_tenants t ON t.id = f.tenant_id WHERE f.tenant_id = $1";
        let row = self.database.one(sql, vec![tenant.as_str().into()]).await?.ok_or_else(unknown_tenant)?;
        let cursor = Cursor::new(column::<String>(&row, 0)?, column(&row, 1)?);
        Ok((cursor, self.configurations.at_version(tenant, collection, column(&row, 2)?).await?))
    }
}

#[cfg(feature = "postgres")]
impl SqlCollections {
    /// Creates a document together with others that wait; `None` if this creation must go the ordinary way.
    async fn create_together(&self, caller: &Caller, write: &DocumentWrite, known: &Known) -> Result<Option<Written>> {
        let (Some(coalescer), DocumentWrite::Create { collection, document }) = (&self.coalescer, write) else {
            return Ok(None);
        };
        if inside_transaction(&self.database) || !known.configured.creates_alone() {
            return Ok(None);
        }
        let writing = Writing { caller, configured: &known.configured, now: self.clock.now(), wants_before: false };
        let decided = decide::create(&writing, collection, document)?;
        let creation = Creation {
            tenant: caller.tenant().as_str().to_owned(),
            document: decided.document.clone(),
            actor: caller.actor().map(str::to_owned),
            request_id: caller.request_id().map(str::to_owned),
            settings_version: known.tenant_version,
        };
        match coalescer.create(creation).await? {
            Outcome::Stored => Ok(Some(Written::Created(known.configured.shown(caller, decided.document)?))),
            Outcome::NotStored => Ok(None),
        }
    }
}

#[async_trait]
impl Collections for SqlCollections {
    async fn write(&self, caller: &Caller, operation: DocumentWrite) -> Result<Written> {
        let work = Arc::new((caller.clone(), operation));
        let (tenant, collection) = (caller.tenant(), work.1.collection());
        let mut known = self.configurations.recent(tenant, collection).await?;
        // Refused here already, so that strangers do not queue for the writer.
        known.configured.rule(work.1.action()).admits(caller)?;
        #[cfg(feature = "postgres")]
        if let Some(written) = self.create_together(caller, &work.1, &known).await? {
            return Ok(written);
        }
        let mut decisions = 1;
        loop {
            let (now, shared, with) = (self.clock.now(), Arc::clone(&work), known.clone());
            let outcome = self
                .database
                .write(move |write| {
                    let (work, known) = (Arc::clone(&shared), with.clone());
                    Box::pin(async move {
                        write::apply(write, Author { caller: &work.0, known: &known, now }, &work.1).await
                    })
                })
                .await;
            match outcome {
                Err(error) if error.code() == SETTINGS_CHANGED && decisions < DECISIONS => decisions += 1,
                outcome => return outcome,
            }
            known = self.configurations.read(tenant, collection).await?;
        }
    }

    async fn write_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        operation: DocumentWrite,
    ) -> Result<Written> {
        let now = self.clock.now();
        let known = self.configurations.recent(caller.tenant(), operation.collection()).await?;
        let mut joined = self.database.join(transaction)?;
        write::apply(&mut joined, Author { caller, known: &known, now }, &operation).await
    }

    async fn get(&self, caller: &Caller, collection: &CollectionName, id: &DocumentId) -> Result<Snapshot<Document>> {
        let tenant = caller.tenant();
        let dialect = self.database.dialect();
        // One statement, so one snapshot: the feed's head is exactly as old as the row.
        let sql = format!(
            "SELECT {}, f.epoch, f.head, t.settings_version FROM universal_feeds f
             JOIN universal_tenants t ON t.id = f.tenant_id
             LEFT JOIN universal_documents d ON d.tenant_id = f.tenant_id AND d.collection = $2 AND d.id = $3
             WHERE f.tenant_id = $1",
            rows::columns_of(dialect, "d.")
        );
        let row = self.database.one(&sql, rows::key(tenant, collection, id)).await?;
        let row = row.ok_or_else(unknown_tenant)?;
        let cursor = Cursor::new(column::<String>(&row, 6)?, column(&row, 7)?);
        let found: Option<String> = column(&row, 0)?;
        let current = found.map(|_| rows::document(dialect, collection, &row)).transpose()?;
        let known = self.configurations.at_version(tenant, collection, column(&row, 8)?).await?;
        let value = decide::read(caller, &known.configured, current, self.clock.now())?;
        Ok(Snapshot { value, cursor })
    }

    async fn get_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        collection: &CollectionName,
        id: &DocumentId,
    ) -> Result<Document> {
        let known = self.configurations.recent(caller.tenant(), collection).await?;
        let mut joined = self.database.join(transaction)?;
        let current = joined.lock_document(caller.tenant(), collection, id).await?;
        decide::read(caller, &known.configured, current, self.clock.now())
    }

    async fn list(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &ListQuery,
    ) -> Result<Snapshot<Page<Document>>> {
        let (cursor, known) = self.before_read(caller.tenant(), collection).await?;
        let configured = &known.configured;
        let now = self.clock.now();
        let visible = configured.rule(Action::List).visible(caller, now)?;
        may_list(configured, caller, query)?;
        let dialect = self.database.dialect();
        let statement = list::Statement::build(dialect, caller, collection, query, &visible, &self.cursors, now)?;
        let body = |row: &Row| column::<String>(row, 1).map(|body| body.len());
        let (found, cut) = self.database.some(statement.sql(), statement.values(), PAGE_BYTES, body).await?;
        let mut page = statement.page(&found, cut, &self.cursors)?;
        let shown = page.items.into_iter().map(|document| configured.shown(caller, document));
        page.items = shown.collect::<Result<_>>()?;
        Ok(Snapshot { value: page, cursor })
    }

    async fn settings(&self, caller: &Caller, collection: &CollectionName) -> Result<CollectionInfo> {
        administers(caller)?;
        self.configurations.info(caller.tenant(), collection).await
    }

    async fn collections(&self, caller: &Caller) -> Result<Vec<CollectionInfo>> {
        administers(caller)?;
        self.configurations.all(caller.tenant()).await
    }

    async fn configure(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        settings: CollectionSettings,
        expected: Option<i64>,
    ) -> Result<CollectionInfo> {
        administers(caller)?;
        Configured::compile(settings.clone(), 0)?;
        let now = self.clock.now();
        let work = Arc::new((caller.tenant().clone(), collection.clone(), settings));
        let shared = Arc::clone(&work);
        self.database
            .write(move |write| {
                let work = Arc::clone(&shared);
                Box::pin(async move { write.configure(&work.0, &work.1, (&work.2, expected), now).await })
            })
            .await?;
        self.rebuild(caller.tenant(), collection).await?;
        self.configurations.forget(caller.tenant(), collection);
        self.configurations.info(caller.tenant(), collection).await
    }

    async fn drop_collection(&self, caller: &Caller, collection: &CollectionName) -> Result<Progress> {
        administers(caller)?;
        self.begin_drop(caller.tenant(), collection).await?;
        self.go_on_dropping(caller, collection).await
    }

    async fn rename_collection(&self, caller: &Caller, from: &CollectionName, to: &CollectionName) -> Result<Progress> {
        administers(caller)?;
        self.begin_rename(caller.tenant(), from, to).await?;
        self.go_on_renaming(caller, from, to).await
    }
}

/// Refuses a query that asks for what is hidden from the caller.
fn may_list(configured: &Configured, caller: &Caller, query: &ListQuery) -> Result<()> {
    if let Some(filter) = &query.filter {
        configured.may_ask(caller, filter)?;
    }
    query.sort.iter().try_for_each(|key| configured.may_name(caller, &key.field, "sort"))
}
