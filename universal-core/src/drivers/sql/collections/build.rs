//! Building indexes and taking them away, in steps that are each one commit.
//!
//! From the commit of the settings on, every write maintains a new index. What remains are the documents that were there
//! before: a step locks some, in the order of ids, and stores their entries. The step's commit holds its progress, so any
//! node goes on where another stopped; the row of the index is locked meanwhile, so that one works on it at a time.
//!
//! On PostgreSQL a write that was decided before the settings changed may commit after a step has passed its document.
//! So the first step waits as `CREATE INDEX CONCURRENTLY` does: first for every statement that began before the change
//! (its snapshot is older), then for every transaction that was open at that moment. SQLite has one writer.

use std::{collections::HashSet, fmt, sync::Arc};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{
    clock::SharedClock,
    collections::{
        index::Index,
        port::{IndexBuilder, Step},
    },
    drivers::sql::{
        collections::{
            configurations::RAISE,
            entries::{Added, environment_of},
            indexes, rows,
        },
        connection::Database,
        dialect::Dialect,
        statement::{Row, column},
        write::Write,
    },
    error::{Error, Result},
    id::{CollectionName, TenantId},
    json::Object,
};

/// How many documents a step adds at most.
const DOCUMENTS: i64 = 500;
/// How many bytes of bodies a step reads, but for its last document.
const BYTES: i64 = 4 * 1024 * 1024;
/// How many entries a step takes away.
const ENTRIES: i64 = 2000;
/// How many documents make it worth while to count them for PostgreSQL's planner.
const MANY: i64 = 1000;
/// How many indexes are looked at in turn.
const IN_TURN: i64 = 16;

/// Builds the indexes of a SQL database.
#[derive(Clone)]
pub(crate) struct SqlIndexBuilder {
    database: Database,
    clock: SharedClock,
    wake: Arc<Notify>,
}

impl SqlIndexBuilder {
    /// `wake` is notified when settings have changed in this process.
    pub(crate) fn new(database: Database, clock: SharedClock, wake: Arc<Notify>) -> Self {
        Self { database, clock, wake }
    }
}

impl fmt::Debug for SqlIndexBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlIndexBuilder").finish_non_exhaustive()
    }
}

#[async_trait]
impl IndexBuilder for SqlIndexBuilder {
    async fn step(&self) -> Result<Step> {
        let (mut outcome, mut failure) = (Step::Idle, None);
        for row in self.database.all(WORK, vec![IN_TURN.into(), self.clock.now().as_micros().into()]).await? {
            let place = (TenantId::trusted(column::<String>(&row, 0)?), column::<i64>(&row, 1)?);
            let step = self.database.write(move |write| {
                let place = place.clone();
                Box::pin(async move { step(write, &place.0, place.1).await })
            });
            // One that fails must not keep the others waiting.
            match step.await {
                Ok(step) => outcome = outcome.max(step),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if outcome == Step::Idle => Err(error),
            _ => Ok(outcome),
        }
    }

    async fn woken(&self) {
        self.wake.notified().await;
    }
}

async fn step(write: &mut Write<'_>, tenant: &TenantId, index: i64) -> Result<Step> {
    let lock = format!("{LOCK}{}", write.dialect().skip_locked());
    let key = || vec![tenant.as_str().into(), index.into()];
    // Somebody else is at it, or has finished.
    let Some(row) = write.one(&lock, key()).await? else { return Ok(Step::Waiting) };
    let building = match column::<String>(&row, 4)?.as_str() {
        "building" => true,
        "dropping" => false,
        _ => return Ok(Step::Idle),
    };
    if write.dialect() == Dialect::Postgres && !others_have_ended(write, tenant, index).await? {
        return Ok(Step::Waiting);
    }
    if building { build(write, tenant, &row).await } else { take_away(write, tenant, index).await }
}

/// Whether nobody is left who does not know of the change.
async fn others_have_ended(write: &mut Write<'_>, tenant: &TenantId, index: i64) -> Result<bool> {
    let key = || vec![tenant.as_str().into(), index.into()];
    let Some(row) = write.one(OTHERS, key()).await? else { return Ok(false) };
    let (has_horizon, ended): (bool, bool) = (column(&row, 0)?, column(&row, 1)?);
    if !has_horizon {
        write.execute(SET_HORIZON, key()).await?;
    }
    Ok(has_horizon && ended)
}

async fn build(write: &mut Write<'_>, tenant: &TenantId, row: &Row) -> Result<Step> {
    let index = indexes::loaded(std::slice::from_ref(row), 0)?;
    let index = index.first().ok_or_else(|| Error::internal("an index without a number"))?;
    let collection = CollectionName::trusted(column::<String>(row, 6)?);
    let last: String = column(row, 7)?;
    let Some(upto) = batch_end(write, tenant, &collection, &last, (DOCUMENTS, BYTES)).await? else {
        // PostgreSQL would else guess for a while, and sort all where it could sort what ties.
        if write.dialect() == Dialect::Postgres && column::<i64>(row, 8)? >= MANY {
            write.execute("ANALYZE universal_index_entries", vec![]).await?;
        }
        return finish(write, tenant, index.id, ("ready", None)).await;
    };
    let sql = format!(
        "SELECT {} FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id > $3 AND id <= $4
         ORDER BY id{}",
        rows::columns(write.dialect()),
        write.dialect().for_update()
    );
    let values = vec![tenant.as_str().into(), collection.as_str().into(), last.into(), upto.as_str().into()];
    let found = write.all(&sql, values).await?;
    let count = i64::try_from(found.len()).map_err(Error::internal)?;
    if !add(write, tenant, &collection, index, &found).await? {
        let fields = index.field_texts().join(", ");
        let reason = format!("at least two documents have the same {fields}; change them and store the settings again");
        return finish(write, tenant, index.id, ("failed", Some(reason))).await;
    }
    write.execute(PROGRESS, vec![tenant.as_str().into(), index.id.into(), upto.into(), count.into()]).await?;
    Ok(Step::More)
}

/// The last id of the next batch: so many documents and so many bytes.
pub(super) async fn batch_end(
    write: &mut Write<'_>,
    tenant: &TenantId,
    collection: &CollectionName,
    last: &str,
    (documents, bytes): (i64, i64),
) -> Result<Option<String>> {
    let sql = format!(
        "SELECT max(id{}) FROM (
            SELECT id, sum(size) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - size AS ahead
            FROM (SELECT id, octet_length({}) AS size FROM universal_documents
                  WHERE tenant_id = $1 AND collection = $2 AND id > $3 ORDER BY id LIMIT $4) AS next) AS sized
         WHERE ahead < $5",
        write.dialect().bytewise(),
        write.dialect().json_out("body")
    );
    let values = vec![tenant.as_str().into(), collection.as_str().into(), last.into(), documents.into(), bytes.into()];
    match write.one(&sql, values).await? {
        Some(row) => column(&row, 0),
        None => Ok(None),
    }
}

/// Stores the entries of documents; `false` if two would have what must be unique.
async fn add(
    write: &mut Write<'_>,
    tenant: &TenantId,
    collection: &CollectionName,
    index: &Index,
    found: &[Row],
) -> Result<bool> {
    let (mut documents, mut entries) = (Vec::new(), Vec::new());
    for row in found {
        let document = rows::document(write.dialect(), collection, row)?;
        let members = Object::from_stored(&document.body)?;
        entries.extend(environment_of(&document, &members).map(|environment| index.entry(&environment)));
        documents.push(document.id);
    }
    let mut seen = HashSet::new();
    if entries.iter().any(|entry| entry.exclusive && !seen.insert(&entry.key)) {
        return Ok(false);
    }
    let mut added: Vec<Added<'_>> = entries.iter().zip(&documents).collect();
    added.sort_by(|a, b| a.0.key.cmp(&b.0.key));
    let stored = write.add_entries(tenant, &added).await?.len();
    if stored == entries.len() && entries.iter().any(|entry| entry.cut) {
        write.mark_cut(tenant, index.id).await?;
    }
    Ok(stored == entries.len())
}

/// Ends the building; writes and lists hear of it by the tenant's version.
async fn finish(
    write: &mut Write<'_>,
    tenant: &TenantId,
    index: i64,
    (state, reason): (&str, Option<String>),
) -> Result<Step> {
    let values = vec![tenant.as_str().into(), index.into(), state.into(), reason.into()];
    write.execute(FINISH, values).await?;
    write.one(RAISE, vec![tenant.as_str().into()]).await?;
    Ok(Step::More)
}

async fn take_away(write: &mut Write<'_>, tenant: &TenantId, index: i64) -> Result<Step> {
    let key = || vec![tenant.as_str().into(), index.into()];
    let mut values = key();
    values.push((ENTRIES - 1).into());
    let end = write.one(LAST_OF_MANY, values).await?;
    let Some(end) = end else {
        write.execute(REMOVE_ALL, key()).await?;
        write.execute(FORGET, key()).await?;
        return Ok(Step::More);
    };
    let mut values = key();
    values.push(column::<Vec<u8>>(&end, 0)?.into());
    values.push(column::<String>(&end, 1)?.into());
    write.execute(REMOVE_MANY, values).await?;
    Ok(Step::More)
}

const WORK: &str = "SELECT tenant_id, id FROM universal_indexes 
    WHERE state IN ('building', 'dropping') AND not_before <= $2 ORDER BY id LIMIT $1";

const LOCK: &str = "SELECT id, name, fields, is_unique, state, is_cut, collection, last_id, documents
    FROM universal_indexes
    WHERE tenant_id = $1 AND id = $2";

/// A row in which `building` is over is not found again by its old state.
const FINISH: &str = "UPDATE universal_indexes SET state = $3, reason = $4 WHERE tenant_id = $1 AND id = $2";

const PROGRESS: &str = "UPDATE universal_indexes SET last_id = $3, documents = documents + $4
    WHERE tenant_id = $1 AND id = $2";

const OTHERS: &str = "SELECT horizon IS NOT NULL,
        coalesce(pg_snapshot_xmin(pg_current_snapshot()) >= horizon, FALSE)
    FROM universal_indexes WHERE tenant_id = $1 AND id = $2";

/// The transactions that are open now, once no statement is left that began before the change.
const SET_HORIZON: &str = "UPDATE universal_indexes SET horizon = pg_snapshot_xmax(pg_current_snapshot())
    WHERE tenant_id = $1 AND id = $2 AND NOT EXISTS (
        SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
            AND backend_xmin IS NOT NULL AND age(backend_xmin) >= age(universal_indexes.changed_by::xid))";

const LAST_OF_MANY: &str = "SELECT key, tie FROM universal_index_entries WHERE tenant_id = $1 AND index_id = $2
    ORDER BY key, tie LIMIT 1 OFFSET $3";

const REMOVE_MANY: &str = "DELETE FROM universal_index_entries
    WHERE tenant_id = $1 AND index_id = $2 AND (key, tie) <= ($3, $4)";

const REMOVE_ALL: &str = "DELETE FROM universal_index_entries WHERE tenant_id = $1 AND index_id = $2";

const FORGET: &str = "DELETE FROM universal_indexes WHERE tenant_id = $1 AND id = $2 AND state = 'dropping'";
