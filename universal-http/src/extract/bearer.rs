//! The token of the `Authorization` header (RFC 6750).

use http::{HeaderMap, header};
use universal_core::error::{Error, ErrorKind, Result};

/// The bearer token, if the request has an `Authorization` header.
///
/// # Errors
/// `Unauthenticated` if the header is there and is not one bearer token.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>> {
    let bad = |message: &'static str| Error::new(ErrorKind::Unauthenticated, "invalid-token", message);
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad("send one Authorization header"));
    }
    let text = value.to_str().map_err(|_| bad("the Authorization header has characters that no token has"))?;
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(bad("the Authorization header must be `Bearer <token>`")),
    };
    if token.is_empty() || token.len() > 8 * 1024 || token.bytes().any(|b| b.is_ascii_whitespace()) {
        return Err(bad("the Authorization header must be `Bearer <token>`"));
    }
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_or_a_reason() {
        let with = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, http::HeaderValue::from_static(text));
            bearer(&headers).map(|token| token.map(str::to_owned)).map_err(|error| error.code())
        };
        assert_eq!(bearer(&HeaderMap::new()).unwrap(), None);
        assert_eq!(with("Bearer abc"), Ok(Some("abc".into())));
        assert_eq!(with("bearer abc"), Ok(Some("abc".into())));
        for bad in ["Bearer", "Bearer ", "Basic abc", "Bearer a b", ""] {
            assert_eq!(with(bad), Err("invalid-token"), "{bad:?}");
        }
    }
}
