//! How often nodes speak of their members.

use std::time::Duration;

/// The times of a [`ChannelHub`](super::ChannelHub).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ChannelOptions {
    /// How often a node says that its members are still there; 10 s.
    pub heartbeat: Duration,
    /// After how long a silence a node is dead; 30 s.
    pub expiry: Duration,
    /// How often the rules are asked whether those who joined may still be there; 2 s.
    pub review: Duration,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self { heartbeat: Duration::from_secs(10), expiry: Duration::from_secs(30), review: Duration::from_secs(2) }
    }
}

impl ChannelOptions {
    /// The usual times.
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

    /// How often it is looked whether something is due.
    pub(super) fn tick(&self) -> Duration {
        self.heartbeat / 10
    }
}
