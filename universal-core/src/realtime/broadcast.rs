//! The way of short-lived messages between nodes: what channels and presence speak over.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

/// The longest payload in bytes that a [`Broadcaster`] carries: a channel's message and its envelope.
pub const MAX_PAYLOAD: usize = 72 * 1024;

/// A message for every node of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// Whose it is.
    pub tenant: TenantId,
    /// The channel it belongs to; 1 to 128 bytes.
    pub channel: Arc<str>,
    /// What is said, as JSON text; [`MAX_PAYLOAD`] bytes at most.
    pub payload: Arc<str>,
}

impl Broadcast {
    /// Whether it can be carried.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_PAYLOAD`].
    pub fn check(&self) -> Result<()> {
        if self.payload.len() <= MAX_PAYLOAD {
            return Ok(());
        }
        let message = format!("a message of a channel has {MAX_PAYLOAD} bytes at most");
        Err(Error::new(ErrorKind::TooLarge, "message-too-large", message))
    }
}

/// What comes to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A message.
    Message(Arc<Broadcast>),
    /// Messages may have been lost on their way to this node: the way was down, or what reads it here fell behind.
    Missed {
        /// How many at most, where that is known.
        count: Option<u64>,
    },
}

/// Port: carries messages to every node, this one included.
///
/// Each arrives at most once, and those that one node sent for one channel arrive in the order in which they were sent.
/// A message may be lost: while the way between the nodes is down, and by a listener that is too slow. Who listens is told
/// of either: by [`Arrival::Missed`], and by the receiver that lags.
#[async_trait]
pub trait Broadcaster: Send + Sync + fmt::Debug {
    /// Sends a message.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_PAYLOAD`]; `Unavailable` while the way between the nodes is down.
    async fn send(&self, message: Broadcast) -> Result<()>;

    /// Everything that arrives from now on.
    fn arrivals(&self) -> broadcast::Receiver<Arrival>;
}
