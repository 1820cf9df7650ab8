//! The bytes of an object as they flow, and which of them were asked for.

use std::{fmt, ops::Range, str::FromStr};

use bytes::Bytes;
use futures_core::stream::BoxStream;

use crate::{
    error::{Error, Result},
    storage::object::Object,
};

/// Bytes as they come. An upload ends with the stream; an error in it ends the upload without effect.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// Which bytes of an object, before its size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From this byte (0 is the first) to the end.
    From(u64),
    /// From the first to the second, both included; what lies past the end is left out.
    Between(u64, u64),
    /// The last so many, or all if there are fewer.
    Last(u64),
}

impl ByteRange {
    /// The bytes of an object of `size` bytes, or nothing if there are none in this range.
    #[must_use]
    pub fn of(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(start) => start..size,
            Self::Between(start, last) => start..size.min(last.saturating_add(1)),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }

    /// The error for a range that holds no byte of the object, or is not a range.
    #[must_use]
    pub fn not_satisfiable() -> Error {
        Error::invalid(
            "range-not-satisfiable",
            "a range is 'bytes=first-last', 'bytes=first-' or 'bytes=-count', and holds at least one byte of the object",
        )
        .with_field("range")
    }
}

/// A `Range` header (RFC 9110 §14.2) with one range. Numbers beyond 2^64 count as 2^64 - 1.
impl FromStr for ByteRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = ByteRange::not_satisfiable;
        let (unit, range) = text.trim().split_once('=').ok_or_else(bad)?;
        let (first, last) = range.trim().split_once('-').ok_or_else(bad)?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return Err(bad());
        }
        match (first, last) {
            ("", last) => Ok(Self::Last(number(last).ok_or_else(bad)?)),
            (first, "") => Ok(Self::From(number(first).ok_or_else(bad)?)),
            (first, last) => {
                let (first, last) = (number(first).ok_or_else(bad)?, number(last).ok_or_else(bad)?);
                if first > last { Err(bad()) } else { Ok(Self::Between(first, last)) }
            }
        }
    }
}

/// Digits only; saturating, because a range past the end of the object is cut at its end.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.bytes().fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

/// How an object is read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GetOptions {
    /// Only these bytes.
    pub range: Option<ByteRange>,
    /// The range counts only if the object still has this revision; otherwise all bytes come.
    pub if_range: Option<String>,
}

impl GetOptions {
    /// Only these bytes.
    #[must_use]
    pub fn with_range(mut self, range: ByteRange) -> Self {
        self.range = Some(range);
        self
    }

    /// The range counts only if the object still has this revision; otherwise all bytes come. For
    /// continuing a download that was cut.
    #[must_use]
    pub fn with_if_range(mut self, revision: impl Into<String>) -> Self {
        self.if_range = Some(revision.into());
        self
    }
}

/// An object and the bytes that were asked for.
#[non_exhaustive]
pub struct Content {
    /// The object these bytes belong to.
    pub object: Object,
    /// Which bytes come, if a range was asked for and counts.
    pub range: Option<Range<u64>>,
    /// The bytes. An error in it means that what came so far is not the whole.
    pub stream: ByteStream,
}

impl Content {
    /// For drivers: an object and its bytes.
    #[must_use]
    pub fn new(object: Object, range: Option<Range<u64>>, stream: ByteStream) -> Self {
        Self { object, range, stream }
    }

    /// How many bytes the stream gives.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.range.as_ref().map_or(self.object.size, |range| range.end.saturating_sub(range.start))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("object", &self.object).field("range", &self.range).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_header() {
        let of = |text: &str, size| text.parse::<ByteRange>().ok().and_then(|range| range.of(size));
        assert_eq!(of("bytes=0-0", 10), Some(0..1));
        assert_eq!(of("bytes=2-4", 10), Some(2..5));
        assert_eq!(of("Bytes=7-", 10), Some(7..10));
        assert_eq!(of("bytes=-3", 10), Some(7..10));
        assert_eq!(of("bytes=-30", 10), Some(0..10));
        assert_eq!(of("bytes=5-18446744073709551616", 10), Some(5..10));
        assert_eq!(of("bytes=5-18446744073709551615", 10), Some(5..10));
        for none in [
            "bytes=-0",
            "bytes=10-",
            "bytes=18446744073709551616-",
            "bytes=3-2",
            "bytes=0-1,3-4",
            "bytes=",
            "bytes=-",
            "bytes",
            "items=0-1",
            "",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=--1",
            "bytes=0x1-2",
            "bytes=1.0-2",
            "bytes=é-",
        ] {
            assert_eq!(of(none, 10), None, "{none}");
        }
        assert_eq!(of("bytes=0-", 0), None);
        assert_eq!(of("bytes=-1", 0), None);
    }
}
