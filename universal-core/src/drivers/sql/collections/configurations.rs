//! The settings of collections as this node knows them.
//!
//! A tenant's `settings_version` is raised with every change of any settings. Statements that read or write documents
//! read it too, and whoever finds another number than the one that his settings came with, reads them again.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    collections::{
        configured::{Configured, closed},
        port::Configurations,
        settings::{CollectionInfo, CollectionSettings},
        state::CollectionState,
    },
    drivers::sql::{
        bounded_map::BoundedMap,
        collections::{
            hooks::{CollectionHooks, Hooks},
            inbound::{Inbound, REFERRING},
            indexes,
        },
        connection::Database,
        statement::{Row, column, placeholders},
        write::Write,
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, TenantId},
};

/// How many collections' settings are kept.
const ENTRIES: usize = 20_000;
/// Of how many tenants it is kept which collections refer to which.
const TENANTS: usize = 10_000;
/// For how long settings are taken as they are without a look at the tenant's version.
const FRESH: Duration = Duration::from_secs(1);

/// What is known of a collection's settings.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) configured: Arc<Configured>,
    /// Which collections of the tenant refer to which.
    pub(super) inbound: Arc<Inbound>,
    /// The tenant's version that they came with.
    pub(super) tenant_version: i64,
    /// What the host does with each write of the collection.
    pub(super) hooks: Option<Arc<CollectionHooks>>,
    /// How often an index of the tenant had its first text cut by then.
    cut_version: i64,
    seen: Instant,
}

impl Known {
    /// What is known of another collection of the tenant, by the same version.
    pub(super) fn of(&self, configured: &Arc<Configured>, hooks: Option<Arc<CollectionHooks>>) -> Self {
        Self { configured: Arc::clone(configured), hooks, ..self.clone() }
    }
}

/// Which collections refer to which, with the tenant's version that it belongs to.
type InboundMemory = BoundedMap<TenantId, (i64, Arc<Inbound>)>;

/// A bounded memory of settings, and the way to read them anew.
#[derive(Clone)]
pub(crate) struct SqlConfigurations {
    database: Database,
    memory: Arc<Mutex<BoundedMap<(TenantId, CollectionName), Known>>>,
    inbound: Arc<Mutex<InboundMemory>>,
    undeclared_denied: bool,
    hooks: Hooks,
}

impl SqlConfigurations {
    pub(crate) fn new(database: Database, undeclared_denied: bool) -> Self {
        let memory = Arc::new(Mutex::new(BoundedMap::new(ENTRIES)));
        let inbound = Arc::new(Mutex::new(BoundedMap::new(TENANTS)));
        Self { database, memory, inbound, undeclared_denied, hooks: Hooks::default() }
    }

    /// With hooks of the host's for writes.
    pub(crate) fn with_hooks(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }

    /// What is remembered, however old. Its version must be compared with the one that a statement reads.
    pub(super) fn remembered(&self, tenant: &TenantId, collection: &CollectionName) -> Option<Known> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.get_mut(&(tenant.clone(), collection.clone())).cloned()
    }

    /// The settings, no older than a second.
    pub(super) async fn recent(&self, tenant: &TenantId, collection: &CollectionName) -> Result<Known> {
        match self.remembered(tenant, collection) {
            Some(known) if known.seen.elapsed() < FRESH => Ok(known),
            _ => self.read(tenant, collection).await,
        }
    }

    /// The settings that belong to this version of the tenant's, which a statement has just read.
    pub(super) async fn at_version(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        tenant_version: i64,
    ) -> Result<Known> {
        match self.remembered(tenant, collection) {
            Some(known) if known.tenant_version == tenant_version => Ok(known),
            _ => self.read(tenant, collection).await,
        }
    }

    /// The same for lists, which also need to know whether the order of an index is that of its values.
    pub(super) async fn at_versions(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        (tenant_version, cut_version): (i64, i64),
    ) -> Result<Known> {
        let known = self.at_version(tenant, collection, tenant_version).await?;
        if known.cut_version >= cut_version { Ok(known) } else { self.read(tenant, collection).await }
    }

    /// The settings for what happens inside a transaction, compared by its own connection.
    pub(super) async fn within(
        &self,
        joined: &mut Write<'_>,
        tenant: &TenantId,
        collection: &CollectionName,
    ) -> Result<Known> {
        if let Some(known) = self.remembered(tenant, collection) {
            let sql = "SELECT settings_version FROM universal_tenants WHERE id = $1";
            let row = joined.one(sql, vec![tenant.as_str().into()]).await?.ok_or_else(unknown_tenant)?;
            if column::<i64>(&row, 0)? == known.tenant_version {
                return Ok(known);
            }
        }
        self.read(tenant, collection).await
    }

    /// The settings as they are now.
    pub(super) async fn read(&self, tenant: &TenantId, collection: &CollectionName) -> Result<Known> {
        let seen = Instant::now();
        let (tenant_version, cut_version, configured) = self.load(tenant, collection).await?;
        let inbound = self.inbound(tenant, tenant_version).await?;
        let hooks = match self.remembered(tenant, collection) {
            Some(known) => known.hooks,
            None => self.hooks.of(&self.database, collection),
        };
        let known = Known { configured, inbound, tenant_version, cut_version, hooks, seen };
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.insert((tenant.clone(), collection.clone()), known.clone());
        Ok(known)
    }

    /// The tenant's versions and the settings of a collection, which belong together.
    async fn load(&self, tenant: &TenantId, collection: &CollectionName) -> Result<(i64, i64, Arc<Configured>)> {
        let rows = self.database.all(LOAD, vec![tenant.as_str().into(), collection.as_str().into()]).await?;
        let row = rows.first().ok_or_else(unknown_tenant)?;
        let versions: (i64, i64) = (column(row, 0)?, column(row, 1)?);
        let configured = match self.remembered(tenant, collection) {
            Some(known) if (known.tenant_version, known.cut_version) == versions => known.configured,
            _ => Arc::new(self.compile(row)?.with_indexes(indexes::loaded(&rows, 5)?)),
        };
        Ok((versions.0, versions.1, configured))
    }

    /// Which collections refer to which. What is read here may be newer than `tenant_version`; the statement that
    /// records a write then refuses it, because the tenant's version is no longer that one.
    async fn inbound(&self, tenant: &TenantId, tenant_version: i64) -> Result<Arc<Inbound>> {
        {
            let mut memory = self.inbound.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((version, inbound)) = memory.get_mut(tenant)
                && *version == tenant_version
            {
                return Ok(Arc::clone(inbound));
            }
        }
        let mut found = Inbound::default();
        for row in self.database.all(REFERRING, vec![tenant.as_str().into()]).await? {
            let collection = CollectionName::trusted(column::<String>(&row, 0)?);
            let (_, _, configured) = self.load(tenant, &collection).await?;
            found.add(&collection, &configured, self.hooks.of(&self.database, &collection).as_ref());
        }
        let found = Arc::new(found);
        let mut memory = self.inbound.lock().unwrap_or_else(PoisonError::into_inner);
        memory.insert(tenant.clone(), (tenant_version, Arc::clone(&found)));
        Ok(found)
    }

    fn compile(&self, row: &Row) -> Result<Configured> {
        let Some(text) = column::<Option<String>>(row, 2)? else {
            return Ok(Configured::unconfigured(self.undeclared_denied));
        };
        let (version, state) = (column(row, 3)?, CollectionState::stored(&column::<String>(row, 4)?)?);
        // A row without a version is one of a collection that nobody has configured and that is dropped or renamed.
        if version == 0 {
            return Ok(Configured::unconfigured(self.undeclared_denied).with_state(state));
        }
        compiled(&text, version).map(|configured| configured.with_state(state))
    }

    /// Forgets what is known of a collection.
    pub(super) fn forget(&self, tenant: &TenantId, collection: &CollectionName) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.remove(&(tenant.clone(), collection.clone()));
    }

    /// The settings of a collection, as an administrator sees them.
    pub(super) async fn info(&self, tenant: &TenantId, collection: &CollectionName) -> Result<CollectionInfo> {
        let known = self.read(tenant, collection).await?;
        let configured = &known.configured;
        let info = CollectionInfo::new(collection.clone(), configured.settings.clone(), configured.version);
        let states = indexes::states(&self.database, tenant, collection).await?;
        Ok(info.with_state(configured.state()).with_indexes(states))
    }

    /// All collections that were configured or hold documents, in the order of their names.
    pub(super) async fn all(&self, tenant: &TenantId) -> Result<Vec<CollectionInfo>> {
        let mut found = Vec::new();
        for row in self.database.all(ALL, vec![tenant.as_str().into()]).await? {
            let settings = match column::<Option<String>>(&row, 1)? {
                Some(text) => serde_json::from_str(&text).map_err(Error::internal)?,
                None => CollectionSettings::default(),
            };
            let name = CollectionName::trusted(column::<String>(&row, 0)?);
            let state =
                column::<Option<String>>(&row, 3)?.map_or(Ok(CollectionState::Active), |s| CollectionState::stored(&s));
            let version = column::<Option<i64>>(&row, 2)?.unwrap_or(0);
            found.push(CollectionInfo::new(name, settings, version).with_state(state?));
        }
        Ok(found)
    }
}

#[async_trait]
impl Configurations for SqlConfigurations {
    async fn configured(&self, tenant: &TenantId, collection: &CollectionName) -> Result<Arc<Configured>> {
        Ok(self.recent(tenant, collection).await?.configured)
    }

    async fn configured_at(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        version: i64,
    ) -> Result<Arc<Configured>> {
        match self.remembered(tenant, collection) {
            Some(known) if known.tenant_version >= version => Ok(known.configured),
            _ => Ok(self.read(tenant, collection).await?.configured),
        }
    }

    async fn versions(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, i64)>> {
        let mut versions = Vec::with_capacity(tenants.len());
        for some in tenants.chunks(200) {
            let places = placeholders(1, some.len());
            let sql = format!("SELECT id, settings_version FROM universal_tenants WHERE id IN ({places})");
            let values = some.iter().map(|tenant| tenant.as_str().into()).collect();
            for row in self.database.all(&sql, values).await? {
                versions.push((TenantId::trusted(column::<String>(&row, 0)?), column(&row, 1)?));
            }
        }
        Ok(versions)
    }
}

impl fmt::Debug for SqlConfigurations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlConfigurations").finish_non_exhaustive()
    }
}

impl Write<'_> {
    /// Stores the settings of a collection and raises the tenant's version.
    pub(super) async fn configure(
        &mut self,
        tenant: &TenantId,
        collection: &CollectionName,
        (settings, expected): (&CollectionSettings, Option<i64>),
        now: crate::clock::Timestamp,
    ) -> Result<i64> {
        let text = serde_json::to_string(settings).map_err(Error::internal)?;
        let lock = format!("{}{}", indexes::LOCK_ALL, self.dialect().for_update());
        self.all(&lock, vec![tenant.as_str().into(), collection.as_str().into()]).await?;
        // The tenant's row first: changes of settings in one tenant wait for one another.
        let raised = self.one(RAISE, vec![tenant.as_str().into()]).await?.ok_or_else(unknown_tenant)?;
        let stored = self.one(STORED, vec![tenant.as_str().into(), collection.as_str().into()]).await?;
        let mut version = 0_i64;
        let mut before = CollectionSettings::default();
        if let Some(row) = &stored {
            version = column(row, 0)?;
            before = serde_json::from_str(&column::<String>(row, 1)?).map_err(Error::internal)?;
            if column::<String>(row, 2)? != CollectionState::Active.as_str() {
                return Err(closed());
            }
        }
        if expected.is_some_and(|expected| expected != version) {
            let message = "the settings were changed by somebody else; read them again";
            return Err(Error::new(ErrorKind::PreconditionFailed, "stale-settings", message));
        }
        let values = vec![
            tenant.as_str().into(),
            collection.as_str().into(),
            text.into(),
            (version + 1).into(),
            now.as_micros().into(),
        ];
        self.execute(STORE, values).await?;
        if before.written_beside() != settings.written_beside() {
            self.begin_rebuild(tenant, collection).await?;
        }
        self.reconcile_search(tenant, collection, (stored.is_some().then_some(&before), settings)).await?;
        self.reconcile_indexes(tenant, collection, (settings, column(&raised, 0)?), now).await?;
        Ok(version + 1)
    }
}

/// Settings that are stored. They were checked then; what another version of this program stored may not be.
pub(super) fn compiled(text: &str, version: i64) -> Result<Configured> {
    let settings: CollectionSettings = serde_json::from_str(text).map_err(Error::internal)?;
    Configured::compile(settings, version).map_err(Error::internal)
}

pub(super) fn unknown_tenant() -> Error {
    Error::not_found("tenant-not-found", "there is no such tenant")
}

/// One row, or one for each index that writes maintain.
const LOAD: &str = "SELECT t.settings_version, t.cut_version, c.settings, c.version,
        CASE WHEN c.state = 'active' AND b.collection IS NOT NULL THEN 'building' ELSE c.state END,
        i.id, i.name, i.fields, i.is_unique, i.state, i.is_cut
    FROM universal_tenants t
    LEFT JOIN universal_collections c ON c.tenant_id = t.id AND c.name = $2
    LEFT JOIN universal_rebuilds b ON b.tenant_id = t.id AND b.collection = $2
    LEFT JOIN universal_indexes i ON i.tenant_id = t.id AND i.collection = $2 AND i.state IN ('building', 'ready')
    WHERE t.id = $1 ORDER BY i.id";

/// Whoever decided by older settings notices that they changed.
pub(super) const RAISE: &str =
    "UPDATE universal_tenants SET settings_version = settings_version + 1 WHERE id = $1 RETURNING settings_version";

const STORED: &str = "SELECT version, settings, state FROM universal_collections WHERE tenant_id = $1 AND name = $2";

const STORE: &str = "INSERT INTO universal_collections (tenant_id, name, settings, version, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $5)
    ON CONFLICT (tenant_id, name) DO UPDATE SET settings = excluded.settings, version = excluded.version,
        updated_at = excluded.updated_at";

/// One probe of the key a collection, not a scan of the documents.
const ALL: &str = "WITH RECURSIVE held (name) AS (
        SELECT (SELECT d.collection FROM universal_documents d WHERE d.tenant_id = $1 ORDER BY d.collection LIMIT 1)
        UNION ALL
        SELECT (SELECT d.collection FROM universal_documents d WHERE d.tenant_id = $1 AND d.collection > held.name
                ORDER BY d.collection LIMIT 1)
        FROM held WHERE held.name IS NOT NULL),
    names (name) AS (
        SELECT name FROM held WHERE name IS NOT NULL
        UNION SELECT name FROM universal_collections WHERE tenant_id = $1)
    SELECT names.name, c.settings, c.version,
        CASE WHEN c.state = 'active' AND b.collection IS NOT NULL THEN 'building' ELSE c.state END
    FROM names
    LEFT JOIN universal_collections c ON c.tenant_id = $1 AND c.name = names.name
    LEFT JOIN universal_rebuilds b ON b.tenant_id = $1 AND b.collection = names.name
    ORDER BY names.name";
