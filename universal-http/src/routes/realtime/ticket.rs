//! `POST /realtime/ticket`

use std::sync::Arc;

use http::StatusCode;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use universal_core::{
    auth::ticket::FIRST_USE,
    error::{Error, ErrorKind, Result},
    realtime::Realtime,
};

use crate::{
    context::Context,
    middleware::authenticate::verify,
    response::{self, Response},
};

#[derive(Serialize)]
struct Issued<'a> {
    ticket: &'a str,
    /// Seconds until it must have been used.
    expires_in: u64,
}

/// Gives a ticket for the access token of the request.
pub(super) async fn issue(_: Arc<dyn Realtime>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    let (Some(auth), Some(_), Some(token)) = (&cx.state().auth, cx.caller().user_id(), cx.token()) else {
        return Err(Error::new(
            ErrorKind::Conflict,
            "no-access-token",
            "a ticket stands for an access token; these credentials have none, and need no ticket",
        ));
    };
    let ticket = auth.issue_ticket(cx.caller(), token).await?;
    let issued = Issued { ticket: ticket.expose_secret(), expires_in: FIRST_USE.as_secs() };
    response::json(StatusCode::CREATED, &issued)
}

/// Makes the owner of `ticket` the caller of this request.
///
/// # Errors
/// `Unauthenticated` if the ticket, or the token behind it, is not valid (any more).
pub(super) async fn redeem(cx: &mut Context, ticket: &str, stream: &str) -> Result<()> {
    let Some(auth) = cx.state().auth.clone() else {
        let message = "this server takes no tickets: it has no accounts of its own";
        return Err(Error::new(ErrorKind::Unauthenticated, "invalid-ticket", message));
    };
    let token = auth.redeem_ticket(ticket, stream).await?;
    let caller = verify(cx.state(), token.expose_secret()).await?;
    cx.set_caller(caller, Some(token));
    Ok(())
}
