//! The handlers of objects.

use std::sync::Arc;

use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode, header};
use universal_core::{
    error::{Error, Result},
    storage::{ByteStream, ContentType, ListObjects, PutOptions, Storage},
};

use super::{
    answer, condition, place,
    serve::{self, Source},
};
use crate::{
    context::Context,
    extract::page,
    response::{self, Response},
};

/// `GET /storage/{bucket}?prefix=&delimiter=&cursor=&limit=`
pub(super) async fn list(storage: Arc<dyn Storage>, cx: Context) -> Result<Response> {
    let bucket = place::bucket(&cx)?;
    let mut query = cx.query()?;
    let mut list = ListObjects::default().with_limit(page::limit(&mut query)?);
    let mut take = |name: &str| query.take(name).filter(|text| !text.is_empty());
    if let Some(prefix) = take("prefix") {
        list = list.with_prefix(prefix);
    }
    if let Some(delimiter) = take("delimiter") {
        list = list.with_delimiter(delimiter);
    }
    if let Some(cursor) = take("cursor") {
        list = list.with_cursor(cursor);
    }
    query.finish()?;
    let page = storage.list(cx.caller(), &bucket, list).await?;
    response::json(StatusCode::OK, &page)
}

/// `GET` and `HEAD /storage/{bucket}/{key…}`
pub(super) async fn get(storage: Arc<dyn Storage>, cx: Context) -> Result<Response> {
    let (bucket, key) = place::object(&cx)?;
    cx.no_query()?;
    serve::serve(storage, cx, Source::Named(bucket, key)).await
}

/// `PUT /storage/{bucket}/{key…}`
pub(super) async fn put(storage: Arc<dyn Storage>, mut cx: Context) -> Result<Response> {
    let (bucket, key) = place::object(&cx)?;
    cx.no_query()?;
    let (options, content) = upload(&mut cx)?;
    let outcome = storage.put(cx.caller(), &bucket, &key, options, content).await?;
    answer::stored(&cx, &outcome)
}

/// `DELETE /storage/{bucket}/{key…}`
pub(super) async fn delete(storage: Arc<dyn Storage>, cx: Context) -> Result<Response> {
    let (bucket, key) = place::object(&cx)?;
    cx.no_query()?;
    storage.delete(cx.caller(), &bucket, &key, condition::if_match(&cx)?).await?;
    Ok(response::no_content())
}

/// What a request says about its body, and the body as it comes.
///
/// # Errors
/// `Invalid` for headers that say something else than "these bytes".
pub(super) fn upload(cx: &mut Context) -> Result<(PutOptions, ByteStream)> {
    let mut options = PutOptions::default();
    options.content_type = content_type(cx.headers())?;
    options.if_match = condition::if_match(cx)?;
    options.if_none_match = condition::if_none_match(cx)?;
    refuse(cx.headers(), &header::CONTENT_ENCODING, "send the bytes as they are, without Content-Encoding")?;
    refuse(cx.headers(), &header::CONTENT_RANGE, "send the whole object, without Content-Range")?;
    let body = cx.take_body()?;
    options.size = body.declared_length();
    Ok((options, body.into_stream().boxed()))
}

fn content_type(headers: &HeaderMap) -> Result<Option<ContentType>> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let wrong = || {
        Error::invalid("invalid-content-type", "a content type is one media type, for example 'image/png'")
            .with_field("Content-Type")
    };
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| wrong())?;
            ContentType::new(text).map(Some).map_err(|_| wrong())
        }
        (Some(_), Some(_)) => Err(wrong()),
    }
}

fn refuse(headers: &HeaderMap, name: &header::HeaderName, message: &'static str) -> Result<()> {
    let plain = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(name).iter().all(plain) {
        return Ok(());
    }
    Err(Error::invalid("unsupported-media-type", message).with_field(name.as_str()))
}
