//! Passwords: what a new one must be, and the form in which one is compared.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::{
    auth::{email::Email, refused_passwords::is_refused},
    error::{Error, Result},
};

/// The fewest characters (code points) of a new password.
pub const MIN_CHARACTERS: usize = 8;
/// The most characters (code points) of a password.
pub const MAX_CHARACTERS: usize = 256;

/// A new password that keeps the rules: 8 to 256 characters, no NUL, not one of the best-known passwords
/// and not the address of its account. There are no rules about kinds of characters.
///
/// The list of refused passwords is short: it holds those that guessers try first, not the hundred
/// thousand that leaked most often. A host that wants more checks before it calls the service.
pub struct NewPassword(SecretString);

impl NewPassword {
    /// Checks `password` for the account of `email`.
    ///
    /// # Errors
    /// `Invalid` with the code `password-too-short`, `password-too-long`, `password-refused` or
    /// `invalid-password`.
    pub fn new(password: &SecretString, email: &Email) -> Result<Self> {
        let refused = |code, rule: &str| Err(Error::invalid(code, rule).with_field("/password"));
        let text = password.expose_secret();
        // A code point takes at most 4 bytes, so this bounds the work of what follows.
        if text.len() > MAX_CHARACTERS * 4 {
            return refused("password-too-long", "a password has at most 256 characters");
        }
        let normal = normal_form(password);
        let text = normal.expose_secret();
        let characters = text.chars().count();
        if characters < MIN_CHARACTERS {
            return refused("password-too-short", "a password has at least 8 characters");
        }
        if characters > MAX_CHARACTERS {
            return refused("password-too-long", "a password has at most 256 characters");
        }
        if text.contains('\0') {
            return refused("invalid-password", "a password must not contain the character NUL");
        }
        let lower = text.to_lowercase();
        let local = email.as_str().split('@').next().unwrap_or_default();
        if is_refused(&lower) || lower == email.as_str() || lower == local {
            return refused(
                "password-refused",
                "this password is among the first that a guesser tries; choose another, for example four unusual words",
            );
        }
        Ok(Self(normal))
    }

    /// The password in the form in which it is hashed.
    #[must_use]
    pub fn as_secret(&self) -> &SecretString {
        &self.0
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword([redacted])")
    }
}

/// Whether `password` is too long to be anybody's; it is then not worth hashing.
#[must_use]
pub fn is_impossible(password: &SecretString) -> bool {
    let text = password.expose_secret();
    text.is_empty() || text.len() > MAX_CHARACTERS * 4
}

/// Unicode's form NFC: keyboards send é as one code point or as two.
pub(crate) fn normal_form(password: &SecretString) -> SecretString {
    let text = password.expose_secret();
    if is_nfc(text) { password.clone() } else { text.nfc().collect::<String>().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<NewPassword, &'static str> {
        let email = Email::new("ada.lovelace@example.com").unwrap();
        NewPassword::new(&password.to_owned().into(), &email).map_err(|error| error.code())
    }

    #[test]
    fn length_counts_characters_not_bytes() {
        assert_eq!(check("1a2b3c4").unwrap_err(), "password-too-short");
        assert!(check("1a2b3c4d").is_ok());
        let letters = |count| (0..count).map(|n| char::from_u32(0x4e00 + n * n % 997).unwrap()).collect::<String>();
        assert!(check(&letters(256)).is_ok());
        assert_eq!(check(&letters(257)).unwrap_err(), "password-too-long");
        assert_eq!(check(&"x".repeat(1 << 20)).unwrap_err(), "password-too-long");
        assert_eq!(check("abc\0defgh").unwrap_err(), "invalid-password");
    }

    #[test]
    fn the_first_guesses_are_refused() {
        for guess in ["password", "PassWord", "12345678", "ada.lovelace", "Ada.Lovelace@Example.com"] {
            assert_eq!(check(guess).unwrap_err(), "password-refused", "{guess}");
        }
    }

    #[test]
    fn both_forms_of_a_letter_are_one_password() {
        let one = check("caf\u{e9}-caf\u{e9}").unwrap();
        let two = check("cafe\u{301}-cafe\u{301}").unwrap();
        assert_eq!(one.as_secret().expose_secret(), two.as_secret().expose_secret());
    }
}
