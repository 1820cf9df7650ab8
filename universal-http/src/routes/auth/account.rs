//! The caller's account, and the keys by which others know our tokens.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use universal_core::{auth::Auth, error::Result};

use super::wire;
use crate::{
    context::Context,
    response::{self, Response},
};

/// `GET /auth/me`
pub(super) async fn me(auth: Arc<dyn Auth>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    let user = auth.me(cx.caller()).await?;
    response::json(StatusCode::OK, &wire::User::from(&user))
}

/// `GET /.well-known/jwks.json`
pub(super) async fn jwks(auth: Arc<dyn Auth>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    let mut response = response::json(StatusCode::OK, &auth.jwks())?;
    // Short, so that a new key is known everywhere well before the old one goes.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}
