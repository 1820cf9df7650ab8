//! What runs for long between contracts: the relay numbers changes and rings, the hub brings them to
//! subscribers, channels carry messages between those who joined them, consumers get every change, the local bus carries
//! rings inside one process.

pub mod channels;
pub(crate) mod class;
pub mod consumer;
pub(crate) mod entry;
pub mod hub;
pub(crate) mod indexer;
pub(crate) mod judge;
pub mod local;
pub(crate) mod log;
pub(crate) mod pages;
pub(crate) mod reader;
pub mod relay;
pub(crate) mod rows;
pub(crate) mod ruling;
pub(crate) mod together;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod upkeep;
pub(crate) mod view;
pub(crate) mod waiters;
pub(crate) mod watch;
pub(crate) mod work;
pub mod worker;
