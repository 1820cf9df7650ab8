//! Settings of collections.

use std::sync::Arc;

use http::{StatusCode, header};
use serde::Serialize;
use universal_core::{
    collections::{CollectionInfo, CollectionSettings, CollectionState, Collections},
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
}

#[derive(Serialize)]
struct List<'a> {
    items: Vec<Shown<'a>>,
}

impl<'a> From<&'a CollectionInfo> for Shown<'a> {
    fn from(info: &'a CollectionInfo) -> Self {
        Self { name: info.name.as_str(), version: info.version, state: info.state, settings: &info.settings }
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

fn answer(info: &CollectionInfo) -> Result<Response> {
    let mut response = response::json(StatusCode::OK, &Shown::from(info))?;
    response.headers_mut().insert(header::ETAG, conditional::etag(&info.version.to_string())?);
    Ok(response)
}

pub(super) fn name(cx: &Context) -> Result<CollectionName> {
    CollectionName::new(cx.param("name")?)
}

/// The version that the settings must have.
fn expected(cx: &Context) -> Result<Option<i64>> {
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
