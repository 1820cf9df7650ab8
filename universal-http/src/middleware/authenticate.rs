//! From the head of a request to a [`Caller`].

use http::request::Parts;
use secrecy::SecretString;
use universal_core::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
};

use crate::{extract::bearer::bearer, state::State};

/// Who asks, and with which token. No credentials: anonymous in the default tenant.
///
/// # Errors
/// `Unauthenticated` for credentials that are not valid; they are never treated as absent.
pub(crate) async fn authenticate(state: &State, head: &Parts) -> Result<(Caller, Option<SecretString>)> {
    if let Some(host) = &state.authenticator
        && let Some(caller) = host.authenticate(head).await?
    {
        return Ok((caller, None));
    }
    match bearer(&head.headers)? {
        None => Ok((Caller::anonymous(state.default_tenant.clone()), None)),
        Some(token) => Ok((verify(state, token).await?, Some(SecretString::from(token)))),
    }
}

/// The caller of an access token.
///
/// # Errors
/// `Unauthenticated` if it is not valid, or if there are no accounts here.
pub(crate) async fn verify(state: &State, token: &str) -> Result<Caller> {
    match &state.auth {
        Some(auth) => auth.authenticate(None, token).await,
        None => Err(Error::new(ErrorKind::Unauthenticated, "no-accounts", "this server knows no access tokens")),
    }
}
