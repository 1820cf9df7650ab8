//! Tickets for event streams: what a browser's `EventSource`, which cannot send a header, puts into the address.
//!
//! A ticket stands for an access token for a short while, so that the token itself never is in an address, where logs
//! would keep it. It is kept in the database, so that any node may be the one that is asked; the database alone gives
//! no token away: what it keeps is sealed with a key that only the ticket holds.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::{
    error::{Error, ErrorKind, Result},
    id::{TenantId, hex},
};

/// How long a ticket waits for its first use.
pub const FIRST_USE: Duration = Duration::from_secs(30);
/// How long a used one is kept: the life of an access token, with its leeway. What it stands for ends with the token.
pub const KEPT: Duration = Duration::from_secs(16 * 60);
/// Tickets of one user; a further one replaces the oldest.
pub const PER_USER: u32 = 20;

/// What a ticket begins with, so that scanners of code and logs recognise one.
const PREFIX: &str = "ub_tk_";
/// The longest token that is sealed: what one key can cover (RFC 5869 §2.3), and the longest that is accepted.
const LONGEST: usize = 255 * 32;

/// A ticket: the tenant, in the clear, and 32 bytes that only its holder knows.
pub struct Ticket {
    tenant: TenantId,
    secret: [u8; 32],
}

impl Ticket {
    /// A new ticket of a tenant.
    ///
    /// # Errors
    /// `Internal` if the operating system has no randomness to give.
    pub fn generate(tenant: TenantId) -> Result<Self> {
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self { tenant, secret })
    }

    /// Reads a ticket that a client sent.
    ///
    /// # Errors
    /// `Unauthenticated` `invalid-ticket` for any other text.
    pub fn parse(text: &str) -> Result<Self> {
        let read = || {
            let (tenant, secret) = text.strip_prefix(PREFIX)?.rsplit_once('.')?;
            let secret = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
            Some(Self { tenant: TenantId::new(tenant).ok()?, secret })
        };
        read().ok_or_else(refused)
    }

    /// The ticket as its holder gets it; it can stand in an address as it is.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        format!("{PREFIX}{}.{}", self.tenant, URL_SAFE_NO_PAD.encode(self.secret)).into()
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// By which a table finds it: a SHA-256 of the secret.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.secret))
    }

    /// The token as a table keeps it. Each ticket seals one token, with a key stream of its own (HKDF-SHA-256 of the
    /// secret); that it was not changed is proved by the token's own signature.
    ///
    /// # Errors
    /// `Invalid` for a token above 8 160 bytes.
    pub fn seal(&self, token: &SecretString) -> Result<String> {
        Ok(URL_SAFE_NO_PAD.encode(self.cover(token.expose_secret().as_bytes())?))
    }

    /// The token that was sealed.
    ///
    /// # Errors
    /// `Unauthenticated` `invalid-ticket` if it was sealed by another ticket.
    pub fn unseal(&self, sealed: &str) -> Result<SecretString> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| refused())?;
        let token = String::from_utf8(self.cover(&bytes)?).map_err(|_| refused())?;
        Ok(token.into())
    }

    fn cover(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut stream = vec![0_u8; bytes.len()];
        let key = Hkdf::<Sha256>::new(Some(b"universal-ticket"), &self.secret);
        if bytes.len() > LONGEST || key.expand(b"seal", &mut stream).is_err() {
            return Err(Error::invalid("invalid-token", "the access token is too long for a ticket"));
        }
        Ok(stream.iter().zip(bytes).map(|(key, byte)| key ^ byte).collect())
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket([redacted])")
    }
}

/// The answer for a ticket that is not good, whatever the reason.
pub(crate) fn refused() -> Error {
    Error::new(ErrorKind::Unauthenticated, "invalid-ticket", "this ticket is not, or no longer, valid; get a new one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_survives_its_text_and_opens_what_it_sealed() {
        let ticket = Ticket::generate("acme.eu".parse().unwrap_or_else(|_| TenantId::default_tenant())).unwrap();
        let text = ticket.to_text();
        let read = Ticket::parse(text.expose_secret()).unwrap();
        assert_eq!((read.tenant(), read.hash()), (ticket.tenant(), ticket.hash()));
        let sealed = ticket.seal(&"a token".into()).unwrap();
        assert!(!sealed.contains("token"));
        assert_eq!(read.unseal(&sealed).unwrap().expose_secret(), "a token");
        let other = Ticket::generate(TenantId::default_tenant()).unwrap();
        assert!(other.unseal(&sealed).map_or(true, |token| token.expose_secret() != "a token"));
        assert!(ticket.seal(&"x".repeat(LONGEST + 1).into()).is_err());
    }

    #[test]
    fn other_texts_are_no_tickets() {
        for bad in ["", "ub_tk_", "ub_tk_default", "ub_tk_default.abc", "ub_tk_.AAAA", "ub_rt_x", "ub_tk_a b.AAAA"] {
            assert_eq!(Ticket::parse(bad).unwrap_err().code(), "invalid-ticket", "{bad}");
        }
    }
}
