//! Socket.IO: the same life of a client as over a WebSocket, spoken by `socketioxide`.
//!
//! What that crate leaves open stands around it here: a session is counted, its frames are counted before they are parsed
//! ([`guard`]), and what waits for its client is bounded in bytes ([`flow`]).

mod flow;
mod guard;
mod inbox;
mod life;
mod refusals;
mod requests;
mod session;
mod sockets;

pub(crate) use sockets::Sockets;

use crate::route::{Access, Route};

/// Each request but the one that opens a session shows its session's secret id; credentials are looked at once, when it is opened.
pub(crate) const ROUTES: &[Route<Sockets>] = &[
    Route::get("/socket.io/", "socketio.receive", |sockets, cx| Box::pin(requests::receive(sockets, cx)))
        .access(Access::Open)
        .streaming(),
    Route::post("/socket.io/", "socketio.send", |sockets, cx| Box::pin(requests::send(sockets, cx)))
        .access(Access::Open),
    Route::get("/socket.io", "socketio.receive", |sockets, cx| Box::pin(requests::receive(sockets, cx)))
        .access(Access::Open)
        .streaming(),
    Route::post("/socket.io", "socketio.send", |sockets, cx| Box::pin(requests::send(sockets, cx)))
        .access(Access::Open),
];
