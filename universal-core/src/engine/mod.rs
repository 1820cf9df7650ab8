//! What runs for long between contracts: the relay numbers changes and rings, the hub brings them to
//! subscribers, channels carry messages between those who joined them, consumers get every change, the local bus carries rings inside one process.

pub mod channels;
pub mod consumer;
pub mod hub;
pub(crate) mod indexer;
pub mod local;
pub(crate) mod log;
pub(crate) mod reader;
pub mod relay;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod upkeep;
pub(crate) mod view;
pub mod worker;
