//! SQLite without detours: connections of our own, each used by the thread that owns it.
//!
//! Reads go to a few threads, all writes to one; a request hops to a thread once, and its statements
//! run there one after the other. sea-orm's connections stay for what a host runs itself, see
//! `docs/decisions/0010-native-sqlite.md`.

pub(in crate::drivers::sql) mod bind;
pub(in crate::drivers::sql) mod cell;
mod checkpoint;
pub(in crate::drivers::sql) mod connection;
pub(in crate::drivers::sql) mod heads;
pub(in crate::drivers::sql) mod lender;
pub(in crate::drivers::sql) mod readers;
pub(in crate::drivers::sql) mod writer;
