//! Settings of collections.

use std::sync::Arc;

use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use universal_core::{
    Caller,
    collections::{CollectionInfo, CollectionSettings, CollectionState, Collections, IndexInfo, IndexState, ListQuery},
    error::{Error, Result},
    id::CollectionName,
};

use crate::{
    context::Context,
    extract::conditional::{self, Tags},
    response::{self, Response},
};

/// A collection as an administrator sees it.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    version: i64,
    state: CollectionState,
    settings: &'a CollectionSettings,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    indexes: Vec<ShownIndex<'a>>,
}

/// How far an index is.
#[derive(Serialize)]
struct ShownIndex<'a> {
    name: &'a str,
    state: IndexState,
    documents: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> From<&'a IndexInfo> for ShownIndex<'a> {
    fn from(info: &'a IndexInfo) -> Self {
        Self { name: &info.name, state: info.state, documents: info.documents, reason: info.reason.as_deref() }
    }
}

/// A list that is to be explained.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Explain {
    filter: Option<String>,
    sort: Option<String>,
    /// Whose list it is; the administrator's own without.
    caller: Option<Asking>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    id: String,
    #[serde(default)]
    roles: Vec<String>,
}

#[derive(Serialize)]
struct List<'a> {
    items: Vec<Shown<'a>>,
}

impl<'a> From<&'a CollectionInfo> for Shown<'a> {
    fn from(info: &'a CollectionInfo) -> Self {
        let indexes = info.indexes.iter().map(ShownIndex::from).collect();
        let (name, version, state) = (info.name.as_str(), info.version, info.state);
        Self { name, version, state, settings: &info.settings, indexes }
    }
}

/// `GET /admin/collections`
pub(crate) async fn list(service: Arc<dyn Collections>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    let found = service.collections(cx.caller()).await?;
    response::json(StatusCode::OK, &List { items: found.iter().map(Shown::from).collect() })
}

/// `GET /admin/collections/{name}`; the `ETag` is the version of the settings.
pub(crate) async fn get(service: Arc<dyn Collections>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    answer(&service.settings(cx.caller(), &name(&cx)?).await?)
}

/// `PUT /admin/collections/{name}`: the whole settings; `If-Match` holds them to a version, `If-None-Match: *` to none.
pub(crate) async fn configure(service: Arc<dyn Collections>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let name = name(&cx)?;
    let expected = expected(&cx)?;
    let settings: CollectionSettings = cx.json().await?;
    answer(&service.configure(cx.caller(), &name, settings, expected).await?)
}

/// `POST /admin/collections/{name}/explain`: which index a list uses, for what, and why not the others.
pub(crate) async fn explain(service: Arc<dyn Collections>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let name = name(&cx)?;
    let body: Explain = cx.json().await?;
    let mut query = ListQuery::new();
    if let Some(filter) = &body.filter {
        query = query.with_filter(filter)?;
    }
    if let Some(sort) = &body.sort {
        query = query.with_sort(sort)?;
    }
    let asking = match body.caller {
        Some(asking) => {
            let id = asking.id.parse().map_err(|error: Error| error.with_field("/caller/id"))?;
            Some(Caller::user(cx.caller().tenant().clone(), id).with_roles(asking.roles))
        }
        None => None,
    };
    response::json(StatusCode::OK, &service.explain(cx.caller(), &name, &query, asking.as_ref()).await?)
}

fn answer(info: &CollectionInfo) -> Result<Response> {
    let mut response = response::json(StatusCode::OK, &Shown::from(info))?;
    response.headers_mut().insert(header::ETAG, conditional::etag(&info.version.to_string())?);
    Ok(response)
}

pub(super) fn name(cx: &Context) -> Result<CollectionName> {
    CollectionName::new(cx.param("name")?)
}

/// The version that the settings must have.
pub(super) fn expected(cx: &Context) -> Result<Option<i64>> {
    let bad = |header: &'static str| {
        Error::invalid("invalid-condition", "settings are compared with one version, the ETag they were read with")
            .with_field(header)
    };
    match (cx.if_match()?, cx.if_none_match()?) {
        (None, None) => Ok(None),
        (None, Some(Tags::Any)) => Ok(Some(0)),
        (Some(Tags::List(tags)), None) => match Tags::strong(tags).as_slice() {
            [version] => version.parse().map(Some).map_err(|_| bad("If-Match")),
            _ => Err(bad("If-Match")),
        },
        (_, Some(_)) => Err(bad("If-None-Match")),
        (Some(_), None) => Err(bad("If-Match")),
    }
}
