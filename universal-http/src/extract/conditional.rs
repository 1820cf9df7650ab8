//! Conditional requests (RFC 9110 §13): `ETag`, `If-Match`, `If-None-Match`.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use universal_core::error::{Error, Result};

/// The tags of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`: any present version.
    Any,
    /// These, in order.
    List(Vec<Tag>),
}

/// One entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// `W/"…"`.
    pub(crate) weak: bool,
    /// What stands between the quotes.
    pub(crate) value: String,
}

impl Tags {
    /// Weak comparison, as `If-None-Match` wants it.
    pub(crate) fn matches(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| tag.value == value),
        }
    }

    /// The tags that strong comparison, as `If-Match` wants it, can match at all.
    pub(crate) fn strong(tags: Vec<Tag>) -> Vec<String> {
        tags.into_iter().filter(|tag| !tag.weak).map(|tag| tag.value).collect()
    }
}

/// `If-Match`, if it is there.
///
/// # Errors
/// `Invalid` for anything but `*` or a list of quoted tags.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<Tags>> {
    tags(headers, &header::IF_MATCH, "If-Match")
}

/// `If-None-Match`, if it is there.
///
/// # Errors
/// `Invalid` for anything but `*` or a list of quoted tags.
pub(crate) fn if_none_match(headers: &HeaderMap) -> Result<Option<Tags>> {
    tags(headers, &header::IF_NONE_MATCH, "If-None-Match")
}

/// `value` as a strong tag.
///
/// # Errors
/// `Internal` if `value` cannot stand in a header.
pub(crate) fn etag(value: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(&format!("\"{value}\"")).map_err(Error::internal)
}

fn tags(headers: &HeaderMap, name: &HeaderName, shown: &'static str) -> Result<Option<Tags>> {
    let bad = || {
        Error::invalid("invalid-condition", format!("{shown} must be `*` or a list of tags in double quotes"))
            .with_field(shown)
    };
    let mut list = Vec::new();
    let mut any = false;
    let mut present = false;
    for value in headers.get_all(name) {
        present = true;
        let mut rest = value.to_str().map_err(|_| bad())?.trim();
        if rest == "*" {
            any = true;
            continue;
        }
        while !rest.is_empty() {
            let (weak, quoted) = match rest.strip_prefix("W/") {
                Some(quoted) => (true, quoted),
                None => (false, rest),
            };
            let inner = quoted.strip_prefix('"').ok_or_else(bad)?;
            let (value, after) = inner.split_once('"').ok_or_else(bad)?;
            if value.bytes().any(|b| b <= b' ' || b == 0x7f) || list.len() >= 100 {
                return Err(bad());
            }
            list.push(Tag { weak, value: value.to_owned() });
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(more) => more.trim_start(),
                None if after.is_empty() => after,
                None => return Err(bad()),
            };
        }
    }
    match (present, any, list.is_empty()) {
        (false, ..) => Ok(None),
        (true, true, true) => Ok(Some(Tags::Any)),
        (true, false, false) => Ok(Some(Tags::List(list))),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Option<Tags>, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, HeaderValue::from_static(text));
        if_match(&headers).map_err(|error| error.code())
    }

    #[test]
    fn lists_weak_tags_and_the_star() {
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
        assert_eq!(read("*"), Ok(Some(Tags::Any)));
        let Ok(Some(Tags::List(tags))) = read("\"a\" , W/\"b,c\",\"\"") else { panic!("a list") };
        assert_eq!(
            tags.iter().map(|tag| (tag.weak, tag.value.as_str())).collect::<Vec<_>>(),
            [(false, "a"), (true, "b,c"), (false, "")]
        );
        assert!(Tags::List(tags.clone()).matches("b,c"));
        assert_eq!(Tags::strong(tags), ["a", ""]);
        for bad in ["a", "\"a", "\"a\" \"b\"", "", "*, \"a\"", "w/\"a\"", "\"a b\""] {
            assert_eq!(read(bad), Err("invalid-condition"), "{bad}");
        }
    }
}
