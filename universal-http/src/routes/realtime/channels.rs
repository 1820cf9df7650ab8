//! The channels that one connection has joined, waited for together.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use serde_json::Value;
use universal_core::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    id::ChannelName,
    realtime::{Budget, ChannelEvent, Channels, EventName, Join, Joined, Payload, Speaker},
};

use super::{
    channel_frame::ChannelFrame,
    frame::ServerFrame,
    row::{Row, Source},
};

/// The pause before the rules are asked again after the database could not be reached.
const PAUSE: Duration = Duration::from_millis(500);

/// The code with which channels end when their backend stops.
const SHUTTING_DOWN: &str = "shutting-down";

/// The next event, and the ear that heard it.
type Hearing = Pin<Box<dyn Future<Output = (Joined, Result<ChannelEvent>)> + Send>>;

/// One channel.
struct Seat {
    channel: ChannelName,
    speaker: Speaker,
    hearing: Hearing,
}

impl Seat {
    fn new(joined: Joined) -> Self {
        Self { channel: joined.channel().clone(), speaker: joined.speaker(), hearing: hear(joined) }
    }
}

fn hear(mut joined: Joined) -> Hearing {
    Box::pin(async move {
        let event = joined.next().await;
        (joined, event)
    })
}

impl Source for Seat {
    type Item = Result<ChannelEvent>;

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<ChannelEvent>> {
        let (joined, event) = ready!(self.hearing.as_mut().poll(cx));
        self.hearing = hear(joined);
        Poll::Ready(event)
    }
}

/// All of one connection.
pub(super) struct Seats {
    service: Option<Arc<dyn Channels>>,
    taken: Row<Seat>,
    /// Those that shall go on as the caller whom the connection has become.
    renewing: Vec<Arc<str>>,
    /// What waits on all of them together.
    budget: Budget,
}

impl Seats {
    pub(super) fn new(service: Option<Arc<dyn Channels>>) -> Self {
        Self { service, taken: Row::default(), renewing: Vec::new(), budget: Budget::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    pub(super) fn contains(&self, reference: &str) -> bool {
        self.taken.get(reference).is_some()
    }

    /// Joins a channel; the answer names who is there.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn join(
        &mut self,
        caller: &Caller,
        reference: Arc<str>,
        (channel, presence, echo): (&str, Option<&Value>, bool),
    ) -> Result<ServerFrame> {
        let Some(service) = &self.service else {
            return Err(Error::not_found("no-channels", "this server has no channels"));
        };
        let channel = ChannelName::new(channel)?;
        if self.taken.iter().any(|(_, seat)| seat.channel == channel) {
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
        self.taken.insert(Arc::clone(&reference), Seat::new(joined));
        Ok(ServerFrame::Channel(ChannelFrame::Joined { reference, channel, key, members }))
    }

    /// Answers whether it had joined.
    pub(super) fn leave(&mut self, reference: &str) -> bool {
        let Some(seat) = self.taken.remove(reference) else { return false };
        seat.speaker.leave();
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
        self.renewing = self.taken.iter().map(|(reference, _)| Arc::clone(reference)).collect();
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

    /// The next thing to tell the client.
    ///
    /// # Errors
    /// What ended the backend below: the connection is over.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<ServerFrame>> {
        loop {
            let (reference, _, event) = ready!(self.taken.poll_next(cx));
            match event {
                Ok(event) => {
                    if let Some(frame) = ChannelFrame::of(reference, event) {
                        return Poll::Ready(Ok(ServerFrame::Channel(frame)));
                    }
                }
                Err(error) if error.code() == SHUTTING_DOWN => return Poll::Ready(Err(error)),
                Err(error) => {
                    self.taken.remove(&reference);
                    return Poll::Ready(Ok(ServerFrame::error(Some(reference), &error)));
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
