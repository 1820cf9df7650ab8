//! Renaming a collection: both names are closed to writes, the documents move some in each commit, then what refers to it.

use std::sync::Arc;

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        configured::closed,
        settings::CollectionSettings,
        state::{CollectionState, Progress},
    },
    drivers::sql::{
        collections::{
            cascade::building,
            configurations::Known,
            dropping::{PATIENCE, STEPS, not_found},
            inbound::REFERRING,
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

/// How many documents move in one commit.
const BATCH: i64 = 100;
/// How many references follow in one commit.
const FOLLOWING: i64 = 1000;

/// The new name is held, and nobody has looked yet whether documents came to it meanwhile.
const RESERVED: &str = "reserved";
const EXISTS: &str = "collection-exists";

impl Write<'_> {
    /// Closes both names.
    async fn close_to_rename(
        &mut self,
        tenant: &TenantId,
        (from, to): (&CollectionName, &CollectionName),
        now: Timestamp,
    ) -> Result<()> {
        match self.state_to_change(tenant, from).await?.1 {
            Some(CollectionState::Renaming) => return self.same_rename(tenant, from, to).await,
            Some(CollectionState::Dropping) => return Err(closed()),
            Some(_) => {}
            None if self.holds_documents(tenant, from).await? => self.hold_state(tenant, from, now).await?,
            None => return Err(not_found()),
        }
        if self.one(REBUILDING, key(tenant, from)).await?.is_some() {
            return Err(building());
        }
        match self.state_to_change(tenant, to).await?.1 {
            Some(CollectionState::Renaming | CollectionState::Dropping) => return Err(closed()),
            Some(_) => return Err(exists()),
            None if self.holds_documents(tenant, to).await? => return Err(exists()),
            None => {}
        }
        let settings = self.one(SETTINGS, key(tenant, from)).await?.ok_or_else(not_found)?;
        let mut settings: CollectionSettings =
            serde_json::from_str(&column::<String>(&settings, 0)?).map_err(Error::internal)?;
        follow(&mut settings, from, to);
        let mut values = key(tenant, from);
        values.push(to.as_str().into());
        self.execute(CLOSE, values.clone()).await?;
        values.push(serde_json::to_string(&settings).map_err(Error::internal)?.into());
        values.push(now.as_micros().into());
        self.execute(RESERVE, values).await.map(|_| ())
    }

    async fn same_rename(&mut self, tenant: &TenantId, from: &CollectionName, to: &CollectionName) -> Result<()> {
        let row = self.one(SETTINGS, key(tenant, from)).await?.ok_or_else(not_found)?;
        let under_way = column::<Option<String>>(&row, 1)?;
        if under_way.as_deref() == Some(to.as_str()) { Ok(()) } else { Err(closed()) }
    }

    /// Moves some documents, or else some references to them; answers whether there may be more.
    async fn rename_some(&mut self, author: Author<'_>, from: &CollectionName, to: &CollectionName) -> Result<bool> {
        let tenant = author.tenant();
        let row = self.one(STATE, key(tenant, to)).await?;
        if row.map(|row| column::<String>(&row, 0)).transpose()?.as_deref() == Some(RESERVED) {
            if self.holds_documents(tenant, to).await? {
                return Err(exists());
            }
            self.execute(CONFIRM, key(tenant, to)).await?;
        }
        let dialect = self.dialect();
        let sql = format!(
            "SELECT {} FROM universal_documents WHERE tenant_id = $1 AND collection = $2 ORDER BY id LIMIT $3{}",
            rows::columns(dialect),
            dialect.for_update()
        );
        let mut values = key(tenant, from);
        values.push(BATCH.into());
        let found = self.all(&sql, values).await?;
        for row in &found {
            write::move_to(self, author, &rows::document(dialect, from, row)?, to).await?;
        }
        if !found.is_empty() {
            return Ok(true);
        }
        let mut values = key(tenant, from);
        values.push(to.as_str().into());
        values.push(FOLLOWING.into());
        Ok(self.execute(FOLLOW, values).await? > 0)
    }

    /// Gives the settings of others the new name, and opens it.
    async fn finish_rename(
        &mut self,
        tenant: &TenantId,
        (from, to): (&CollectionName, &CollectionName),
        now: Timestamp,
    ) -> Result<()> {
        if self.state_to_change(tenant, from).await?.1 != Some(CollectionState::Renaming) {
            return Ok(());
        }
        for row in self.all(REFERRING, vec![tenant.as_str().into()]).await? {
            let name = CollectionName::trusted(column::<String>(&row, 0)?);
            let Some(row) = self.one(SETTINGS, key(tenant, &name)).await? else { continue };
            let mut settings: CollectionSettings =
                serde_json::from_str(&column::<String>(&row, 0)?).map_err(Error::internal)?;
            if name != *from && follow(&mut settings, from, to) {
                let mut values = key(tenant, &name);
                values.push(serde_json::to_string(&settings).map_err(Error::internal)?.into());
                values.push(now.as_micros().into());
                self.execute(STORE, values).await?;
            }
        }
        let mut values = key(tenant, from);
        values.push(to.as_str().into());
        // Their entries do not name the collection.
        self.execute(MOVE_INDEXES, values).await?;
        self.execute(FORGET, key(tenant, from)).await?;
        let mut values = key(tenant, to);
        values.push(now.as_micros().into());
        self.execute(OPEN, values).await?;
        self.execute(UNHOLD, key(tenant, to)).await.map(|_| ())
    }

    async fn give_up_renaming(&mut self, tenant: &TenantId, from: &CollectionName, to: &CollectionName) -> Result<()> {
        self.state_to_change(tenant, from).await?;
        self.execute(FORGET_RESERVED, key(tenant, to)).await?;
        self.execute(UNHOLD, key(tenant, from)).await?;
        self.execute(REOPEN, key(tenant, from)).await.map(|_| ())
    }
}

impl SqlCollections {
    /// Closes both names to writes; if the same is under way, they are closed already.
    pub(super) async fn begin_rename(
        &self,
        tenant: &TenantId,
        from: &CollectionName,
        to: &CollectionName,
    ) -> Result<()> {
        if from == to {
            return Err(exists());
        }
        let work = Arc::new((tenant.clone(), from.clone(), to.clone()));
        let now = self.clock.now();
        self.database
            .write(move |write| {
                let work = Arc::clone(&work);
                Box::pin(async move { write.close_to_rename(&work.0, (&work.1, &work.2), now).await })
            })
            .await
    }

    /// Goes on with renaming a collection that is closed, for so long as somebody may wait for it.
    pub(super) async fn go_on_renaming(
        &self,
        caller: &Caller,
        from: &CollectionName,
        to: &CollectionName,
    ) -> Result<Progress> {
        if !self.database.outlasts_open_transactions(PATIENCE).await? {
            return Ok(Progress::Continues);
        }
        for _ in 0..STEPS {
            let known = self.configurations.read(caller.tenant(), from).await?;
            match self.rename_step(caller, (from, to), known).await {
                Ok(true) => {}
                Ok(false) => {
                    self.end_rename(caller.tenant(), (from, to), true).await?;
                    return Ok(Progress::Done);
                }
                Err(error) if error.code() == SETTINGS_CHANGED => {}
                Err(error) if error.code() == EXISTS => {
                    self.end_rename(caller.tenant(), (from, to), false).await?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Progress::Continues)
    }

    async fn rename_step(
        &self,
        caller: &Caller,
        (from, to): (&CollectionName, &CollectionName),
        known: Known,
    ) -> Result<bool> {
        if known.configured.state() != CollectionState::Renaming {
            return Ok(false);
        }
        let work = Arc::new((caller.clone(), from.clone(), to.clone(), known));
        let now = self.clock.now();
        self.database
            .write(move |write| {
                let work = Arc::clone(&work);
                Box::pin(async move {
                    let author = Author { caller: &work.0, known: &work.3, now };
                    write.rename_some(author, &work.1, &work.2).await
                })
            })
            .await
    }

    async fn end_rename(
        &self,
        tenant: &TenantId,
        (from, to): (&CollectionName, &CollectionName),
        done: bool,
    ) -> Result<()> {
        let work = Arc::new((tenant.clone(), from.clone(), to.clone()));
        let now = self.clock.now();
        self.database
            .write(move |write| {
                let work = Arc::clone(&work);
                Box::pin(async move {
                    let (tenant, from, to) = &*work;
                    match done {
                        true => write.finish_rename(tenant, (from, to), now).await,
                        false => write.give_up_renaming(tenant, from, to).await,
                    }
                })
            })
            .await?;
        self.configurations.forget(tenant, from);
        self.configurations.forget(tenant, to);
        Ok(())
    }
}

/// Gives references to `from` the new name; answers whether there was one.
fn follow(settings: &mut CollectionSettings, from: &CollectionName, to: &CollectionName) -> bool {
    let mut followed = false;
    for reference in settings.references.values_mut() {
        if reference.collection == from.as_str() {
            to.as_str().clone_into(&mut reference.collection);
            followed = true;
        }
    }
    followed
}

fn exists() -> Error {
    let message =
        "there is a collection of the new name: it has settings or documents; drop it first or take another name";
    Error::new(ErrorKind::Conflict, EXISTS, message).with_field("/to")
}

const SETTINGS: &str = "SELECT settings, renamed_to FROM universal_collections WHERE tenant_id = $1 AND name = $2";

const STATE: &str = "SELECT state FROM universal_collections WHERE tenant_id = $1 AND name = $2";

/// References of any collection, and the words and indexes of this one.
const REBUILDING: &str = "SELECT collection FROM universal_rebuilds WHERE tenant_id = $1
    UNION ALL SELECT collection FROM universal_search_builds WHERE tenant_id = $1 AND collection = $2
    UNION ALL SELECT collection FROM universal_indexes
        WHERE tenant_id = $1 AND collection = $2 AND state = 'building' LIMIT 1";

const MOVE_INDEXES: &str = "UPDATE universal_indexes SET collection = $3 WHERE tenant_id = $1 AND collection = $2";

const CLOSE: &str =
    "UPDATE universal_collections SET state = 'renaming', renamed_to = $3 WHERE tenant_id = $1 AND name = $2";

const RESERVE: &str = "INSERT INTO universal_collections
    (tenant_id, name, settings, version, created_at, updated_at, state)
    SELECT tenant_id, $3, $4, version, created_at, $5, 'reserved' FROM universal_collections
    WHERE tenant_id = $1 AND name = $2";

const CONFIRM: &str = "UPDATE universal_collections SET state = 'renaming' WHERE tenant_id = $1 AND name = $2";

const FOLLOW: &str = "UPDATE universal_references SET target_collection = $3
    WHERE tenant_id = $1 AND target_collection = $2 AND (target_id, collection, path, doc_id) IN (
        SELECT target_id, collection, path, doc_id FROM universal_references
        WHERE tenant_id = $1 AND target_collection = $2 ORDER BY target_id, collection, path, doc_id LIMIT $4)";

const STORE: &str = "UPDATE universal_collections SET settings = $3, version = version + 1, updated_at = $4
    WHERE tenant_id = $1 AND name = $2";

const FORGET: &str = "DELETE FROM universal_collections WHERE tenant_id = $1 AND name = $2";

const OPEN: &str = "UPDATE universal_collections SET state = 'active', updated_at = $3,
        version = CASE WHEN version = 0 THEN 0 ELSE version + 1 END
    WHERE tenant_id = $1 AND name = $2";

/// A collection that nobody has configured has no row.
const UNHOLD: &str = "DELETE FROM universal_collections WHERE tenant_id = $1 AND name = $2 AND version = 0";

const FORGET_RESERVED: &str =
    "DELETE FROM universal_collections WHERE tenant_id = $1 AND name = $2 AND state = 'reserved'";

const REOPEN: &str =
    "UPDATE universal_collections SET state = 'active', renamed_to = NULL WHERE tenant_id = $1 AND name = $2";
