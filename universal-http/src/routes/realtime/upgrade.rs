//! From a request to a WebSocket.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use hyper_util::rt::TokioIo;
use universal_core::{error::Result, realtime::Realtime};

use super::{connection::Connection, handshake, websocket};
use crate::{
    context::Context,
    middleware::{catch_panic::said, origin},
    response::Response,
};

/// How long the host's server may take to hand the connection over.
const HANDOVER: Duration = Duration::from_secs(10);

/// `GET /realtime`
pub(super) async fn upgrade(service: Arc<dyn Realtime>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let key = handshake::key(cx.headers())?.clone();
    origin::check(&cx)?;
    let (upgrade, response) = handshake::accept(&mut cx, &key)?;
    let connection = Connection::new(service, &cx, "websocket")?;
    let state = Arc::clone(cx.state());
    let request_id = Arc::clone(cx.request_id());
    cx.state().tasks.spawn(async move {
        let life = async {
            match tokio::time::timeout(HANDOVER, upgrade).await {
                Ok(Ok(upgraded)) => websocket::run(TokioIo::new(upgraded), connection, &state).await,
                // The client left between the request and our answer.
                Ok(Err(error)) => tracing::debug!(error = %error, "no upgrade"),
                Err(_) => tracing::debug!("no upgrade in time"),
            }
        };
        if let Err(panic) = AssertUnwindSafe(life).catch_unwind().await {
            state.metrics.panicked();
            tracing::error!(request.id = %request_id, panic = said(panic.as_ref()), "a connection's task panicked");
        }
    });
    Ok(response)
}
