//! The keys of the service, and their public half for others.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto::rust_crypto::DEFAULT_PROVIDER, jwk::EllipticCurve};
use secrecy::{ExposeSecret, SecretBox};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    secret::MasterKey,
};

/// What precedes the 32 bytes of an Ed25519 seed in PKCS#8 version 1 (RFC 8410).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The keys of an [`Auth`](crate::auth::Auth) service: one Ed25519 key that signs access tokens, older ones
/// whose tokens are still accepted, and one that makes the successors of refresh tokens.
///
/// All nodes of a backend must have the same keys; deriving them from the master key sees to that.
pub struct AuthKeys {
    signing: SigningKey,
    previous: Vec<PublicKey>,
    refresh: SecretBox<[u8; 32]>,
}

impl AuthKeys {
    /// Derives all keys from the master key.
    ///
    /// # Errors
    /// `Internal` if the seed gives no Ed25519 key, which does not happen.
    pub fn derive(master: &MasterKey) -> Result<Self> {
        Ok(Self {
            signing: SigningKey::from_seed(&master.derive("access-token-ed25519-v1"))?,
            previous: Vec::new(),
            refresh: master.derive("refresh-token-v1"),
        })
    }

    /// Signs with the host's own Ed25519 key (its 32-byte seed), in place of the derived one.
    ///
    /// # Errors
    /// `Internal` if the seed gives no Ed25519 key, which does not happen.
    pub fn with_signing_seed(mut self, seed: &SecretBox<[u8; 32]>) -> Result<Self> {
        self.signing = SigningKey::from_seed(seed)?;
        Ok(self)
    }

    /// Accepts tokens of an older key too, whose 32 public bytes these are. Take it away when the last of
    /// its tokens has expired.
    #[must_use]
    pub fn with_previous(mut self, public: [u8; 32]) -> Self {
        self.previous.push(PublicKey::new(public));
        self
    }

    /// The public keys, the present one first.
    #[must_use]
    pub fn jwks(&self) -> Jwks {
        Jwks { keys: self.public_keys().map(PublicKey::to_jwk).collect() }
    }

    pub(crate) fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The public key with this `kid`. Nothing else in a token chooses a key.
    pub(crate) fn find(&self, kid: &str) -> Option<&PublicKey> {
        self.public_keys().find(|key| key.kid == kid)
    }

    pub(crate) fn refresh(&self) -> &[u8; 32] {
        self.refresh.expose_secret()
    }

    fn public_keys(&self) -> impl Iterator<Item = &PublicKey> {
        std::iter::once(&self.signing.public).chain(&self.previous)
    }
}

impl fmt::Debug for AuthKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthKeys").field("kid", &self.signing.public.kid).finish_non_exhaustive()
    }
}

/// A key that signs. The provider is named in every call, since the library's own choice is a variable of
/// the process that a host may have set, or made ambiguous by a feature of its own.
pub(crate) struct SigningKey {
    private: EncodingKey,
    public: PublicKey,
}

impl SigningKey {
    fn from_seed(seed: &SecretBox<[u8; 32]>) -> Result<Self> {
        let mut der = PKCS8_PREFIX.to_vec();
        der.extend_from_slice(seed.expose_secret());
        let public = (DEFAULT_PROVIDER.key_utils.ed_pub_components_from_private_key)(&der, &EllipticCurve::Ed25519)
            .map_err(Error::internal)?;
        let public: [u8; 32] =
            public.try_into().map_err(|_| Error::internal("an Ed25519 public key is not 32 bytes long"))?;
        Ok(Self { private: EncodingKey::from_ed_der(&der), public: PublicKey::new(public) })
    }

    pub(crate) fn kid(&self) -> &str {
        &self.public.kid
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signer = (DEFAULT_PROVIDER.signer_factory)(&Algorithm::EdDSA, &self.private).map_err(Error::internal)?;
        signer.try_sign(message).map_err(|error| Error::internal(error.to_string()))
    }
}

/// A key that verifies.
#[derive(Clone)]
pub(crate) struct PublicKey {
    kid: String,
    bytes: [u8; 32],
    decoding: DecodingKey,
}

impl PublicKey {
    fn new(bytes: [u8; 32]) -> Self {
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(bytes)).chars().take(16).collect();
        Self { kid, bytes, decoding: DecodingKey::from_ed_der(&bytes) }
    }

    /// Whether `signature` (64 bytes) is this key's for `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &Vec<u8>) -> bool {
        (DEFAULT_PROVIDER.verifier_factory)(&Algorithm::EdDSA, &self.decoding)
            .is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
    }

    fn to_jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            usage: "sig",
            kid: self.kid.clone(),
            x: URL_SAFE_NO_PAD.encode(self.bytes),
        }
    }
}

/// A set of public keys (RFC 7517), the answer of `/.well-known/jwks.json`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Jwks {
    /// The keys, the one that signs first.
    pub keys: Vec<Jwk>,
}

/// An Ed25519 public key (RFC 8037).
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Jwk {
    /// The family of keys: `OKP`.
    pub kty: &'static str,
    /// The curve: `Ed25519`.
    pub crv: &'static str,
    /// The algorithm of the tokens: `EdDSA`.
    pub alg: &'static str,
    /// What the key is for: `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// The name of the key: the first 16 characters of the base64url SHA-256 of its bytes.
    pub kid: String,
    /// The 32 bytes of the key as base64url.
    pub x: String,
}

impl Jwks {
    /// A set of these keys.
    #[must_use]
    pub fn new(keys: Vec<Jwk>) -> Self {
        Self { keys }
    }
}

impl Jwk {
    /// The key with these 32 bytes.
    #[must_use]
    pub fn ed25519(bytes: [u8; 32]) -> Self {
        PublicKey::new(bytes).to_jwk()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_from_the_master_key() {
        let master = || MasterKey::from_hex(&"07".repeat(32)).unwrap();
        let (one, two) = (AuthKeys::derive(&master()).unwrap(), AuthKeys::derive(&master()).unwrap());
        assert_eq!(one.signing().kid(), two.signing().kid());
        assert_eq!(one.refresh(), two.refresh());
        let other = AuthKeys::derive(&MasterKey::generate().unwrap()).unwrap();
        assert_ne!(one.signing().kid(), other.signing().kid());
    }

    #[test]
    fn the_set_shows_public_halves_only() {
        // RFC 8032, section 7.1, test 1.
        let hex = |text: &str| -> [u8; 32] {
            let bytes: Vec<u8> =
                (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
            bytes.try_into().unwrap()
        };
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let keys = AuthKeys::derive(&MasterKey::generate().unwrap())
            .unwrap()
            .with_signing_seed(&SecretBox::new(Box::new(seed)))
            .unwrap()
            .with_previous([7; 32]);
        let set = serde_json::to_value(keys.jwks()).unwrap();
        assert_eq!(set["keys"][0]["x"], URL_SAFE_NO_PAD.encode(public));
        assert_eq!(set["keys"][0]["kty"], "OKP");
        assert_eq!(set["keys"][0]["use"], "sig");
        assert_eq!(set["keys"][0]["kid"].as_str().unwrap().len(), 16);
        assert_eq!(set["keys"].as_array().unwrap().len(), 2);
        assert_eq!(set["keys"][0].as_object().unwrap().len(), 6);
        let signature = keys.signing().sign(b"text").unwrap();
        let key = keys.find(keys.signing().kid()).unwrap();
        assert!(key.verifies(b"text", &signature));
        assert!(!key.verifies(b"texts", &signature));
    }
}
