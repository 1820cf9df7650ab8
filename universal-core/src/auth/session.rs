//! Signing up and in: what is sent and what comes back.

use std::{fmt, time::Duration};

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::auth::user::User;

/// A new account.
#[derive(Clone)]
#[non_exhaustive]
pub struct Registration {
    /// The address, unique in the tenant.
    pub email: String,
    /// The password: 8 to 256 characters, not one of the best known.
    pub password: SecretString,
    /// What the user tells about itself; empty by default.
    pub profile: Map<String, Value>,
}

impl Registration {
    /// A new account with an empty profile.
    #[must_use]
    pub fn new(email: impl Into<String>, password: impl Into<SecretString>) -> Self {
        Self { email: email.into(), password: password.into(), profile: Map::new() }
    }

    /// The same account with this profile.
    #[must_use]
    pub fn with_profile(mut self, profile: Map<String, Value>) -> Self {
        self.profile = profile;
        self
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}

/// An address and its password.
#[derive(Clone)]
#[non_exhaustive]
pub struct Login {
    /// The address.
    pub email: String,
    /// The password.
    pub password: SecretString,
}

impl Login {
    /// An address and its password.
    #[must_use]
    pub fn new(email: impl Into<String>, password: impl Into<SecretString>) -> Self {
        Self { email: email.into(), password: password.into() }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// An open session: the account and the two tokens. The tokens show themselves only through
/// `secrecy::ExposeSecret`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignedIn {
    /// The account.
    pub user: User,
    /// The access token (a JWT), sent as `Authorization: Bearer …`.
    pub access_token: SecretString,
    /// The refresh token, good for one exchange.
    pub refresh_token: SecretString,
    /// How long the access token is good for, from now.
    pub expires_in: Duration,
}

impl SignedIn {
    /// An open session.
    #[must_use]
    pub fn new(user: User, access_token: SecretString, refresh_token: SecretString, expires_in: Duration) -> Self {
        Self { user, access_token, refresh_token, expires_in }
    }
}
