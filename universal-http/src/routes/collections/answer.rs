//! Documents as answers: spliced from stored text, never parsed.

use http::{HeaderName, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use universal_core::{collections::Document, cursor::Cursor, error::Result, page::Page};

use crate::{
    context::Context,
    extract::conditional,
    response::{self, Response, header_value},
};

/// A place in the feed that is not later than what the answer shows.
const FEED_CURSOR: HeaderName = HeaderName::from_static("feed-cursor");

/// What stands unescaped in a path segment (RFC 3986 `unreserved`).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One document with its `ETag`.
pub(crate) fn document(status: StatusCode, document: &Document, cursor: Option<&Cursor>) -> Result<Response> {
    let mut text = String::new();
    document.write_json(&mut text);
    let mut response = response::json_text(status, text);
    response.headers_mut().insert(header::ETAG, conditional::etag(document.revision.as_str())?);
    with_cursor(response, cursor)
}

/// A document that is new: 201 and where it is.
pub(crate) fn created(cx: &Context, new: &Document) -> Result<Response> {
    let mut response = document(StatusCode::CREATED, new, None)?;
    let link = cx.link(&format!("/db/{}/{}", new.collection, utf8_percent_encode(new.id.as_str(), SEGMENT)));
    response.headers_mut().insert(header::LOCATION, header_value(&link)?);
    Ok(response)
}

/// 304: the caller has this version already.
pub(crate) fn not_modified(document: &Document, cursor: &Cursor) -> Result<Response> {
    let mut response = response::empty(StatusCode::NOT_MODIFIED);
    response.headers_mut().insert(header::ETAG, conditional::etag(document.revision.as_str())?);
    with_cursor(response, Some(cursor))
}

/// A page of documents.
pub(crate) fn page(page: &Page<Document>, cursor: &Cursor) -> Result<Response> {
    let bytes: usize = page.items.iter().map(|document| document.body.len() + 220).sum();
    let mut text = String::with_capacity(bytes + 256);
    text.push_str("{\"items\":[");
    for (at, document) in page.items.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        document.write_json(&mut text);
    }
    text.push(']');
    // Cursors are base64url and need no escape; null says that there is no further page.
    for (name, value) in [("next_cursor", &page.next_cursor), ("previous_cursor", &page.previous_cursor)] {
        let value = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
        text.push_str(&format!(",\"{name}\":{value}"));
    }
    if let Some(count) = &page.count {
        text.push_str(&format!(",\"count\":{},\"count_precision\":\"{}\"", count.value, count.precision.as_str()));
    }
    text.push('}');
    with_cursor(response::json_text(StatusCode::OK, text), Some(cursor))
}

/// With a place in the feed that is not later than what the answer shows.
pub(super) fn with_cursor(mut response: Response, cursor: Option<&Cursor>) -> Result<Response> {
    if let Some(cursor) = cursor {
        response.headers_mut().insert(FEED_CURSOR, header_value(&cursor.to_string())?);
    }
    Ok(response)
}
