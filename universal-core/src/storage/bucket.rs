//! The name of a bucket.

use std::{fmt, str::FromStr, sync::Arc};

use crate::error::{Error, Result};

/// A bucket: `[a-z0-9][a-z0-9-]{1,62}`. It needs no declaration; it exists while it holds an object.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName(Arc<str>);

impl BucketName {
    /// Checks `text` and makes it a name.
    ///
    /// # Errors
    /// `Invalid` (`invalid-bucket`) if `text` breaks the rule above.
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        let ok = (2..=63).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if ok {
            return Ok(Self(Arc::from(text)));
        }
        Err(Error::invalid("invalid-bucket", "a bucket's name is 2 to 63 of a-z, 0-9 and '-', not beginning with '-'")
            .with_field("bucket"))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for BucketName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl serde::Serialize for BucketName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for BucketName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        Self::new(&*text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["ab", "avatars", "a-b-9", "9x", &"b".repeat(63)] {
            assert!(BucketName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "-ab", "_presign", "Avatars", "a.b", "a/b", "a b", "é-", &"b".repeat(64)] {
            assert_eq!(BucketName::new(bad).unwrap_err().code(), "invalid-bucket", "{bad}");
        }
    }
}
