//! What is written beside documents, written for those that are there when the settings change.
//!
//! First it waits for the transactions that were decided by other settings, then it clears what is there, then it goes
//! through the documents in the order of their ids, some in each commit. Writes go on meanwhile, and write their own rows
//! by the new settings. Until it is done, documents that may be referred to are not deleted. Any number of nodes may do it
//! at once; another change of the settings begins it again.

use std::time::Duration;

use crate::{
    collections::configured::Configured,
    drivers::sql::{
        collections::{
            configurations::{RAISE, compiled},
            references::members,
            rows,
            service::SqlCollections,
        },
        statement::column,
        write::Write,
    },
    error::{Error, Result},
    id::{CollectionName, TenantId},
};

/// How many documents are looked through in one commit.
const BATCH: i64 = 100;
/// How many rows are cleared in one commit.
const CLEARED: i64 = 1000;
/// How many commits the change of the settings waits for; the rest is done in the background.
const STEPS: u32 = 100;
/// For how long it waits for transactions that are open.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Transactions that were decided by other settings may be open.
    Wait,
    /// There is more to do.
    Went,
    /// All is done.
    Done,
}

impl Write<'_> {
    /// Has the documents of a collection looked through, once this transaction is committed.
    pub(super) async fn begin_rebuild(&mut self, tenant: &TenantId, collection: &CollectionName) -> Result<()> {
        self.execute(BEGIN, key(tenant, collection)).await.map(|_| ())
    }

    async fn rebuild_step(&mut self, tenant: &TenantId, collection: &CollectionName, waited: bool) -> Result<Step> {
        let look = format!("{LOOK}{}", self.dialect().for_update());
        let Some(row) = self.one(&look, key(tenant, collection)).await? else { return Ok(Step::Done) };
        let (phase, after): (String, String) = (column(&row, 0)?, column(&row, 1)?);
        match phase.as_str() {
            "waiting" if !waited => Ok(Step::Wait),
            "waiting" | "clearing" => self.clear(tenant, collection).await,
            "filling" => self.fill(tenant, collection, &after).await,
            "done" => {
                self.one(RAISE, vec![tenant.as_str().into()]).await?;
                self.execute(FORGET, key(tenant, collection)).await?;
                Ok(Step::Done)
            }
            _ => Err(Error::internal(format!("`{phase}` is no phase of a rebuild"))),
        }
    }

    async fn clear(&mut self, tenant: &TenantId, collection: &CollectionName) -> Result<Step> {
        let mut cleared = 0;
        for table in ["universal_references", "universal_expiries"] {
            let sql = format!(
                "DELETE FROM {table} WHERE tenant_id = $1 AND collection = $2 AND doc_id IN (
                    SELECT doc_id FROM {table} WHERE tenant_id = $1 AND collection = $2 ORDER BY doc_id LIMIT $3)"
            );
            let mut values = key(tenant, collection);
            values.push(CLEARED.into());
            cleared += self.execute(&sql, values).await?;
        }
        let phase = if cleared == 0 { "filling" } else { "clearing" };
        self.reached(tenant, collection, phase, "").await
    }

    async fn fill(&mut self, tenant: &TenantId, collection: &CollectionName, after: &str) -> Result<Step> {
        // Read under the lock of the rebuild, which a change of the settings takes too.
        let settings = self.one(SETTINGS, key(tenant, collection)).await?;
        let Some(row) = settings else { return self.reached(tenant, collection, "done", "").await };
        let configured = compiled(&column::<String>(&row, 0)?, column(&row, 1)?)?;
        let dialect = self.dialect();
        let sql = format!(
            "SELECT {} FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id > $3
             ORDER BY id LIMIT $4{}",
            rows::columns(dialect),
            dialect.for_no_key_update()
        );
        let mut values = key(tenant, collection);
        values.push(after.into());
        values.push(BATCH.into());
        let found = self.all(&sql, values).await?;
        let mut last = after.to_owned();
        for row in &found {
            let document = rows::document(dialect, collection, row)?;
            self.rebuild_one(tenant, &configured, &document).await?;
            document.id.as_str().clone_into(&mut last);
        }
        let more = i64::try_from(found.len()).map_err(Error::internal)? == BATCH;
        self.reached(tenant, collection, if more { "filling" } else { "done" }, &last).await
    }

    async fn rebuild_one(
        &mut self,
        tenant: &TenantId,
        configured: &Configured,
        document: &crate::collections::document::Document,
    ) -> Result<()> {
        let members = members(document)?;
        self.rebuild_references(tenant, configured, (document, &members)).await?;
        self.rebuild_expiry(tenant, configured, (document, &members)).await
    }

    async fn reached(
        &mut self,
        tenant: &TenantId,
        collection: &CollectionName,
        phase: &str,
        after: &str,
    ) -> Result<Step> {
        let mut values = key(tenant, collection);
        values.push(phase.into());
        values.push(after.into());
        self.execute(REACHED, values).await?;
        Ok(Step::Went)
    }
}

impl SqlCollections {
    /// Goes on with the rebuild of a collection, if there is one, for so long as somebody may wait for it.
    pub(super) async fn rebuild(&self, tenant: &TenantId, collection: &CollectionName) -> Result<()> {
        let mut waited = false;
        for _ in 0..STEPS {
            let key = (tenant.clone(), collection.clone());
            let step = self.database.write(move |write| {
                let key = key.clone();
                Box::pin(async move { write.rebuild_step(&key.0, &key.1, waited).await })
            });
            match step.await? {
                Step::Wait if self.database.outlasts_open_transactions(PATIENCE).await? => waited = true,
                Step::Wait | Step::Done => return Ok(()),
                Step::Went => {}
            }
        }
        Ok(())
    }

    /// Goes on with rebuilds that were left to the background.
    pub(super) async fn rebuild_all(&self) -> Result<bool> {
        let waiting = self.database.all(ALL, vec![]).await?;
        for row in &waiting {
            let tenant = TenantId::trusted(column::<String>(row, 0)?);
            self.rebuild(&tenant, &CollectionName::trusted(column::<String>(row, 1)?)).await?;
        }
        Ok(!waiting.is_empty())
    }
}

pub(super) fn key(tenant: &TenantId, collection: &CollectionName) -> Vec<sea_orm::Value> {
    vec![tenant.as_str().into(), collection.as_str().into()]
}

const BEGIN: &str = "INSERT INTO universal_rebuilds (tenant_id, collection, phase, after_id)
    VALUES ($1, $2, 'waiting', '')
    ON CONFLICT (tenant_id, collection) DO UPDATE SET phase = excluded.phase, after_id = excluded.after_id";

const LOOK: &str = "SELECT phase, after_id FROM universal_rebuilds WHERE tenant_id = $1 AND collection = $2";

const REACHED: &str =
    "UPDATE universal_rebuilds SET phase = $3, after_id = $4 WHERE tenant_id = $1 AND collection = $2";

const FORGET: &str = "DELETE FROM universal_rebuilds WHERE tenant_id = $1 AND collection = $2";

const SETTINGS: &str = "SELECT settings, version FROM universal_collections WHERE tenant_id = $1 AND name = $2";

/// Goes across tenants, as the upkeep does.
const ALL: &str = "SELECT tenant_id, collection FROM universal_rebuilds ORDER BY tenant_id, collection LIMIT 20";
