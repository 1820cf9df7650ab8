//! The key of an object in its bucket.

use std::{fmt, str::FromStr, sync::Arc};

use crate::error::{Error, Result};

/// The longest key in bytes.
const MAX_BYTES: usize = 1024;

/// An object's key: segments separated by `/`, for example `2026/report.pdf`.
///
/// 1 to 1024 bytes of UTF-8, kept byte for byte (no Unicode normalisation); no control characters,
/// no backslash, no empty segment (so no `/` at either end) and no segment `.` or `..`. It never
/// becomes a path on a disk or a key in an object store: the bytes lie under a name of our own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// Checks `text` and makes it a key.
    ///
    /// # Errors
    /// `Invalid` (`invalid-key`) if `text` breaks a rule above.
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        let ok = (1..=MAX_BYTES).contains(&text.len())
            && !text.contains('\\')
            && !text.chars().any(char::is_control)
            && text.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
        if ok {
            return Ok(Self(Arc::from(text)));
        }
        Err(Error::invalid(
            "invalid-key",
            "an object's key is 1 to 1024 bytes without control characters and '\\', its segments between '/' not empty, \
             '.' or '..'",
        )
        .with_field("key"))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the last `/`: the name under which a browser would save it.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for ObjectKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl serde::Serialize for ObjectKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for ObjectKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        Self::new(&*text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked() {
        for good in ["a", "a/b.txt", "…/ünï", "CON", "a b", "trailing. ", "_signed/x", "%2e%2e%2f", &"k".repeat(1024)]
        {
            assert_eq!(ObjectKey::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a/./b",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\u{85}",
            &"k".repeat(1025),
        ] {
            assert_eq!(ObjectKey::new(bad).unwrap_err().code(), "invalid-key", "{bad:?}");
        }
        assert_eq!(ObjectKey::new("a/b/c.txt").unwrap().file_name(), "c.txt");
    }
}
