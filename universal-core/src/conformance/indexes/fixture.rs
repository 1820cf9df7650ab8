//! What the cases run on, and how they wait for an index.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    caller::Caller,
    collections::{CollectionSettings, Collections, IndexSettings, IndexState, ListQuery, NewDocument},
    conformance::expect::failed,
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::Object,
    page::Limit,
};

/// What a case runs on: an implementation whose tenant `default` may hold anything already, and which builds indexes.
pub type Fixture = Arc<dyn Collections>;

/// How long an index may take to be built.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

pub(super) fn user() -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::generate())
}

/// A name that no other case has.
pub(super) fn collection() -> Result<CollectionName, String> {
    CollectionName::new(format!("i{}", crate::id::random_hex(6).map_err(failed)?)).map_err(failed)
}

pub(super) fn object(value: Value) -> Result<Object, String> {
    Object::from_value(value).map_err(failed)
}

pub(super) fn id(text: &str) -> Result<DocumentId, String> {
    DocumentId::new(text).map_err(failed)
}

/// Settings with indexes: names and their fields.
pub(super) fn indexes(wanted: &[(&str, &[&str])]) -> CollectionSettings {
    wanted.iter().fold(CollectionSettings::new(), |settings, (name, fields)| {
        settings.with_index(*name, IndexSettings::on(fields.iter().copied()))
    })
}

/// Stores settings and waits until no index is being built any more.
pub(super) async fn configured(
    on: &Fixture,
    name: &CollectionName,
    settings: CollectionSettings,
) -> Result<Vec<(String, IndexState)>, String> {
    on.configure(&system(), name, settings, None).await.map_err(failed)?;
    built(on, name).await
}

/// Waits until no index is being built any more.
pub(super) async fn built(on: &Fixture, name: &CollectionName) -> Result<Vec<(String, IndexState)>, String> {
    let wait = async {
        loop {
            let info = on.settings(&system(), name).await.map_err(failed)?;
            if info.indexes.iter().all(|index| index.state != IndexState::Building) {
                return Ok(info.indexes.into_iter().map(|index| (index.name, index.state)).collect());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.map_err(|_| "the index was not built within a minute".to_owned())?
}

pub(super) async fn put(on: &Fixture, name: &CollectionName, key: &str, body: Value) -> Result<(), String> {
    let document = NewDocument::new(object(body)?).with_id(id(key)?);
    on.create(&system(), name, document).await.map(|_| ()).map_err(failed)
}

pub(super) fn query(filter: &str, sort: &str) -> Result<ListQuery, String> {
    let mut query = ListQuery::new();
    if !filter.is_empty() {
        query = query.with_filter(filter).map_err(failed)?;
    }
    if !sort.is_empty() {
        query = query.with_sort(sort).map_err(failed)?;
    }
    Ok(query)
}

/// The ids of a list, gone through page by page to its end, and back again to its beginning.
pub(super) async fn walked(
    on: &Fixture,
    caller: &Caller,
    name: &CollectionName,
    query: &ListQuery,
    page: u32,
) -> Result<Vec<String>, String> {
    let mut query = query.clone().with_limit(Limit::new(page).map_err(failed)?);
    query.cursor = None;
    let mut forwards: Vec<String> = Vec::new();
    let mut last = loop {
        let found = on.list(caller, name, &query).await.map_err(failed)?.value;
        forwards.extend(found.items.iter().map(|document| document.id.to_string()));
        match &found.next_cursor {
            Some(next) => query.cursor = Some(next.clone()),
            None => break found,
        }
        if forwards.len() > 100_000 {
            return Err("the list does not end".to_owned());
        }
    };
    let mut backwards: Vec<String> = last.items.iter().map(|document| document.id.to_string()).collect();
    while let Some(previous) = last.previous_cursor.take() {
        query.cursor = Some(previous);
        last = on.list(caller, name, &query).await.map_err(failed)?.value;
        let before = last.items.iter().map(|document| document.id.to_string());
        backwards = before.chain(backwards).collect();
    }
    if forwards != backwards {
        return Err(format!("backwards it is another list: {forwards:?} {backwards:?}"));
    }
    Ok(forwards)
}

/// The name of the index that a list uses.
pub(super) async fn used(
    on: &Fixture,
    caller: &Caller,
    name: &CollectionName,
    query: &ListQuery,
) -> Result<Option<String>, String> {
    let explanation = on.explain(&system(), name, query, Some(caller)).await.map_err(failed)?;
    Ok(explanation.index.map(|index| index.name))
}

/// Numbers that look random and are the same in every run.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of `0..sides`.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        // Knuth's MMIX generator; its high bits are good enough here.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides.max(1)
    }
}
