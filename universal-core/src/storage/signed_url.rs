//! Links that carry a right: presigned downloads and uploads of our own, the same on every store.
//!
//! A link's token says all of it: tenant, object, operation, limits and end, under an HMAC-SHA-256
//! whose key serves nothing else. A download token names the life of the key, so that it is worth
//! nothing after the object was deleted, even if another takes its name; an upload token can be
//! used once.

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    caller::{Caller, ROLE_ADMIN},
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    id::{TenantId, UserId, random_hex},
    secret::MasterKey,
    storage::{bucket::BucketName, content_type::ContentType, key::ObjectKey},
};

/// The longest life of a download link.
const MAX_GET: Duration = Duration::from_secs(3600);
/// The longest life of an upload link.
const MAX_PUT: Duration = Duration::from_secs(15 * 60);

/// What a link allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PresignMethod {
    /// Reading, as often as wanted until its end.
    #[serde(rename = "GET")]
    Get,
    /// One upload.
    #[serde(rename = "PUT")]
    Put,
}

/// A link that is wanted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PresignRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// What the link allows.
    pub method: PresignMethod,
    /// How long: at most an hour, 15 minutes for an upload.
    pub expires_in: Duration,
    /// For an upload: at most so many bytes, below the store's own limit.
    pub max_bytes: Option<u64>,
    /// For an upload: the media type it has to have.
    pub content_type: Option<ContentType>,
}

impl PresignRequest {
    /// A link for 15 minutes.
    #[must_use]
    pub fn new(bucket: BucketName, key: ObjectKey, method: PresignMethod) -> Self {
        Self { bucket, key, method, expires_in: MAX_PUT, max_bytes: None, content_type: None }
    }

    /// A link for so long: from a second to an hour, to 15 minutes for an upload.
    #[must_use]
    pub fn with_expires_in(mut self, duration: Duration) -> Self {
        self.expires_in = duration;
        self
    }

    /// An upload of at most so many bytes.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// An upload of this media type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: ContentType) -> Self {
        self.content_type = Some(content_type);
        self
    }

    /// # Errors
    /// `Invalid` (`invalid-expiry`, `invalid-presign`).
    pub(crate) fn check(&self) -> Result<()> {
        let longest = match self.method {
            PresignMethod::Get => MAX_GET,
            PresignMethod::Put => MAX_PUT,
        };
        if !(Duration::from_secs(1)..=longest).contains(&self.expires_in) {
            return Err(Error::invalid(
                "invalid-expiry",
                "a link lives from a second to an hour, and to 15 minutes if it is for an upload",
            )
            .with_field("expires_in"));
        }
        if self.method == PresignMethod::Get && (self.max_bytes.is_some() || self.content_type.is_some()) {
            return Err(Error::invalid(
                "invalid-presign",
                "max_bytes and content_type limit an upload; leave them out of a link for reading",
            )
            .with_field("method"));
        }
        Ok(())
    }
}

/// A link's token. Who has it has the right, so it belongs in no log.
#[derive(Clone)]
#[non_exhaustive]
pub struct Presigned {
    /// The token: letters, digits, `-`, `_` and one `.`.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Presigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presigned").field("token", &"[redacted]").field("expires_at", &self.expires_at).finish()
    }
}

/// The right that a valid token carries. Only [`Signer::open`] makes one.
#[derive(Clone, Debug)]
pub struct Grant {
    claims: Claims,
}

/// Short names, because they travel in a URL.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    #[serde(rename = "m")]
    method: PresignMethod,
    #[serde(rename = "t")]
    tenant: TenantId,
    #[serde(rename = "b")]
    bucket: BucketName,
    #[serde(rename = "k")]
    key: ObjectKey,
    /// The life of the key, for reading.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// Whether whoever made it was bound by no rule.
    #[serde(rename = "a", default, skip_serializing_if = "std::ops::Not::not")]
    bypasses_rules: bool,
    /// Microseconds since 1970.
    #[serde(rename = "x")]
    expires_at: i64,
    #[serde(rename = "n")]
    nonce: String,
    #[serde(rename = "z", default, skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    content_type: Option<ContentType>,
}

impl Grant {
    /// In whose name the link acts: whoever made it. Its session, if it has one, may have ended since.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let tenant = self.claims.tenant.clone();
        let caller = match &self.claims.user {
            Some(user) if self.claims.bypasses_rules => Caller::user(tenant, user.clone()).with_roles([ROLE_ADMIN]),
            Some(user) => Caller::user(tenant, user.clone()),
            None if self.claims.bypasses_rules => Caller::system(tenant),
            None => Caller::anonymous(tenant),
        };
        match &self.claims.session {
            Some(session) => caller.with_session(session.as_str()),
            None => caller,
        }
    }

    /// What it allows.
    #[must_use]
    pub fn method(&self) -> PresignMethod {
        self.claims.method
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &BucketName {
        &self.claims.bucket
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        &self.claims.key
    }

    /// When it ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_micros(self.claims.expires_at)
    }

    /// For an upload: at most so many bytes.
    #[must_use]
    pub fn max_bytes(&self) -> Option<u64> {
        self.claims.max_bytes
    }

    /// For an upload: the media type it has to have.
    #[must_use]
    pub fn content_type(&self) -> Option<&ContentType> {
        self.claims.content_type.as_ref()
    }

    /// The name of this one right.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.claims.nonce
    }

    /// For reading: the life of the key it was made for.
    #[must_use]
    pub fn object_id(&self) -> Option<&str> {
        self.claims.id.as_deref()
    }

    /// # Errors
    /// `Forbidden` (`presigned-invalid`) if it allows something else.
    pub(crate) fn require(&self, method: PresignMethod) -> Result<()> {
        if self.method() == method { Ok(()) } else { Err(invalid_token()) }
    }
}

/// Signs and checks tokens and cursors, each kind with a key of its own.
pub struct Signer {
    tokens: SecretBox<[u8; 32]>,
    cursors: SecretBox<[u8; 32]>,
}

impl Signer {
    /// A signer with keys derived from the master key.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self { tokens: master.derive("storage-presign-v1"), cursors: master.derive("storage-cursor-v1") }
    }

    /// A token for what was asked, in the name of `caller`; `object_id` is the life of the key that
    /// a link for reading is made for. Whether the caller may is not asked here.
    ///
    /// # Errors
    /// `Internal` if there is no randomness or the token cannot be written.
    pub fn sign(
        &self,
        caller: &Caller,
        request: &PresignRequest,
        object_id: Option<String>,
        now: Timestamp,
    ) -> Result<Presigned> {
        let expires_at = now.plus(request.expires_in);
        let claims = Claims {
            method: request.method,
            tenant: caller.tenant().clone(),
            bucket: request.bucket.clone(),
            key: request.key.clone(),
            id: object_id,
            user: caller.user_id().cloned(),
            session: caller.session().map(str::to_owned),
            bypasses_rules: caller.bypasses_rules(),
            expires_at: expires_at.as_micros(),
            nonce: random_hex(16)?,
            max_bytes: request.max_bytes,
            content_type: request.content_type.clone(),
        };
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).map_err(Error::internal)?);
        let mac = mac(&self.tokens, &[&payload])?.finalize().into_bytes();
        Ok(Presigned { token: format!("{payload}.{}", URL_SAFE_NO_PAD.encode(mac)), expires_at })
    }

    /// The right that a token carries.
    ///
    /// # Errors
    /// `Forbidden`: `presigned-invalid` if it is not a token of this backend, `presigned-expired`.
    pub fn open(&self, token: &str, now: Timestamp) -> Result<Grant> {
        let (payload, signature) = token.split_once('.').ok_or_else(invalid_token)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| invalid_token())?;
        mac(&self.tokens, &[payload])?.verify_slice(&signature).map_err(|_| invalid_token())?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| invalid_token())?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| invalid_token())?;
        let grant = Grant { claims };
        if now >= grant.expires_at() {
            return Err(Error::new(
                ErrorKind::Forbidden,
                "presigned-expired",
                "this link has ended; ask for a new one",
            ));
        }
        Ok(grant)
    }

    /// # Errors
    /// `Internal` if the key is refused, which no key of 32 bytes is.
    pub(crate) fn sign_cursor(&self, parts: &[&str]) -> Result<Vec<u8>> {
        let mac = mac(&self.cursors, parts)?.finalize().into_bytes();
        Ok(mac.iter().copied().take(16).collect())
    }

    /// # Errors
    /// `Internal` if the key is refused, which no key of 32 bytes is.
    pub(crate) fn verify_cursor(&self, parts: &[&str], signature: &[u8]) -> Result<bool> {
        Ok(signature.len() == 16 && mac(&self.cursors, parts)?.verify_truncated_left(signature).is_ok())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer([redacted])")
    }
}

fn mac(key: &SecretBox<[u8; 32]>, parts: &[&str]) -> Result<Hmac<Sha256>> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.expose_secret()).map_err(|error| Error::internal(error.to_string()))?;
    for part in parts {
        // The length before each part keeps "a" + "bc" apart from "ab" + "c".
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part.as_bytes());
    }
    Ok(mac)
}

fn invalid_token() -> Error {
    Error::new(ErrorKind::Forbidden, "presigned-invalid", "this link is not valid; ask for a new one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: PresignMethod) -> PresignRequest {
        PresignRequest::new(BucketName::new("files").unwrap(), ObjectKey::new("a/ü.txt").unwrap(), method)
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let signer = Signer::new(&MasterKey::generate().unwrap());
        let caller = Caller::user(TenantId::new("acme").unwrap(), UserId::new("ann").unwrap()).with_session("s1");
        let now = Timestamp::from_micros(1_000_000);
        let request =
            request(PresignMethod::Put).with_max_bytes(10).with_content_type(ContentType::new("image/png").unwrap());
        let signed = signer.sign(&caller, &request, None, now).unwrap();
        assert!(signed.token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
        assert!(!format!("{signed:?}").contains(&signed.token));
        let grant = signer.open(&signed.token, now).unwrap();
        assert_eq!(grant.key().as_str(), "a/ü.txt");
        assert_eq!((grant.method(), grant.max_bytes()), (PresignMethod::Put, Some(10)));
        assert_eq!(grant.caller().user_id().unwrap().as_str(), "ann");
        assert_eq!(grant.caller().tenant().as_str(), "acme");
        assert_eq!(grant.caller().session(), Some("s1"));
        assert!(!grant.caller().bypasses_rules());
        assert!(grant.require(PresignMethod::Get).is_err());
        let end = now.plus(request.expires_in);
        assert_eq!(signer.open(&signed.token, end).unwrap_err().code(), "presigned-expired");
        assert!(signer.open(&signed.token, end.minus(Duration::from_micros(1))).is_ok());
    }

    #[test]
    fn anything_else_is_refused() {
        let signer = Signer::new(&MasterKey::generate().unwrap());
        let other = Signer::new(&MasterKey::generate().unwrap());
        let caller = Caller::system(TenantId::default_tenant());
        let now = Timestamp::from_micros(0);
        let token = signer.sign(&caller, &request(PresignMethod::Get), Some("1".into()), now).unwrap().token;
        assert!(signer.open(&token, now).is_ok());
        assert!(other.open(&token, now).is_err());
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(signer.open(&changed, now).unwrap_err().code(), "presigned-invalid", "{at}");
        }
        for bad in ["", ".", "a", "a.b", &token[..token.len() - 1], &format!("{token}A"), &format!("{token}.")] {
            assert_eq!(signer.open(bad, now).unwrap_err().code(), "presigned-invalid", "{bad}");
        }
    }

    #[test]
    fn limits_of_a_request() {
        let with = |method, seconds| request(method).with_expires_in(Duration::from_secs(seconds)).check().is_ok();
        assert!(with(PresignMethod::Get, 3600) && !with(PresignMethod::Get, 3601) && !with(PresignMethod::Get, 0));
        assert!(with(PresignMethod::Put, 900) && !with(PresignMethod::Put, 901));
        assert!(request(PresignMethod::Get).with_max_bytes(1).check().is_err());
    }
}
