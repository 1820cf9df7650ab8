//! How often nodes speak of their members, and how much tenants may say.

use std::time::Duration;

/// The times and limits of a [`ChannelHub`](super::ChannelHub).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ChannelOptions {
    /// How often a node says that its members are still there; 10 s.
    pub heartbeat: Duration,
    /// After how long a node's members leave if it does not say that it has them still; 30 s.
    pub expiry: Duration,
    /// How often the rules are asked whether those who joined may still be there; 2 s.
    pub review: Duration,
    /// How many messages the callers of one tenant say on this node in a second, and three times as many at once; 1 000. A
    /// member that comes or changes is a message too, and so is joining a channel in which nobody is here.
    pub messages_per_second: u32,
    /// How many bytes these take; 4 MiB.
    pub bytes_per_second: u32,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(10),
            expiry: Duration::from_secs(30),
            review: Duration::from_secs(2),
            messages_per_second: 1_000,
            bytes_per_second: 4 * 1024 * 1024,
        }
    }
}

impl ChannelOptions {
    /// The usual ones.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With this pause between heartbeats, and three of them without a word before a node is dead.
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self.expiry = heartbeat * 3;
        self
    }

    /// With this pause between looks at the rules.
    #[must_use]
    pub fn with_review(mut self, review: Duration) -> Self {
        self.review = review;
        self
    }

    /// With so many messages and bytes a second for a tenant.
    #[must_use]
    pub fn with_rate(mut self, messages: u32, bytes: u32) -> Self {
        (self.messages_per_second, self.bytes_per_second) = (messages, bytes);
        self
    }

    /// How long who asks another node waits before it asks again, and who answers before it answers again: all hear an
    /// answer.
    pub(super) fn pause(&self) -> Duration {
        self.heartbeat / 5
    }

    /// The least time between two questions of a room to all nodes.
    pub(super) fn pause_of_all(&self) -> Duration {
        self.heartbeat / 2
    }

    /// How often it is looked whether something is due.
    pub(super) fn tick(&self) -> Duration {
        self.heartbeat / 10
    }
}
