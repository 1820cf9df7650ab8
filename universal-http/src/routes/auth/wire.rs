//! The bodies.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Unexpected, Visitor},
};
use serde_json::{Map, Value};
use universal_core::{auth, clock::Timestamp};

/// `POST /auth/register`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    email: String,
    password: Secret,
    #[serde(default)]
    profile: Map<String, Value>,
}

/// `POST /auth/login`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    email: String,
    password: Secret,
}

/// `POST /auth/refresh`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refresh {
    pub(super) refresh_token: Secret,
}

/// `POST /auth/logout`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Logout {
    #[serde(default)]
    pub(super) refresh_token: Option<Secret>,
}

/// The answer to register, login and refresh.
#[derive(Serialize)]
pub(super) struct Session<'a> {
    user: User<'a>,
    access_token: &'a str,
    refresh_token: &'a str,
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
}

/// An account.
#[derive(Serialize)]
pub(super) struct User<'a> {
    id: &'a str,
    email: &'a str,
    roles: &'a [String],
    profile: &'a Map<String, Value>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A text that no message repeats, whatever is wrong with it.
pub(super) struct Secret(SecretString);

impl Secret {
    pub(super) fn as_secret(&self) -> &SecretString {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde would show a number that stands where a text should.
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret(text.into()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Secret, E> {
        Ok(Secret(text.into()))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::invalid_type(Unexpected::Other("boolean"), &self))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::invalid_type(Unexpected::Other("number"), &self))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::invalid_type(Unexpected::Other("number"), &self))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::invalid_type(Unexpected::Other("number"), &self))
    }
}

impl From<Register> for auth::Registration {
    fn from(body: Register) -> Self {
        Self::new(body.email, body.password.0).with_profile(body.profile)
    }
}

impl From<Login> for auth::Login {
    fn from(body: Login) -> Self {
        Self::new(body.email, body.password.0)
    }
}

impl<'a> From<&'a auth::SignedIn> for Session<'a> {
    fn from(signed_in: &'a auth::SignedIn) -> Self {
        Self {
            user: User::from(&signed_in.user),
            access_token: signed_in.access_token.expose_secret(),
            refresh_token: signed_in.refresh_token.expose_secret(),
            token_type: "bearer",
            expires_in: signed_in.expires_in.as_secs(),
        }
    }
}

impl<'a> From<&'a auth::User> for User<'a> {
    fn from(user: &'a auth::User) -> Self {
        Self {
            id: user.id.as_str(),
            email: user.email.as_str(),
            roles: &user.roles,
            profile: user.profile.members(),
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::extract::json::parse;

    fn refused<T: de::DeserializeOwned>(body: String) -> universal_core::error::Error {
        match parse::<T>(&Bytes::from(body.clone())) {
            Ok(_) => panic!("{body} was accepted"),
            Err(error) => error,
        }
    }

    #[test]
    fn nothing_but_a_text_is_a_text() {
        let good = r#"{"email":"a@example.com","password":"p\u00e4ss","profile":{"name":"Ada"}}"#;
        let body: Register = parse(&Bytes::from_static(good.as_bytes())).unwrap();
        assert_eq!(body.password.0.expose_secret(), "p\u{e4}ss");
        for value in ["{\"$ne\":null}", "[\"x\"]", "8675309", "-8675309", "86753.09", "true", "null"] {
            let password = refused::<Login>(format!(r#"{{"email":"a@example.com","password":{value}}}"#));
            assert_eq!((password.code(), password.field()), ("invalid-body", Some("/password")), "{value}");
            assert!(!password.message().contains("867"), "{}", password.message());
            let email = refused::<Login>(format!(r#"{{"password":"x","email":{value}}}"#));
            assert_eq!((email.code(), email.field()), ("invalid-body", Some("/email")), "{value}");
            let token = refused::<Refresh>(format!(r#"{{"refresh_token":{value}}}"#));
            assert_eq!((token.code(), token.field()), ("invalid-body", Some("/refresh_token")), "{value}");
        }
    }

    #[test]
    fn unknown_missing_and_repeated_fields_are_refused() {
        for (body, field) in [
            (r#"{"email":"a@example.com","password":"x","roles":["admin"]}"#, "/roles"),
            (r#"{"email":"a@example.com"}"#, "/password"),
            (r#"{"email":"a@example.com","email":"b@example.com","password":"x"}"#, "/email"),
            (r#"{"email":"a@example.com","password":"x","profile":null}"#, "/profile"),
            (r#"{"email":"a@example.com","password":"x","profile":[]}"#, "/profile"),
        ] {
            assert_eq!(refused::<Register>(body.to_owned()).field(), Some(field), "{body}");
        }
    }
}
