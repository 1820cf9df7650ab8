//! Channels over all nodes: each node hands messages to those who joined here, and tells the others who that is.
//!
//! Nothing is stored. Nodes speak over the [`Broadcaster`](crate::realtime::Broadcaster), which may lose what they say.
//! A lost message is lost. Of its members each node keeps a count of changes, which it tells with every change and
//! every few seconds; a node that finds that it missed one asks for all of them. Members whose node does not say for too
//! long that it has them still leave.

mod announcer;
mod frame;
mod hear;
pub mod hub;
mod incoming;
mod options;
mod outgoing;
mod peer;
mod rate;
mod review;
mod room;
mod seat;
mod session;
#[cfg(test)]
mod tests;

pub use hub::ChannelHub;
pub use options::ChannelOptions;
