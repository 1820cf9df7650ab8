//! The size of a page.

use universal_core::error::{Error, Result};

use super::query::Query;

/// Items of a page when nobody says.
pub(crate) const DEFAULT: usize = 50;
/// Items of a page at most.
pub(crate) const MAX: usize = 500;

/// `?limit=`, 1 to [`MAX`], [`DEFAULT`] when it is absent.
///
/// # Errors
/// `Invalid` for anything else; a limit is refused, never silently made smaller.
pub(crate) fn limit(query: &mut Query) -> Result<usize> {
    let expected =
        || Error::invalid("invalid-limit", format!("`limit` must be a number from 1 to {MAX}")).with_field("limit");
    let Some(text) = query.take("limit") else { return Ok(DEFAULT) };
    match text.parse::<usize>() {
        Ok(limit) if (1..=MAX).contains(&limit) && text.bytes().all(|b| b.is_ascii_digit()) => Ok(limit),
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_bounds() {
        let read = |text: &str| limit(&mut Query::parse(Some(text)).unwrap()).map_err(|error| error.code());
        assert_eq!(read(""), Ok(50));
        assert_eq!(read("limit=500"), Ok(500));
        for bad in ["limit=0", "limit=501", "limit=-1", "limit=", "limit=%2B5", "limit=99999999999999999999"] {
            assert_eq!(read(bad), Err("invalid-limit"), "{bad}");
        }
    }
}
