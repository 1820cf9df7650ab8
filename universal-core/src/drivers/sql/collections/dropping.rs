//! Dropping a collection: it is closed to writes, its documents are deleted some in each commit, then its settings.

use std::{sync::Arc, time::Duration};

use crate::{
    caller::Caller,
    collections::{
        configured::closed,
        settings::{CollectionSettings, OnDelete},
        state::{CollectionState, Progress},
    },
    drivers::sql::{
        collections::{
            cascade::{REFERENCED, building},
            configurations::{Known, RAISE, unknown_tenant},
            inbound::Referrer,
            indexes,
            rebuild::key,
            rows,
            service::SqlCollections,
            write::{self, Author},
        },
        feed::SETTINGS_CHANGED,
        statement::column,
        write::Write,
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, TenantId},
};

/// How many documents are deleted in one commit, with those that refer to them a few more.
const BATCH: usize = 100;
/// How many commits a call waits for; the rest is done in the background.
pub(super) const STEPS: u32 = 100;
/// For how long a call waits for transactions that are open.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

impl Write<'_> {
    /// Raises the tenant's version and answers it, and the state of a collection, if it has settings or goes through
    /// something.
    pub(super) async fn state_to_change(
        &mut self,
        tenant: &TenantId,
        collection: &CollectionName,
    ) -> Result<(i64, Option<CollectionState>)> {
        // Whoever changes settings locks the rows of indexes first and the tenant's row then.
        let lock = format!("{}{}", indexes::LOCK_ALL, self.dialect().for_update());
        self.all(&lock, key(tenant, collection)).await?;
        let raised = self.one(RAISE, vec![tenant.as_str().into()]).await?.ok_or_else(unknown_tenant)?;
        let row = self.one(STATE, key(tenant, collection)).await?;
        let state = row.map(|row| CollectionState::stored(&column::<String>(&row, 0)?)).transpose()?;
        Ok((column(&raised, 0)?, state))
    }

    /// Whether a collection holds any document.
    pub(super) async fn holds_documents(&mut self, tenant: &TenantId, collection: &CollectionName) -> Result<bool> {
        let sql = "SELECT id FROM universal_documents WHERE tenant_id = $1 AND collection = $2 ORDER BY id LIMIT 1";
        Ok(self.one(sql, key(tenant, collection)).await?.is_some())
    }

    /// A row for a collection that nobody has configured, to hold its state.
    pub(super) async fn hold_state(
        &mut self,
        tenant: &TenantId,
        collection: &CollectionName,
        now: crate::clock::Timestamp,
    ) -> Result<()> {
        let mut values = key(tenant, collection);
        values.push(serde_json::to_string(&CollectionSettings::default()).map_err(Error::internal)?.into());
        values.push(now.as_micros().into());
        self.execute(HOLD, values).await.map(|_| ())
    }

    async fn close_to_drop(
        &mut self,
        (tenant, collection): (&TenantId, &CollectionName),
        referrers: &[Referrer],
        now: crate::clock::Timestamp,
    ) -> Result<()> {
        match self.state_to_change(tenant, collection).await?.1 {
            Some(CollectionState::Dropping) => return Ok(()),
            Some(CollectionState::Renaming) => return Err(closed()),
            Some(_) => {}
            None if self.holds_documents(tenant, collection).await? => self.hold_state(tenant, collection, now).await?,
            None => return Err(not_found()),
        }
        for referrer in referrers.iter().filter(|referrer| referrer.on_delete == OnDelete::Refuse) {
            let (name, path) = (&referrer.collection, referrer.path.to_string());
            if name != collection && self.is_referred_to(tenant, collection, (name, &path)).await? {
                return Err(referenced(name));
            }
        }
        self.execute(CLOSE, key(tenant, collection)).await.map(|_| ())
    }

    /// Deletes some documents; answers whether there may be more.
    async fn drop_some(&mut self, author: Author<'_>, collection: &CollectionName) -> Result<bool> {
        let dialect = self.dialect();
        let sql = format!(
            "SELECT {} FROM universal_documents WHERE tenant_id = $1 AND collection = $2 ORDER BY id LIMIT $3{}",
            rows::columns(dialect),
            dialect.for_update()
        );
        let mut values = key(author.tenant(), collection);
        values.push(i64::try_from(BATCH).map_err(Error::internal)?.into());
        let found = self.all(&sql, values).await?;
        let mut deleted = 0;
        for row in &found {
            // What refers to them goes too, and may be much.
            if deleted >= 2 * BATCH {
                return Ok(true);
            }
            let document = rows::document(dialect, collection, row)?;
            deleted += write::delete_with(self, author, &document, Some(collection)).await?;
        }
        Ok(found.len() == BATCH)
    }

    /// Removes what is left of a collection without documents. Its indexes are taken away in steps.
    async fn finish_drop(
        &mut self,
        tenant: &TenantId,
        collection: &CollectionName,
        now: crate::clock::Timestamp,
    ) -> Result<()> {
        let (version, state) = self.state_to_change(tenant, collection).await?;
        if state != Some(CollectionState::Dropping) {
            return Ok(());
        }
        let nothing = CollectionSettings::default();
        self.reconcile_indexes(tenant, collection, (&nothing, version), now).await?;
        for sql in LEFT {
            self.execute(sql, key(tenant, collection)).await?;
        }
        Ok(())
    }

    async fn reopen(&mut self, tenant: &TenantId, collection: &CollectionName) -> Result<()> {
        self.one(RAISE, vec![tenant.as_str().into()]).await?;
        self.execute(UNHOLD, key(tenant, collection)).await?;
        self.execute(REOPEN, key(tenant, collection)).await.map(|_| ())
    }
}

impl SqlCollections {
    /// Closes a collection to writes; one that is being dropped is closed already.
    pub(super) async fn begin_drop(&self, tenant: &TenantId, collection: &CollectionName) -> Result<()> {
        let known = self.configurations.read(tenant, collection).await?;
        let referrers = known.inbound.of(collection);
        if referrers.iter().any(|referrer| {
            referrer.collection != *collection && referrer.configured.state() == CollectionState::Building
        }) {
            return Err(building());
        }
        let work = Arc::new((tenant.clone(), collection.clone(), referrers.to_vec()));
        let now = self.clock.now();
        self.database
            .write(move |write| {
                let work = Arc::clone(&work);
                Box::pin(async move { write.close_to_drop((&work.0, &work.1), &work.2, now).await })
            })
            .await
    }

    /// Goes on with dropping a collection that is closed, for so long as somebody may wait for it.
    pub(super) async fn go_on_dropping(&self, caller: &Caller, collection: &CollectionName) -> Result<Progress> {
        if !self.database.outlasts_open_transactions(PATIENCE).await? {
            return Ok(Progress::Continues);
        }
        let tenant = caller.tenant();
        for _ in 0..STEPS {
            let known = self.configurations.read(tenant, collection).await?;
            match self.drop_step(caller, collection, known).await {
                Ok(true) => {}
                Ok(false) => {
                    let (key, now) = ((tenant.clone(), collection.clone()), self.clock.now());
                    self.database
                        .write(move |write| {
                            let key = key.clone();
                            Box::pin(async move { write.finish_drop(&key.0, &key.1, now).await })
                        })
                        .await?;
                    self.index_work.notify_one();
                    self.configurations.forget(tenant, collection);
                    return Ok(Progress::Done);
                }
                Err(error) if error.code() == SETTINGS_CHANGED => {}
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    return Err(self.give_up_dropping(tenant, collection, error).await?);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Progress::Continues)
    }

    async fn drop_step(&self, caller: &Caller, collection: &CollectionName, known: Known) -> Result<bool> {
        if known.configured.state() != CollectionState::Dropping {
            return Ok(false);
        }
        let is_hooked = known.hooks.is_some();
        let work = Arc::new((caller.clone(), collection.clone(), known));
        let now = self.clock.now();
        self.commit(is_hooked, move |write| {
            let work = Arc::clone(&work);
            Box::pin(async move { write.drop_some(Author { caller: &work.0, known: &work.2, now }, &work.1).await })
        })
        .await
    }

    /// A document that refers with `refuse` has come meanwhile, or too many go with one: the collection stays.
    async fn give_up_dropping(&self, tenant: &TenantId, collection: &CollectionName, error: Error) -> Result<Error> {
        let key = (tenant.clone(), collection.clone());
        self.database
            .write(move |write| {
                let key = key.clone();
                Box::pin(async move { write.reopen(&key.0, &key.1).await })
            })
            .await?;
        let code = if error.code() == REFERENCED { COLLECTION_REFERENCED } else { error.code() };
        Ok(Error::new(ErrorKind::Conflict, code, error.message()))
    }
}

/// The error where there is no such collection.
pub(super) fn not_found() -> Error {
    Error::not_found("collection-not-found", "there is no collection of this name: no settings and no documents")
}

const COLLECTION_REFERENCED: &str = "collection-is-referenced";

fn referenced(referrer: &CollectionName) -> Error {
    let message = format!("documents in `{referrer}` refer to documents in it; delete or change them first");
    Error::new(ErrorKind::Conflict, COLLECTION_REFERENCED, message)
}

const STATE: &str = "SELECT state FROM universal_collections WHERE tenant_id = $1 AND name = $2";

const HOLD: &str = "INSERT INTO universal_collections (tenant_id, name, settings, version, created_at, updated_at)
    VALUES ($1, $2, $3, 0, $4, $4)";

const CLOSE: &str = "UPDATE universal_collections SET state = 'dropping' WHERE tenant_id = $1 AND name = $2";

const UNHOLD: &str =
    "DELETE FROM universal_collections WHERE tenant_id = $1 AND name = $2 AND version = 0 AND state = 'dropping'";

const REOPEN: &str =
    "UPDATE universal_collections SET state = 'active' WHERE tenant_id = $1 AND name = $2 AND state = 'dropping'";

const LEFT: [&str; 4] = [
    "DELETE FROM universal_references WHERE tenant_id = $1 AND collection = $2",
    "DELETE FROM universal_expiries WHERE tenant_id = $1 AND collection = $2",
    "DELETE FROM universal_rebuilds WHERE tenant_id = $1 AND collection = $2",
    "DELETE FROM universal_collections WHERE tenant_id = $1 AND name = $2",
];
