//! Aggregates and distinct values.

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;
use universal_core::{
    collections::{AggregateQuery, Collections, DistinctQuery, GroupLimit, aggregate::MAX_GROUPS},
    error::{Error, Result},
};

use super::{answer, documents::collection};
use crate::{
    context::Context,
    extract::{page, query::Query},
    response::{self, Response},
};

/// `GET /db/{collection}/_aggregate?filter=&group=&select=&sort=&limit=`
pub(crate) async fn aggregate(service: Arc<dyn Collections>, cx: Context) -> Result<Response> {
    let collection = collection(&cx)?;
    let mut query = cx.query()?;
    let mut asked = AggregateQuery::new().with_limit(limit(&mut query)?);
    if let Some(filter) = query.take_text("filter") {
        asked = asked.with_filter(&filter)?;
    }
    if let Some(group) = query.take_text("group") {
        asked = asked.with_group(&group)?;
    }
    if let Some(select) = query.take_text("select") {
        asked = asked.with_select(&select)?;
    }
    if let Some(sort) = query.take_text("sort") {
        asked = asked.with_sort(&sort)?;
    }
    query.finish()?;
    let found = service.aggregate(cx.caller(), &collection, &asked).await?;
    let mut text = String::new();
    found.value.write_json(&mut text);
    answer::with_cursor(response::json_text(StatusCode::OK, text), Some(&found.cursor))
}

/// `GET /db/{collection}/_distinct?field=&filter=&limit=`
pub(crate) async fn distinct(service: Arc<dyn Collections>, cx: Context) -> Result<Response> {
    let collection = collection(&cx)?;
    let mut query = cx.query()?;
    let field = query.take_text("field").ok_or_else(|| {
        Error::invalid("missing-parameter", "`field` names the field whose values are wanted").with_field("field")
    })?;
    let mut asked = DistinctQuery::new(&field)?.with_limit(limit(&mut query)?);
    if let Some(filter) = query.take_text("filter") {
        asked = asked.with_filter(&filter)?;
    }
    query.finish()?;
    let found = service.distinct(cx.caller(), &collection, &asked).await?;
    let shown = json!({ "values": found.value.values, "more": found.value.more });
    answer::with_cursor(response::json(StatusCode::OK, &shown)?, Some(&found.cursor))
}

fn limit(query: &mut Query) -> Result<GroupLimit> {
    page::number(query, MAX_GROUPS)?.map_or_else(|| Ok(GroupLimit::default()), GroupLimit::new)
}
