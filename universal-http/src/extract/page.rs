//! The size of a page.

use universal_core::{
    error::{Error, Result},
    page::{Limit, MAX_LIMIT},
};

use super::query::Query;

/// `?limit=` of a page, the default when it is absent.
///
/// # Errors
/// `Invalid` for anything but a number in range; a limit is refused, never silently made smaller.
pub(crate) fn limit(query: &mut Query) -> Result<Limit> {
    limit_or(query, Limit::default())
}

/// `?limit=`, or `otherwise`.
///
/// # Errors
/// As [`limit`].
pub(crate) fn limit_or(query: &mut Query, otherwise: Limit) -> Result<Limit> {
    number(query, MAX_LIMIT)?.map_or(Ok(otherwise), Limit::new)
}

/// `?limit=` as a number; `most` is for the message alone.
///
/// # Errors
/// `Invalid` for anything but digits that make a `u32`.
pub(crate) fn number(query: &mut Query, most: u32) -> Result<Option<u32>> {
    let Some(text) = query.take("limit") else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(Some(number)),
        _ => Err(Error::invalid("invalid-limit", format!("`limit` must be a whole number from 1 to {most}"))
            .with_field("limit")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_bounds() {
        let read =
            |text: &str| limit(&mut Query::parse(Some(text)).unwrap()).map(Limit::get).map_err(|error| error.code());
        assert_eq!(read(""), Ok(50));
        assert_eq!(read("limit=500"), Ok(500));
        for bad in ["limit=0", "limit=501", "limit=-1", "limit=", "limit=%2B5", "limit=99999999999999999999"] {
            assert_eq!(read(bad), Err("invalid-limit"), "{bad}");
        }
    }
}
