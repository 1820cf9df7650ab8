//! Errors on the wire: problem details (RFC 9457).

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::{body::ResponseBody, response::Response};

/// The media type of an error.
pub(crate) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The body of an error. `code` is stable; `detail` is for people and may change.
#[derive(Debug, Serialize)]
pub(crate) struct Problem<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) title: &'a str,
    pub(crate) status: u16,
    pub(crate) detail: &'a str,
    pub(crate) code: &'a str,
    /// The id of the request, which the log has too.
    pub(crate) instance: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<Place<'a>>,
    /// Of a batch: what became of each operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) results: Option<serde_json::Value>,
}

/// Where the input is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Place<'a> {
    /// A JSON pointer into the body (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pointer: Option<&'a str>,
    /// The name of a query parameter, a path segment or a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameter: Option<&'a str>,
    /// The byte of the text, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<usize>,
    pub(crate) code: &'a str,
    pub(crate) detail: &'a str,
}

impl<'a> Problem<'a> {
    pub(crate) fn new(status: StatusCode, code: &'a str, detail: &'a str, request_id: &'a str) -> Self {
        Self {
            kind: format!("urn:universal-backend:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail,
            code,
            instance: request_id,
            errors: Vec::new(),
            results: None,
        }
    }

    pub(crate) fn into_response(self, status: StatusCode) -> Response {
        // A struct of text and numbers always serialises.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(ResponseBody::full(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
        response
    }
}
