//! What runs for long between contracts.

pub mod local;
pub mod worker;
