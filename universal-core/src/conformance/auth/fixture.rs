//! What the cases run on, and small words for them.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    auth::{
        service::Auth,
        session::{Login, Registration, SignedIn},
    },
    caller::Caller,
    clock::ManualClock,
    error::{Error, ErrorKind, Result},
    id::{TenantId, random_hex},
};

/// An implementation to be checked.
#[derive(Clone)]
pub struct AuthFixture {
    /// The implementation, with the default lifetimes and limits of `AuthOptions`.
    pub auth: Arc<dyn Auth>,
    /// The clock that it goes by.
    pub clock: Arc<ManualClock>,
    /// A tenant that exists.
    pub tenant: TenantId,
    /// Another tenant that exists.
    pub other_tenant: TenantId,
    /// Disables the other tenant, or enables it again.
    pub disable_other: Disable,
}

/// Disables a tenant (`true`), or enables it again.
pub type Disable = Arc<dyn Fn(bool) -> BoxFuture<'static, Result<()>> + Send + Sync>;

impl fmt::Debug for AuthFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFixture").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// What was found instead of what was promised.
pub(super) struct Failure(pub(super) String);

/// The outcome of a check.
pub(super) type Checked = Result<(), Failure>;

/// A password that keeps the rules.
pub(super) const PASSWORD: &str = "correct horse battery staple";

impl AuthFixture {
    pub(super) fn anonymous(&self) -> Caller {
        Caller::anonymous(self.tenant.clone())
    }

    pub(super) fn elsewhere(&self) -> Caller {
        Caller::anonymous(self.other_tenant.clone())
    }

    pub(super) fn system(&self) -> Caller {
        Caller::system(self.tenant.clone())
    }

    /// A new account with a new address.
    pub(super) async fn register(&self) -> Result<SignedIn> {
        self.auth.register(&self.anonymous(), Registration::new(new_email()?, PASSWORD.to_owned())).await
    }

    pub(super) async fn login(&self, email: &str, password: &str) -> Result<SignedIn> {
        self.auth.login(&self.anonymous(), Login::new(email, password.to_owned())).await
    }

    pub(super) async fn refresh(&self, token: &SecretString) -> Result<SignedIn> {
        self.auth.refresh(&self.anonymous(), token).await
    }

    /// The caller that the access token stands for.
    pub(super) async fn caller(&self, signed_in: &SignedIn) -> Result<Caller> {
        self.auth.authenticate(Some(&self.tenant), signed_in.access_token.expose_secret()).await
    }
}

/// An address that no other case uses.
pub(super) fn new_email() -> Result<String> {
    Ok(format!("u{}@example.com", random_hex(12)?))
}

/// The check fails unless `holds`.
pub(super) fn ensure(holds: bool, found: impl fmt::Display) -> Checked {
    if holds { Ok(()) } else { Err(Failure(found.to_string())) }
}

/// The check fails unless the outcome is an error of this kind and code.
pub(super) fn ensure_error<T>(outcome: Result<T>, kind: ErrorKind, code: &str, what: impl fmt::Display) -> Checked {
    match outcome {
        Ok(_) => Err(Failure(format!("{what}: was accepted, expected {code}"))),
        Err(error) => {
            ensure(error.kind() == kind && error.code() == code, format!("{what}: expected {code}, found {error:?}"))
        }
    }
}

/// The refresh tokens as text, to compare them.
pub(super) fn refresh_text(signed_in: &SignedIn) -> &str {
    signed_in.refresh_token.expose_secret()
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(format!("unexpected error: {error:?}"))
    }
}

impl From<tokio::task::JoinError> for Failure {
    fn from(error: tokio::task::JoinError) -> Self {
        Self(format!("a task ended early: {error}"))
    }
}

/// The cases of a file as data.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(super) const CASES: &[$crate::conformance::case::Case<$crate::conformance::auth::AuthFixture>] = &[$(
            $crate::conformance::case::Case {
                name: stringify!($name),
                run: |fixture| Box::pin(async move { $name(fixture).await.map_err(|failure| failure.0) }),
            }
        ),*];
    };
}
pub(super) use cases;
