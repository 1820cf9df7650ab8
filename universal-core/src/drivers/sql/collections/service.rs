//! `Collections` over a SQL database.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

#[cfg(feature = "postgres")]
use crate::drivers::sql::{collections::coalesce::Coalescer, dialect::Dialect};
use crate::{
    caller::Caller,
    clock::SharedClock,
    collections::{
        aggregate::{AggregateQuery, Aggregates},
        batch::{Batch, BatchResult},
        command::Command,
        configured::Configured,
        count::Counting,
        decide::{self, Writing},
        distinct::{Distinct, DistinctQuery},
        document::Document,
        explain::Explanation,
        explain_rule::{self, ExplainRule, RuleExplanation},
        idempotency::{IdempotencyKey, Once},
        list_cursor::{CursorKey, Position},
        matching::{Affected, Matching, MatchingWrite},
        plan,
        query::{GetQuery, ListQuery},
        rule::{Action, Visible, administers},
        service::Collections,
        settings::{CollectionInfo, CollectionSettings},
        state::Progress,
        transfer::{DocumentPages, ExportQuery, ImportOptions, ImportReport, NdjsonStream},
        write::{DocumentWrite, Written},
    },
    cursor::Cursor,
    drivers::sql::{
        collections::{
            aggregate,
            build::SqlIndexBuilder,
            build_words::SqlWordsBuilder,
            configurations::{Known, SqlConfigurations, unknown_tenant},
            count,
            expand::Reading,
            in_flight::InFlight,
            list, rows,
            selection::Selection,
        },
        connection::Database,
        statement::{Row, column, text_length},
    },
    error::{Error, ErrorKind, Result},
    expr::{self, Expression, Field},
    id::{CollectionName, DocumentId, TenantId},
    page::{Page, Snapshot},
    transaction::Transaction,
};

/// How many bytes of documents a page holds, but for its last one; it is then shorter than its limit.
pub(super) const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// How often a write is decided anew because the settings changed while it was under way.
pub(super) const DECISIONS: u32 = 5;

/// Documents in a SQL database.
#[derive(Clone, Debug)]
pub(crate) struct SqlCollections {
    pub(super) database: Database,
    pub(super) clock: SharedClock,
    pub(super) cursors: Arc<CursorKey>,
    pub(super) configurations: SqlConfigurations,
    /// Notified when there may be words to collect.
    pub(super) words_work: Arc<Notify>,
    /// Notified when there may be an index to build.
    pub(super) index_work: Arc<Notify>,
    #[cfg(feature = "postgres")]
    pub(super) coalescer: Option<Coalescer>,
    pub(super) in_flight: InFlight,
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
            words_work: Arc::new(Notify::new()),
            index_work: Arc::new(Notify::new()),
            in_flight: InFlight::default(),
        }
    }

    /// What collects the words of the documents that were there before they could be searched.
    pub(crate) fn words_builder(&self) -> SqlWordsBuilder {
        SqlWordsBuilder::new(self.database.clone(), Arc::clone(&self.words_work))
    }

    /// What builds the indexes of these collections.
    pub(crate) fn index_builder(&self) -> SqlIndexBuilder {
        SqlIndexBuilder::new(self.database.clone(), Arc::clone(&self.clock), Arc::clone(&self.index_work))
    }

    /// The place in the feed before a read that follows, and the settings by which it is made.
    pub(super) async fn before_read(&self, tenant: &TenantId, collection: &CollectionName) -> Result<(Cursor, Known)> {
        let sql = "SELECT f.epoch, f.head, t.settings_version, t.cut_version FROM universal_feeds f
            JOIN universal_tenants t ON t.id = f.tenant_id WHERE f.tenant_id = $1";
        let row = self.database.one(sql, vec![tenant.as_str().into()]).await?.ok_or_else(unknown_tenant)?;
        let cursor = Cursor::new(column::<String>(&row, 0)?, column(&row, 1)?);
        let versions = (column(&row, 2)?, column(&row, 3)?);
        Ok((cursor, self.configurations.at_versions(tenant, collection, versions).await?))
    }

    /// The rows that `caller` may list and `filter` matches, and the place in the feed before them. `named` are the
    /// fields that the query asks for beside the filter, each with its parameter: none may be hidden.
    async fn rows(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        filter: Option<&Expression>,
        named: &[(&Field, &str)],
    ) -> Result<(Cursor, Selection)> {
        let (cursor, known) = self.before_read(caller.tenant(), collection).await?;
        let configured = &known.configured;
        let now = self.clock.now();
        let visible = configured.rule(Action::List).visible(caller, now)?;
        if let Some(filter) = filter {
            configured.may_ask(caller, filter)?;
        }
        named.iter().try_for_each(|(field, parameter)| configured.may_name(caller, field, parameter))?;
        let mut rows = Selection::new(self.database.dialect(), caller, collection, &visible, filter, now)?;
        let facts = expr::Known::of(caller, now);
        let conditions = plan::conditions(&visible, filter, &facts);
        rows.narrow(configured.indexes(), &conditions);
        Ok((cursor, rows))
    }
}

impl SqlCollections {
    /// Where a list begins whose cursor only names the document at which a page ended, because its terms are long.
    async fn start_of(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &ListQuery,
    ) -> Result<Option<Position>> {
        let Some(cursor) = query.cursor.as_deref().filter(|_| !query.sort.is_empty()) else { return Ok(None) };
        let position = self.cursors.open(&list::scope(caller, collection, query), cursor)?;
        let Some(id) = list::named_document(&position) else { return Ok(None) };
        let dialect = self.database.dialect();
        let sql = format!(
            "SELECT {} FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id = $3",
            rows::columns(dialect)
        );
        let row = self.database.one(&sql, rows::key(caller.tenant(), collection, &DocumentId::trusted(id))).await?;
        let row = row.ok_or_else(|| {
            Error::invalid("invalid-cursor", "the document at which that page ended is gone; begin the list again")
                .with_field("cursor")
        })?;
        let document = rows::document(dialect, collection, &row)?;
        let fields: Vec<Field> = query.sort.iter().map(|key| key.field.clone()).collect();
        Ok(Some(Position { backwards: position.backwards, values: list::position_of(&fields, &document)? }))
    }
}

#[async_trait]
impl Collections for SqlCollections {
    async fn write(&self, caller: &Caller, operation: DocumentWrite) -> Result<Written> {
        #[cfg(feature = "postgres")]
        if let Some(written) = self.create_together(caller, &operation).await? {
            return Ok(written);
        }
        self.command(caller, Command::Write(operation), None).await?.outcome.into_written()
    }

    async fn write_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        operation: DocumentWrite,
    ) -> Result<Written> {
        self.command_in(transaction, caller, &Command::Write(operation)).await?.into_written()
    }

    async fn batch(&self, caller: &Caller, batch: Batch) -> Result<Vec<BatchResult>> {
        self.command(caller, Command::Batch(batch), None).await?.outcome.into_batch()
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
        self.command(caller, Command::Matching(matching, write), None).await?.outcome.into_affected()
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
        self.command(caller, command, Some(key)).await
    }

    async fn get(&self, caller: &Caller, collection: &CollectionName, id: &DocumentId) -> Result<Snapshot<Document>> {
        self.get_with(caller, collection, id, &GetQuery::new()).await
    }

    async fn get_with(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        id: &DocumentId,
        query: &GetQuery,
    ) -> Result<Snapshot<Document>> {
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
        let now = self.clock.now();
        let mut value = decide::read(caller, &known.configured, current, now)?;
        let (fields, expand) = (query.fields.as_ref(), query.expand.as_ref());
        if let Some(fields) = fields {
            known.configured.may_select(caller, fields)?;
        }
        if fields.is_some() || expand.is_some() {
            let reading = Reading { caller, collection, known: &known, now };
            let arranged = self.arranged(&reading, vec![value], fields, expand).await?;
            value = arranged.into_iter().next().ok_or_else(|| Error::internal("a document was lost"))?;
        }
        Ok(Snapshot { value, cursor })
    }

    async fn get_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        collection: &CollectionName,
        id: &DocumentId,
    ) -> Result<Document> {
        let mut joined = self.database.join(transaction)?;
        let known = self.configurations.within(&mut joined, caller.tenant(), collection).await?;
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
        let (fields, expand) = (query.fields.as_ref(), query.expand.as_ref());
        let dialect = self.database.dialect();
        let search = self.searched(caller, (collection, configured), query).await?;
        let facts = expr::Known::of(caller, now);
        let conditions = plan::conditions(&visible, query.filter.as_ref(), &facts);
        // What is searched for is found by its words.
        let scan = match &search {
            Some(_) => None,
            None => plan::choose(configured.indexes(), &conditions, &query.sort),
        };
        let (search, scan) = (search.as_ref(), scan.as_ref());
        let start = self.start_of(caller, collection, query).await?;
        let start = start.as_ref();
        let asked = list::Asked { caller, collection, query, visible: &visible, now, search, scan, start };
        let mut page = match asked.search {
            Some(search) if query.sort.is_empty() => self.ranked(asked, search).await?,
            _ => {
                let statement = list::Statement::build(dialect, asked, &self.cursors)?;
                let reach = asked.reach();
                let body = |row: &Row| text_length(row, 1);
                let bytes = query.page_bytes.unwrap_or(PAGE_BYTES).min(PAGE_BYTES);
                let (found, cut) = self.database.some(reach, &statement.sql(), statement.values(), bytes, body).await?;
                statement.page(&found, cut, &self.cursors)?
            }
        };
        if query.count != Counting::None {
            let mut rows = asked.rows(dialect)?;
            // What is estimated is estimated of the collection.
            if search.is_none() && query.count != Counting::Estimated {
                rows.narrow(configured.indexes(), &conditions);
            }
            page.count = count::count(&self.database, rows, query.count).await?;
        }
        let shown = page.items.into_iter().map(|document| configured.shown(caller, document));
        let shown = shown.collect::<Result<_>>()?;
        page.items = self.arranged(&Reading { caller, collection, known: &known, now }, shown, fields, expand).await?;
        Ok(Snapshot { value: page, cursor })
    }

    async fn export(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &ExportQuery,
    ) -> Result<Snapshot<DocumentPages>> {
        self.pages(caller, collection, query).await
    }

    async fn import(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        lines: NdjsonStream,
        options: ImportOptions,
    ) -> Result<ImportReport> {
        self.take_in(caller, collection, lines, options).await
    }

    async fn aggregate(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &AggregateQuery,
    ) -> Result<Snapshot<Aggregates>> {
        let fields = query.group.iter().map(|field| (field, "group"));
        let measured = query.select.iter().filter_map(|metric| Some((metric.field()?, "select")));
        let fields: Vec<_> = fields.chain(measured).collect();
        let (cursor, rows) = self.rows(caller, collection, query.filter.as_ref(), &fields).await?;
        Ok(Snapshot { value: aggregate::aggregate(&self.database, rows, query).await?, cursor })
    }

    async fn distinct(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &DistinctQuery,
    ) -> Result<Snapshot<Distinct>> {
        let (cursor, rows) = self.rows(caller, collection, query.filter.as_ref(), &[(&query.field, "field")]).await?;
        Ok(Snapshot { value: aggregate::distinct(&self.database, rows, query).await?, cursor })
    }

    async fn explain_rule(&self, caller: &Caller, ask: ExplainRule) -> Result<RuleExplanation> {
        administers(caller)?;
        let (tenant, collection) = (caller.tenant(), &ask.collection);
        if ask.caller.tenant() != tenant {
            let message = "rules are explained for callers of the tenant alone";
            return Err(Error::invalid("tenant-mismatch", message).with_field("/caller"));
        }
        let known = self.configurations.read(tenant, collection).await?;
        let current = match &ask.document {
            Some(id) => {
                let dialect = self.database.dialect();
                let sql = format!(
                    "SELECT {} FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id = $3",
                    rows::columns(dialect)
                );
                let row = self.database.one(&sql, rows::key(tenant, collection, id)).await?;
                row.map(|row| rows::document(dialect, collection, &row)).transpose()?
            }
            None => None,
        };
        let (configured, now) = (&*known.configured, self.clock.now());
        let cx = Writing { caller: &ask.caller, configured, now, wants_before: true };
        explain_rule::explain(&cx, &ask, current.as_ref())
    }

    async fn explain(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &ListQuery,
        asking: Option<&Caller>,
    ) -> Result<Explanation> {
        administers(caller)?;
        let asking = asking.unwrap_or(caller);
        if asking.tenant() != caller.tenant() {
            let message = "the list of another tenant's caller cannot be explained";
            return Err(Error::new(ErrorKind::Forbidden, "forbidden", message));
        }
        let (_, known) = self.before_read(caller.tenant(), collection).await?;
        let (configured, now) = (&known.configured, self.clock.now());
        let rule = configured.rule(Action::List);
        let visible = rule.visible(asking, now)?;
        may_list(configured, asking, query)?;
        let known = expr::Known::of(asking, now);
        let conditions = plan::conditions(&visible, query.filter.as_ref(), &known);
        let verdicts = plan::plan(configured.indexes(), &conditions, &query.sort);
        let rule = (visible != Visible::All).then(|| rule.to_text());
        Ok(Explanation::of(configured.indexes(), &verdicts, (rule, query.filter.as_ref(), &query.sort)))
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
        self.words_work.notify_one();
        self.index_work.notify_one();
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
    if let Some(fields) = &query.fields {
        configured.may_select(caller, fields)?;
    }
    query.sort.iter().try_for_each(|key| configured.may_name(caller, &key.field, "sort"))
}
