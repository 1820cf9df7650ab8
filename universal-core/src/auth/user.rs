//! Accounts as the service answers and takes them.

use std::fmt;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    auth::email::Email,
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    id::UserId,
};

/// An account, without anything secret.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct User {
    /// The id, unique in the tenant and never used again.
    pub id: UserId,
    /// The address with which the user signs in; unique in the tenant.
    pub email: Email,
    /// The roles, sorted.
    pub roles: Vec<String>,
    /// What the user told about itself.
    pub profile: Profile,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the account was last changed.
    pub updated_at: Timestamp,
}

impl User {
    /// An account without roles and with an empty profile.
    #[must_use]
    pub fn new(id: UserId, email: Email, created_at: Timestamp) -> Self {
        Self { id, email, roles: Vec::new(), profile: Profile::default(), created_at, updated_at: created_at }
    }

    /// The same account with these roles.
    #[must_use]
    pub fn with_roles(mut self, roles: Vec<String>) -> Self {
        self.roles = roles;
        self
    }

    /// The same account with this profile.
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// The same account, last changed then.
    #[must_use]
    pub fn with_updated_at(mut self, at: Timestamp) -> Self {
        self.updated_at = at;
        self
    }
}

/// A JSON object that a user may fill freely (a display name, a locale): at most 8 KiB as JSON text,
/// 16 levels deep. It gives no rights.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Profile(Map<String, Value>);

impl Profile {
    /// The most bytes that a profile takes as JSON text.
    pub const MAX_BYTES: usize = 8 * 1024;
    /// The most levels of arrays and objects within each other.
    pub const MAX_DEPTH: usize = 16;

    /// Checks the size of `members`.
    ///
    /// # Errors
    /// `TooLarge` over 8 KiB, `Invalid` over 16 levels.
    pub fn new(members: Map<String, Value>) -> Result<Self> {
        if members.values().any(|value| !within_depth(value, Self::MAX_DEPTH - 1)) {
            return Err(Error::invalid("profile-too-deep", "a profile has at most 16 levels of arrays and objects")
                .with_field("/profile"));
        }
        let profile = Self(members);
        if profile.to_text()?.len() > Self::MAX_BYTES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "profile-too-large",
                "a profile takes at most 8 KiB; keep larger things in a collection",
            )
            .with_field("/profile"));
        }
        Ok(profile)
    }

    /// The members.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(crate) fn to_text(&self) -> Result<String> {
        serde_json::to_string(&self.0).map_err(Error::internal)
    }

    pub(crate) fn from_stored(text: &str) -> Result<Self> {
        Ok(Self(serde_json::from_str(text).map_err(Error::internal)?))
    }
}

fn within_depth(value: &Value, left: usize) -> bool {
    match value {
        Value::Array(items) => left > 0 && items.iter().all(|item| within_depth(item, left - 1)),
        Value::Object(members) => left > 0 && members.values().all(|item| within_depth(item, left - 1)),
        _ => true,
    }
}

/// An account from another system.
#[derive(Clone)]
#[non_exhaustive]
pub struct ImportUser {
    /// The address.
    pub email: String,
    /// The hash of the password, Argon2id (PHC text) or bcrypt.
    pub password_hash: SecretString,
    /// The roles; none by default.
    pub roles: Vec<String>,
    /// The profile; empty by default.
    pub profile: Map<String, Value>,
}

impl ImportUser {
    /// An account without roles and with an empty profile.
    #[must_use]
    pub fn new(email: impl Into<String>, password_hash: impl Into<SecretString>) -> Self {
        Self { email: email.into(), password_hash: password_hash.into(), roles: Vec::new(), profile: Map::new() }
    }

    /// The same account with these roles.
    #[must_use]
    pub fn with_roles<I: IntoIterator<Item = S>, S: Into<String>>(mut self, roles: I) -> Self {
        self.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// The same account with this profile.
    #[must_use]
    pub fn with_profile(mut self, profile: Map<String, Value>) -> Self {
        self.profile = profile;
        self
    }
}

impl fmt::Debug for ImportUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportUser").field("email", &self.email).field("roles", &self.roles).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_bounded() {
        let deep = (0..20).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        let code = |value: Value| Profile::new(Map::from_iter([("a".to_owned(), value)])).map_err(|error| error.code());
        assert_eq!(code(deep).unwrap_err(), "profile-too-deep");
        assert_eq!(code("x".repeat(9_000).into()).unwrap_err(), "profile-too-large");
        assert!(code("Ada".into()).is_ok());
    }
}
