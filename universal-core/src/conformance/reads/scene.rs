//! What the cases are made of.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{
    caller::{Caller, ROLE_ADMIN},
    collections::{Aggregates, CollectionSettings, Collections, Document, ListQuery, NewDocument},
    conformance::expect::failed,
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::Object,
    page::Page,
};

/// What a case runs on: an implementation whose tenant `default` may hold anything already. Every case
/// uses collections of its own.
pub type Fixture = Arc<dyn Collections>;

pub(super) fn user() -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::generate())
}

pub(super) fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

pub(super) fn admin() -> Caller {
    user().with_roles([ROLE_ADMIN])
}

pub(super) async fn configure(on: &Fixture, name: &CollectionName, settings: CollectionSettings) -> Result<(), String> {
    on.configure(&admin(), name, settings, None).await.map(|_| ()).map_err(failed)
}

/// Groups as an answer shows them.
pub(super) fn shown_groups(groups: &Aggregates) -> Result<Value, String> {
    let mut text = String::new();
    groups.write_json(&mut text);
    serde_json::from_str(&text).map_err(failed)
}

/// A document as an answer shows it.
pub(super) fn shown(document: &Document) -> Result<Value, String> {
    let mut text = String::new();
    document.write_json(&mut text);
    serde_json::from_str(&text).map_err(failed)
}

pub(super) fn collection() -> Result<CollectionName, String> {
    let name = format!("c{}", crate::id::random_hex(6).map_err(failed)?);
    CollectionName::new(name).map_err(failed)
}

/// Stores documents whose ids are `00`, `01` and so on.
pub(super) fn store<'a>(
    on: &'a Fixture,
    caller: &'a Caller,
    name: &'a CollectionName,
    bodies: impl IntoIterator<Item = Value>,
) -> BoxFuture<'a, Result<(), String>> {
    // Collected here, so that no borrow of an iterator lives across an await.
    let bodies: Vec<Value> = bodies.into_iter().collect();
    Box::pin(async move {
        for (at, body) in bodies.into_iter().enumerate() {
            put(on, caller, name, &format!("{at:02}"), body).await?;
        }
        Ok(())
    })
}

/// Stores a document.
pub(super) async fn put(
    on: &Fixture,
    caller: &Caller,
    name: &CollectionName,
    id: &str,
    body: Value,
) -> Result<Document, String> {
    let document = NewDocument::new(Object::from_value(body).map_err(failed)?);
    let document = document.with_id(DocumentId::new(id).map_err(failed)?);
    on.create(caller, name, document).await.map_err(failed)
}

/// One page.
pub(super) async fn page(
    on: &Fixture,
    caller: &Caller,
    name: &CollectionName,
    query: &ListQuery,
) -> Result<Page<Document>, String> {
    on.list(caller, name, query).await.map(|found| found.value).map_err(failed)
}

/// The ids of a page.
pub(super) fn ids(page: &Page<Document>) -> Vec<String> {
    page.items.iter().map(|item| item.id.as_str().to_owned()).collect()
}
