//! What the cases run on.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    caller::Caller,
    conformance::expect::failed,
    id::{ChannelName, TenantId, UserId},
    realtime::{ChannelEvent, ChannelPattern, ChannelSettings, Channels, Join, Joined, Payload},
};

/// Three nodes of an installation.
#[derive(Clone)]
#[non_exhaustive]
pub struct Fixture {
    /// A node.
    pub one: Arc<dyn Channels>,
    /// Another.
    pub two: Arc<dyn Channels>,
    /// A third, which dies.
    pub mortal: Arc<dyn Channels>,
    /// Cuts the third off from the others: they hear nothing more of it.
    pub cut: Arc<dyn Fn() + Send + Sync>,
    /// A tenant that exists beside `default`.
    pub other_tenant: TenantId,
}

impl Fixture {
    /// A fixture.
    #[must_use]
    pub fn new(
        one: Arc<dyn Channels>,
        two: Arc<dyn Channels>,
        (mortal, cut): (Arc<dyn Channels>, Arc<dyn Fn() + Send + Sync>),
        other_tenant: TenantId,
    ) -> Self {
        Self { one, two, mortal, cut, other_tenant }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

/// How long an event may take before a case gives up.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn user() -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::generate())
}

pub(super) fn admin() -> Caller {
    Caller::system(TenantId::default_tenant())
}

pub(super) fn name(text: &str) -> Result<ChannelName, String> {
    ChannelName::new(text).map_err(failed)
}

/// A channel of a new kind, and the pattern for all of its kind.
pub(super) fn fresh() -> Result<(ChannelName, ChannelPattern), String> {
    let kind = format!("k{}", crate::id::random_hex(6).map_err(failed)?);
    Ok((name(&format!("{kind}:1"))?, ChannelPattern::new(format!("{kind}:*")).map_err(failed)?))
}

/// A channel in which whoever is signed in may do everything.
pub(super) async fn open(on: &Fixture) -> Result<ChannelName, String> {
    let (channel, pattern) = fresh()?;
    let signed_in = "has(caller.id)";
    let settings = ChannelSettings::new().with_join(signed_in).with_send(signed_in).with_presence(signed_in);
    on.one.configure(&admin(), &pattern, settings, Some(0)).await.map_err(failed)?;
    // The other nodes may remember for a second that it was closed.
    for node in [&on.two, &on.mortal] {
        settled(|| async { node.join(&user(), Join::to(channel.clone())).await.is_ok() }).await?;
    }
    Ok(channel)
}

/// Asks until it is so.
pub(super) async fn settled<F: Future<Output = bool>>(mut ask: impl FnMut() -> F) -> Result<(), String> {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !ask().await {
        if tokio::time::Instant::now() > end {
            return Err("it never became so".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

pub(super) fn payload(value: &Value) -> Result<Payload, String> {
    Payload::of(value).map_err(failed)
}

pub(super) async fn join(node: &Arc<dyn Channels>, caller: &Caller, join: Join) -> Result<Joined, String> {
    node.join(caller, join).await.map_err(failed)
}

/// Joins without being seen, and takes the first event, which names the members.
pub(super) async fn listen(node: &Arc<dyn Channels>, channel: &ChannelName) -> Result<Joined, String> {
    let mut joined = join(node, &user(), Join::to(channel.clone())).await?;
    match next(&mut joined).await? {
        ChannelEvent::Sync(_) => Ok(joined),
        other => Err(format!("{other:?} came first")),
    }
}

/// Joins and is seen with the state `n`.
pub(super) async fn appear(node: &Arc<dyn Channels>, channel: &ChannelName, n: i64) -> Result<Joined, String> {
    let wanted = Join::to(channel.clone()).with_presence(payload(&json!(n))?);
    join(node, &user(), wanted).await
}

pub(super) async fn next(joined: &mut Joined) -> Result<ChannelEvent, String> {
    let event = tokio::time::timeout(PATIENCE, joined.next()).await;
    event.map_err(|_| "no event came".to_owned())?.map_err(failed)
}

/// The next messages, as `event payload`.
pub(super) async fn messages(joined: &mut Joined, count: usize) -> Result<Vec<String>, String> {
    let mut seen = Vec::new();
    while seen.len() < count {
        match next(joined).await? {
            ChannelEvent::Message(message) => {
                seen.push(format!("{} {}", message.event.as_str(), message.payload.as_str()));
            }
            ChannelEvent::Presence(_) | ChannelEvent::Sync(_) => {}
            ChannelEvent::Lagged { missed } => return Err(format!("{missed} messages were lost")),
        }
    }
    Ok(seen)
}

/// Everybody whom a listener knows to be there: their states by key, kept up to date with what it hears.
#[derive(Debug, Default)]
pub(super) struct Roll(std::collections::BTreeMap<String, String>);

impl Roll {
    /// Takes an event in.
    pub(super) fn hear(&mut self, event: &ChannelEvent) -> Result<(), String> {
        match event {
            ChannelEvent::Sync(members) => {
                self.0 = members.iter().map(entry).collect();
            }
            ChannelEvent::Presence(change) => {
                for member in &change.left {
                    self.0.remove(&*member.key).ok_or("somebody left who was not there")?;
                }
                for member in &change.updated {
                    let (key, state) = entry(member);
                    self.0.insert(key, state).ok_or("somebody changed who was not there")?;
                }
                for member in &change.joined {
                    let (key, state) = entry(member);
                    if self.0.insert(key, state).is_some() {
                        return Err("somebody came who was there already".to_owned());
                    }
                }
            }
            ChannelEvent::Message(_) | ChannelEvent::Lagged { .. } => {}
        }
        Ok(())
    }

    /// The states, in their order.
    pub(super) fn states(&self) -> Vec<String> {
        let mut states: Vec<_> = self.0.values().cloned().collect();
        states.sort();
        states
    }

    /// Listens until the members have these states.
    pub(super) async fn until(&mut self, joined: &mut Joined, states: &[&str]) -> Result<(), String> {
        while self.states() != states {
            let event = next(joined).await.map_err(|error| format!("{error}; {:?} are there", self.states()))?;
            self.hear(&event)?;
        }
        Ok(())
    }
}

fn entry(member: &crate::realtime::Member) -> (String, String) {
    (member.key.as_ref().to_owned(), member.state.as_str().to_owned())
}
