//! Suites that every implementation of a service must pass.

pub mod auth;
pub mod case;
pub mod jobs;
