//! The channels that one connection has joined, waited for together.

use std::{collections::HashMap, fmt, pin::Pin, sync::Arc, time::Duration};

use futures_core::Stream;
use futures_util::{
    StreamExt as _,
    stream::{AbortHandle, SelectAll, abortable, unfold},
};
use serde_json::Value;
use universal_core::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    id::ChannelName,
    realtime::{Budget, ChannelEvent, Channels, EventName, Join, Joined, Payload, Speaker},
};

use super::{channel_frame::ChannelFrame, frame::ServerFrame};

/// The pause before the rules are asked again after the database could not be reached.
const PAUSE: Duration = Duration::from_millis(500);

/// The code with which channels end when their backend stops.
const SHUTTING_DOWN: &str = "shutting-down";

type Items = Pin<Box<dyn Stream<Item = (String, Result<ChannelEvent>)> + Send>>;

/// One channel.
struct Seat {
    channel: ChannelName,
    speaker: Speaker,
    abort: AbortHandle,
}

/// All of one connection.
pub(super) struct Seats {
    service: Option<Arc<dyn Channels>>,
    taken: HashMap<String, Seat>,
    items: SelectAll<Items>,
    /// Those that shall go on as the caller whom the connection has become.
    renewing: Vec<String>,
    /// What waits on all of them together.
    budget: Budget,
}

impl Seats {
    pub(super) fn new(service: Option<Arc<dyn Channels>>) -> Self {
        Self {
            service,
            taken: HashMap::new(),
            items: SelectAll::new(),
            renewing: Vec::new(),
            budget: Budget::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    pub(super) fn contains(&self, reference: &str) -> bool {
        self.taken.contains_key(reference)
    }

    /// Joins a channel; the answer names who is there.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn join(
        &mut self,
        caller: &Caller,
        reference: &str,
        (channel, presence, echo): (&str, Option<&Value>, bool),
    ) -> Result<ServerFrame> {
        let Some(service) = &self.service else {
            return Err(Error::not_found("no-channels", "this server has no channels"));
        };
        let channel = ChannelName::new(channel)?;
        if self.taken.values().any(|seat| seat.channel == channel) {
            let message = "this connection has joined the channel already, under another `ref`";
            return Err(Error::new(ErrorKind::Conflict, "already-joined", message));
        }
        let mut join = Join::to(channel).with_budget(self.budget.clone());
        if let Some(state) = presence {
            join = join.with_presence(Payload::of(state).map_err(|error| error.with_field("presence"))?);
        }
        if echo {
            join = join.with_echo();
        }
        let mut joined = service.join(caller, join).await?;
        let members = match joined.next().await? {
            ChannelEvent::Sync(members) => members,
            other => return Err(Error::internal(format!("{other:?} came before the members"))),
        };
        let (channel, key) = (joined.channel().clone(), Arc::clone(joined.key()));
        let reference = reference.to_owned();
        self.take(reference.clone(), joined);
        Ok(ServerFrame::Channel(ChannelFrame::Joined { reference, channel, key, members }))
    }

    fn take(&mut self, reference: String, joined: Joined) {
        let (channel, speaker) = (joined.channel().clone(), joined.speaker());
        let name = reference.clone();
        let items = unfold(Some(joined), move |joined| {
            let name = name.clone();
            async move {
                let mut joined = joined?;
                let event = joined.next().await;
                let goes_on = event.is_ok().then_some(joined);
                Some(((name, event), goes_on))
            }
        });
        let (items, abort) = abortable(items);
        self.items.push(Box::pin(items));
        self.taken.insert(reference, Seat { channel, speaker, abort });
    }

    /// Answers whether it had joined.
    pub(super) fn leave(&mut self, reference: &str) -> bool {
        let Some(seat) = self.taken.remove(reference) else { return false };
        // At once, not when the stream is looked at next.
        seat.speaker.leave();
        seat.abort.abort();
        true
    }

    /// Sends a message.
    ///
    /// # Errors
    /// `NotFound` `unknown-ref`; what the service refuses.
    pub(super) async fn send(&mut self, reference: &str, event: &str, payload: &Value) -> Result<()> {
        let speaker = self.speaker(reference)?;
        let payload = Payload::of(payload).map_err(|error| error.with_field("payload"))?;
        speaker.send_payload(EventName::new(event)?, payload).await
    }

    /// Says something else of this one, or nothing any more.
    ///
    /// # Errors
    /// `NotFound` `unknown-ref`; what the service refuses.
    pub(super) async fn set_presence(&mut self, reference: &str, state: Option<&Value>) -> Result<()> {
        let speaker = self.speaker(reference)?;
        let state = state.map(Payload::of).transpose().map_err(|error| error.with_field("state"))?;
        speaker.set_presence(state).await
    }

    fn speaker(&self, reference: &str) -> Result<&Speaker> {
        let seat = self.taken.get(reference);
        seat.map(|seat| &seat.speaker)
            .ok_or_else(|| Error::not_found("unknown-ref", "no channel has been joined with this `ref`"))
    }

    /// All shall go on as another caller: [`renew`](Self::renew).
    pub(super) fn caller_changed(&mut self) {
        self.renewing = self.taken.keys().cloned().collect();
    }

    pub(super) fn is_renewing(&self) -> bool {
        !self.renewing.is_empty()
    }

    /// Goes on as `caller` where that is still to be done. Those who may no longer be there end with the next event.
    /// Dropping the future loses nothing.
    pub(super) async fn renew(&mut self, caller: &Caller) {
        while let Some(reference) = self.renewing.last() {
            if let Some(seat) = self.taken.get(reference) {
                match seat.speaker.become_caller(caller.clone()).await {
                    Err(error) if error.is_retryable() && error.code() != SHUTTING_DOWN => {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    // The channel has ended, and says so itself.
                    Ok(()) | Err(_) => {}
                }
            }
            self.renewing.pop();
        }
    }

    /// The next thing to tell the client; waits for ever without channels. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What ended the backend below: the connection is over.
    pub(super) async fn next(&mut self) -> Result<ServerFrame> {
        loop {
            let Some((reference, event)) = self.items.next().await else { return std::future::pending().await };
            // What one that was left had ready is for nobody.
            if !self.taken.contains_key(&reference) {
                continue;
            }
            match event {
                Ok(event) => {
                    if let Some(frame) = ChannelFrame::of(reference, event) {
                        return Ok(ServerFrame::Channel(frame));
                    }
                }
                Err(error) if error.code() == SHUTTING_DOWN => return Err(error),
                Err(error) => {
                    self.taken.remove(&reference);
                    return Ok(ServerFrame::error(Some(reference), &error));
                }
            }
        }
    }
}

impl fmt::Debug for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seats").field("taken", &self.taken.len()).finish_non_exhaustive()
    }
}
