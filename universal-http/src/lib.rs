//! The services of `universal-core` as `tower` services, to mount in an axum or hyper server under any path.
//!
//! [`Api::builder`] takes the services a host has (each is optional) and gives four `tower` services:
//! [`Api::public`], [`Api::admin`], [`Api::operations`] and [`Api::all`], which is the three in one. They open no
//! listener, install nothing in the process and are generic over the request's body, so the same value works behind
//! axum's `nest_service` (which strips the mount path) and behind plain hyper (which strips nothing: say
//! [`ApiBuilder::prefix`]).
//!
//! Behind axum and behind any other server the host sets the limits of its connections itself. Know that
//! `axum::serve` keeps a connection whose header never ends open for ever; the feature `serve` brings a listener
//! that does not ([`serve`]).
//!
//! Features: `websocket` (default) is `GET /realtime`, `serve` is the listener.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod api;
pub mod body;
mod context;
mod error;
mod extract;
pub mod lent;
pub mod limits;
mod metrics;
pub mod middleware;
mod problem;
mod response;
mod route;
mod routes;
#[cfg(feature = "serve")]
pub mod serve;
pub mod service;
mod state;
#[cfg(test)]
mod tests;
mod tickets;

pub use api::{Api, ApiBuilder};
pub use lent::{Authenticator, MetricsSource, ReadyCheck};
pub use middleware::{AuthLayer, CurrentUser};
pub use service::ApiService;
