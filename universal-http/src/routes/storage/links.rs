//! The handlers of links that carry a right.

use std::sync::Arc;

use http::StatusCode;
use universal_core::{
    error::Result,
    storage::{PresignRequest, Storage},
};

use super::{
    answer, objects,
    serve::{self, Source},
    wire,
};
use crate::{
    context::Context,
    response::{self, Response},
};

/// `POST /storage/_presign`
pub(super) async fn presign(storage: Arc<dyn Storage>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let body: wire::Presign = cx.json().await?;
    let request = PresignRequest::from(body);
    let method = request.method;
    let signed = storage.presign(cx.caller(), request).await?;
    let url = cx.link(&format!("/storage/_signed/{}", signed.token));
    response::json(StatusCode::OK, &wire::Link { url, method, expires_at: signed.expires_at })
}

/// `GET` and `HEAD /storage/_signed/{token}`
pub(super) async fn get(storage: Arc<dyn Storage>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    let grant = storage.open_presigned(cx.param("token")?)?;
    serve::serve(storage, cx, Source::Granted(grant)).await
}

/// `PUT /storage/_signed/{token}`
pub(super) async fn put(storage: Arc<dyn Storage>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let grant = storage.open_presigned(cx.param("token")?)?;
    let (options, content) = objects::upload(&mut cx)?;
    let outcome = storage.put_presigned(&grant, options, content).await?;
    answer::stored_by_link(outcome)
}
