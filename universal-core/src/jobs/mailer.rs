//! The port through which mail leaves.

use std::fmt;

use async_trait::async_trait;

use crate::error::{Error, Result};

/// An e-mail address, `local@domain`, without a display name. The constructor is the check; an address can hold
/// nothing that ends a header or an SMTP command.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(String);

impl Address {
    /// Checks `text` and makes it an address: at most 254 bytes, a local part of 1 to 64 of the characters that need no quotes,
    /// and a domain of letters, digits, `-` and `.`.
    ///
    /// # Errors
    /// `Invalid` (`invalid-email-address`).
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        let bad = || {
            Error::invalid(
                "invalid-email-address",
                "an address is of the form name@example.org, without a display name",
            )
        };
        let (local, domain) = text.rsplit_once('@').ok_or_else(bad)?;
        let dots = |part: &str| !part.split('.').any(str::is_empty);
        let local_ok = (1..=64).contains(&local.len())
            && dots(local)
            && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b));
        let domain_ok = dots(domain)
            && domain.split('.').all(|label| {
                label.len() <= 63
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            });
        if text.len() <= 254 && local_ok && domain_ok {
            return Ok(Self(text.to_owned()));
        }
        Err(bad())
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// Not the address: it is personal.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A subject: one line of 1 to 998 bytes. The constructor is the check.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject(String);

impl Subject {
    /// Checks `text` and makes it a subject.
    ///
    /// # Errors
    /// `Invalid` (`invalid-email-subject`).
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if (1..=998).contains(&text.len()) && !text.chars().any(char::is_control) {
            return Ok(Self(text));
        }
        Err(Error::invalid("invalid-email-subject", "a subject is one line of 1 to 998 bytes").with_field("subject"))
    }

    /// The subject as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(…)")
    }
}

impl<'de> serde::Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A mail to one reader.
#[derive(Clone)]
#[non_exhaustive]
pub struct Email {
    /// Who reads it.
    pub to: Address,
    /// Its subject.
    pub subject: Subject,
    /// The text.
    pub text: String,
    /// The same as HTML, for readers who prefer it.
    pub html: Option<String>,
    /// What makes its `Message-ID`: the same for every attempt to send it, so that a reader's server can drop a repeat.
    /// Letters, digits and `-`.
    key: Option<String>,
}

impl Email {
    /// A mail of plain text.
    #[must_use]
    pub fn new(to: Address, subject: Subject, text: impl Into<String>) -> Self {
        Self { to, subject, text: text.into(), html: None, key: None }
    }

    /// The same, with an HTML form beside the text.
    #[must_use]
    pub fn with_html(mut self, html: impl Into<String>) -> Self {
        self.html = Some(html.into());
        self
    }

    /// The same, with a key that is the same for every attempt to send it. Other characters than letters, digits
    /// and `-` are left out.
    #[must_use]
    pub fn with_key(mut self, key: &str) -> Self {
        self.key = Some(key.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect());
        self
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Email").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Something that sends mail.
#[async_trait]
pub trait Mailer: Send + Sync + fmt::Debug {
    /// Sends a mail. When it returns, the next server has taken it.
    ///
    /// # Errors
    /// `Invalid` (`email-refused`) if the server will never take it, `Unavailable` (`email-unavailable`) if trying again can help.
    async fn send(&self, email: &Email) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::{Address, Subject};

    #[test]
    fn addresses_and_subjects_cannot_break_a_header() {
        for good in ["a@b.org", "first.last+tag@mail.example.co", "o'neil@localhost"] {
            assert!(Address::new(good).is_ok(), "{good}");
        }
        let long = format!("{}@b.org", "a".repeat(65));
        for bad in [
            "",
            "a",
            "@b.org",
            "a@",
            "a b@c.org",
            "a@b..org",
            ".a@b.org",
            "a@b.org\r\nBcc: x@y.org",
            "a\n@b.org",
            "A <a@b.org>",
            "a@-b.org",
            "\"a\"@b.org",
            "a@b.org>",
            "a@[127.0.0.1]",
            &long,
        ] {
            assert_eq!(Address::new(bad).unwrap_err().code(), "invalid-email-address", "{bad:?}");
        }
        for bad in ["", "Hi\r\nBcc: x@y.org", "Hi\n", "a\0", &"x".repeat(999)] {
            assert_eq!(Subject::new(bad).unwrap_err().code(), "invalid-email-subject", "{bad:?}");
        }
    }
}
