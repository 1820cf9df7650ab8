//! The rules of a tenant's collections as the subscribers of one node know them.
//!
//! The hub keeps them fresh for all of them: it looks at the version of the tenant's settings whenever it polls, and
//! reads settings again only when that has changed. So no subscriber asks the database before an event, and a change
//! of rules is noticed by all within a second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    collections::{configured::Configured, port::Configurations},
    engine::class::{Class, ClassKey},
    error::Result,
    id::{CollectionName, TenantId},
};

/// For how long rules hold that nobody has looked at again: a hub that cannot reach the database must not go on with
/// rules that may have been taken back.
const GOOD_FOR: Duration = Duration::from_secs(3);

/// The rules of one collection.
#[derive(Debug)]
pub(crate) struct Ruling {
    tenant: TenantId,
    collection: CollectionName,
    known: RwLock<Option<(Arc<Configured>, Instant)>>,
    classes: Mutex<HashMap<ClassKey, Weak<Class>>>,
}

impl Ruling {
    fn new(tenant: TenantId, collection: CollectionName) -> Self {
        Self { tenant, collection, known: RwLock::default(), classes: Mutex::default() }
    }

    /// The rules, if somebody has looked at them lately.
    fn fresh(&self) -> Option<Arc<Configured>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(_, seen)| seen.elapsed() < GOOD_FOR).map(|(configured, _)| Arc::clone(configured))
    }

    /// What was true at `seen` or later; older news are not taken.
    fn learn(&self, configured: Arc<Configured>, seen: Instant) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|(_, before)| *before <= seen) {
            *known = Some((configured, seen));
        }
    }

    /// The rules as they were at most a few seconds ago.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    pub(crate) async fn now(&self, configurations: &dyn Configurations) -> Result<Arc<Configured>> {
        if let Some(configured) = self.fresh() {
            return Ok(configured);
        }
        let asked = Instant::now();
        let configured = configurations.configured(&self.tenant, &self.collection).await?;
        // What is answered may be a second old.
        self.learn(Arc::clone(&configured), asked.checked_sub(Duration::from_secs(1)).unwrap_or(asked));
        Ok(configured)
    }

    /// The tenant's version of today, and rules that are no older than it.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    pub(crate) async fn at_version(&self, configurations: &dyn Configurations) -> Result<(i64, Arc<Configured>)> {
        let seen = Instant::now();
        let versions = configurations.versions(std::slice::from_ref(&self.tenant)).await?;
        let version = versions.first().map_or(0, |(_, version)| *version);
        let configured = configurations.configured_at(&self.tenant, &self.collection, version).await?;
        self.learn(Arc::clone(&configured), seen);
        Ok((version, configured))
    }

    /// The class of subscribers with this key; one for all of them.
    pub(crate) fn class(&self, key: ClassKey) -> Arc<Class> {
        let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(class) = classes.get(&key).and_then(Weak::upgrade) {
            return class;
        }
        if classes.len() == classes.capacity() {
            classes.retain(|_, class| class.strong_count() > 0);
        }
        let class = Arc::new(Class::default());
        classes.insert(key, Arc::downgrade(&class));
        class
    }
}

/// The rules of all collections of a tenant that somebody subscribes to here.
#[derive(Debug)]
pub(crate) struct Rulings {
    tenant: TenantId,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// The version of the tenant's settings that all of them were read at, or nothing where one may be older.
    version: Option<i64>,
    /// How many came so far.
    came: u64,
    rulings: HashMap<CollectionName, Weak<Ruling>>,
}

impl Rulings {
    pub(crate) fn new(tenant: TenantId) -> Self {
        Self { tenant, held: Mutex::default() }
    }

    /// The rules of a collection; they are kept fresh while somebody holds them.
    pub(crate) fn of(&self, collection: &CollectionName) -> Arc<Ruling> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ruling) = held.rulings.get(collection).and_then(Weak::upgrade) {
            return ruling;
        }
        // Whoever holds it reads the rules by itself; the next look reads them again, so that none are older than it.
        held.version = None;
        held.came += 1;
        let ruling = Arc::new(Ruling::new(self.tenant.clone(), collection.clone()));
        held.rulings.insert(collection.clone(), Arc::downgrade(&ruling));
        ruling
    }

    /// Brings all to this version of the tenant's settings, seen at `seen`. Answers whether any of them changed.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database: what could not be read is read at the next look.
    pub(crate) async fn look(&self, configurations: &dyn Configurations, version: i64, seen: Instant) -> Result<bool> {
        let (known, came, rulings) = self.held();
        let mut changed = false;
        for ruling in rulings {
            let before =
                ruling.known.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(c, _)| Arc::clone(c));
            let now = match before.clone() {
                Some(configured) if known == Some(version) => configured,
                _ => configurations.configured_at(&self.tenant, &ruling.collection, version).await?,
            };
            changed |= before.is_none_or(|before| !Arc::ptr_eq(&before, &now));
            ruling.learn(now, seen);
        }
        if known != Some(version) {
            self.reached(version, came);
        }
        Ok(changed)
    }

    fn held(&self) -> (Option<i64>, u64, Vec<Arc<Ruling>>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.rulings.retain(|_, ruling| ruling.strong_count() > 0);
        (held.version, held.came, held.rulings.values().filter_map(Weak::upgrade).collect())
    }

    /// All are at `version`, unless one came meanwhile: its rules may be older.
    fn reached(&self, version: i64, came: u64) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.came == came {
            held.version = Some(version);
        }
    }
}
