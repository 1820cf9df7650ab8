//! The rules of channels, and what this node remembers of them.
//!
//! A tenant's `channels_version` is raised with every change. What is remembered is taken as it is for a second; then
//! the version tells whether it must be read again.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    clock::Timestamp,
    drivers::sql::{
        bounded_map::BoundedMap,
        connection::Database,
        statement::{Row, column},
    },
    error::{Error, ErrorKind, Result},
    id::TenantId,
    realtime::channel_rule::{
        ChannelInfo, ChannelPattern, ChannelRuleSet, ChannelRules, ChannelSettings, MAX_PATTERNS,
    },
};

/// Of how many tenants the rules are kept in memory.
const TENANTS: usize = 10_000;
/// For how long they are taken as they are without a look at the tenant's version.
const FRESH: Duration = Duration::from_secs(1);

/// Rules in a SQL database. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SqlChannelRules {
    database: Database,
    memory: Arc<Mutex<BoundedMap<TenantId, Known>>>,
}

#[derive(Clone)]
struct Known {
    version: i64,
    rules: Arc<ChannelRuleSet>,
    seen: Instant,
}

impl SqlChannelRules {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, memory: Arc::new(Mutex::new(BoundedMap::new(TENANTS))) }
    }

    fn remembered(&self, tenant: &TenantId) -> Option<Known> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).get_mut(tenant).cloned()
    }

    fn remember(&self, tenant: &TenantId, known: Known) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone(), known);
    }

    async fn version(&self, tenant: &TenantId) -> Result<i64> {
        let row = self.database.one(VERSION, vec![tenant.as_str().into()]).await?.ok_or_else(unknown_tenant)?;
        column(&row, 0)
    }
}

#[async_trait]
impl ChannelRules for SqlChannelRules {
    async fn rules(&self, tenant: &TenantId) -> Result<Arc<ChannelRuleSet>> {
        let remembered = self.remembered(tenant);
        if let Some(known) = &remembered
            && known.seen.elapsed() < FRESH
        {
            return Ok(Arc::clone(&known.rules));
        }
        let seen = Instant::now();
        // The version first: what is read after it may be newer, never older.
        let version = self.version(tenant).await?;
        let rules = match remembered {
            Some(known) if known.version == version => known.rules,
            // They were checked when they were stored; what another version of this program stored may not be.
            _ => Arc::new(ChannelRuleSet::compile(&self.stored(tenant).await?).map_err(Error::internal)?),
        };
        self.remember(tenant, Known { version, rules: Arc::clone(&rules), seen });
        Ok(rules)
    }

    async fn stored(&self, tenant: &TenantId) -> Result<Vec<ChannelInfo>> {
        let rows = self.database.all(ALL, vec![tenant.as_str().into()]).await?;
        rows.iter().map(info).collect()
    }

    async fn store(
        &self,
        tenant: &TenantId,
        pattern: &ChannelPattern,
        settings: ChannelSettings,
        expected: Option<i64>,
        now: Timestamp,
    ) -> Result<ChannelInfo> {
        let text = serde_json::to_string(&settings).map_err(Error::internal)?;
        let (owner, name) = (tenant.clone(), pattern.clone());
        let version = self
            .database
            .write(move |write| {
                let (tenant, pattern, text) = (owner.clone(), name.clone(), text.clone());
                Box::pin(async move {
                    // The tenant's row first: changes of rules in one tenant wait for one another.
                    let raised = write.one(RAISE, vec![tenant.as_str().into()]).await?.ok_or_else(unknown_tenant)?;
                    let raised: i64 = column(&raised, 0)?;
                    let key = || vec![tenant.as_str().into(), pattern.as_str().into()];
                    let version = write.one(STORED, key()).await?.map_or(Ok(0), |row| column::<i64>(&row, 0))?;
                    fresh(expected, version)?;
                    if version == 0 {
                        let count = write.one(COUNT, vec![tenant.as_str().into()]).await?;
                        let count = count.map_or(Ok(0), |row| column::<i64>(&row, 0))?;
                        if count >= i64::try_from(MAX_PATTERNS).unwrap_or(i64::MAX) {
                            return Err(too_many());
                        }
                    }
                    let mut values = key();
                    // The tenant's number, so that a pattern that is taken away and set again has never the same.
                    values.extend([text.into(), raised.into(), now.as_micros().into()]);
                    write.execute(STORE, values).await?;
                    Ok(raised)
                })
            })
            .await?;
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
        Ok(ChannelInfo::new(pattern.clone(), settings, version))
    }

    async fn forget(&self, tenant: &TenantId, pattern: &ChannelPattern, expected: Option<i64>) -> Result<()> {
        let (owner, name) = (tenant.clone(), pattern.clone());
        self.database
            .write(move |write| {
                let (tenant, pattern) = (owner.clone(), name.clone());
                Box::pin(async move {
                    write.one(RAISE, vec![tenant.as_str().into()]).await?.ok_or_else(unknown_tenant)?;
                    let key = || vec![tenant.as_str().into(), pattern.as_str().into()];
                    let row = write.one(STORED, key()).await?.ok_or_else(|| {
                        Error::not_found("channel-rules-not-found", "there are no rules for this pattern")
                    })?;
                    fresh(expected, column(&row, 0)?)?;
                    write.execute(FORGET, key()).await.map(|_| ())
                })
            })
            .await?;
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
        Ok(())
    }
}

impl fmt::Debug for SqlChannelRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlChannelRules").finish_non_exhaustive()
    }
}

fn info(row: &Row) -> Result<ChannelInfo> {
    let settings = serde_json::from_str(&column::<String>(row, 1)?).map_err(Error::internal)?;
    Ok(ChannelInfo::new(ChannelPattern::trusted(column::<String>(row, 0)?), settings, column(row, 2)?))
}

fn fresh(expected: Option<i64>, version: i64) -> Result<()> {
    if expected.is_none_or(|expected| expected == version) {
        return Ok(());
    }
    let message = "the settings were changed by somebody else; read them again";
    Err(Error::new(ErrorKind::PreconditionFailed, "stale-settings", message))
}

fn too_many() -> Error {
    let message = format!("a tenant has rules for {MAX_PATTERNS} patterns of channels at most");
    Error::new(ErrorKind::Conflict, "too-many-channel-rules", message)
}

fn unknown_tenant() -> Error {
    Error::not_found("tenant-not-found", "there is no such tenant")
}

const VERSION: &str = "SELECT channels_version FROM universal_tenants WHERE id = $1";

const RAISE: &str =
    "UPDATE universal_tenants SET channels_version = channels_version + 1 WHERE id = $1 RETURNING channels_version";

const ALL: &str = "SELECT pattern, settings, version FROM universal_channels WHERE tenant_id = $1 ORDER BY pattern";

const STORED: &str = "SELECT version FROM universal_channels WHERE tenant_id = $1 AND pattern = $2";

const COUNT: &str = "SELECT COUNT(*) FROM universal_channels WHERE tenant_id = $1";

const STORE: &str = "INSERT INTO universal_channels (tenant_id, pattern, settings, version, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $5)
    ON CONFLICT (tenant_id, pattern) DO UPDATE SET settings = excluded.settings, version = excluded.version,
        updated_at = excluded.updated_at";

const FORGET: &str = "DELETE FROM universal_channels WHERE tenant_id = $1 AND pattern = $2";
