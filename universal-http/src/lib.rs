//! The services of `universal-core` as `tower` services, to mount in an axum or hyper server under any path.
//!
//! [`Api::builder`] takes the services a host has (each is optional) and gives four `tower` services:
//! [`Api::public`], [`Api::admin`], [`Api::operations`] and [`Api::all`], which is the three in one. They open no
//! listener, install nothing in the process and are generic over the request's body, so the same value works behind
//! axum's `nest_service` (which strips the mount path) and behind plain hyper (which strips nothing: say
//! [`ApiBuilder::prefix`]).
//!
//! ```
//! use std::sync::Arc;
//! use universal_core::Backend;
//! use universal_http::Api;
//!
//! # fn mount(backend: &Backend) -> universal_core::Result<()> {
//! let api = Api::builder()
//!     .auth(Arc::clone(backend.auth()))
//!     .collections(Arc::clone(backend.collections()))
//!     .realtime(Arc::clone(backend.realtime()))
//!     .channels(Arc::clone(backend.channels()))
//!     .storage(Arc::clone(backend.storage()))
//!     .jobs(Arc::clone(backend.jobs()))
//!     .build()?;
//! let service = api.public(); // `axum::Router::nest_service("/backend", service)`
//! # let _ = service; Ok(()) }
//! ```
//!
//! [`Api::auth_layer`] guards routes of the host's own with the accounts of the backend; an [`Authenticator`] is the
//! other way round, the host's sign-in for the backend's routes. Every failure is `application/problem+json` with a
//! stable code.
//!
//! Behind axum and behind any other server the host sets the limits of its connections itself. Know that
//! `axum::serve` keeps a connection whose header never ends open for ever; the feature `serve` brings a listener
//! that does not (`universal_http::serve`).
//!
//! | feature | brings |
//! |---|---|
//! | `websocket` (default) | `GET /realtime` |
//! | `socketio` | `/socket.io/` |
//! | `serve` | the listener with limits |

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod api;
pub mod body;
mod connections;
mod context;
mod error;
mod extract;
pub mod lent;
pub mod limits;
mod metrics;
pub mod middleware;
mod patience;
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

pub use api::{Api, ApiBuilder};
pub use lent::{Authenticator, MetricsSource, ReadyCheck};
pub use middleware::{AuthLayer, CurrentUser};
pub use service::ApiService;
