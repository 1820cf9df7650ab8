//! Rules of channels.

use std::sync::Arc;

use http::{StatusCode, header};
use serde::Serialize;
use universal_core::{
    error::Result,
    realtime::{ChannelInfo, ChannelPattern, ChannelSettings, Channels},
};

use super::collections::expected;
use crate::{
    context::Context,
    extract::conditional,
    response::{self, Response},
};

/// The rules of a pattern as an administrator sees them.
#[derive(Serialize)]
struct Shown<'a> {
    pattern: &'a str,
    version: i64,
    settings: &'a ChannelSettings,
}

impl<'a> From<&'a ChannelInfo> for Shown<'a> {
    fn from(info: &'a ChannelInfo) -> Self {
        Self { pattern: info.pattern.as_str(), version: info.version, settings: &info.settings }
    }
}

#[derive(Serialize)]
struct List<'a> {
    items: Vec<Shown<'a>>,
}

/// `GET /admin/channels`
pub(crate) async fn list(service: Arc<dyn Channels>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    let found = service.configured(cx.caller()).await?;
    response::json(StatusCode::OK, &List { items: found.iter().map(Shown::from).collect() })
}

/// `GET /admin/channels/{pattern}`; the `ETag` is the version of the settings.
pub(crate) async fn get(service: Arc<dyn Channels>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    answer(&service.settings(cx.caller(), &pattern(&cx)?).await?)
}

/// `PUT /admin/channels/{pattern}`: the whole settings; `If-Match` holds them to a version, `If-None-Match: *` to none.
pub(crate) async fn configure(service: Arc<dyn Channels>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let pattern = pattern(&cx)?;
    let expected = expected(&cx)?;
    let settings: ChannelSettings = cx.json().await?;
    answer(&service.configure(cx.caller(), &pattern, settings, expected).await?)
}

/// `DELETE /admin/channels/{pattern}`: its channels are for administrators again, or have the rules of a shorter pattern.
pub(crate) async fn unconfigure(service: Arc<dyn Channels>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    let expected = expected(&cx)?;
    service.unconfigure(cx.caller(), &pattern(&cx)?, expected).await?;
    Ok(response::no_content())
}

fn answer(info: &ChannelInfo) -> Result<Response> {
    let mut response = response::json(StatusCode::OK, &Shown::from(info))?;
    response.headers_mut().insert(header::ETAG, conditional::etag(&info.version.to_string())?);
    Ok(response)
}

fn pattern(cx: &Context) -> Result<ChannelPattern> {
    ChannelPattern::new(cx.param("pattern")?)
}
