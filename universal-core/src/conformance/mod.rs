//! Suites that every implementation of a service must pass.

#[macro_use]
mod expect;

pub mod auth;
pub mod case;
pub mod collections;
pub mod explain;
pub mod indexes;
pub mod jobs;
pub mod lifecycle;
pub mod reads;
pub mod realtime;
pub mod rules;
pub mod search;
pub mod storage;
pub mod transfer;
