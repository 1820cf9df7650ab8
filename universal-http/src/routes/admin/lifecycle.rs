//! Dropping and renaming collections.

use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use universal_core::{
    collections::{Collections, Progress},
    error::Result,
    id::CollectionName,
};

use crate::{
    context::Context,
    response::{self, Response},
};

/// What goes on in the background.
#[derive(Serialize)]
struct UnderWay<'a> {
    name: &'a str,
    state: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    to: String,
}

#[derive(Serialize)]
struct Renamed<'a> {
    name: &'a str,
}

/// `DELETE /admin/collections/{name}`: 204, or 202 while it goes on in the background.
pub(crate) async fn drop_collection(service: Arc<dyn Collections>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    let name = super::collections::name(&cx)?;
    match service.drop_collection(cx.caller(), &name).await? {
        Progress::Done => Ok(response::no_content()),
        Progress::Continues => {
            response::json(StatusCode::ACCEPTED, &UnderWay { name: name.as_str(), state: "dropping" })
        }
    }
}

/// `POST /admin/collections/{name}/rename`: 200 with the new name, or 202 while it goes on in the background.
pub(crate) async fn rename(service: Arc<dyn Collections>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let name = super::collections::name(&cx)?;
    let rename: Rename = cx.json().await?;
    let to = CollectionName::new(rename.to).map_err(|error| error.with_field("/to"))?;
    match service.rename_collection(cx.caller(), &name, &to).await? {
        Progress::Done => response::json(StatusCode::OK, &Renamed { name: to.as_str() }),
        Progress::Continues => {
            response::json(StatusCode::ACCEPTED, &UnderWay { name: name.as_str(), state: "renaming" })
        }
    }
}
