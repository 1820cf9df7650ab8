//! The rules of a tenant's collections as the subscribers of one node know them.
//!
//! The hub keeps them fresh for all of them: it looks at the version of the tenant's settings whenever it polls, and
//! reads settings again only when that has changed. So no subscriber asks the database before an event, and a change
//! of rules is noticed by all within a second.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
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
/// How many collections' rules are read at once after a change.
const AT_ONCE: usize = 8;

/// The rules of one collection.
#[derive(Debug)]
pub(crate) struct Ruling {
    tenant: TenantId,
    collection: CollectionName,
    known: RwLock<Option<Known>>,
    /// How many rules were known so far: tells those that are known now from all before.
    stamp: AtomicU64,
    begun: Instant,
    /// They were true so many milliseconds after `begun`, or later.
    seen: AtomicU64,
    /// Whether they have changed since the readers were last woken.
    changed: AtomicBool,
    classes: Mutex<HashMap<ClassKey, Weak<Class>>>,
}

#[derive(Clone, Debug)]
struct Known {
    configured: Arc<Configured>,
    /// The version of the tenant's settings that they are no older than; nothing where that is not known.
    version: Option<i64>,
    /// They were true at this moment or later.
    seen: Instant,
}

impl Ruling {
    fn new(tenant: TenantId, collection: CollectionName) -> Self {
        Self {
            tenant,
            collection,
            known: RwLock::default(),
            stamp: AtomicU64::new(0),
            begun: Instant::now(),
            seen: AtomicU64::new(0),
            changed: AtomicBool::new(false),
            classes: Mutex::default(),
        }
    }

    fn known(&self) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The rules with their stamp, if somebody has looked at them within `good_for`.
    fn within(&self, good_for: Duration) -> Option<(Arc<Configured>, u64)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().filter(|known| known.seen.elapsed() < good_for)?;
        Some((Arc::clone(&known.configured), self.stamp.load(Ordering::Acquire)))
    }

    /// Whether the rules with this stamp are those that are known, however long ago they were looked at.
    pub(crate) fn is_latest(&self, stamp: u64) -> bool {
        self.stamp.load(Ordering::Acquire) == stamp
    }

    /// Whether the rules with this stamp still hold, without a lock: it is asked for every event at every subscriber.
    pub(crate) fn holds(&self, stamp: u64) -> bool {
        let age = || self.begun.elapsed().saturating_sub(Duration::from_millis(self.seen.load(Ordering::Acquire)));
        self.is_latest(stamp) && age() < GOOD_FOR
    }

    /// Takes news, unless they are older than what is known: by the version where both have one, else by time.
    fn learn(&self, news: Known) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = known.as_mut() else {
            self.note(news.seen, true);
            *known = Some(news);
            return;
        };
        let is_older = match (before.version, news.version) {
            (Some(before), Some(news)) => news < before,
            _ => news.seen < before.seen,
        };
        if is_older {
            return;
        }
        let others = !Arc::ptr_eq(&before.configured, &news.configured);
        if others {
            self.changed.store(true, Ordering::Release);
        }
        let seen = before.seen.max(news.seen);
        self.note(seen, others);
        *before = Known { seen, ..news };
    }

    /// What is asked without the lock; to be called with it.
    fn note(&self, seen: Instant, others: bool) {
        let seen = seen.saturating_duration_since(self.begun).as_millis();
        if others {
            self.stamp.fetch_add(1, Ordering::AcqRel);
        }
        self.seen.store(u64::try_from(seen).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// The rules as they were at most a few seconds ago.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    pub(crate) async fn now(&self, configurations: &dyn Configurations) -> Result<Arc<Configured>> {
        Ok(self.stamped(configurations).await?.0)
    }

    /// As [`now`](Self::now), with the stamp by which [`holds`](Self::holds) knows them.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    pub(crate) async fn stamped(&self, configurations: &dyn Configurations) -> Result<(Arc<Configured>, u64)> {
        if let Some(fresh) = self.within(GOOD_FOR) {
            return Ok(fresh);
        }
        let asked = Instant::now();
        let configured = configurations.configured(&self.tenant, &self.collection).await?;
        // What is answered may be a second old.
        let seen = asked.checked_sub(Duration::from_secs(1)).unwrap_or(asked);
        self.learn(Known { configured: Arc::clone(&configured), version: None, seen });
        // These, or newer ones that somebody has learned meanwhile.
        Ok(self.within(Duration::MAX).unwrap_or((configured, 0)))
    }

    /// The tenant's version of today, and rules that are no older than it.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    pub(crate) async fn at_version(&self, configurations: &dyn Configurations) -> Result<(i64, Arc<Configured>)> {
        let seen = Instant::now();
        let versions = configurations.versions(std::slice::from_ref(&self.tenant)).await?;
        let version = versions.first().map_or(0, |(_, version)| *version);
        let configured = self.bring_to(configurations, version, seen).await?;
        Ok((version, configured))
    }

    /// Rules that are no older than this version, which was the tenant's at `seen` or later.
    async fn bring_to(
        &self,
        configurations: &dyn Configurations,
        version: i64,
        seen: Instant,
    ) -> Result<Arc<Configured>> {
        let configured = match self.known() {
            Some(known) if known.version == Some(version) => known.configured,
            _ => configurations.configured_at(&self.tenant, &self.collection, version).await?,
        };
        self.learn(Known { configured: Arc::clone(&configured), version: Some(version), seen });
        Ok(configured)
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
    held: Mutex<HashMap<CollectionName, Weak<Ruling>>>,
}

impl Rulings {
    pub(crate) fn new(tenant: TenantId) -> Self {
        Self { tenant, held: Mutex::default() }
    }

    /// The rules of a collection; they are kept fresh while somebody holds them.
    pub(crate) fn of(&self, collection: &CollectionName) -> Arc<Ruling> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ruling) = held.get(collection).and_then(Weak::upgrade) {
            return ruling;
        }
        let ruling = Arc::new(Ruling::new(self.tenant.clone(), collection.clone()));
        held.insert(collection.clone(), Arc::downgrade(&ruling));
        ruling
    }

    /// Brings all to this version of the tenant's settings, seen at `seen`. Answers whether the rules of any have
    /// changed since it was last asked, whoever noticed it first.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database, with what was noticed all the same: what could not be read is read
    /// at the next look.
    pub(crate) async fn look(
        &self,
        configurations: &dyn Configurations,
        version: i64,
        seen: Instant,
    ) -> (bool, Result<()>) {
        let rulings = self.held();
        let mut all = Ok(());
        let mut looks = stream::iter(rulings.clone())
            .map(|ruling: Arc<Ruling>| async move { ruling.bring_to(configurations, version, seen).await.map(drop) })
            .buffer_unordered(AT_ONCE);
        while let Some(looked) = looks.next().await {
            all = all.and(looked);
        }
        let changed = rulings.iter().filter(|ruling| ruling.changed.swap(false, Ordering::AcqRel)).count() > 0;
        (changed, all)
    }

    fn held(&self) -> Vec<Arc<Ruling>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, ruling| ruling.strong_count() > 0);
        held.values().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(configured: &Arc<Configured>, version: Option<i64>, seen: Instant) -> Known {
        Known { configured: Arc::clone(configured), version, seen }
    }

    #[tokio::test]
    async fn a_later_version_stands_over_an_earlier_one_whenever_it_was_seen() {
        let ruling = Ruling::new(TenantId::default_tenant(), CollectionName::new("c").unwrap());
        let (one, two) = (Arc::new(Configured::unconfigured(false)), Arc::new(Configured::unconfigured(true)));
        let (early, late) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        // Somebody saw version 1 late; the hub's look, which began before it, brings version 2.
        ruling.learn(known(&one, Some(1), late));
        ruling.learn(known(&two, Some(2), early));
        assert!(Arc::ptr_eq(&ruling.known().unwrap().configured, &two));
        ruling.learn(known(&one, Some(1), late));
        assert!(Arc::ptr_eq(&ruling.known().unwrap().configured, &two));
        ruling.learn(known(&one, None, early));
        assert!(Arc::ptr_eq(&ruling.known().unwrap().configured, &two), "what was seen earlier is not newer");
        assert_eq!(ruling.known().unwrap().version, Some(2));
    }

    #[tokio::test]
    async fn whoever_notices_other_rules_first_all_are_told() {
        let rulings = Rulings::new(TenantId::default_tenant());
        let ruling = rulings.of(&CollectionName::new("c").unwrap());
        let configurations = crate::collections::port::Unconfigured;
        ruling.now(&configurations).await.unwrap();
        let _ = rulings.look(&configurations, 0, Instant::now()).await;
        let other = Arc::new(Configured::unconfigured(true));
        ruling.learn(known(&other, Some(1), Instant::now()));
        let (changed, looked) = rulings.look(&configurations, 1, Instant::now()).await;
        assert!(changed && looked.is_ok());
        assert!(!rulings.look(&configurations, 1, Instant::now()).await.0);
    }
}
