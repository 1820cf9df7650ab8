//! Realtime: one life of a client ([`connection`]) over two transports.

mod channel_frame;
mod channels;
mod connection;
mod frame;
#[cfg(feature = "websocket")]
mod rate;
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
