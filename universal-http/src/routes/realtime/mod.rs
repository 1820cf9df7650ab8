//! Realtime: one life of a client ([`connection`]) over three transports.

mod channel_frame;
mod channels;
mod connection;
#[cfg(feature = "websocket")]
mod counting;
mod frame;
#[cfg(any(feature = "websocket", feature = "socketio"))]
mod framing;
#[cfg(any(feature = "websocket", feature = "socketio"))]
mod handshake;
mod rare;
#[cfg(any(feature = "websocket", feature = "socketio"))]
mod rate;
mod row;
#[cfg(feature = "websocket")]
mod sharing;
#[cfg(feature = "socketio")]
pub(crate) mod socketio;
mod sse;
mod subscriptions;
mod ticket;
#[cfg(feature = "websocket")]
mod upgrade;
mod wanted;
#[cfg(feature = "websocket")]
mod websocket;

use universal_core::realtime::Realtime;

use crate::route::{Access, Route};

pub(crate) const ROUTES: &[Route<dyn Realtime>] = &[
    #[cfg(feature = "websocket")]
    Route::get("/realtime", "realtime.websocket", |service, cx| Box::pin(upgrade::upgrade(service, cx))),
    Route::post("/realtime/ticket", "realtime.ticket", |service, cx| Box::pin(ticket::issue(service, cx)))
        .access(Access::SignedIn),
    Route::get("/realtime/sse", "realtime.sse", |service, cx| Box::pin(sse::stream(service, cx))).streaming(),
];
