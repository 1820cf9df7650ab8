//! The name under which a function is registered.

use std::{fmt, sync::Arc};

use crate::error::{Error, Result};

/// A function's name: `[a-z][a-z0-9_.-]{0,62}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionName(Arc<str>);

impl FunctionName {
    /// Checks `text` and makes it a name.
    ///
    /// # Errors
    /// `Invalid` (`invalid-function-name`).
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        let mut bytes = text.bytes();
        let ok = text.len() <= 63
            && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-'));
        if ok {
            return Ok(Self(Arc::from(text)));
        }
        Err(Error::invalid(
            "invalid-function-name",
            "a function's name is 1 to 63 of a-z, 0-9, '_', '.' and '-', beginning with a letter",
        )
        .with_field("function"))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::FunctionName;

    #[test]
    fn names_are_checked() {
        for good in ["a", "send_email", "billing.close-month", &"a".repeat(63)] {
            assert!(FunctionName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "9a", "_a", "a b", "a/b", "é", "a\0", &"a".repeat(64)] {
            assert_eq!(FunctionName::new(bad).unwrap_err().code(), "invalid-function-name", "{bad:?}");
        }
    }
}
