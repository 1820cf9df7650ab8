//! The contract of the service.

use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::{
    auth::{
        keys::Jwks,
        session::{Login, Registration, SignedIn},
        user::{ImportUser, User},
    },
    caller::Caller,
    error::Result,
    id::{TenantId, UserId},
};

/// Accounts, sessions and tokens of every tenant.
///
/// Each sentence below has a case in `conformance::auth`. The tenant is the caller's; an account of one
/// tenant is unknown in every other. No answer holds a password or its hash. All methods are safe to
/// drop: what they wrote stands or falls as a whole.
///
/// A tenant that is disabled lets none of its accounts in: `register`, `login` and `refresh` with what would do
/// otherwise, and within 5 s `authenticate`, are `Forbidden` (`tenant-disabled`). Its sessions wait, and grow older,
/// until it is enabled.
#[async_trait]
pub trait Auth: Send + Sync + fmt::Debug {
    /// Makes an account without roles and signs it in.
    ///
    /// # Errors
    /// `Invalid` for a malformed e-mail address, a password against the rules or a profile that is too
    /// large; `Conflict` (`email-taken`) if the tenant has an account with this address; `Busy`
    /// (`too-many-sign-ins`) if the queue of passwords to hash is full.
    async fn register(&self, caller: &Caller, registration: Registration) -> Result<SignedIn>;

    /// Opens a session for the account with this address and password. A hash that is older or weaker
    /// than today's (bcrypt, smaller parameters) is replaced on the way.
    ///
    /// # Errors
    /// `Unauthenticated` (`invalid-credentials`), alike and after the same work for an unknown account, a
    /// wrong password and a disabled account; `Invalid` for a malformed address; `Busy`
    /// (`too-many-sign-ins`).
    async fn login(&self, caller: &Caller, login: Login) -> Result<SignedIn>;

    /// Exchanges a refresh token for its successor and a new access token. Within the grace period
    /// (10 s) the same token gives the same successor; later it is taken as stolen, and its session ends.
    ///
    /// # Errors
    /// `Unauthenticated` (`invalid-refresh-token`) for a token that is unknown, ended, expired, used
    /// again after the grace period, of another tenant or of a disabled account.
    async fn refresh(&self, caller: &Caller, refresh_token: &SecretString) -> Result<SignedIn>;

    /// Ends the session of the refresh token and the session of the caller, where there is one. Ending a
    /// session that has ended is no error. Its access tokens stop within 5 s on every node, at once on
    /// this one.
    ///
    /// # Errors
    /// `Unauthenticated` if there is neither a refresh token nor a session of the caller.
    async fn logout(&self, caller: &Caller, refresh_token: Option<&SecretString>) -> Result<()>;

    /// The caller's own account.
    ///
    /// # Errors
    /// `Unauthenticated` if the caller is no user or the account is gone or disabled.
    async fn me(&self, caller: &Caller) -> Result<User>;

    /// The caller that an access token stands for. With a `tenant` the token must belong to it.
    ///
    /// A token is verified once; later calls find it in a bounded cache. That its session lives, its
    /// account is enabled and its roles have not changed is known to at most 5 s.
    ///
    /// # Errors
    /// `Unauthenticated` for a token that is malformed, forged, expired (`token-expired`), of an ended
    /// session or of a disabled account (`session-ended`); `Forbidden` (`tenant-mismatch`) for a valid
    /// token of another tenant.
    async fn authenticate(&self, tenant: Option<&TenantId>, access_token: &str) -> Result<Caller>;

    /// A ticket that stands for the access token of the caller in the address of one event stream. It must be used
    /// within 30 s; it is good for reconnects of that stream until the token ends. A user has 20 of them at most, a
    /// further one replaces the oldest. Any node redeems it.
    ///
    /// # Errors
    /// `Unauthenticated` if the caller is no user; `Invalid` for a token that is too long.
    async fn issue_ticket(&self, caller: &Caller, access_token: &SecretString) -> Result<SecretString>;

    /// The access token that a ticket stands for; the first use binds it to `stream`. The token may have ended
    /// meanwhile: [`authenticate`](Self::authenticate) says.
    ///
    /// # Errors
    /// `Unauthenticated` `invalid-ticket` if it is unknown, was not used in time or belongs to another stream.
    async fn redeem_ticket(&self, ticket: &str, stream: &str) -> Result<SecretString>;

    /// The public keys with which others can verify our access tokens (RFC 7517).
    fn jwks(&self) -> Jwks;

    /// Makes an account with the role `admin`. If an administrator with this address exists already, it
    /// is answered as it is, with its password unchanged: a program may call this at every start.
    ///
    /// # Errors
    /// `Forbidden` unless the caller is the program itself or an administrator; `Conflict`
    /// (`email-taken`) if the address belongs to an account that is no administrator (who registered it is
    /// not known, so it is not raised; use [`Auth::set_roles`]); `Invalid` and `Busy` as for `register`.
    async fn create_admin(&self, caller: &Caller, email: &str, password: &SecretString) -> Result<User>;

    /// Makes an account with a password hash from another system: Argon2id as PHC text, or bcrypt
    /// (`$2a$`, `$2b$`, `$2y$`; cost 4 to 15), which the first log-in replaces.
    ///
    /// # Errors
    /// `Forbidden` unless the caller is the program itself or an administrator; `Conflict`
    /// (`email-taken`); `Invalid` for an address, hash, role or profile that is not acceptable.
    async fn import_user(&self, caller: &Caller, user: ImportUser) -> Result<User>;

    /// Replaces the roles of an account. Its access tokens stop within 5 s, its sessions live on: a
    /// refresh gives a token with the new roles.
    ///
    /// # Errors
    /// `Forbidden` unless the caller is the program itself or an administrator; only the program and
    /// platform administrators may give or take the role `platform-admin`. `NotFound` for an unknown
    /// account; `Invalid` for a malformed role or more than 32.
    async fn set_roles(&self, caller: &Caller, user: &UserId, roles: Vec<String>) -> Result<User>;
}
