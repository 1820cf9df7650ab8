//! The routes against a real backend in memory, called as a host calls them: through the `tower` service, and through
//! the listener where the connection itself is what matters.

mod documents;
mod fixture;
#[cfg(all(feature = "serve", feature = "websocket"))]
mod listener;
mod realtime;
#[cfg(all(feature = "serve", feature = "websocket", feature = "socketio"))]
mod slow;
#[cfg(all(feature = "serve", feature = "websocket", feature = "socketio"))]
mod socketio;
mod stack;
#[cfg(all(feature = "serve", feature = "websocket"))]
mod websocket;
