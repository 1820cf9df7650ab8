//! SQLite and PostgreSQL through sea-orm.

pub(crate) mod auth;
pub(crate) mod collections;
pub(crate) mod jobs;
pub mod migration;
