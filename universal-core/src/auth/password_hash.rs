//! Password hashes as text: Argon2id to write, Argon2id and bcrypt to read.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    auth::{options::HashingOptions, password::normal_form},
    error::{Error, Result},
};

/// bcrypt reads no more of a password than this.
const BCRYPT_BYTES: usize = 72;

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The password is the one that was hashed.
    pub matches: bool,
    /// The hash should be replaced by one of today's cost; only ever with `matches`.
    pub outdated: bool,
}

/// Today's way to hash. All its methods compute for tens of milliseconds: call them through
/// [`PasswordHasher`](crate::auth::hasher::PasswordHasher), not on an async thread.
#[derive(Clone)]
pub struct Recipe {
    argon2: Argon2<'static>,
    absent: String,
}

impl Recipe {
    /// Argon2id with the cost of `options`.
    ///
    /// # Errors
    /// `Invalid` if Argon2 does not know such a cost (memory below 8 KiB a lane, no passes).
    pub fn new(options: &HashingOptions) -> Result<Self> {
        let params = Params::new(options.memory_kib, options.passes, options.lanes, None).map_err(|error| {
            Error::invalid("invalid-hashing-cost", format!("Argon2 does not accept this cost: {error}"))
        })?;
        // A hash that no password has: random salt and random outcome, today's cost.
        let mut bytes = [0_u8; 48];
        getrandom::fill(&mut bytes).map_err(|error| Error::internal(error.to_string()))?;
        let (salt, outcome) = bytes.split_at(16);
        let absent = format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            options.memory_kib,
            options.passes,
            options.lanes,
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(outcome)
        );
        Ok(Self { argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params), absent })
    }

    /// Hashes `password` with a new salt of 16 bytes, as PHC text.
    ///
    /// # Errors
    /// `Internal` if there is no randomness or no memory.
    pub fn hash(&self, password: &SecretString) -> Result<String> {
        let password = normal_form(password);
        let hash: PasswordHash = self
            .argon2
            .hash_password(password.expose_secret().as_bytes())
            .map_err(|error| Error::internal(error.to_string()))?;
        Ok(hash.to_string())
    }

    /// Compares `password` with `stored`. Without a stored hash the same work is done, and nothing matches.
    #[must_use]
    pub fn verify(&self, password: &SecretString, stored: Option<&str>) -> Verdict {
        let hash = stored.unwrap_or(&self.absent);
        let (matches, outdated) = if is_bcrypt(hash) {
            // The other system hashed what was typed, so no normal form. What bcrypt did not read was
            // never proved to be the user's password: such a hash is kept.
            let password = password.expose_secret();
            (bcrypt::verify(password, hash).unwrap_or(false), password.len() <= BCRYPT_BYTES)
        } else {
            let password = normal_form(password);
            let matches = PasswordHash::new(hash)
                .is_ok_and(|parsed| self.argon2.verify_password(password.expose_secret().as_bytes(), &parsed).is_ok());
            (matches, !self.is_current(hash))
        };
        let matches = matches && stored.is_some();
        Verdict { matches, outdated: matches && outdated }
    }

    fn is_current(&self, hash: &str) -> bool {
        let ours = self.argon2.params();
        PasswordHash::new(hash).is_ok_and(|parsed| {
            parsed.algorithm.as_str() == "argon2id"
                && parsed.version == Some(Version::V0x13.into())
                && Params::try_from(&parsed).is_ok_and(|theirs| {
                    (theirs.m_cost(), theirs.t_cost(), theirs.p_cost()) == (ours.m_cost(), ours.t_cost(), ours.p_cost())
                })
        })
    }
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipe").field("params", self.argon2.params()).finish_non_exhaustive()
    }
}

/// Checks that a hash from another system can be verified here, and at a bearable cost: Argon2id
/// (at most 64 MiB, 10 passes, 8 lanes) or bcrypt (`$2a$`, `$2b$`, `$2y$`, cost 4 to 15).
///
/// # Errors
/// `Invalid` (`invalid-password-hash`) for anything else.
pub fn check_imported(hash: &SecretString) -> Result<()> {
    let text = hash.expose_secret();
    let known = if is_bcrypt(text) {
        text.parse::<bcrypt::HashParts>().is_ok_and(|parts| (4..=15).contains(&parts.get_cost()))
    } else {
        PasswordHash::new(text).is_ok_and(|parsed| {
            parsed.algorithm.as_str() == "argon2id"
                && parsed.salt.is_some()
                && parsed.hash.is_some()
                && Params::try_from(&parsed)
                    .is_ok_and(|cost| cost.m_cost() <= 65_536 && cost.t_cost() <= 10 && cost.p_cost() <= 8)
        })
    };
    if known {
        return Ok(());
    }
    Err(Error::invalid(
        "invalid-password-hash",
        "a password hash is Argon2id as PHC text (at most 64 MiB, 10 passes, 8 lanes) or bcrypt ($2a$, $2b$, $2y$, cost 4 to 15)",
    )
    .with_field("/password_hash"))
}

fn is_bcrypt(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> Recipe {
        Recipe::new(&HashingOptions::default().with_cost(64, 1, 1)).unwrap()
    }

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    #[test]
    fn the_default_cost_is_owasps() {
        let hash = Recipe::new(&HashingOptions::default()).unwrap().hash(&secret("correct horse")).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let parsed = PasswordHash::new(&hash).unwrap();
        assert_eq!(parsed.salt.unwrap().len(), 16);
        assert_eq!(parsed.hash.unwrap().len(), 32);
    }

    #[test]
    fn a_password_matches_its_hash_in_either_unicode_form() {
        let recipe = cheap();
        let hash = recipe.hash(&secret("caf\u{e9} au lait")).unwrap();
        assert_eq!(
            recipe.verify(&secret("cafe\u{301} au lait"), Some(&hash)),
            Verdict { matches: true, outdated: false }
        );
        assert!(!recipe.verify(&secret("cafe au lait"), Some(&hash)).matches);
        assert_ne!(hash, recipe.hash(&secret("caf\u{e9} au lait")).unwrap(), "every hash has its own salt");
    }

    #[test]
    fn nothing_matches_an_absent_account_and_damaged_hashes() {
        let recipe = cheap();
        for stored in [None, Some(""), Some("$argon2id$"), Some("plain"), Some("$2b$04$short")] {
            assert_eq!(recipe.verify(&secret("plain"), stored), Verdict { matches: false, outdated: false });
        }
        assert!(PasswordHash::new(&recipe.absent).is_ok(), "the absent hash costs what a real one costs");
    }

    #[test]
    fn other_costs_and_bcrypt_are_outdated() {
        let recipe = cheap();
        let other = Recipe::new(&HashingOptions::default().with_cost(128, 1, 1)).unwrap();
        let hash = other.hash(&secret("correct horse")).unwrap();
        assert_eq!(recipe.verify(&secret("correct horse"), Some(&hash)), Verdict { matches: true, outdated: true });
        for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB, bcrypt::Version::TwoY] {
            let hash = bcrypt::hash_with_result("correct horse", 4).unwrap().format_for_version(version);
            assert_eq!(
                recipe.verify(&secret("correct horse"), Some(&hash)),
                Verdict { matches: true, outdated: true },
                "{hash}"
            );
            assert!(!recipe.verify(&secret("correct house"), Some(&hash)).matches);
            assert!(check_imported(&hash.into()).is_ok());
        }
    }

    #[test]
    fn what_bcrypt_did_not_read_is_not_taken_over() {
        let recipe = cheap();
        let hash = bcrypt::hash("x".repeat(80), 4).unwrap();
        let typed = secret(&format!("{}{}", "x".repeat(72), "something else"));
        assert_eq!(recipe.verify(&typed, Some(&hash)), Verdict { matches: true, outdated: false });
    }

    #[test]
    fn unbearable_and_unknown_hashes_are_not_imported() {
        let salt_and_hash = "c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
        for bad in [
            String::new(),
            "secret".to_owned(),
            "5f4dcc3b5aa765d61d8327deb882cf99".to_owned(),
            "$2x$10$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u".to_owned(),
            "$2b$31$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u".to_owned(),
            "$2b$12$L6Bc".to_owned(),
            format!("$argon2i$v=19$m=64,t=1,p=1${salt_and_hash}"),
            format!("$argon2id$v=19$m=4194304,t=1,p=1${salt_and_hash}"),
            format!("$argon2id$v=19$m=64,t=4000000,p=1${salt_and_hash}"),
            "$argon2id$v=19$m=64,t=1,p=1".to_owned(),
        ] {
            assert_eq!(check_imported(&bad.clone().into()).unwrap_err().code(), "invalid-password-hash", "{bad}");
        }
        assert!(check_imported(&format!("$argon2id$v=19$m=64,t=1,p=1${salt_and_hash}").into()).is_ok());
    }
}
