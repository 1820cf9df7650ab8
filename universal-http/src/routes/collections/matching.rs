//! Writes by filter.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use universal_core::{
    collections::{Affected, Collections, Command, Matching, MatchingWrite},
    error::{Error, Result},
    id::CollectionName,
    json::Object,
    page::{Limit, MAX_LIMIT},
};

use super::{condition, perform::perform};
use crate::{
    context::Context,
    extract::page,
    response::{self, Response},
};

/// `PATCH /db/{collection}?filter=&limit=&cursor=`
pub(crate) async fn patch(service: Arc<dyn Collections>, mut cx: Context) -> Result<Response> {
    let matching = matching(&cx)?;
    let patch = Object::parse_patch(&cx.json_bytes().await?)?;
    write(&service, &cx, matching, MatchingWrite::Patch(patch)).await
}

/// `DELETE /db/{collection}?filter=&limit=&cursor=`
pub(crate) async fn delete(service: Arc<dyn Collections>, cx: Context) -> Result<Response> {
    let matching = matching(&cx)?;
    write(&service, &cx, matching, MatchingWrite::Delete).await
}

async fn write(
    service: &Arc<dyn Collections>,
    cx: &Context,
    matching: Matching,
    write: MatchingWrite,
) -> Result<Response> {
    let done = perform(service, cx, Command::Matching(matching, write)).await?;
    done.answer(|outcome| response::json(StatusCode::OK, &Shown::from(&outcome.into_affected()?)))
}

/// Which documents, as the query says.
fn matching(cx: &Context) -> Result<Matching> {
    let collection = CollectionName::new(cx.param("collection")?)?;
    condition::none(cx, "many documents have many revisions; put what must be true of each in the filter")?;
    let mut query = cx.query()?;
    // Without one, a forgotten filter would empty the collection.
    let filter = query.take("filter").filter(|text| !text.trim().is_empty()).ok_or_else(|| {
        let message = "say which documents with `filter`; `filter=true` matches all";
        Error::invalid("missing-parameter", message).with_field("filter")
    })?;
    let limit = page::limit_or(&mut query, Limit::new(MAX_LIMIT)?)?;
    let mut matching = Matching::new(collection, &filter)?.with_limit(limit);
    if let Some(cursor) = query.take("cursor").filter(|text| !text.is_empty()) {
        matching = matching.with_cursor(cursor);
    }
    query.finish()?;
    Ok(matching)
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    matched: u64,
    changed: u64,
    more: bool,
    next_cursor: Option<&'a str>,
}

impl<'a> From<&'a Affected> for Shown<'a> {
    fn from(affected: &'a Affected) -> Self {
        let next_cursor = affected.next_cursor.as_deref();
        Self { matched: affected.matched, changed: affected.changed, more: next_cursor.is_some(), next_cursor }
    }
}
