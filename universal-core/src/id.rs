//! The names of things: types whose constructor is the check.

use std::{fmt, sync::Arc};

use crate::error::{Error, Result};

/// Defines a name type over `Arc<str>`: cheap to clone, valid by construction.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and makes it a name.
            ///
            /// # Errors
            /// `Invalid` with the rule that `text` breaks.
            pub fn new(text: impl AsRef<str>) -> Result<Self> {
                let text = text.as_ref();
                $check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// Takes a name that this crate itself stored after checking it.
            pub(crate) fn trusted(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::new(&*text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// A tenant: `[a-z0-9][a-z0-9-]{0,62}`. Every row and every key begins with it.
    TenantId,
    check_tenant
);
name!(
    /// A collection of documents: `[a-z][a-z0-9_-]{0,62}`.
    CollectionName,
    check_collection
);
name!(
    /// A document's id: 1 to 128 bytes, no control characters, not beginning with `_`, not `.` or `..`.
    DocumentId,
    check_document
);
name!(
    /// A user's id, a UUID of version 7 in text form.
    UserId,
    check_user
);

name!(
    /// A channel: 1 to 128 bytes, parts of `A-Z`, `a-z`, `0-9`, `_`, `.` and `-` with `:` or `/` between them
    /// (`room:42`, `user:0197…/inbox`).
    ChannelName,
    check_channel
);

impl TenantId {
    /// The tenant `default`, which always exists.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self(Arc::from("default"))
    }
}

impl DocumentId {
    /// A new id, time-ordered (UUID version 7, RFC 9562), so that inserts stay at the end of the key's tree.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }
}

impl UserId {
    /// A new id (UUID version 7); never reused.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }
}

fn check_tenant(text: &str) -> Result<()> {
    let ok = (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if ok {
        return Ok(());
    }
    Err(Error::invalid("invalid-tenant", "a tenant's id is 1 to 63 of a-z, 0-9 and '-', not beginning with '-'"))
}

fn check_collection(text: &str) -> Result<()> {
    let mut bytes = text.bytes();
    let ok = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && text.len() <= 63
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    if ok {
        return Ok(());
    }
    Err(Error::invalid(
        "invalid-collection",
        "a collection's name is 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter",
    )
    .with_field("collection"))
}

fn check_document(text: &str) -> Result<()> {
    let ok = (1..=128).contains(&text.len())
        && !text.starts_with('_')
        && text != "."
        && text != ".."
        && !text.chars().any(char::is_control);
    if ok {
        return Ok(());
    }
    Err(Error::invalid(
        "invalid-id",
        "a document's id is 1 to 128 bytes without control characters, not beginning with '_', not '.' or '..'",
    )
    .with_field("id"))
}

fn check_channel(text: &str) -> Result<()> {
    if (1..=128).contains(&text.len()) && text.split([':', '/']).all(is_channel_segment) {
        return Ok(());
    }
    Err(Error::invalid(
        "invalid-channel",
        "a channel's name is 1 to 128 bytes: parts of A-Z, a-z, 0-9, '_', '.' and '-', with ':' or '/' between them",
    )
    .with_field("channel"))
}

fn is_channel_segment(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn check_user(text: &str) -> Result<()> {
    if (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Ok(());
    }
    Err(Error::invalid("invalid-user-id", "a user's id is 1 to 64 letters, digits and '-'"))
}

/// `bytes` random bytes as lower-case hexadecimal text.
pub(crate) fn random_hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0_u8; bytes];
    getrandom::fill(&mut buffer).map_err(|error| Error::internal(error.to_string()))?;
    Ok(hex(&buffer))
}

/// `bytes` as lower-case hexadecimal text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["todos", "a", "a-b_c9"] {
            assert!(CollectionName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "Todos", "9a", "_a", "a.b", "a b", "a'b", &"a".repeat(64)] {
            assert_eq!(CollectionName::new(bad).unwrap_err().code(), "invalid-collection", "{bad}");
        }
        for good in ["a", "A b", "é", "a/b", &"x".repeat(128)] {
            assert!(DocumentId::new(good).is_ok(), "{good}");
        }
        for good in ["a", "room:42", "user:0197-a/inbox", "A_b.c-d", &"x".repeat(128)] {
            assert!(ChannelName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ":", "a:", "/a", "a::b", "a b", "a*", "é", &"x".repeat(129)] {
            assert_eq!(ChannelName::new(bad).unwrap_err().code(), "invalid-channel", "{bad}");
        }
        for bad in ["", ".", "..", "_x", "a\u{0}", "a\n", &"x".repeat(129)] {
            assert_eq!(DocumentId::new(bad).unwrap_err().code(), "invalid-id", "{bad:?}");
        }
    }
}
