//! What cases run on, and how they say what they want in few words.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    caller::{Caller, ROLE_ADMIN},
    clock::ManualClock,
    collections::{
        CollectionSettings, Collections, Document, ListQuery, Maintenance, NewDocument, OnDelete, Precondition,
        Progress, Reference, Rules,
    },
    conformance::expect::{check_eq, failed},
    error::Error,
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::Object,
    realtime::{Event, Realtime, Subscribe, Subscription},
};

/// How long an event may take before a case gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a case runs on: an implementation whose tenant `default` may hold anything already.
#[derive(Clone)]
#[non_exhaustive]
pub struct Fixture {
    /// Where a case writes.
    pub collections: Arc<dyn Collections>,
    /// What deletes documents whose time is over.
    pub maintenance: Arc<dyn Maintenance>,
    /// Where it hears of changes.
    pub realtime: Arc<dyn Realtime>,
    /// The clock of the implementation.
    pub clock: Arc<ManualClock>,
}

impl Fixture {
    /// A fixture.
    #[must_use]
    pub fn new(
        collections: Arc<dyn Collections>,
        maintenance: Arc<dyn Maintenance>,
        realtime: Arc<dyn Realtime>,
        clock: Arc<ManualClock>,
    ) -> Self {
        Self { collections, maintenance, realtime, clock }
    }

    /// A collection of its own with these settings.
    pub(super) async fn configured(&self, settings: CollectionSettings) -> Result<CollectionName, String> {
        let name = collection()?;
        self.configure(&name, settings).await?;
        Ok(name)
    }

    /// A collection whose member `to` refers to documents of `target`.
    pub(super) async fn referring(&self, target: &CollectionName, what: OnDelete) -> Result<CollectionName, String> {
        self.configured(refers("to", target, what)).await
    }

    pub(super) async fn configure(&self, name: &CollectionName, settings: CollectionSettings) -> Result<(), String> {
        self.collections.configure(&admin(), name, settings, None).await.map(|_| ()).map_err(failed)
    }

    pub(super) async fn put(&self, name: &CollectionName, key: &str, value: Value) -> Result<Document, Error> {
        let body = Object::from_value(value)?;
        let written =
            self.collections.replace(&admin(), name, &DocumentId::new(key)?, body, Precondition::None).await?;
        Ok(written.into_document())
    }

    pub(super) async fn make(&self, name: &CollectionName, key: &str, value: Value) -> Result<Document, String> {
        self.put(name, key, value).await.map_err(|error| format!("{name}/{key}: {error:?}"))
    }

    pub(super) async fn patch(&self, name: &CollectionName, key: &str, value: Value) -> Result<Document, Error> {
        let patch = Object::patch_from_value(value)?;
        self.collections.patch(&admin(), name, &DocumentId::new(key)?, patch, Precondition::None).await
    }

    pub(super) async fn delete(&self, name: &CollectionName, key: &str) -> Result<(), Error> {
        self.collections.delete(&admin(), name, &DocumentId::new(key)?, Precondition::None).await
    }

    /// The ids that a collection holds.
    pub(super) async fn ids(&self, name: &CollectionName) -> Result<Vec<String>, String> {
        let page = self.collections.list(&admin(), name, &ListQuery::new()).await.map_err(failed)?.value;
        Ok(page.items.iter().map(|document| document.id.to_string()).collect())
    }

    pub(super) async fn holds(&self, name: &CollectionName, ids: &[&str]) -> Result<(), String> {
        let expected: Vec<String> = ids.iter().map(ToString::to_string).collect();
        check_eq(&self.ids(name).await?, &expected).map_err(|found| format!("{name}: {found}"))
    }

    /// Drops a collection, however often that must be asked for.
    pub(super) async fn drop(&self, name: &CollectionName) -> Result<(), String> {
        while self.collections.drop_collection(&admin(), name).await.map_err(failed)? == Progress::Continues {}
        Ok(())
    }

    /// Renames a collection, however often that must be asked for.
    pub(super) async fn rename(&self, from: &CollectionName, to: &CollectionName) -> Result<(), String> {
        while self.collections.rename_collection(&admin(), from, to).await.map_err(failed)? == Progress::Continues {}
        Ok(())
    }

    /// Turns the clock and does what is then due.
    pub(super) async fn later(&self, seconds: u64) -> Result<(), String> {
        self.clock.advance(Duration::from_secs(seconds));
        while self.maintenance.maintain().await.map_err(failed)? {}
        Ok(())
    }

    pub(super) async fn subscribe(&self, name: &CollectionName) -> Result<Subscription, String> {
        self.realtime.subscribe(&admin(), Subscribe::to(name.clone())).await.map_err(failed)
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

/// That these changes come, as `op id`. Others may come too: a change from before is numbered when it is.
pub(super) async fn heard(
    subscription: &mut Subscription,
    expected: impl IntoIterator<Item = String>,
) -> Result<(), String> {
    let mut missing: BTreeSet<String> = expected.into_iter().collect();
    while !missing.is_empty() {
        let event = tokio::time::timeout(PATIENCE, subscription.next()).await;
        match event.map_err(|_| format!("these changes did not come: {missing:?}"))?.map_err(failed)? {
            Event::Change(change) => {
                missing.remove(&format!("{} {}", change.kind().as_str(), change.id()));
            }
            other => return Err(format!("no change but {other:?}")),
        }
    }
    Ok(())
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

pub(super) fn user() -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::generate())
}

pub(super) fn admin() -> Caller {
    user().with_roles([ROLE_ADMIN])
}

/// A name that no other case has.
pub(super) fn collection() -> Result<CollectionName, String> {
    CollectionName::new(format!("l{}", crate::id::random_hex(6).map_err(failed)?)).map_err(failed)
}

/// Settings whose member `path` refers to documents of `target`.
pub(super) fn refers(path: &str, target: &CollectionName, what: OnDelete) -> CollectionSettings {
    CollectionSettings::new().with_reference(path, Reference::to(target.as_str()).with_on_delete(what))
}

/// Rules that allow everything to everybody.
pub(super) fn open() -> Rules {
    let rules = Rules::default().with_list("true").with_get("true").with_create("true");
    rules.with_update("true").with_delete("true")
}

pub(super) fn value(body: &str) -> Result<Value, String> {
    serde_json::from_str(body).map_err(failed)
}

pub(super) fn new(value: Value) -> Result<NewDocument, String> {
    Object::from_value(value).map(NewDocument::new).map_err(failed)
}
