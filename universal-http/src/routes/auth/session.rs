//! Opening, renewing and ending a session.

use std::sync::Arc;

use http::StatusCode;
use universal_core::{auth::Auth, caller::Caller, error::Result};

use super::wire;
use crate::{
    context::Context,
    extract::json,
    middleware::authenticate::authenticate,
    response::{self, Response},
};

/// `POST /auth/register`
pub(super) async fn register(auth: Arc<dyn Auth>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let body: wire::Register = cx.json().await?;
    let signed_in = auth.register(cx.caller(), body.into()).await?;
    response::json(StatusCode::CREATED, &wire::Session::from(&signed_in))
}

/// `POST /auth/login`
pub(super) async fn login(auth: Arc<dyn Auth>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let body: wire::Login = cx.json().await?;
    let signed_in = auth.login(cx.caller(), body.into()).await?;
    response::json(StatusCode::OK, &wire::Session::from(&signed_in))
}

/// `POST /auth/refresh`
pub(super) async fn refresh(auth: Arc<dyn Auth>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let body: wire::Refresh = cx.json().await?;
    let signed_in = auth.refresh(cx.caller(), body.refresh_token.as_secret()).await?;
    response::json(StatusCode::OK, &wire::Session::from(&signed_in))
}

/// `POST /auth/logout`: with the access token, with `{"refresh_token": …}`, or with both.
pub(super) async fn logout(auth: Arc<dyn Auth>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let limit = cx.state().limits.json_body;
    let bytes = cx.bytes(limit).await?;
    let body: wire::Logout = if bytes.is_empty() {
        wire::Logout::default()
    } else {
        json::require_media_type(cx.headers())?;
        json::parse(&bytes)?
    };
    let token = body.refresh_token.as_ref().map(wire::Secret::as_secret);
    let caller = bearer(&mut cx, token.is_some()).await?;
    auth.logout(&caller, token).await?;
    Ok(response::no_content())
}

/// Who sent the access token. With a refresh token beside it, one that is no longer good does not keep anybody
/// from logging out.
async fn bearer(cx: &mut Context, has_refresh_token: bool) -> Result<Caller> {
    let state = Arc::clone(cx.state());
    match authenticate(&state, cx.head_mut()).await {
        Ok((caller, _)) => Ok(caller.with_request_id(Arc::clone(cx.request_id()))),
        Err(_) if has_refresh_token => Ok(cx.caller().clone()),
        Err(error) => Err(error),
    }
}
