//! Channels: short messages to whoever is there, and who that is.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use serde::Serialize;

use crate::{
    caller::Caller,
    clock::Timestamp,
    error::Result,
    id::{ChannelName, UserId},
    realtime::{
        channel_rule::{ChannelInfo, ChannelPattern, ChannelSettings},
        payload::{EventName, Payload},
    },
};

/// How many members of a channel may be present at once, over all nodes. It is counted where a member comes, so that
/// members who come to several nodes at the same moment may be a few more.
pub const MAX_MEMBERS: usize = 1_000;
/// How many members of a channel one user is at most.
pub const MAX_MEMBERS_PER_USER: usize = 20;
/// How many bytes the members of a channel take together, about: they are told in one frame.
pub const MAX_MEMBERS_BYTES: usize = 1024 * 1024;

/// Channels of a tenant, over all nodes of an installation.
///
/// A message is delivered **at most once**, to those who have joined at that moment, and those of one sender in their
/// order. Nothing is kept: who was not there does not get it. Presence is **eventually right**: it says who is there
/// now, and a member whose node died, or of whose end nobody heard, is gone 30 s later at the latest.
///
/// Who may join and who may send is decided by the rules of the pattern that fits the channel's name best. A channel
/// without rules is for administrators and the program, except that `user:<id>` and what is below it (`user:<id>/…`)
/// belong to that user.
///
/// ```
/// use serde_json::json;
/// use universal_core::{Backend, Caller, TenantId, UserId};
/// use universal_core::realtime::{ChannelEvent, ChannelSettings, Join, Payload};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> universal_core::Result<()> {
/// let backend = Backend::in_memory().await?;
/// let channels = backend.channels();
/// let tenant = TenantId::default_tenant();
/// let open = ChannelSettings::new().with_join("has(caller.id)").with_send("has(caller.id)").with_presence("true");
/// channels.configure(&Caller::system(tenant.clone()), &"room:*".parse()?, open, None).await?;
///
/// let (ann, ben) = (UserId::generate(), UserId::generate());
/// let ann = Caller::user(tenant.clone(), ann);
/// let mut hers = channels.join(&ann, Join::to("room:1".parse()?)).await?;
/// assert!(matches!(hers.next().await?, ChannelEvent::Sync(members) if members.is_empty()));
///
/// let join = Join::to("room:1".parse()?).with_presence(Payload::of(&json!({"name": "Ben"}))?);
/// let his = channels.join(&Caller::user(tenant, ben.clone()), join).await?;
/// his.send("greeting", &json!({"text": "hello"})).await?;
///
/// let ChannelEvent::Presence(change) = hers.next().await? else { panic!("Ben came first") };
/// assert_eq!(change.joined[0].user, Some(ben.clone()));
/// let ChannelEvent::Message(message) = hers.next().await? else { panic!("then he spoke") };
/// assert_eq!((message.event.as_str(), message.payload.as_str()), ("greeting", r#"{"text":"hello"}"#));
/// assert_eq!(message.from, Some(ben));
/// # backend.shutdown().await;
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Channels: Send + Sync + fmt::Debug {
    /// Joins a channel. No message that is sent after the answer on this node is missed; those of other nodes reach it
    /// as they arrive.
    ///
    /// # Errors
    /// `Unauthenticated` and `Forbidden` `channel-forbidden` by the rules; `TooLarge` `presence-too-large`;
    /// `RateLimited` `rate-limited` with a presence, where the tenant says too much; `Conflict` `presence-full` where [`MAX_MEMBERS`] are present, [`MAX_MEMBERS_PER_USER`] of this user, or what they say of
    /// themselves takes [`MAX_MEMBERS_BYTES`]; `NotFound` for a tenant that does not exist.
    async fn join(&self, caller: &Caller, join: Join) -> Result<Joined>;

    /// Sends to a channel without joining it. It asks the rule `send` alone.
    ///
    /// # Errors
    /// `Unauthenticated` and `Forbidden` `channel-forbidden` by the rules; `RateLimited` `rate-limited` where the tenant
    /// says too much; `Unavailable` while the way between the nodes is down.
    async fn send(&self, caller: &Caller, channel: &ChannelName, event: EventName, payload: Payload) -> Result<()>;

    /// The patterns that have rules, in the order of their texts.
    ///
    /// # Errors
    /// `Forbidden` unless the caller is an administrator.
    async fn configured(&self, caller: &Caller) -> Result<Vec<ChannelInfo>>;

    /// The rules of a pattern.
    ///
    /// # Errors
    /// `Forbidden` unless the caller is an administrator; `NotFound` `channel-rules-not-found`.
    async fn settings(&self, caller: &Caller, pattern: &ChannelPattern) -> Result<ChannelInfo>;

    /// Sets the rules of a pattern, whole. `expected` is the version that they must have; 0 for none yet. Whoever has
    /// joined and may no longer is told within 5 s.
    ///
    /// # Errors
    /// `Forbidden` unless the caller is an administrator; `Invalid` `invalid-rule`; `PreconditionFailed`
    /// `stale-settings`; `Conflict` `too-many-channel-rules` above 200 patterns.
    async fn configure(
        &self,
        caller: &Caller,
        pattern: &ChannelPattern,
        settings: ChannelSettings,
        expected: Option<i64>,
    ) -> Result<ChannelInfo>;

    /// Takes the rules of a pattern away.
    ///
    /// # Errors
    /// `Forbidden` unless the caller is an administrator; `NotFound` `channel-rules-not-found`; `PreconditionFailed`
    /// `stale-settings`.
    async fn unconfigure(&self, caller: &Caller, pattern: &ChannelPattern, expected: Option<i64>) -> Result<()>;
}

/// What to join, and as what.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Join {
    /// The channel.
    pub channel: ChannelName,
    /// What the others see of this one; without it nobody sees that it is there.
    pub presence: Option<Payload>,
    /// Whether it gets its own messages too.
    pub echo: bool,
    /// What waits for all channels of one connection, together with this one; its own without.
    pub budget: Budget,
}

/// How many bytes wait to be heard on all channels that one connection has joined. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// How many bytes wait.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn take(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Join {
    /// To a channel, unseen, without its own messages.
    #[must_use]
    pub fn to(channel: ChannelName) -> Self {
        Self { channel, presence: None, echo: false, budget: Budget::default() }
    }

    /// Seen by the others with this state, at most [`MAX_STATE`](crate::realtime::payload::MAX_STATE) bytes.
    #[must_use]
    pub fn with_presence(mut self, state: Payload) -> Self {
        self.presence = Some(state);
        self
    }

    /// With what waits counted together with other channels of the same connection: 256 KiB for all of them.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// With its own messages.
    #[must_use]
    pub fn with_echo(mut self) -> Self {
        self.echo = true;
        self
    }
}

/// One who is there. A user who joined twice is two members.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// What tells it from all others; drawn when it joined.
    pub key: Arc<str>,
    /// The user, if it is one.
    pub user: Option<UserId>,
    /// What it says of itself.
    pub state: Payload,
    /// Since when it is there, by the clock of its node.
    pub since: Timestamp,
}

impl Member {
    /// For implementations.
    #[must_use]
    pub fn new(key: Arc<str>, user: Option<UserId>, state: Payload, since: Timestamp) -> Self {
        Self { key, user, state, since }
    }
}

/// What a transport wrote of a value, kept with the value: all who get it share it. It is no part of the value, and a copy,
/// which may be changed, begins without.
#[derive(Default)]
pub struct Printed(OnceLock<Box<str>>);

impl Printed {
    /// The text, written by the first that asks. `print` must depend on the value alone, and be the same for all transports
    /// of a process.
    pub fn once(&self, print: impl FnOnce() -> String) -> &str {
        self.0.get_or_init(|| print().into())
    }
}

impl Clone for Printed {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Printed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Printed {}

impl fmt::Debug for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What users say to one another is for no log.
        write!(f, "Printed({} bytes)", self.0.get().map_or(0, |text| text.len()))
    }
}

/// A message as a listener gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Its event.
    pub event: EventName,
    /// What it says.
    pub payload: Payload,
    /// The user who sent it, if it was one.
    pub from: Option<UserId>,
    /// The [key](Joined::key) of the one who sent it, if it had joined.
    pub key: Option<Arc<str>>,
    /// The message as a transport writes it.
    pub printed: Printed,
}

impl Message {
    /// For implementations.
    #[must_use]
    pub fn new(event: EventName, payload: Payload, from: Option<UserId>, key: Option<Arc<str>>) -> Self {
        Self { event, payload, from, key, printed: Printed::default() }
    }
}

/// Who came, went, or says something else of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceChange {
    /// Who came.
    pub joined: Vec<Member>,
    /// Who says something else.
    pub updated: Vec<Member>,
    /// Who went, as they were at last.
    pub left: Vec<Member>,
    /// The change as a transport writes it. Who changes the others has a new one.
    pub printed: Printed,
}

impl PresenceChange {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.updated.is_empty() && self.left.is_empty()
    }
}

/// What one who joined is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChannelEvent {
    /// Everybody who is there, as far as this node knows: the first event, and again after changes were missed.
    Sync(Arc<[Member]>),
    /// Who came, went or changed since.
    Presence(Arc<PresenceChange>),
    /// A message.
    Message(Arc<Message>),
    /// Messages were lost, because this listener, or this node, was too slow: so many at most.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// For implementations: what one who joined hears.
#[async_trait]
pub trait Listen: Send + Sync + fmt::Debug {
    /// The next event. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<ChannelEvent>;
}

/// For implementations: what one who joined does.
#[async_trait]
pub trait Speak: Send + Sync + fmt::Debug {
    /// Sends a message.
    async fn send(&self, event: EventName, payload: Payload) -> Result<()>;
    /// Says something else of itself, or nothing any more.
    async fn set_presence(&self, state: Option<Payload>) -> Result<()>;
    /// Goes on as the same user with other rights.
    async fn become_caller(&self, caller: Caller) -> Result<()>;
    /// Leaves.
    fn leave(&self);
}

/// One who has joined a channel. Dropping it leaves. A queue of 256 KiB waits for a listener that is slow; what does
/// not find room, the oldest, is lost, and the listener is [told](ChannelEvent::Lagged).
#[derive(Debug)]
pub struct Joined {
    channel: ChannelName,
    key: Arc<str>,
    listen: Box<dyn Listen>,
    speaker: Speaker,
}

/// The voice of one who has joined, apart from its ear. Cheap to clone; it does not keep the member there.
#[derive(Clone, Debug)]
pub struct Speaker(Arc<dyn Speak>);

impl Joined {
    /// For implementations; dropping `listen` must leave the channel.
    #[must_use]
    pub fn new(channel: ChannelName, key: Arc<str>, listen: Box<dyn Listen>, speak: Arc<dyn Speak>) -> Self {
        Self { channel, key, listen, speaker: Speaker(speak) }
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// What tells this one from all others; its member and its messages carry it.
    #[must_use]
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Its voice.
    #[must_use]
    pub fn speaker(&self) -> Speaker {
        self.speaker.clone()
    }

    /// Waits for the next event. Dropping the future loses nothing.
    ///
    /// # Errors
    /// `Unauthenticated` and `Forbidden` `channel-forbidden` once the rules no longer allow it to be there;
    /// `Unavailable` `shutting-down`. Both end it.
    pub async fn next(&mut self) -> Result<ChannelEvent> {
        self.listen.next().await
    }

    /// As [`Speaker::send`].
    ///
    /// # Errors
    /// As [`Speaker::send`].
    pub async fn send<T: Serialize + Sync>(&self, event: &str, payload: &T) -> Result<()> {
        self.speaker.send(event, payload).await
    }

    /// As [`Speaker::set_presence`].
    ///
    /// # Errors
    /// As [`Speaker::set_presence`].
    pub async fn set_presence(&self, state: Option<Payload>) -> Result<()> {
        self.speaker.set_presence(state).await
    }

    /// Leaves the channel; as dropping does.
    pub fn leave(self) {
        self.speaker.leave();
    }
}

impl Speaker {
    /// Sends a message to everybody in the channel.
    ///
    /// # Errors
    /// `Invalid` `invalid-event` for an event of no or more than 64 bytes, or with a control character; `TooLarge`
    /// `message-too-large` above 64 KiB; otherwise as [`send_payload`](Self::send_payload).
    pub async fn send<T: Serialize + Sync>(&self, event: &str, payload: &T) -> Result<()> {
        self.send_payload(EventName::new(event)?, Payload::of(payload)?).await
    }

    /// Sends a message to everybody in the channel.
    ///
    /// # Errors
    /// `Unauthenticated` and `Forbidden` `channel-forbidden` by the rules; `Conflict` `channel-left` after it left;
    /// `RateLimited` `rate-limited` where the tenant says too much; `Unavailable` while the way between the nodes is down.
    pub async fn send_payload(&self, event: EventName, payload: Payload) -> Result<()> {
        self.0.send(event, payload).await
    }

    /// Shows itself with this state from now on; with `None` nobody sees it any more.
    ///
    /// # Errors
    /// `Forbidden` `channel-forbidden` by the rules; `TooLarge` `presence-too-large`; `RateLimited` `rate-limited` where the
    /// tenant says too much; `Conflict` `channel-left` and `presence-full`.
    pub async fn set_presence(&self, state: Option<Payload>) -> Result<()> {
        self.0.set_presence(state).await
    }

    /// Goes on with other rights: those of newer credentials of the same user, or of the user that somebody without
    /// credentials has become.
    ///
    /// # Errors
    /// `Unauthenticated` and `Forbidden` `channel-forbidden` if they do not allow it to be there: it has left then.
    pub async fn become_caller(&self, caller: Caller) -> Result<()> {
        self.0.become_caller(caller).await
    }

    /// Leaves the channel, as dropping the [`Joined`] does.
    pub fn leave(&self) {
        self.0.leave();
    }
}
