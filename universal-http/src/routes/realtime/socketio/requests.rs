//! The requests of Engine.IO, version 4: polls, posts, and WebSockets.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use universal_core::error::{Error, Result};

use super::{
    super::handshake,
    guard::{Guard, is_binary},
    refusals::written_again,
    session::{Fault, Held, Session},
    sockets::{Sockets, answer},
};
use crate::{context::Context, response::Response};

/// How long the host's server may take to hand the connection over.
const HANDOVER: Duration = Duration::from_secs(10);

/// How long a connection has to say why it ends before its WebSocket is ended.
const GRACE: Duration = Duration::from_secs(3);

/// What stands between two packets of one body.
const SEPARATOR: u8 = 0x1e;

/// What a request asks for.
struct Asked {
    websocket: bool,
    /// The session; one is opened without.
    sid: Option<String>,
}

/// `GET /socket.io/`: opens a session, waits for packets, or begins a WebSocket.
pub(super) async fn receive(sockets: Arc<Sockets>, mut cx: Context) -> Result<Response> {
    let asked = asked(&cx)?;
    if asked.websocket {
        return websocket(sockets, cx, asked.sid).await;
    }
    match asked.sid {
        Some(sid) => {
            let (status, body) = sockets.exchange(Method::GET, Some(&sid), Bytes::new(), None).await;
            if let Some(session) = sockets.session(&sid) {
                packets(&body).for_each(|packet| session.flow.left(packet));
            }
            #[cfg_attr(not(feature = "serve"), expect(unused_mut, reason = "the listener is told"))]
            let mut answer = answer(status, with_codes(body));
            #[cfg(feature = "serve")]
            answer.extensions_mut().insert(crate::patience::TakeWithin(cx.state().limits.reading));
            Ok(answer)
        }
        None => {
            let held = sockets.open(&mut cx).await?;
            let session = Arc::clone(&held.session);
            session.flow.polled(true);
            let (status, body) = sockets.exchange(Method::GET, None, Bytes::new(), Some(held)).await;
            if let Some(sid) = opened(&body) {
                sockets.keep(sid, &session);
            }
            Ok(answer(status, body))
        }
    }
}

/// `POST /socket.io/`: packets of the client's.
pub(super) async fn send(sockets: Arc<Sockets>, mut cx: Context) -> Result<Response> {
    let asked = asked(&cx)?;
    let session = asked.sid.as_deref().and_then(|sid| sockets.session(sid));
    let (Some(sid), Some(session), false) = (asked.sid, session, asked.websocket) else {
        return Err(unknown());
    };
    let limit = cx.state().limits.frame;
    let body = match cx.bytes(limit).await {
        Ok(body) => body,
        Err(error) => {
            session.hang_up().await;
            return Err(error);
        }
    };
    for packet in packets(&body) {
        let fault = match session.count() {
            Ok(()) if is_binary(packet) => session.fail(Fault::Binary),
            Ok(()) => continue,
            Err(fault) => fault,
        };
        // Whoever lives on the session says why and ends it; one on which nobody lives ends here.
        if session.lives() == 0 {
            session.hang_up().await;
        }
        return Err(fault.error());
    }
    let (status, body) = sockets.exchange(Method::POST, Some(&sid), body, None).await;
    Ok(answer(status, body))
}

/// A WebSocket: a session of its own, or one that was opened by polling and goes on here.
async fn websocket(sockets: Arc<Sockets>, mut cx: Context, sid: Option<String>) -> Result<Response> {
    let key = handshake::key(cx.headers())?.clone();
    let (session, held) = match &sid {
        Some(sid) => (sockets.session(sid).ok_or_else(unknown)?, None),
        None => {
            let held = sockets.open(&mut cx).await?;
            (Arc::clone(&held.session), Some(held))
        }
    };
    let (upgrade, response) = handshake::accept(&mut cx, &key)?;
    cx.state().tasks.spawn(run(sockets, upgrade, sid, session, held));
    Ok(response)
}

/// Lives as long as the WebSocket.
async fn run(
    sockets: Arc<Sockets>,
    upgrade: OnUpgrade,
    sid: Option<String>,
    session: Arc<Session>,
    held: Option<Arc<Held>>,
) {
    let upgraded = match tokio::time::timeout(HANDOVER, upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        // The client left between the request and our answer.
        Ok(Err(error)) => return tracing::debug!(error = %error, "no upgrade"),
        Err(_) => return tracing::debug!("no upgrade in time"),
    };
    let (alive, mut over) = oneshot::channel();
    sockets.websocket(Guard::new(TokioIo::new(upgraded), Arc::clone(&session), alive), sid.as_deref(), held);
    tokio::select! {
        _ = &mut over => {}
        () = session.cx.state().closing.cancelled() => {
            // Where nobody lives nobody has anything to say.
            let grace = if session.lives() > 0 { GRACE } else { Duration::ZERO };
            if tokio::time::timeout(grace, &mut over).await.is_err() {
                session.goodbye.cancel();
                let _ = over.await;
            }
        }
    }
    if let Some(sid) = sid {
        // The engine keeps a session whose upgrade failed halfway, and pings it no more.
        sockets.close(&sid).await;
    }
}

/// The query, checked: the engine gets an address of our own, with nothing else in it.
fn asked(cx: &Context) -> Result<Asked> {
    let mut query = cx.query()?;
    if query.take("EIO").as_deref() != Some("4") {
        let message = "this server speaks Engine.IO 4, which is Socket.IO 3 and 4: `?EIO=4`";
        return Err(Error::invalid("unsupported-protocol", message).with_field("EIO"));
    }
    let websocket = match query.take("transport").as_deref() {
        Some("polling") => false,
        Some("websocket") => true,
        _ => {
            return Err(Error::invalid("unsupported-transport", "transports are `polling` and `websocket`")
                .with_field("transport"));
        }
    };
    // What else is there is the client's own: a time against caches, and what its program put there.
    let sid = query.take("sid");
    if sid.as_deref().is_some_and(|sid| !is_sid(sid)) {
        return Err(unknown());
    }
    Ok(Asked { websocket, sid })
}

fn is_sid(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn unknown() -> Error {
    Error::invalid("unknown-session", "this session is over, or lives in another process; connect again")
        .with_field("sid")
}

/// A body in which refusals are written again.
fn with_codes(body: Bytes) -> Bytes {
    let again: Vec<_> = packets(&body).map(written_again).collect();
    if again.iter().all(Option::is_none) {
        return body;
    }
    let packets = packets(&body).zip(&again).map(|(packet, again)| again.as_deref().unwrap_or(packet));
    packets.collect::<Vec<_>>().join(&SEPARATOR).into()
}

fn packets(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == SEPARATOR)
}

/// The id in the packet that opens a session.
fn opened(body: &[u8]) -> Option<String> {
    let packet: serde_json::Value = serde_json::from_slice(body.strip_prefix(b"0")?).ok()?;
    packet.get("sid")?.as_str().map(str::to_owned)
}
