//! Collecting the words of the documents that were there before their collection could be searched, and taking those away
//! that are not wanted any more, in steps that are each one commit.
//!
//! From the commit of the settings on, every write stores its words. A row in `universal_search_builds` says that there is
//! work; while it is there, searches are refused. First all words of the collection are taken away, those of other
//! settings among them, then the documents are gone through in the order of their ids. The row holds the progress and is
//! locked meanwhile, so that any node goes on where another stopped, and one works on it at a time.
//!
//! On PostgreSQL a write that was decided before the settings changed may commit after a step has passed its document, so
//! the first step waits for those transactions, as the building of an index does.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::drivers::sql::collections::build::batch_end;
use crate::{
    collections::{
        configured::Configured,
        port::{IndexBuilder, Step},
        settings::CollectionSettings,
    },
    drivers::sql::{
        collections::rows,
        connection::Database,
        dialect::Dialect,
        statement::{Row, column},
        write::Write,
    },
    error::{Error, Result},
    id::{CollectionName, TenantId},
    json::Object,
};

/// How many documents a step goes through at most.
const DOCUMENTS: i64 = 200;
/// How many bytes of bodies a step reads, but for its last document.
const BYTES: i64 = 2 * 1024 * 1024;
/// How many documents' words a step takes away.
const TAKEN: i64 = 1000;
/// How many collections are looked at in turn.
const IN_TURN: i64 = 16;

/// Collects the words of a SQL database's documents.
#[derive(Clone)]
pub(crate) struct SqlWordsBuilder {
    database: Database,
    wake: Arc<Notify>,
}

impl SqlWordsBuilder {
    /// `wake` is notified when settings have changed in this process.
    pub(super) fn new(database: Database, wake: Arc<Notify>) -> Self {
        Self { database, wake }
    }
}

impl fmt::Debug for SqlWordsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlWordsBuilder").finish_non_exhaustive()
    }
}

#[async_trait]
impl IndexBuilder for SqlWordsBuilder {
    async fn step(&self) -> Result<Step> {
        let (mut outcome, mut failure) = (Step::Idle, None);
        for row in self.database.all(WORK, vec![IN_TURN.into()]).await? {
            let tenant = TenantId::trusted(column::<String>(&row, 0)?);
            let place = Arc::new((tenant, CollectionName::trusted(column::<String>(&row, 1)?)));
            let step = self.database.write(move |write| {
                let place = Arc::clone(&place);
                Box::pin(async move { step(write, &place.0, &place.1).await })
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

impl Write<'_> {
    /// Notes that words are to be collected anew, if what is searched has changed.
    pub(super) async fn reconcile_search(
        &mut self,
        tenant: &TenantId,
        collection: &CollectionName,
        (before, after): (Option<&CollectionSettings>, &CollectionSettings),
    ) -> Result<()> {
        if before.and_then(|before| before.search.as_ref()) == after.search.as_ref() {
            return Ok(());
        }
        let begin = match self.dialect() {
            Dialect::Postgres => BEGIN_POSTGRES,
            Dialect::Sqlite => BEGIN_SQLITE,
        };
        self.execute(begin, key(tenant, collection)).await.map(|_| ())
    }
}

fn key(tenant: &TenantId, collection: &CollectionName) -> Vec<sea_orm::Value> {
    vec![tenant.as_str().into(), collection.as_str().into()]
}

async fn step(write: &mut Write<'_>, tenant: &TenantId, collection: &CollectionName) -> Result<Step> {
    let lock = format!("{LOCK}{}", write.dialect().skip_locked());
    // Somebody else is at it, or has finished.
    let Some(row) = write.one(&lock, key(tenant, collection)).await? else { return Ok(Step::Waiting) };
    let (cleared, last): (bool, String) = (column(&row, 0)?, column(&row, 1)?);
    if write.dialect() == Dialect::Postgres && !others_have_ended(write, tenant, collection).await? {
        return Ok(Step::Waiting);
    }
    if !cleared {
        if take_away(write, tenant, collection).await? == 0 {
            write.execute(CLEARED, key(tenant, collection)).await?;
        }
        return Ok(Step::More);
    }
    let Some(configured) = searched(write, tenant, collection).await? else {
        write.execute(FINISH, key(tenant, collection)).await?;
        return Ok(Step::More);
    };
    // Where it ends is asked apart from the rows: those that are gone once they could be locked are no end.
    let Some(upto) = batch_end(write, tenant, collection, &last, (DOCUMENTS, BYTES)).await? else {
        write.execute(FINISH, key(tenant, collection)).await?;
        return Ok(Step::More);
    };
    let mut values = key(tenant, collection);
    values.push(upto.as_str().into());
    for row in &batch(write, tenant, collection, (&last, &upto)).await? {
        let document = rows::document(write.dialect(), collection, row)?;
        let members = Object::from_stored(&document.body)?;
        write.store_words(tenant, &configured, &document, members.as_map()).await?;
    }
    write.execute(PROGRESS, values).await?;
    Ok(Step::More)
}

/// Whether nobody is left who does not know of the change.
async fn others_have_ended(write: &mut Write<'_>, tenant: &TenantId, collection: &CollectionName) -> Result<bool> {
    let Some(row) = write.one(OTHERS, key(tenant, collection)).await? else { return Ok(false) };
    let (has_horizon, ended): (bool, bool) = (column(&row, 0)?, column(&row, 1)?);
    if !has_horizon {
        write.execute(SET_HORIZON, key(tenant, collection)).await?;
    }
    Ok(has_horizon && ended)
}

/// The settings of the collection, if it can be searched.
async fn searched(write: &mut Write<'_>, tenant: &TenantId, collection: &CollectionName) -> Result<Option<Configured>> {
    let sql = "SELECT settings FROM universal_collections WHERE tenant_id = $1 AND name = $2";
    let Some(row) = write.one(sql, key(tenant, collection)).await? else { return Ok(None) };
    let settings = serde_json::from_str(&column::<String>(&row, 0)?).map_err(Error::internal)?;
    let configured = Configured::compile(settings, 0).map_err(Error::internal)?;
    Ok(Some(configured).filter(|configured| configured.searchable().is_some()))
}

/// The documents between two ids, locked.
async fn batch(
    write: &mut Write<'_>,
    tenant: &TenantId,
    collection: &CollectionName,
    (after, upto): (&str, &str),
) -> Result<Vec<Row>> {
    let sql = format!(
        "SELECT {} FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id > $3 AND id <= $4
         ORDER BY id{}",
        rows::columns(write.dialect()),
        write.dialect().for_update()
    );
    let mut values = key(tenant, collection);
    values.extend([after.into(), upto.into()]);
    write.all(&sql, values).await
}

/// Takes the words of some documents away; answers of how many.
async fn take_away(write: &mut Write<'_>, tenant: &TenantId, collection: &CollectionName) -> Result<u64> {
    let values = || {
        let mut values = key(tenant, collection);
        values.push(TAKEN.into());
        values
    };
    if write.dialect() == Dialect::Sqlite {
        let sql = format!("DELETE FROM universal_search_words WHERE rowid IN (SELECT id {SOME})");
        write.execute(&sql, values()).await?;
    }
    let sql = format!(
        "DELETE FROM universal_search WHERE tenant_id = $1 AND collection = $2 AND doc_id IN (SELECT doc_id {SOME})"
    );
    write.execute(&sql, values()).await
}

const SOME: &str = "FROM universal_search WHERE tenant_id = $1 AND collection = $2 ORDER BY doc_id LIMIT $3";

const WORK: &str = "SELECT tenant_id, collection FROM universal_search_builds ORDER BY tenant_id, collection LIMIT $1";

const LOCK: &str = "SELECT is_cleared, last_id FROM universal_search_builds WHERE tenant_id = $1 AND collection = $2";

const BEGIN_POSTGRES: &str =
    "INSERT INTO universal_search_builds (tenant_id, collection, is_cleared, last_id, changed_by)
    VALUES ($1, $2, FALSE, '', pg_current_xact_id())
    ON CONFLICT (tenant_id, collection) DO UPDATE
        SET is_cleared = FALSE, last_id = '', changed_by = excluded.changed_by, horizon = NULL";

const BEGIN_SQLITE: &str = "INSERT INTO universal_search_builds (tenant_id, collection, is_cleared, last_id)
    VALUES ($1, $2, FALSE, '')
    ON CONFLICT (tenant_id, collection) DO UPDATE SET is_cleared = FALSE, last_id = ''";

const CLEARED: &str = "UPDATE universal_search_builds SET is_cleared = TRUE WHERE tenant_id = $1 AND collection = $2";

const PROGRESS: &str = "UPDATE universal_search_builds SET last_id = $3 WHERE tenant_id = $1 AND collection = $2";

const FINISH: &str = "DELETE FROM universal_search_builds WHERE tenant_id = $1 AND collection = $2";

const OTHERS: &str = "SELECT horizon IS NOT NULL,
        coalesce(pg_snapshot_xmin(pg_current_snapshot()) >= horizon, FALSE)
    FROM universal_search_builds WHERE tenant_id = $1 AND collection = $2";

/// The transactions that are open now, once no statement is left that began before the change.
const SET_HORIZON: &str = "UPDATE universal_search_builds SET horizon = pg_snapshot_xmax(pg_current_snapshot())
    WHERE tenant_id = $1 AND collection = $2 AND NOT EXISTS (
        SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
            AND backend_xmin IS NOT NULL AND age(backend_xmin) >= age(universal_search_builds.changed_by::xid))";
