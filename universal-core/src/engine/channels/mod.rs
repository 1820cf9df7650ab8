//! Channels over all nodes: each node hands messages to those who joined here, and tells the others who that is.
//!
//! Nothing is stored. Nodes speak over the [`Broadcaster`](crate::realtime::Broadcaster), which may lose what they say.
//! A lost message is lost. Of its members each node keeps a count of changes, which it tells with every change and
//! every few seconds; a node that finds that it missed one asks for all of them. A node that is silent for too long is
//! dead, and its members leave.

mod announcer;
mod frame;
pub mod hub;
mod options;
mod outgoing;
mod peer;
mod room;
mod session;

pub use hub::ChannelHub;
pub use options::ChannelOptions;
