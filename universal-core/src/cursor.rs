//! A place in a tenant's change feed.

use std::{fmt, str::FromStr, sync::Arc};

use crate::error::{Error, Result};

/// A place in a tenant's change feed: everything up to and including `seq` has been seen.
///
/// Its text is `<epoch>.<seq>`. The epoch names the history that the numbers belong to; a restored
/// database begins a new one, so that an old cursor is recognised and answered with `resync`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    epoch: Arc<str>,
    seq: i64,
}

impl Cursor {
    /// The place after change `seq` of the history `epoch`.
    #[must_use]
    pub fn new(epoch: impl Into<Arc<str>>, seq: i64) -> Self {
        Self { epoch: epoch.into(), seq }
    }

    /// The history.
    #[must_use]
    pub fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    /// The number of the last change seen; 0 is before the first.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.seq
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid("invalid-cursor", "a feed cursor is the text that a response or an event gave, unchanged")
        };
        let (epoch, seq) = text.split_once('.').ok_or_else(bad)?;
        let epoch_ok = (1..=32).contains(&epoch.len()) && epoch.bytes().all(|b| b.is_ascii_alphanumeric());
        let canonical =
            !seq.is_empty() && seq.bytes().all(|b| b.is_ascii_digit()) && (seq == "0" || !seq.starts_with('0'));
        if !epoch_ok || !canonical {
            return Err(bad());
        }
        Ok(Self { epoch: epoch.into(), seq: seq.parse().map_err(|_| bad())? })
    }
}

impl serde::Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
