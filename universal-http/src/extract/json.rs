//! JSON bodies of a fixed shape.

use bytes::Bytes;
use http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::error::Category;
use universal_core::error::{Error, Result};

/// That the body says it is JSON: `application/json` or `application/…+json`, in UTF-8.
///
/// A form or a `text/plain` body is refused, which is also what keeps a foreign page's form from writing.
///
/// # Errors
/// `Invalid` with code `unsupported-media-type` (415).
pub(crate) fn require_media_type(headers: &HeaderMap) -> Result<()> {
    match essence(headers) {
        Some(essence)
            if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) =>
        {
            Ok(())
        }
        _ => Err(unsupported("send JSON, with `Content-Type: application/json`")),
    }
}

/// That the body says it is lines of JSON: `application/x-ndjson` (or `application/ndjson`, `application/jsonl`), in
/// UTF-8 and not compressed.
///
/// # Errors
/// `Invalid` with code `unsupported-media-type` (415).
pub(crate) fn require_lines(headers: &HeaderMap) -> Result<()> {
    let known = ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];
    if !essence(headers).is_some_and(|essence| known.contains(&essence.as_str())) {
        return Err(unsupported("send one document a line, with `Content-Type: application/x-ndjson`"));
    }
    let plain = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        let message = "send the lines as they are, without Content-Encoding";
        return Err(Error::invalid("unsupported-media-type", message).with_field("Content-Encoding"));
    }
    Ok(())
}

fn unsupported(message: &str) -> Error {
    Error::invalid("unsupported-media-type", message).with_field("Content-Type")
}

/// The type that the body says it has, in small letters; nothing if it says none, two, or another charset than UTF-8.
fn essence(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let mut parts = value.to_str().ok()?.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            let value = value.trim_matches('"');
            value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    });
    utf8.then_some(essence)
}

/// `bytes` as a `T`. Give `T` `#[serde(deny_unknown_fields)]`.
///
/// # Errors
/// `Invalid` with code `invalid-json` and a position, or `invalid-body` and a JSON pointer.
pub(crate) fn parse<'b, T: Deserialize<'b>>(bytes: &'b Bytes) -> Result<T> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::invalid("invalid-json", "the body is not UTF-8").with_position(error.valid_up_to()))?;
    serde_json::from_str(text).map_err(|error| explain(text, &error))
}

/// What serde says, with the place where it says it.
fn explain(text: &str, error: &serde_json::Error) -> Error {
    let position = position(text, error.line(), error.column());
    let sentence = error.to_string();
    let sentence = sentence.rsplit_once(" at line ").map_or(sentence.as_str(), |(said, _)| said);
    match error.classify() {
        Category::Data => {
            // An array where something else should be is wrong itself, not its first item.
            let read = text.get(..position).unwrap_or(text).trim_end();
            let mut pointer = pointer(text, read.strip_suffix('[').unwrap_or(read).len());
            // serde names a missing field at the end of its object, and an unknown one after reading its name.
            if let Some(name) = sentence.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
                if let Some(closed) =
                    pointer.rfind('/').filter(|_| !text.get(..position).unwrap_or_default().ends_with('}'))
                {
                    pointer.truncate(closed);
                }
                pointer = format!("{pointer}/{name}");
            }
            Error::invalid("invalid-body", sentence.chars().take(300).collect::<String>()).with_field(pointer)
        }
        _ if text.trim().is_empty() => Error::invalid("invalid-json", "the body is empty; send JSON").with_position(0),
        _ => Error::invalid("invalid-json", format!("the body is not JSON: {sentence}")).with_position(position),
    }
}

/// The byte that serde's line and column name.
fn position(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (start + column).min(text.len())
}

/// The JSON pointer of the value that is open, or was just read, at byte `end` of a JSON text.
fn pointer(text: &str, end: usize) -> String {
    /// One open container: an object's present key, or an array's present index.
    enum Open {
        Object(Option<String>),
        Array(usize),
    }
    let bytes = text.as_bytes().get(..end).unwrap_or(text.as_bytes());
    let mut open: Vec<Open> = Vec::new();
    let mut key_next = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' => {
                open.push(Open::Object(None));
                key_next = true;
            }
            b'[' => {
                open.push(Open::Array(0));
                key_next = false;
            }
            b'}' | b']' => {
                open.pop();
                key_next = false;
            }
            b',' => match open.last_mut() {
                Some(Open::Array(index)) => *index += 1,
                Some(Open::Object(_)) => key_next = true,
                None => {}
            },
            b'"' => {
                let start = at;
                while let Some(inside) = bytes.get(at) {
                    match inside {
                        b'\\' => at += 2,
                        b'"' => break,
                        _ => at += 1,
                    }
                }
                let key =
                    String::from_utf8_lossy(bytes.get(start..at.min(bytes.len())).unwrap_or_default()).into_owned();
                at += 1;
                if key_next && let Some(Open::Object(present)) = open.last_mut() {
                    *present = Some(key);
                    key_next = false;
                }
            }
            _ => {}
        }
    }
    let mut pointer = String::new();
    for container in open {
        match container {
            Open::Object(Some(key)) => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Open::Array(index) => pointer.push_str(&format!("/{index}")),
            Open::Object(None) => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by serde alone")]
    struct Outer {
        name: String,
        inner: Option<Inner>,
        list: Option<Vec<u32>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by serde alone")]
    struct Inner {
        count: u32,
    }

    fn fail(text: &'static str) -> (String, String, Option<usize>) {
        let error = parse::<Outer>(&Bytes::from_static(text.as_bytes())).unwrap_err();
        (error.code().to_owned(), error.field().unwrap_or("-").to_owned(), error.position())
    }

    #[test]
    fn data_errors_have_a_pointer() {
        let at = |pointer: &str| ("invalid-body".to_owned(), pointer.to_owned(), None);
        assert_eq!(fail(r#"{"name":"a","nmae":1}"#), at("/nmae"));
        assert_eq!(fail(r#"{"name":5}"#), at("/name"));
        assert_eq!(fail(r#"{"inner":{"count":1}}"#), at("/name"));
        assert_eq!(fail(r#"{"name":"a","inner":{"count":"x"}}"#), at("/inner/count"));
        assert_eq!(fail(r#"{"name":"a","inner":{}}"#), at("/inner/count"));
        assert_eq!(fail(r#"{"name":"a","list":[1,2,-3]}"#), at("/list/2"));
        assert_eq!(fail(r#"{"name":"a","name":"b"}"#), at("/name"));
        assert_eq!(fail(r#"{"name":["x"]}"#), at("/name"));
        assert_eq!(fail(r#"{"name":{"x":1}}"#), at("/name"));
        assert_eq!(fail(r#"5"#), at(""));
    }

    #[test]
    fn syntax_errors_have_a_position() {
        assert_eq!(fail(r#"{"name":}"#).0, "invalid-json");
        assert_eq!(fail("").0, "invalid-json");
        assert_eq!(fail("{\"name\":\n\"a\" x}").2, Some(14));
        let deep = "[".repeat(1000);
        assert_eq!(parse::<serde_json::Value>(&deep.into()).unwrap_err().code(), "invalid-json");
        assert_eq!(parse::<Outer>(&Bytes::from_static(b"\xff")).unwrap_err().position(), Some(0));
    }

    #[test]
    fn only_json_is_json() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(value));
            require_media_type(&headers).is_ok()
        };
        for good in ["application/json", "Application/JSON; charset=UTF-8", "application/merge-patch+json"] {
            assert!(with(good), "{good}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "json", ""] {
            assert!(!with(bad), "{bad}");
        }
        assert!(require_media_type(&HeaderMap::new()).is_err());
    }
}
