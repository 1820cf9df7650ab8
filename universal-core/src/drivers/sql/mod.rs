//! SQLite and PostgreSQL: through sea-orm, and SQLite also directly.
//!
//! Every subject has its statements in a file or folder of its own; they share `connection` (how to
//! read), `write` (how to write) and `dialect` (what differs).

pub(crate) mod auth;
pub(crate) mod barrier;
pub(crate) mod bounded_map;
pub(crate) mod catalog;
pub(crate) mod channels;
pub(crate) mod collections;
pub(crate) mod column;
pub(crate) mod connection;
pub(crate) mod consumers;
pub(crate) mod dialect;
pub(crate) mod error;
pub(crate) mod feed;
pub(crate) mod jobs;
pub(crate) mod lower;
pub mod migration;
#[cfg(feature = "postgres")]
mod notice;
pub(crate) mod open;
#[cfg(feature = "postgres")]
mod patience;
#[cfg(feature = "postgres")]
pub(crate) mod pg_bus;
pub(crate) mod reach;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
pub(crate) mod statement;
pub(crate) mod tenant;
pub(crate) mod transaction;
pub(crate) mod write;
