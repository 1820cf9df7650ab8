//! The change feed in SQL: recorded with each write, numbered, read.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _, Value};

#[cfg(feature = "sqlite")]
use crate::drivers::sql::write::Numbering;
use crate::{
    clock::Timestamp,
    drivers::sql::{
        connection::Database,
        dialect::Dialect,
        error::{from_commit, from_db},
        statement::{self, Row, column, placeholders},
        write::Write,
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::restore,
    realtime::{
        change::{Change, Image, Operation},
        feed::{CHANGE_BYTES, Feed, FeedState, Present, READ_BYTES, Retention, Sequencer},
    },
};

/// A change that is about to be recorded. Its images are borrowed texts.
#[derive(Debug)]
pub(crate) struct Recorded<'a> {
    pub(crate) collection: &'a CollectionName,
    pub(crate) id: &'a DocumentId,
    pub(crate) operation: Operation,
    pub(crate) revision: &'a str,
    pub(crate) before: Option<(&'a str, Option<&'a str>)>,
    pub(crate) after: Option<(&'a str, Option<&'a str>)>,
    pub(crate) actor: Option<&'a str>,
    pub(crate) request_id: Option<&'a str>,
    pub(crate) created_at: Timestamp,
    pub(crate) at: Timestamp,
    /// The tenant's version of settings by which the write was decided.
    pub(crate) settings_version: i64,
}

impl Write<'_> {
    /// Records a change in the transaction of the write that made it. The document's row must be
    /// locked already: on PostgreSQL the outbox's ids then follow the document's versions.
    pub(crate) async fn record(&mut self, tenant: &TenantId, change: &Recorded<'_>) -> Result<()> {
        let tx = self.transaction_id()?;
        let (before, owner_before) = change.before.unzip();
        let (after, owner_after) = change.after.unzip();
        let values: Vec<Value> = vec![
            tenant.as_str().into(),
            tx.into(),
            change.collection.as_str().into(),
            change.id.as_str().into(),
            change.operation.as_str().into(),
            change.revision.into(),
            text(owner_before.flatten()),
            text(owner_after.flatten()),
            text(before),
            text(after),
            text(change.actor),
            text(change.request_id),
            change.created_at.as_micros().into(),
            change.at.as_micros().into(),
            change.settings_version.into(),
        ];
        match self.dialect() {
            Dialect::Postgres => {
                if self.execute(RECORD_IN_OUTBOX, values).await? == 0 {
                    return Err(self.why_not_recorded(tenant).await?);
                }
                self.signal_feed(tenant, None);
            }
            Dialect::Sqlite => self.record_numbered(tenant, values).await?,
        }
        Ok(())
    }

    #[cfg(feature = "sqlite")]
    async fn record_numbered(&mut self, tenant: &TenantId, mut values: Vec<Value>) -> Result<()> {
        let seq = match self.next_number(tenant)? {
            Numbering::NoFeed => return Err(unknown_tenant()),
            Numbering::Next(seq) => {
                values.push(seq.into());
                if self.execute(RECORD_AS, values).await? == 0 {
                    return Err(self.why_not_recorded(tenant).await?);
                }
                self.took_number(tenant);
                seq
            }
            Numbering::ByStatement => {
                let Some(row) = self.one(RECORD_NUMBERED, values).await? else {
                    return Err(self.why_not_recorded(tenant).await?);
                };
                let seq: i64 = column(&row, 0)?;
                let sql = "UPDATE universal_feeds SET head = $2 WHERE tenant_id = $1";
                self.execute(sql, vec![tenant.as_str().into(), seq.into()]).await?;
                seq
            }
        };
        self.signal_feed(tenant, Some(seq));
        Ok(())
    }

    #[cfg(not(feature = "sqlite"))]
    async fn record_numbered(&mut self, _: &TenantId, _: Vec<Value>) -> Result<()> {
        Err(Error::internal("SQLite is not built in"))
    }

    async fn why_not_recorded(&mut self, tenant: &TenantId) -> Result<Error> {
        let sql = "SELECT 1 FROM universal_tenants WHERE id = $1";
        let tenant = self.one(sql, vec![tenant.as_str().into()]).await?;
        Ok(if tenant.is_some() { settings_changed() } else { unknown_tenant() })
    }
}

/// The error of a write that was decided by settings which somebody has changed since; it is decided anew.
pub(crate) fn settings_changed() -> Error {
    Error::new(ErrorKind::Busy, SETTINGS_CHANGED, "the settings of the collection were changed meanwhile; try again")
}

/// The code of [`settings_changed`].
pub(crate) const SETTINGS_CHANGED: &str = "settings-changed";

const RECORD_IN_OUTBOX: &str = "INSERT INTO universal_outbox
    (tenant_id, tx, collection, doc_id, op, revision, owner_before, owner_after, before, after, actor, request_id,
     created_at, at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
    WHERE EXISTS (SELECT 1 FROM universal_tenants WHERE id = $1 AND settings_version = $15)";

/// On SQLite, in a group of writes, which stores the feed's head at its end.
#[cfg(feature = "sqlite")]
const RECORD_AS: &str = "INSERT INTO universal_changes
    (tenant_id, tx, collection, doc_id, op, revision, owner_before, owner_after, before, after, actor, request_id,
     created_at, at, seq)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $16
    FROM universal_tenants WHERE id = $1 AND settings_version = $15";

/// On SQLite, in a transaction that a host may end; the feed's head is raised next.
#[cfg(feature = "sqlite")]
const RECORD_NUMBERED: &str = "INSERT INTO universal_changes
    (tenant_id, seq, tx, collection, doc_id, op, revision, owner_before, owner_after, before, after, actor, request_id,
     created_at, at)
    SELECT $1, head + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
    FROM universal_feeds WHERE tenant_id = $1
        AND EXISTS (SELECT 1 FROM universal_tenants WHERE id = $1 AND settings_version = $15)
    RETURNING seq";

/// The newest change that is too old, too far back, or behind too many bytes.
const LAST_TO_FORGET: &str = "SELECT max(seq) FROM (
        SELECT seq, at, row_number() OVER newest AS position,
            sum(octet_length(coalesce(before, '')) + octet_length(coalesce(after, ''))) OVER newest AS bytes
        FROM universal_changes WHERE tenant_id = $1
        WINDOW newest AS (ORDER BY seq DESC)) AS kept
    WHERE at < $2 OR position > $3 OR bytes > $4";

/// How many changes are forgotten in one commit.
const TRIM_STEP: i64 = 2000;

const COLUMNS: &str = "seq, tx, collection, doc_id, op, revision, owner_before, owner_after, before, after, actor,
    request_id, created_at, at";

/// The feed of a SQL database.
#[derive(Clone, Debug)]
pub(crate) struct SqlFeed {
    database: Database,
}

impl SqlFeed {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Feed for SqlFeed {
    async fn state(&self, tenant: &TenantId) -> Result<FeedState> {
        let sql = "SELECT epoch, head, floor FROM universal_feeds WHERE tenant_id = $1";
        let row = self.database.one(sql, vec![tenant.as_str().into()]).await?.ok_or_else(unknown_tenant)?;
        let epoch: String = column(&row, 0)?;
        Ok(FeedState { epoch: epoch.into(), head: column(&row, 1)?, floor: column(&row, 2)? })
    }

    async fn heads(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, i64)>> {
        let mut heads = Vec::with_capacity(tenants.len());
        for some in tenants.chunks(200) {
            let sql = format!(
                "SELECT tenant_id, head FROM universal_feeds WHERE tenant_id IN ({})",
                placeholders(1, some.len())
            );
            let values = some.iter().map(|tenant| tenant.as_str().into()).collect();
            for row in self.database.all(&sql, values).await? {
                heads.push((TenantId::trusted(column::<String>(&row, 0)?), column(&row, 1)?));
            }
        }
        Ok(heads)
    }

    async fn read(&self, tenant: &TenantId, after: i64, limit: u32) -> Result<Vec<Change>> {
        // A change may carry two documents of a megabyte: what is read at once is bounded in bytes too,
        // and is one change at least.
        let sql = format!(
            "SELECT {COLUMNS} FROM (
                SELECT page.*, coalesce(sum($5 + octet_length(coalesce(before, '')) + octet_length(coalesce(after, '')))
                    OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS ahead
                FROM (SELECT * FROM universal_changes WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3) AS page
             ) AS bounded WHERE ahead < $4 ORDER BY seq"
        );
        let bytes = |count: usize| i64::try_from(count).unwrap_or(i64::MAX).into();
        let (most, each) = (bytes(READ_BYTES), bytes(CHANGE_BYTES));
        let values = vec![tenant.as_str().into(), after.into(), i64::from(limit).into(), most, each];
        self.database.all(&sql, values).await?.iter().map(change).collect()
    }

    async fn present(
        &self,
        tenant: &TenantId,
        documents: &[(CollectionName, DocumentId)],
    ) -> Result<Vec<Option<Present>>> {
        let mut found = HashMap::with_capacity(documents.len());
        for some in documents.chunks(200) {
            let sql = format!(
                "SELECT collection, id, owner_id, {}, revision, created_at, updated_at FROM universal_documents
                 WHERE tenant_id = $1 AND (collection, id) IN ({})",
                self.database.dialect().json_out("body"),
                pairs(2, some.len())
            );
            self.presents(&sql, tenant, some, &mut found).await?;
        }
        let gone: Vec<_> = documents.iter().filter(|key| !found.contains_key(*key)).cloned().collect();
        for some in gone.chunks(200) {
            let keys = pairs(2, some.len());
            let deletions = |table, number, waiting| {
                format!(
                    "SELECT collection, doc_id, owner_before, before, revision, created_at, at, {waiting} AS waiting,
                        {number} AS number FROM {table}
                     WHERE tenant_id = $1 AND op = 'delete' AND (collection, doc_id) IN ({keys})"
                )
            };
            // One that waits for its number is looked up in the same statement, so that none slips
            // through between two.
            let mut deleted = deletions("universal_changes", "seq", 0);
            if self.database.dialect() == Dialect::Postgres {
                deleted = format!("{deleted} UNION ALL {}", deletions("universal_outbox", "id", 1));
            }
            let sql = format!(
                "SELECT collection, doc_id, owner_before, before, revision, created_at, at FROM (
                    SELECT deleted.*, row_number() OVER (
                        PARTITION BY collection, doc_id ORDER BY waiting DESC, number DESC) AS age
                    FROM ({deleted}) AS deleted
                 ) AS last WHERE age = 1"
            );
            self.presents(&sql, tenant, some, &mut found).await?;
        }
        Ok(documents.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn retain(&self, now: Timestamp, retention: &Retention) -> Result<()> {
        let oldest = now.minus(retention.age).as_micros();
        let mut failure = None;
        for row in self.database.all("SELECT tenant_id FROM universal_feeds", vec![]).await? {
            let tenant = TenantId::trusted(column::<String>(&row, 0)?);
            let values: Vec<Value> = vec![
                tenant.as_str().into(),
                oldest.into(),
                i64::from(retention.changes).into(),
                i64::try_from(retention.bytes).unwrap_or(i64::MAX).into(),
            ];
            // A tenant whose feed cannot be looked through must not keep those of others from being trimmed.
            if let Err(error) = self.retain_in(&tenant, values).await {
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    async fn trim(&self, tenant: &TenantId, through: i64) -> Result<()> {
        let FeedState { mut floor, head, .. } = self.state(tenant).await?;
        // In steps: a write has a time limit, and whoever numbers or writes changes waits for it.
        while floor < through && through <= head {
            floor = (floor + TRIM_STEP).min(through);
            self.trim_step(tenant, floor).await?;
        }
        Ok(())
    }
}

impl SqlFeed {
    async fn retain_in(&self, tenant: &TenantId, values: Vec<Value>) -> Result<()> {
        let through = self.database.one(LAST_TO_FORGET, values).await?;
        match through.map(|row| column::<Option<i64>>(&row, 0)).transpose()?.flatten() {
            Some(through) => self.trim(tenant, through).await,
            None => Ok(()),
        }
    }

    async fn trim_step(&self, tenant: &TenantId, through: i64) -> Result<()> {
        let tenant = tenant.clone();
        self.database
            .write(move |write| {
                let tenant = tenant.clone();
                Box::pin(async move {
                    let sql =
                        "UPDATE universal_feeds SET floor = $2 WHERE tenant_id = $1 AND floor < $2 AND head >= $2";
                    let values = vec![tenant.as_str().into(), through.into()];
                    if write.execute(sql, values).await? > 0 {
                        let sql = "DELETE FROM universal_changes WHERE tenant_id = $1 AND seq <= $2";
                        write.execute(sql, vec![tenant.as_str().into(), through.into()]).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    async fn presents(
        &self,
        sql: &str,
        tenant: &TenantId,
        keys: &[(CollectionName, DocumentId)],
        found: &mut HashMap<(CollectionName, DocumentId), Present>,
    ) -> Result<()> {
        let mut values: Vec<Value> = vec![tenant.as_str().into()];
        for (collection, id) in keys {
            values.push(collection.as_str().into());
            values.push(id.as_str().into());
        }
        for row in self.database.all(sql, values).await? {
            let key =
                (CollectionName::trusted(column::<String>(&row, 0)?), DocumentId::trusted(column::<String>(&row, 1)?));
            let owner: Option<String> = column(&row, 2)?;
            let body = restored(self.database.dialect(), column(&row, 3)?);
            let moment = |index: usize| column::<i64>(&row, index).map(Timestamp::from_micros);
            let present = Present::owned_by(owner.map(UserId::trusted))
                .with_body(body, column::<String>(&row, 4)?)
                .with_moments(moment(5)?, moment(6)?);
            found.insert(key, present);
        }
        Ok(())
    }
}

/// Moves the outbox into the feed. Only PostgreSQL needs it.
#[async_trait]
impl Sequencer for SqlFeed {
    async fn sequence(&self, limit: u32) -> Result<Vec<(TenantId, i64)>> {
        if self.database.dialect() == Dialect::Sqlite {
            return Ok(Vec::new());
        }
        let (mut heads, mut failure) = (Vec::new(), None);
        for row in self.database.all(TENANTS_WAITING, vec![]).await? {
            let tenant = TenantId::trusted(column::<String>(&row, 0)?);
            match self.sequence_tenant(&tenant, limit).await {
                Ok(Some(head)) => heads.push((tenant, head)),
                Ok(None) => {}
                // A tenant whose feed is held must not keep the others waiting.
                Err(error) => failure = Some(error),
            }
        }
        // What has been numbered is told first; a failure that lasts comes again at the next look.
        match failure {
            Some(error) if heads.is_empty() => Err(error),
            _ => Ok(heads),
        }
    }

    async fn woken(&self) {
        self.database.outbox_signal().notified().await;
    }
}

impl SqlFeed {
    /// The lock and the move are two statements on purpose: under READ COMMITTED the second sees
    /// everything that was committed before the lock was had, and so nothing is numbered out of order.
    async fn sequence_tenant(&self, tenant: &TenantId, limit: u32) -> Result<Option<i64>> {
        let dialect = self.database.dialect();
        let transaction = self.database.connection().begin().await.map_err(from_db)?;
        transaction.execute_unprepared(SEQUENCER_SETTINGS).await.map_err(from_db)?;
        let epoch = crate::id::random_hex(6)?;
        let mut lock = statement::one(&transaction, dialect, LOCK_FEED, tenant_value(tenant)).await?;
        if lock.is_none() {
            let values = vec![tenant.as_str().into(), epoch.into()];
            statement::execute(&transaction, dialect, CREATE_FEED, values).await?;
            lock = statement::one(&transaction, dialect, LOCK_FEED, tenant_value(tenant)).await?;
        }
        let Some(lock) = lock else { return Ok(None) };
        let head: i64 = column(&lock, 0)?;
        let values = vec![tenant.as_str().into(), head.into(), i64::from(limit).into()];
        let moved = statement::one(&transaction, dialect, MOVE, values).await?;
        let new_head: i64 = moved.map(|row| column(&row, 0)).transpose()?.unwrap_or(head);
        transaction.commit().await.map_err(from_commit)?;
        Ok((new_head > head).then_some(new_head))
    }
}

/// Each tenant that has rows in the outbox: one probe of the key a tenant, not a scan.
const TENANTS_WAITING: &str = "WITH RECURSIVE waiting AS (
        (SELECT tenant_id FROM universal_outbox ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT o.tenant_id FROM universal_outbox o WHERE o.tenant_id > waiting.tenant_id
                ORDER BY o.tenant_id LIMIT 1)
        FROM waiting WHERE waiting.tenant_id IS NOT NULL)
    SELECT tenant_id FROM waiting WHERE tenant_id IS NOT NULL";

/// Said each time, because the pool may be a host's with other defaults: a feed that somebody holds
/// must not keep those of other tenants waiting, and a node that stops in the middle no other node.
const SEQUENCER_SETTINGS: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET LOCAL lock_timeout = '2s';
    SET LOCAL idle_in_transaction_session_timeout = '15s'";

const LOCK_FEED: &str = "SELECT head FROM universal_feeds WHERE tenant_id = $1 FOR UPDATE";

const CREATE_FEED: &str = "INSERT INTO universal_feeds (tenant_id, epoch, head, floor)
    SELECT id, $2, 0, 0 FROM universal_tenants WHERE id = $1 ON CONFLICT DO NOTHING";

const MOVE: &str = "WITH due AS (
        SELECT id FROM universal_outbox WHERE tenant_id = $1 ORDER BY id LIMIT $3),
    moved AS (
        DELETE FROM universal_outbox WHERE tenant_id = $1 AND id IN (SELECT id FROM due) RETURNING *),
    numbered AS (
        INSERT INTO universal_changes (tenant_id, seq, tx, collection, doc_id, op, revision, owner_before, owner_after,
            before, after, actor, request_id, created_at, at)
        SELECT tenant_id, $2::bigint + row_number() OVER (ORDER BY id), tx, collection, doc_id, op, revision,
            owner_before, owner_after, before, after, actor, request_id, created_at, at
        FROM moved RETURNING seq)
    UPDATE universal_feeds SET head = head + (SELECT count(*) FROM numbered) WHERE tenant_id = $1 RETURNING head";

fn tenant_value(tenant: &TenantId) -> Vec<Value> {
    vec![tenant.as_str().into()]
}

fn unknown_tenant() -> Error {
    Error::not_found("tenant-not-found", "there is no such tenant")
}

fn text(text: Option<&str>) -> Value {
    text.map(str::to_owned).into()
}

fn pairs(first: usize, count: usize) -> String {
    let pair = |n: usize| format!("(${}, ${})", first + 2 * n, first + 2 * n + 1);
    (0..count).map(pair).collect::<Vec<_>>().join(", ")
}

/// A body as it was written down; PostgreSQL prints numbers in its own way.
fn restored(dialect: Dialect, body: String) -> String {
    match dialect {
        Dialect::Postgres => restore(body),
        Dialect::Sqlite => body,
    }
}

fn image(body: Option<String>, owner: Option<String>) -> Option<Image> {
    Some(Image { body: body?.into(), owner: owner.map(UserId::trusted) })
}

fn change(row: &Row) -> Result<Change> {
    let optional = |index: usize| column::<Option<String>>(row, index);
    let before = image(optional(8)?, optional(6)?);
    let after = image(optional(9)?, optional(7)?);
    let operation: String = column(row, 4)?;
    let moment = |index: usize| column::<i64>(row, index).map(Timestamp::from_micros);
    Ok(Change::new(
        column(row, 0)?,
        column(row, 1)?,
        CollectionName::trusted(column::<String>(row, 2)?),
        DocumentId::trusted(column::<String>(row, 3)?),
        operation.parse()?,
        column::<String>(row, 5)?,
        (before, after),
        (moment(12)?, moment(13)?),
    )
    .with_author(optional(10)?.map(Arc::from), optional(11)?.map(Arc::from)))
}
