//! Whole collections in and out, as lines of JSON.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderValue, StatusCode, header};
use universal_core::{
    collections::{Collections, Document, ExportQuery, ImportMeta, ImportMode, ImportOptions, OnError},
    error::{Error, Result},
    id::CollectionName,
};

use super::answer;
use crate::{
    body::ResponseBody,
    context::Context,
    extract::{json, query::Query},
    response::{self, Response},
};

/// The media type of lines of JSON.
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// `GET /db/{collection}/_export?filter=`
pub(super) async fn export(service: Arc<dyn Collections>, cx: Context) -> Result<Response> {
    let collection = CollectionName::new(cx.param("collection")?)?;
    let mut query = cx.query()?;
    let mut export = ExportQuery::new();
    if let Some(filter) = query.take("filter").filter(|text| !text.trim().is_empty()) {
        export = export.with_filter(&filter)?;
    }
    query.finish()?;
    let found = service.export(cx.caller(), &collection, &export).await?;
    let request = Arc::clone(cx.request_id());
    let pages = found.value.map(move |page| match page {
        Ok(documents) => Ok(lines(&documents)),
        Err(error) => {
            // The status is sent: all that can still be said is that the answer has no end.
            tracing::warn!(request.id = %request, error = ?error, "an export broke off");
            Err(error)
        }
    });
    let mut response = response::empty(StatusCode::OK);
    response.headers_mut().insert(header::CONTENT_TYPE, NDJSON);
    *response.body_mut() = ResponseBody::stream(pages);
    answer::with_cursor(response, Some(&found.cursor))
}

/// `POST /db/{collection}/_import?mode=&on_error=&meta=`
pub(super) async fn import(service: Arc<dyn Collections>, mut cx: Context) -> Result<Response> {
    let collection = CollectionName::new(cx.param("collection")?)?;
    let options = options(cx.query()?, cx.state().limits.import_body)?;
    json::require_lines(cx.headers())?;
    let body = cx.take_body()?;
    let report = service.import(cx.caller(), &collection, body.into_stream().boxed(), options).await?;
    response::json(StatusCode::OK, &report)
}

fn options(mut query: Query, max_bytes: Option<u64>) -> Result<ImportOptions> {
    let mut options = ImportOptions::new();
    options.max_bytes = max_bytes;
    options.mode = choice(&mut query, "mode", &[("insert", ImportMode::Insert), ("upsert", ImportMode::Upsert)])?;
    options.on_error = choice(&mut query, "on_error", &[("report", OnError::Report), ("abort", OnError::Abort)])?;
    options.meta = choice(&mut query, "meta", &[("ignore", ImportMeta::Ignore), ("keep", ImportMeta::Keep)])?;
    query.finish()?;
    Ok(options)
}

/// One of the words that a parameter may be.
fn choice<T: Copy + Default>(query: &mut Query, name: &str, words: &[(&str, T)]) -> Result<T> {
    let Some(text) = query.take(name).filter(|text| !text.is_empty()) else { return Ok(T::default()) };
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        Error::invalid("invalid-parameter", format!("`{name}` is {}", words.join(" or "))).with_field(name)
    })
}

/// One document a line, as a read shows it.
fn lines(documents: &[Document]) -> Bytes {
    let bytes: usize = documents.iter().map(|document| document.body.len() + 220).sum();
    let mut text = String::with_capacity(bytes);
    for document in documents {
        document.write_json(&mut text);
        // PostgreSQL writes no line ends into the text of a JSON value, and in strings they are escaped.
        text.push('\n');
    }
    text.into()
}
