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
        configured::Configured,
        port::Configurations,
        settings::{CollectionInfo, CollectionSettings},
    },
    drivers::sql::{
        bounded_map::BoundedMap,
        collections::{
            hooks::{CollectionHooks, Hooks},
            indexes,
        },
        connection::Database,
        statement::{Row, column},
        write::Write,
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, TenantId},
};

/// How many collections' settings are kept.
const ENTRIES: usize = 20_000;
/// For how long settings are taken as they are without a look at the tenant's version.
const FRESH: Duration = Duration::from_secs(1);

/// What is known of a collection's settings.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) configured: Arc<Configured>,
    /// The tenant's version that they came with.
    pub(super) tenant_version: i64,
    /// What the host does with each write of the collection.
    pub(super) hooks: Option<Arc<CollectionHooks>>,
    /// How often an index of the tenant had its first text cut by then.
    cut_version: i64,
    seen: Instant,
}

/// A bounded memory of settings, and the way to read them anew.
#[derive(Clone)]
pub(crate) struct SqlConfigurations {
    database: Database,
    memory: Arc<Mutex<BoundedMap<(TenantId, CollectionName), Known>>>,
    undeclared_denied: bool,
    hooks: Hooks,
}

impl SqlConfigurations {
    pub(crate) fn new(database: Database, undeclared_denied: bool) -> Self {
        let memory = Arc::new(Mutex::new(BoundedMap::new(ENTRIES)));
        Self { database, memory, undeclared_denied, hooks: Hooks::default() }
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

    /// The settings as they are now.
    pub(super) async fn read(&self, tenant: &TenantId, collection: &CollectionName) -> Result<Known> {
        let seen = Instant::now();
        let rows = self.database.all(LOAD, vec![tenant.as_str().into(), collection.as_str().into()]).await?;
        let row = rows.first().ok_or_else(unknown_tenant)?;
        let (tenant_version, cut_version): (i64, i64) = (column(row, 0)?, column(row, 1)?);
        let remembered = self.remembered(tenant, collection);
        let (configured, hooks) = match remembered {
            Some(known) if (known.tenant_version, known.cut_version) == (tenant_version, cut_version) => {
                (known.configured, known.hooks)
            }
            remembered => {
                let configured = Arc::new(self.compile(row)?.with_indexes(indexes::loaded(&rows, 4)?));
                let hooks = match remembered {
                    Some(known) => known.hooks,
                    None => self.hooks.of(&self.database, collection),
                };
                (configured, hooks)
            }
        };
        let known = Known { configured, tenant_version, cut_version, hooks, seen };
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.insert((tenant.clone(), collection.clone()), known.clone());
        Ok(known)
    }

    fn compile(&self, row: &Row) -> Result<Configured> {
        let Some(text) = column::<Option<String>>(row, 2)? else {
            return Ok(Configured::unconfigured(self.undeclared_denied));
        };
        let settings: CollectionSettings = serde_json::from_str(&text).map_err(Error::internal)?;
        // They were checked when they were stored; what another version of this program stored may not be.
        Configured::compile(settings, column(row, 3)?).map_err(Error::internal)
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
        Ok(info.with_indexes(indexes::states(&self.database, tenant, collection).await?))
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
            found.push(CollectionInfo::new(name, settings, column::<Option<i64>>(&row, 2)?.unwrap_or(0)));
        }
        Ok(found)
    }
}

#[async_trait]
impl Configurations for SqlConfigurations {
    async fn configured(&self, tenant: &TenantId, collection: &CollectionName) -> Result<Arc<Configured>> {
        Ok(self.recent(tenant, collection).await?.configured)
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
        let row = self.one(VERSION, vec![tenant.as_str().into(), collection.as_str().into()]).await?;
        let version = row.as_ref().map(|row| column::<i64>(row, 0)).transpose()?.unwrap_or(0);
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
        let before = row.map(|row| column::<String>(&row, 1)).transpose()?;
        let before = before.and_then(|text| serde_json::from_str::<CollectionSettings>(&text).ok());
        self.reconcile_search(tenant, collection, (before.as_ref(), settings)).await?;
        self.reconcile_indexes(tenant, collection, (settings, column(&raised, 0)?), now).await?;
        Ok(version + 1)
    }
}

pub(super) fn unknown_tenant() -> Error {
    Error::not_found("tenant-not-found", "there is no such tenant")
}

/// One row, or one for each index that writes maintain.
const LOAD: &str = "SELECT t.settings_version, t.cut_version, c.settings, c.version,
        i.id, i.name, i.fields, i.is_unique, i.state, i.is_cut
    FROM universal_tenants t
    LEFT JOIN universal_collections c ON c.tenant_id = t.id AND c.name = $2
    LEFT JOIN universal_indexes i ON i.tenant_id = t.id AND i.collection = $2 AND i.state IN ('building', 'ready')
    WHERE t.id = $1 ORDER BY i.id";

/// Whoever decided by older settings notices that they changed.
pub(super) const RAISE: &str =
    "UPDATE universal_tenants SET settings_version = settings_version + 1 WHERE id = $1 RETURNING settings_version";

const VERSION: &str = "SELECT version, settings FROM universal_collections WHERE tenant_id = $1 AND name = $2";

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
    SELECT names.name, c.settings, c.version FROM names
    LEFT JOIN universal_collections c ON c.tenant_id = $1 AND c.name = names.name
    ORDER BY names.name";
