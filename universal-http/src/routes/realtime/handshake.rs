//! The opening of a WebSocket, the server's half (RFC 6455 §4.2).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use universal_core::error::{Error, Result};

use crate::{
    context::Context,
    response::{self, Response},
};

/// The connection behind the request, which the host's server hands over after the answer, and that answer.
///
/// # Errors
/// `Invalid` where the server in front cannot upgrade.
pub(super) fn accept(cx: &mut Context, key: &HeaderValue) -> Result<(OnUpgrade, Response)> {
    let accepted = derive_accept_key(key.as_bytes());
    let Some(upgrade) = cx.head_mut().extensions.remove::<OnUpgrade>() else {
        return Err(needed("the server in front cannot upgrade connections; use GET /realtime/sse here"));
    };
    let mut response = response::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, response::header_value(&accepted)?);
    Ok((upgrade, response))
}

fn needed(message: &str) -> Error {
    Error::invalid("upgrade-required", message)
}

/// The client's key.
///
/// # Errors
/// `Invalid` for a request that opens no WebSocket.
pub(super) fn key(headers: &HeaderMap) -> Result<&HeaderValue> {
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
