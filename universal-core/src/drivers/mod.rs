//! Implementations of the contracts: SQL databases, object stores, Redis, mail.

pub mod blob;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "smtp")]
pub mod smtp;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod sql;

#[cfg(test)]
mod storage_suite;
