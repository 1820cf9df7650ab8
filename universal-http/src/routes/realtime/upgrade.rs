//! From a request to a WebSocket (RFC 6455 §4.2).

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use universal_core::{
    error::{Error, Result},
    realtime::Realtime,
};

use super::{connection::Connection, websocket};
use crate::{
    context::Context,
    middleware::{catch_panic::said, origin},
    response::{self, Response},
};

/// How long the host's server may take to hand the connection over.
const HANDOVER: Duration = Duration::from_secs(10);

/// `GET /realtime`
pub(super) async fn upgrade(service: Arc<dyn Realtime>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    let key = key(cx.headers())?.clone();
    origin::check(&cx)?;
    let Some(upgrade) = cx.head_mut().extensions.remove::<OnUpgrade>() else {
        return Err(needed("the server in front cannot upgrade connections; use GET /realtime/sse here"));
    };
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
    let mut response = response::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, response::header_value(&derive_accept_key(key.as_bytes()))?);
    Ok(response)
}

fn needed(message: &str) -> Error {
    Error::invalid("upgrade-required", message)
}

/// The client's key, if its request is a WebSocket handshake at all.
fn key(headers: &HeaderMap) -> Result<&HeaderValue> {
    let has = |name: HeaderName, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(wanted)))
    };
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(needed("this is a WebSocket; connect with one, or use GET /realtime/sse"));
    }
    if !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(needed("this server speaks version 13 of the WebSocket protocol"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    key.ok_or_else(|| {
        Error::invalid("invalid-handshake", "Sec-WebSocket-Key is 16 bytes in base64").with_field("Sec-WebSocket-Key")
    })
}
