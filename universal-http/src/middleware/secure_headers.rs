//! Headers that keep a browser from making something else of an answer than it is.

use http::{HeaderMap, HeaderValue, header};

/// Adds what the handler did not set itself.
pub(crate) fn add(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let generated = headers.get(header::CONTENT_TYPE).is_none_or(|value| {
        let bytes = value.as_bytes();
        bytes.starts_with(b"application/json") || bytes.starts_with(b"application/problem+json")
    });
    if generated && !headers.contains_key(header::CACHE_CONTROL) {
        // Documents and tokens are some caller's own; a shared cache must not keep them.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        );
    }
    if !headers.contains_key(header::REFERRER_POLICY) {
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
}
