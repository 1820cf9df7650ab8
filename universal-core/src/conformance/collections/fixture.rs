//! What cases run on, and how they say what they want in few words.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    caller::Caller,
    collections::{Collections, Document, NewDocument, Precondition},
    conformance::expect::failed,
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::Object,
};

/// What a case runs on: an implementation whose tenant `default` may hold anything already.
pub type Fixture = Arc<dyn Collections>;

pub(super) fn user() -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::generate())
}

pub(super) fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

/// A name that no other case has.
pub(super) fn collection() -> Result<CollectionName, String> {
    let name = format!("c{}", crate::id::random_hex(6).map_err(failed)?);
    CollectionName::new(name).map_err(failed)
}

pub(super) fn object(value: Value) -> Result<Object, String> {
    Object::from_value(value).map_err(failed)
}

pub(super) fn patch(value: Value) -> Result<Object, String> {
    Object::patch_from_value(value).map_err(failed)
}

pub(super) fn new(value: Value) -> Result<NewDocument, String> {
    Ok(NewDocument::new(object(value)?))
}

pub(super) fn id(text: &str) -> Result<DocumentId, String> {
    DocumentId::new(text).map_err(failed)
}

pub(super) fn value(body: &str) -> Result<Value, String> {
    serde_json::from_str(body).map_err(failed)
}

pub(super) fn has(revision: &str) -> Precondition {
    Precondition::Revision(vec![revision.to_owned()])
}

/// A document as the program sees it.
pub(super) async fn stored(on: &Fixture, name: &CollectionName, id: &DocumentId) -> Result<Document, String> {
    Ok(on.get(&system(), name, id).await.map_err(failed)?.value)
}
