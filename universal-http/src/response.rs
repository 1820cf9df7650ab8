//! Answers that succeed.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use universal_core::error::{Error, Result};

use crate::body::ResponseBody;

/// The answer of a handler.
pub(crate) type Response = http::Response<ResponseBody>;

/// The media type of JSON.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// `value` as JSON.
///
/// # Errors
/// `Internal` if a type does not serialise, which is a defect of it.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<Response> {
    Ok(json_text(status, serde_json::to_vec(value).map_err(Error::internal)?))
}

/// A text that is JSON already.
pub(crate) fn json_text(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(ResponseBody::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// 204, done and nothing to say.
pub(crate) fn no_content() -> Response {
    empty(StatusCode::NO_CONTENT)
}

/// A status without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    response
}

/// Plain text.
pub(crate) fn text(status: StatusCode, media_type: &'static str, text: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(ResponseBody::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A header whose value is a text of ours.
///
/// # Errors
/// `Internal` if the text has characters that a header cannot carry.
pub(crate) fn header_value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(Error::internal)
}
