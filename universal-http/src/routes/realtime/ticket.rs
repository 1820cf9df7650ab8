//! `POST /realtime/ticket`

use std::sync::Arc;

use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use universal_core::{
    error::{Error, ErrorKind, Result},
    realtime::Realtime,
};

use crate::{
    context::Context,
    middleware::authenticate::verify,
    response::{self, Response},
    tickets::FIRST_USE,
};

#[derive(Serialize)]
struct Issued {
    ticket: String,
    /// Seconds until it must have been used.
    expires_in: u64,
}

/// Gives a ticket for the access token of the request.
pub(super) async fn issue(_: Arc<dyn Realtime>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    let (Some(user), Some(token)) = (cx.caller().user_id(), cx.token()) else {
        return Err(Error::new(
            ErrorKind::Conflict,
            "no-access-token",
            "a ticket stands for an access token; these credentials have none, and need no ticket",
        ));
    };
    let token = SecretString::from(token.expose_secret());
    let ticket = cx.state().tickets.issue(user, token)?;
    response::json(StatusCode::CREATED, &Issued { ticket, expires_in: FIRST_USE.as_secs() })
}

/// Makes the owner of `ticket` the caller of this request.
///
/// # Errors
/// `Unauthenticated` if the ticket, or the token behind it, is not valid (any more).
pub(super) async fn redeem(cx: &mut Context, ticket: &str, stream: &str) -> Result<()> {
    let token = cx.state().tickets.redeem(ticket, stream)?;
    match verify(cx.state(), token.expose_secret()).await {
        Ok(caller) => {
            cx.set_caller(caller, Some(token));
            Ok(())
        }
        Err(error) => {
            if !error.is_retryable() {
                cx.state().tickets.forget(ticket);
            }
            Err(error)
        }
    }
}
