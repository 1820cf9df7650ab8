//! Refresh tokens: 256 bits that only their holder knows.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};

/// What a refresh token begins with, so that scanners of code and logs recognise one.
pub const PREFIX: &str = "ub_rt_";

/// The text of a refresh token: the prefix and 32 bytes as base64url without padding.
const TEXT_LENGTH: usize = PREFIX.len() + 43;

/// A refresh token: 16 bytes that all tokens of a session share (the family) and 16 bytes of its own.
///
/// Both halves are secret, and a table holds only their SHA-256. The family finds the session, so one row a
/// session is enough: a token with the right family that is neither the present nor a recent one was used
/// before. The first token's own half is random; a successor's is a MAC of its parent, so that two
/// refreshes of one parent, on two nodes, compute the same successor without anybody storing it.
pub struct RefreshToken {
    family: [u8; 16],
    own: [u8; 16],
}

impl RefreshToken {
    /// The first token of a new session.
    ///
    /// # Errors
    /// `Internal` if the operating system has no randomness to give.
    pub fn generate() -> Result<Self> {
        let (mut family, mut own) = ([0_u8; 16], [0_u8; 16]);
        for half in [&mut family, &mut own] {
            getrandom::fill(half).map_err(|error| Error::internal(error.to_string()))?;
        }
        Ok(Self { family, own })
    }

    /// Reads a token that a client sent.
    ///
    /// # Errors
    /// `Unauthenticated` (`invalid-refresh-token`) for any other text.
    pub fn parse(text: &SecretString) -> Result<Self> {
        let text = text.expose_secret();
        if text.len() != TEXT_LENGTH {
            return Err(refused());
        }
        let encoded = text.strip_prefix(PREFIX).ok_or_else(refused)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| refused())?;
        let (family, own) = bytes.split_at_checked(16).ok_or_else(refused)?;
        match (family.try_into(), own.try_into()) {
            (Ok(family), Ok(own)) => Ok(Self { family, own }),
            _ => Err(refused()),
        }
    }

    /// The token as its holder gets it.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        let mut text = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(self.bytes(), &mut text);
        text.into()
    }

    /// By which a table finds the session: the SHA-256 of the family.
    #[must_use]
    pub fn family_hash(&self) -> String {
        crate::id::hex(&Sha256::digest(self.family))
    }

    /// By which a table knows the token: the SHA-256 of all its bytes.
    #[must_use]
    pub fn hash(&self) -> String {
        crate::id::hex(&Sha256::digest(self.bytes()))
    }

    /// The one token that follows this one in the session `session` of `tenant`.
    #[must_use]
    pub fn successor(&self, key: &[u8; 32], tenant: &str, session: &str) -> Self {
        let mut own = [0_u8; 16];
        // HMAC takes a key of any length; its only error does not occur.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
            for part in [b"refresh-successor".as_slice(), tenant.as_bytes(), session.as_bytes(), &self.bytes()] {
                mac.update(&(part.len() as u64).to_be_bytes());
                mac.update(part);
            }
            for (to, from) in own.iter_mut().zip(mac.finalize().into_bytes()) {
                *to = from;
            }
        }
        Self { family: self.family, own }
    }

    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0_u8; 32];
        for (to, from) in bytes.iter_mut().zip(self.family.iter().chain(&self.own)) {
            *to = *from;
        }
        bytes
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken([redacted])")
    }
}

/// The answer for a refresh token that is not good, whatever the reason.
pub(crate) fn refused() -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        "invalid-refresh-token",
        "the refresh token is unknown, expired, ended or already used; log in again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_form() {
        let token = RefreshToken::generate().unwrap();
        let text = token.to_text();
        assert!(text.expose_secret().starts_with("ub_rt_"));
        assert_eq!(text.expose_secret().len(), TEXT_LENGTH);
        assert_eq!(RefreshToken::parse(&text).unwrap().hash(), token.hash());
    }

    #[test]
    fn a_successor_is_the_same_for_the_same_parent_and_place_only() {
        let token = RefreshToken::generate().unwrap();
        let next = token.successor(&[1; 32], "default", "s");
        assert_eq!(next.hash(), token.successor(&[1; 32], "default", "s").hash());
        assert_eq!(next.family_hash(), token.family_hash());
        for other in [
            token.hash(),
            token.successor(&[2; 32], "default", "s").hash(),
            token.successor(&[1; 32], "other", "s").hash(),
            token.successor(&[1; 32], "default", "t").hash(),
            token.successor(&[1; 32], "defaults", "").hash(),
            next.successor(&[1; 32], "default", "s").hash(),
        ] {
            assert_ne!(next.hash(), other);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let good = RefreshToken::generate().unwrap().to_text();
        let good = good.expose_secret();
        for bad in [
            String::new(),
            "ub_rt_".to_owned(),
            good.get(1..).unwrap().to_owned(),
            good.get(..48).unwrap().to_owned(),
            format!("{good}="),
            good.replace("ub_rt_", "ub_at_"),
            format!("ub_rt_{}", "+".repeat(43)),
            // The last character carries two bits that must be 0.
            format!("ub_rt_{}B", "A".repeat(42)),
            "x".repeat(1 << 20),
        ] {
            assert_eq!(RefreshToken::parse(&bad.into()).unwrap_err().code(), "invalid-refresh-token");
        }
    }
}
