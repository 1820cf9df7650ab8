//! A listener whose connections have limits, for hosts that bring none of their own.
//!
//! `axum::serve` and a bare hyper connection keep a silent connection, and one whose header never ends, open for ever.
//! [`serve`] closes them: it limits the time for a header, the silence of a body, the idle time between requests, a
//! reader that stopped reading, and the number of connections, in all and of one address. It serves any `tower` service,
//! an axum `Router` too:
//!
//! ```no_run
//! # async fn host(api: universal_http::Api) -> std::io::Result<()> {
//! use universal_http::serve::{ServeOptions, serve};
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let stop = async { /* the host's signal */ };
//! serve(listener, api.all(), ServeOptions::default(), async {
//!     stop.await;
//!     api.close(); // streams end, so that the drain does not wait for them
//! })
//! .await;
//! # Ok(())
//! # }
//! ```
//!
//! It speaks HTTP/1.1 and HTTP/2 without TLS; TLS is the matter of a proxy in front.

mod activity;
mod leftover;
mod listener;
mod options;
mod per_address;
mod timed_io;

pub use listener::{PeerAddress, Served, serve};
pub use options::ServeOptions;
