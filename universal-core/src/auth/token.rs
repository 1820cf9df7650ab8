//! Access tokens: JWTs (RFC 7519, RFC 9068) signed with Ed25519.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    auth::{keys::AuthKeys, options::AuthOptions},
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    id::{TenantId, UserId, random_hex},
};

/// The most bytes of an access token.
pub const MAX_BYTES: usize = 8 * 1024;

const ALGORITHM: &str = "EdDSA";
const TYPE: &str = "at+jwt";
/// The claim `client_id` that RFC 9068 asks for: tokens for the backend's own sign-in.
const CLIENT: &str = "first-party";

/// What a token says about its bearer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Subject {
    /// The tenant.
    pub tenant: TenantId,
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: String,
    /// The version of the account's rights; a change of it ends older tokens.
    pub token_version: i64,
    /// The roles when the token was made.
    pub roles: Vec<String>,
}

impl Subject {
    /// A bearer without roles.
    #[must_use]
    pub fn new(tenant: TenantId, user: UserId, session: impl Into<String>, token_version: i64) -> Self {
        Self { tenant, user, session: session.into(), token_version, roles: Vec::new() }
    }

    /// The same bearer with these roles.
    #[must_use]
    pub fn with_roles(mut self, roles: Vec<String>) -> Self {
        self.roles = roles;
        self
    }
}

/// A token that was verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// What it says about its bearer.
    pub subject: Subject,
    /// Until when it is good, without leeway.
    pub expires_at: Timestamp,
}

/// Makes and verifies access tokens.
#[derive(Clone, Debug)]
pub struct AccessTokens {
    keys: Arc<AuthKeys>,
    issuer: String,
    audience: String,
    lifetime: Duration,
    leeway: Duration,
}

/// The whole header. A token that says more (`jku`, `jwk`, `x5u`, `x5c`, `crit`, `enc`, `zip`) is not ours.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// The claims that must be there, with their types. Others are let be, so that a newer version of this
/// program may add some while an older one runs beside it.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    iat: i64,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    nbf: Option<i64>,
    jti: String,
    tid: String,
    sid: String,
    tv: i64,
    roles: Vec<String>,
}

/// A claim that may be absent, but not `null` or of another type.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<i64>, D::Error> {
    i64::deserialize(deserializer).map(Some)
}

impl AccessTokens {
    /// With these keys; issuer, audience, lifetime and leeway from `options`.
    #[must_use]
    pub fn new(keys: Arc<AuthKeys>, options: &AuthOptions) -> Self {
        Self {
            keys,
            issuer: options.issuer.clone(),
            audience: options.audience.clone(),
            lifetime: options.access_lifetime,
            leeway: options.leeway,
        }
    }

    /// Signs a token for `subject`, good from `now` for the configured lifetime, but not after `latest`.
    /// Answers the token and how long it is good for.
    ///
    /// # Errors
    /// `Internal` if there is no randomness for its id.
    pub fn issue(&self, subject: &Subject, now: Timestamp, latest: Timestamp) -> Result<(SecretString, Duration)> {
        let (iat, exp) = (now.as_seconds(), now.plus(self.lifetime).min(latest).as_seconds());
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: subject.user.as_str().to_owned(),
            client_id: CLIENT.to_owned(),
            iat,
            exp,
            nbf: None,
            jti: random_hex(16)?,
            tid: subject.tenant.as_str().to_owned(),
            sid: subject.session.clone(),
            tv: subject.token_version,
            roles: subject.roles.clone(),
        };
        let header =
            Header { alg: ALGORITHM.to_owned(), typ: TYPE.to_owned(), kid: self.keys.signing().kid().to_owned() };
        let mut token = String::with_capacity(768);
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(&header).map_err(Error::internal)?, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(&claims).map_err(Error::internal)?, &mut token);
        let signature = self.keys.signing().sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok((token.into(), Duration::from_secs(u64::try_from(exp - iat).unwrap_or(0))))
    }

    /// Verifies a token: its form, the key its `kid` names in our own set, the signature, then every claim.
    ///
    /// # Errors
    /// `Unauthenticated`: `token-expired` for a good token whose time is over, `invalid-token` for all else.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified> {
        let claims = self.read(token).ok_or_else(refused)?;
        let leeway = i64::try_from(self.leeway.as_secs()).unwrap_or(i64::MAX);
        let latest_start = now.as_seconds().saturating_add(leeway);
        let starts = claims.iat <= latest_start && claims.nbf.is_none_or(|nbf| nbf <= latest_start);
        if !starts || claims.exp <= claims.iat || claims.iss != self.issuer || claims.aud != self.audience {
            return Err(refused());
        }
        if claims.client_id != CLIENT || claims.jti.is_empty() || claims.sid.is_empty() {
            return Err(refused());
        }
        let subject = Subject {
            tenant: TenantId::new(&claims.tid).map_err(|_| refused())?,
            user: UserId::new(&claims.sub).map_err(|_| refused())?,
            session: claims.sid,
            token_version: claims.tv,
            roles: claims.roles,
        };
        let expires_at = Timestamp::from_micros(claims.exp.checked_mul(1_000_000).ok_or_else(refused)?);
        if self.is_over(expires_at, now) {
            return Err(expired());
        }
        Ok(Verified { subject, expires_at })
    }

    /// Whether a token that was good until `expires_at` is no longer accepted.
    pub(crate) fn is_over(&self, expires_at: Timestamp, now: Timestamp) -> bool {
        expires_at.plus(self.leeway) <= now
    }

    fn read(&self, token: &str) -> Option<Claims> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let mut parts = token.split('.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        // base64url without padding, white space or stray bits; a duplicate claim is an error of serde's.
        let decoded: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if decoded.alg != ALGORITHM || decoded.typ != TYPE {
            return None;
        }
        let key = self.keys.find(&decoded.kid)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let signed = token.get(..header.len() + 1 + claims.len())?;
        if !key.verifies(signed.as_bytes(), &signature) {
            return None;
        }
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

pub(crate) fn refused() -> Error {
    Error::new(ErrorKind::Unauthenticated, "invalid-token", "the access token is not valid; log in again")
}

pub(crate) fn expired() -> Error {
    Error::new(ErrorKind::Unauthenticated, "token-expired", "the access token has expired; refresh it or log in again")
}
