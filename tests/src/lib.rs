//! What the tests stand on: real servers as child processes, databases of their own, clients and a browser.
//!
//! Nothing here is mocked. PostgreSQL, Chromium and the mail server come from the environment that `tests/run` sets; a part that
//! is missing fails the test that needs it, with a sentence that says how to bring it.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a fixture that cannot do its work ends the test, and says why"
)]

pub mod bare;
pub mod chromium;
pub mod client;
pub mod environment;
pub mod nodes;
pub mod postgres;
pub mod postgres_server;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod server;
pub mod smtp;
pub mod socketio;
pub mod sse;
pub mod subscriber;
pub mod wait;
