//! E-mail addresses, checked and in one form.

use std::{fmt, sync::Arc};

use crate::error::{Error, Result};

/// An e-mail address in its one stored form: ASCII, lower-case.
///
/// Two addresses that look alike are never the same account, and one account is never reached by two
/// spellings except for the case of ASCII letters. Addresses with other characters are therefore refused
/// in this version, in the local part as in the domain; an international domain can be given in its
/// `xn--` form. Quoted local parts, comments and address literals (`[192.0.2.1]`) are refused too.
///
/// ```
/// use universal_core::auth::Email;
/// assert_eq!(Email::new("Ada@Example.COM")?.as_str(), "ada@example.com");
/// assert!(Email::new("ada@exämple.com").is_err());
/// # Ok::<(), universal_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Email(Arc<str>);

impl Email {
    /// Checks `text`: at most 254 bytes, a local part of at most 64, a domain of labels of at most 63.
    ///
    /// # Errors
    /// `Invalid` (`invalid-email`) with the rule that `text` breaks.
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        if !text.is_ascii() {
            return Err(refused(
                "an e-mail address must be ASCII in this version; write an international domain in its xn-- form",
            ));
        }
        if text.len() > 254 {
            return Err(refused("an e-mail address has at most 254 characters"));
        }
        let Some((local, domain)) = text.split_once('@') else {
            return Err(refused("an e-mail address has the form name@domain"));
        };
        if !is_local_part(local) {
            return Err(refused(
                "the part before the @ is 1 to 64 letters, digits, dots and !#$%&'*+/=?^_`{|}~-; dots only between others",
            ));
        }
        if !is_domain(domain) {
            return Err(refused(
                "the part after the @ is a domain name: labels of 1 to 63 letters, digits and hyphens, separated by dots",
            ));
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    pub(crate) fn trusted(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn refused(rule: &str) -> Error {
    Error::invalid("invalid-email", rule).with_field("/email")
}

fn is_local_part(text: &str) -> bool {
    let is_atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&b);
    text.len() <= 64 && text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom))
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(is_label) && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Shows nothing of the address: it is personal data, and debug output ends in logs.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email([redacted])")
    }
}

impl serde::Serialize for Email {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_letters_lose_their_case_and_nothing_else_changes() {
        for (typed, stored) in [
            ("Ada@Example.COM", "ada@example.com"),
            ("a.b+tag@x-y.example", "a.b+tag@x-y.example"),
            ("root@localhost", "root@localhost"),
            ("me@xn--exmple-cua.com", "me@xn--exmple-cua.com"),
        ] {
            assert_eq!(Email::new(typed).unwrap().as_str(), stored);
        }
    }

    #[test]
    fn look_alikes_and_malformed_addresses_are_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_label = format!("a@{}.com", "a".repeat(64));
        let long = format!("a@{}", "a.".repeat(130));
        for typed in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@@example.com",
            "a@b@example.com",
            "a b@example.com",
            " a@example.com",
            "a@example.com ",
            "a@example.com.",
            "a@.example.com",
            "a@exa_mple.com",
            "a@-example.com",
            "a@192.0.2.1",
            "a@[192.0.2.1]",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "\"a\"@example.com",
            "a(b)@example.com",
            "a\u{0}@example.com",
            "a\r\nBcc:x@example.com",
            "a<x>@example.com",
            // The Kelvin sign, dotless i, long s, a ligature, é in both forms, Cyrillic а, a zero-width joiner.
            "\u{212a}@example.com",
            "m\u{131}ke@example.com",
            "\u{17f}am@example.com",
            "\u{fb01}@example.com",
            "ren\u{e9}@example.com",
            "rene\u{301}@example.com",
            "\u{430}da@example.com",
            "a\u{200d}da@example.com",
            "ada@ex\u{e4}mple.com",
            "ada\u{ff20}example.com",
            &long_local,
            &long_label,
            &long,
        ] {
            assert_eq!(Email::new(typed).unwrap_err().code(), "invalid-email", "{typed:?}");
        }
    }

    #[test]
    fn debug_output_shows_no_address() {
        assert!(!format!("{:?}", Email::new("ada@example.com").unwrap()).contains("ada"));
    }
}
