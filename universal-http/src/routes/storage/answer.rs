//! Answers about objects. What a user uploaded must not run in this origin: headers see to that.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use universal_core::{
    error::{Error, Result},
    storage::{ByteRange, Content, Object, PutOutcome},
};

use super::place;
use crate::{
    body::ResponseBody,
    context::Context,
    error,
    extract::conditional::etag,
    response::{self, Response, header_value},
};

/// RFC 8187 §3.2.1 `attr-char`, in so far as it is ASCII punctuation.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// The bytes: 200, or 206 for a range.
pub(super) fn content(content: Content) -> Result<Response> {
    let length = content.length();
    let mut response = Response::new(ResponseBody::empty());
    describe(response.headers_mut(), &content.object)?;
    if let Some(range) = &content.range {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let text = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), content.object.size);
        response.headers_mut().insert(header::CONTENT_RANGE, header_value(&text)?);
    }
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if length > 0 {
        *response.body_mut() = ResponseBody::stream(content.stream);
    }
    Ok(response)
}

/// The same head without the bytes.
pub(super) fn head(object: &Object) -> Result<Response> {
    let mut response = response::empty(StatusCode::OK);
    describe(response.headers_mut(), object)?;
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(object.size));
    Ok(response)
}

/// 304: the client has this version.
pub(super) fn not_modified(object: &Object) -> Result<Response> {
    let mut response = response::empty(StatusCode::NOT_MODIFIED);
    describe(response.headers_mut(), object)?;
    response.headers_mut().remove(header::CONTENT_TYPE);
    Ok(response)
}

/// 416, with the size that a range has to lie within.
pub(super) fn not_satisfiable(request_id: &str, object: &Object) -> Result<Response> {
    let mut response = error::into_response(&ByteRange::not_satisfiable(), request_id);
    let size = header_value(&format!("bytes */{}", object.size))?;
    response.headers_mut().insert(header::CONTENT_RANGE, size);
    Ok(response)
}

/// What came of an upload: 201 with `Location`, or 200.
pub(super) fn stored(cx: &Context, outcome: &PutOutcome) -> Result<Response> {
    let mut response = put(outcome)?;
    if outcome.created {
        response.headers_mut().insert(header::LOCATION, header_value(&place::link(cx, &outcome.object))?);
    }
    Ok(response)
}

/// What came of an upload by link. Who owns the object is not the uploader's to know.
pub(super) fn stored_by_link(mut outcome: PutOutcome) -> Result<Response> {
    outcome.object.owner = None;
    put(&outcome)
}

fn put(outcome: &PutOutcome) -> Result<Response> {
    let status = if outcome.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = response::json(status, &outcome.object)?;
    response.headers_mut().insert(header::ETAG, etag(&outcome.object.revision)?);
    Ok(response)
}

/// Type, name, version, and what keeps a browser from running the bytes.
fn describe(headers: &mut HeaderMap, object: &Object) -> Result<()> {
    let shown = object.content_type.is_inline_safe();
    let content_type = if shown || object.content_type.is_passive() {
        header_value(object.content_type.as_str())?
    } else {
        // Behind `nosniff` no browser takes this for a script, a style sheet or a page, whoever embeds it.
        HeaderValue::from_static("application/octet-stream")
    };
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CONTENT_DISPOSITION, disposition(shown, object.key.file_name())?);
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-site"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, etag(&object.revision)?);
    if let Ok(seconds) = u64::try_from(object.updated_at.as_seconds()) {
        let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        headers.insert(header::LAST_MODIFIED, header_value(&httpdate::fmt_http_date(moment))?);
    }
    if let Some(digest) = bytes_of(&object.sha256) {
        // RFC 9530: of the whole, also beside a range.
        headers.insert(REPR_DIGEST, header_value(&format!("sha-256=:{}:", STANDARD.encode(digest)))?);
    }
    Ok(())
}

/// RFC 6266: the name in plain ASCII for those who know nothing better, and as it is.
fn disposition(shown: bool, name: &str) -> Result<HeaderValue> {
    let kind = if shown { "inline" } else { "attachment" };
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || " -._()".contains(c) { c } else { '_' }).collect();
    let exact = utf8_percent_encode(name, NAME);
    HeaderValue::from_str(&format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{exact}")).map_err(Error::internal)
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use universal_core::storage::{BucketName, ContentType, ObjectKey};

    fn headers(content_type: &str, key: &str) -> HeaderMap {
        let mut object = Object::new(BucketName::new("files").unwrap(), ObjectKey::new(key).unwrap(), 1);
        object.content_type = ContentType::new(content_type).unwrap();
        object.sha256 = "00ff".into();
        let mut headers = HeaderMap::new();
        describe(&mut headers, &object).unwrap();
        headers
    }

    #[test]
    fn only_the_harmless_is_shown() {
        for (declared, served, kind) in [
            ("image/png", "image/png", "inline"),
            ("text/plain; charset=utf-8", "text/plain; charset=utf-8", "inline"),
            ("application/pdf", "application/pdf", "attachment"),
            ("text/html", "application/octet-stream", "attachment"),
            ("TEXT/HTML;x", "application/octet-stream", "attachment"),
            ("image/svg+xml", "application/octet-stream", "attachment"),
            ("text/javascript", "application/octet-stream", "attachment"),
            ("text/css", "application/octet-stream", "attachment"),
            ("image/png.", "application/octet-stream", "attachment"),
        ] {
            let headers = headers(declared, "a.html");
            assert_eq!(headers[header::CONTENT_TYPE], served);
            let disposition = headers[header::CONTENT_DISPOSITION].to_str().unwrap();
            assert!(disposition.starts_with(&format!("{kind}; ")), "{declared}: {disposition}");
            assert_eq!(headers[header::CONTENT_SECURITY_POLICY], "sandbox; default-src 'none'");
            assert_eq!(headers[REPR_DIGEST], "sha-256=:AP8=:");
        }
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        let headers = headers("image/png", "x/a\"; filename=b.exe; ü\u{202e}gpj.exe");
        let text = headers[header::CONTENT_DISPOSITION].to_str().unwrap();
        assert_eq!(text.matches('"').count(), 2, "{text}");
        assert!(text.ends_with("filename*=UTF-8''a%22%3B%20filename%3Db.exe%3B%20%C3%BC%E2%80%AEgpj.exe"), "{text}");
    }
}
