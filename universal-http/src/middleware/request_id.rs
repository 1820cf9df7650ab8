//! The id of a request: taken from a proxy in front, or made here; in the answer, the log and the change feed.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

/// The header's name, both ways.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The incoming id if it is one plain word of at most 64 characters, else a new one.
pub(crate) fn of(headers: &HeaderMap) -> Arc<str> {
    let mut values = headers.get_all(HEADER).iter();
    if let (Some(value), None) = (values.next(), values.next())
        && let Ok(text) = value.to_str()
        && (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
    {
        return Arc::from(text);
    }
    Arc::from(&*uuid::Uuid::now_v7().as_simple().encode_lower(&mut uuid::Uuid::encode_buffer()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_plain_words_are_taken_over() {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static("abc-1"));
        assert_eq!(&*of(&headers), "abc-1");
        for bad in ["a b", "<script>", "", "a\"b"] {
            headers.insert(HEADER, HeaderValue::from_static(bad));
            assert_ne!(&*of(&headers), bad);
        }
    }
}
