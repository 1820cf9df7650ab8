//! The change feed and its subscribers.
//!
//! Every document write records its [`change::Change`] in the commit of the write. The
//! [`feed::Feed`] is that record, numbered without gaps per tenant; the [`bus::Bus`] only says that
//! there is something new. A [`subscription::Subscription`] pulls: it holds no queue, so a reader
//! that is slow costs no memory and is caught up from the feed when it comes back.
//!
//! [`channel::Channels`] are beside it: messages that nobody keeps, and who is there to hear them. The
//! [`broadcast::Broadcaster`] carries both between nodes.

pub mod broadcast;
pub mod bus;
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) mod carried;
pub mod change;
pub mod channel;
pub mod channel_rule;
pub mod consumer;
pub mod delivery;
pub mod feed;
pub(crate) mod listeners;
pub mod payload;
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) mod pending;
pub mod service;
pub mod snapshot;
pub mod subscribe;
pub mod subscription;
pub mod typed;
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) mod wire;

pub use broadcast::{Arrival, Broadcast, Broadcaster};
pub use bus::Bus;
pub use change::{Change, Operation};
pub use channel::{Budget, ChannelEvent, Channels, Join, Joined, Member, Message, PresenceChange, Printed, Speaker};
pub use channel_rule::{ChannelInfo, ChannelPattern, ChannelRules, ChannelSettings};
pub use consumer::{Committed, Consumer, Positions};
pub use delivery::{Delivery, DeliveryKind};
pub use feed::{Feed, FeedState, Present, Retention, Sequencer};
pub use payload::{EventName, Payload};
pub use service::Realtime;
pub use snapshot::{Row, SnapshotPage};
pub use subscribe::Subscribe;
pub use subscription::{Event, ResyncReason, Subscription};
pub use typed::{TypedChange, TypedEvent, TypedSubscription};
