//! Realtime: one life of a client ([`connection`]) over two transports.

mod connection;
mod frame;
#[cfg(feature = "websocket")]
mod rate;
mod sse;
mod subscriptions;
#[cfg(feature = "websocket")]
mod upgrade;
#[cfg(feature = "websocket")]
mod websocket;

use universal_core::realtime::Realtime;

use crate::route::Route;

pub(crate) const ROUTES: &[Route<dyn Realtime>] = &[
    #[cfg(feature = "websocket")]
    Route::get("/realtime", "realtime.websocket", |service, cx| Box::pin(upgrade::upgrade(service, cx))),
    Route::get("/realtime/sse", "realtime.sse", |service, cx| Box::pin(sse::stream(service, cx))).streaming(),
];
