//! Suites that every implementation of a service must pass.

mod case;
pub mod storage;

pub use case::Case;
