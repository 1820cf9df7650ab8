//! One client's life: who it is, what it is subscribed to, and when it is over. It knows no transport.
#![cfg_attr(
    not(any(feature = "websocket", feature = "socketio")),
    expect(dead_code, reason = "only a socket speaks in frames")
)]

use std::{
    fmt,
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context as Waiting, Poll},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use universal_core::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    realtime::Realtime,
};

use super::{
    channels::Seats,
    frame::{ClientFrame, ServerFrame},
    rare::Rare,
    subscriptions::Subscriptions,
    wanted::Wanted,
};
use crate::{
    connections::Counted, context::Context, metrics::Connected, middleware::authenticate::verify, state::State,
};

/// The pause before a subscription is opened again after the database could not be reached.
const PAUSE: Duration = Duration::from_millis(500);
/// After how many frames in a row it is looked whether anything else is due.
const FRAMES: u32 = 64;

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum End {
    /// Its credentials are no longer valid, or became another's.
    Unauthenticated(Error),
    /// Whose it became has too many of them.
    TooMany(Error),
    /// The server stops.
    Stopping,
}

/// What a connection waits for.
enum Happening {
    Frame(Result<ServerFrame>),
    /// It is its turn to close.
    Over,
    /// The token is verified again.
    Check,
    Heartbeat,
}

/// One client.
pub(super) struct Connection {
    state: Arc<State>,
    service: Arc<dyn Realtime>,
    caller: Caller,
    token: Option<SecretString>,
    /// When the token is verified again; kept over many waits, each of which would otherwise set a timer.
    check: Pin<Box<Sleep>>,
    heartbeat: Interval,
    subscriptions: Subscriptions,
    /// Subscriptions that wait to be opened again, with other rights.
    reopening: Vec<(Arc<str>, Wanted)>,
    seats: Seats,
    /// How many frames have been handed out since it was looked what else is due.
    frames: u32,
    /// Everything below, and the timers above.
    rare: Rare,
    /// Resolves when the server stops.
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Its turn to close, once the server stops.
    close: Option<Pin<Box<Sleep>>>,
    /// Whether a stream of events must hear something from time to time.
    is_stream: bool,
    counted: Counted,
    _connected: Connected,
}

impl Connection {
    /// # Errors
    /// `Unavailable` when the server stops; `RateLimited` for a user who has too many.
    pub(super) fn new(service: Arc<dyn Realtime>, cx: &Context, transport: &'static str) -> Result<Self> {
        let state = Arc::clone(cx.state());
        if state.closing.is_cancelled() {
            return Err(Error::new(ErrorKind::Unavailable, "stopping", "this process is stopping; connect again"));
        }
        let limits = &state.limits;
        let counted = state.connections.admit(cx.caller(), limits.connections_per_user)?;
        let mut heartbeat = interval(limits.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        Ok(Self {
            service,
            caller: cx.caller().clone(),
            token: cx.token().cloned(),
            check: Box::pin(sleep(limits.token_check)),
            heartbeat,
            subscriptions: Subscriptions::default(),
            reopening: Vec::new(),
            seats: Seats::new(state.channels.clone()),
            frames: 0,
            rare: Rare::new(),
            stopping: Box::pin(state.closing.clone().cancelled_owned()),
            close: None,
            is_stream: transport == "sse",
            counted,
            _connected: state.metrics.connected(transport),
            state,
        })
    }

    /// Whether the client has said who it is or what it wants.
    pub(super) fn is_settled(&self) -> bool {
        !self.caller.is_anonymous() || self.subscriptions.len() > 0 || self.seats.len() > 0
    }

    /// Opens a subscription; `Subscribed` is what the client must hear first.
    ///
    /// # Errors
    /// What the service refuses, and `Conflict` or `RateLimited` of this connection's own.
    pub(super) async fn subscribe(&mut self, reference: Arc<str>, wanted: Wanted) -> Result<ServerFrame> {
        self.has_room(&reference)?;
        let subscription = wanted.open(&*self.service, &self.caller).await?;
        let (cursor, recovered) = (subscription.start().clone(), subscription.recovered());
        let from = recovered.then(|| subscription.cursor());
        let basis = subscription.basis().cloned();
        self.subscriptions.add(Arc::clone(&reference), wanted, subscription);
        Ok(ServerFrame::Subscribed { reference, cursor, from, recovered, basis })
    }

    /// Whether there is room for another subscription or channel of this name.
    fn has_room(&self, reference: &str) -> Result<()> {
        let reopens = || self.reopening.iter().any(|(other, _)| **other == *reference);
        if self.subscriptions.contains(reference) || self.seats.contains(reference) || reopens() {
            return Err(Error::new(ErrorKind::Conflict, "ref-in-use", "this `ref` is in use; unsubscribe it first"));
        }
        let most = self.state.limits.subscriptions;
        if self.subscriptions.len() + self.reopening.len() + self.seats.len() >= most {
            let message = format!("a connection has {most} subscriptions and channels at most");
            return Err(Error::new(ErrorKind::RateLimited, "too-many-subscriptions", message));
        }
        Ok(())
    }

    /// Does what a frame of the client asks for, and answers it.
    ///
    /// # Errors
    /// When the connection must end.
    pub(super) async fn receive(&mut self, text: &str) -> Result<Option<ServerFrame>, End> {
        // A client that always has something to say is asked who it is all the same.
        if self.token.is_some() && self.check.deadline() <= Instant::now() {
            self.check().await?;
        }
        let frame = match ClientFrame::parse(text) {
            Ok(frame) => frame,
            Err(error) => return Ok(Some(ServerFrame::error(None, &error))),
        };
        match frame {
            ClientFrame::Ping {} => Ok(Some(ServerFrame::Pong)),
            ClientFrame::Auth { token } => self.authenticate(SecretString::from(token)).await.map(|()| None),
            ClientFrame::Unsubscribe { reference } | ClientFrame::Leave { reference } => {
                Ok(match self.remove(&reference) {
                    true => None,
                    false => {
                        let error =
                            Error::not_found("unknown-ref", "there is no subscription or channel with this `ref`");
                        Some(ServerFrame::error(Some(reference.into()), &error))
                    }
                })
            }
            ClientFrame::Subscribe { reference, collection, id, filter, since } => {
                let wanted = Wanted::parse(&collection, id.as_deref(), filter.as_deref(), since.as_deref());
                Ok(Some(self.answer(reference.into(), wanted).await))
            }
            ClientFrame::Watch { reference, collection, id, filter, since, basis } => {
                let wanted = Wanted::parse(&collection, id.as_deref(), filter.as_deref(), since.as_deref());
                Ok(Some(self.answer(reference.into(), wanted.map(|wanted| wanted.watched(basis.as_deref()))).await))
            }
            ClientFrame::Join { reference, channel, presence, echo } => {
                let reference: Arc<str> = reference.into();
                let wanted = (&*channel, presence.as_ref(), echo);
                let joined = match self.has_room(&reference) {
                    Ok(()) => self.seats.join(&self.caller, Arc::clone(&reference), wanted).await,
                    Err(error) => Err(error),
                };
                Ok(Some(joined.unwrap_or_else(|error| failed(reference, &error))))
            }
            ClientFrame::Broadcast { reference, event, payload } => {
                let sent = self.seats.send(&reference, &event, &payload).await;
                Ok(sent.err().map(|error| failed(reference.into(), &error)))
            }
            ClientFrame::Presence { reference, state } => {
                let said = self.seats.set_presence(&reference, state.as_ref()).await;
                Ok(said.err().map(|error| failed(reference.into(), &error)))
            }
        }
    }

    async fn answer(&mut self, reference: Arc<str>, wanted: Result<Wanted>) -> ServerFrame {
        let answer = match wanted {
            Ok(wanted) => self.subscribe(Arc::clone(&reference), wanted).await,
            Err(error) => Err(error),
        };
        answer.unwrap_or_else(|error| failed(reference, &error))
    }

    /// Waits for the next thing to tell the client. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the connection must end.
    pub(super) async fn next(&mut self) -> Result<ServerFrame, End> {
        loop {
            // Before anything is handed out, not only while nothing happens.
            if self.token.is_some() && self.check.deadline() <= Instant::now() {
                self.check().await?;
            }
            if !self.reopening.is_empty() {
                self.reopen().await?;
            }
            if self.seats.is_renewing() {
                let closing = self.state.closing.clone();
                tokio::select! {
                    () = closing.cancelled() => return Err(End::Stopping),
                    () = self.seats.renew(&self.caller) => {}
                }
            }
            match poll_fn(|cx| self.poll_happening(cx)).await {
                Happening::Frame(frame) => return frame.map_err(|_| End::Stopping),
                Happening::Over => return Err(End::Stopping),
                Happening::Check => {}
                Happening::Heartbeat => {
                    if let Some(place) = self.farewell() {
                        return Ok(place);
                    }
                    if self.is_stream {
                        return Ok(ServerFrame::KeepAlive);
                    }
                }
            }
        }
    }

    /// What is ready now, or nothing; the task is woken for what comes later.
    ///
    /// # Errors
    /// When the connection must end.
    #[cfg(feature = "websocket")]
    pub(super) async fn ready(&mut self) -> Result<Option<ServerFrame>, End> {
        let checks = self.token.is_some() && self.check.deadline() <= Instant::now();
        if checks || !self.reopening.is_empty() || self.seats.is_renewing() {
            // That takes a moment.
            return Ok(None);
        }
        match poll_fn(|cx| Poll::Ready(self.poll_frame(cx))).await {
            Poll::Ready(frame) => frame.map(Some).map_err(|_| End::Stopping),
            Poll::Pending => Ok(None),
        }
    }

    /// Frames first, for they come often. After many of them the rest has its turn.
    fn poll_happening(&mut self, cx: &mut Waiting<'_>) -> Poll<Happening> {
        let many = self.frames >= FRAMES;
        if !many && let Poll::Ready(frame) = self.poll_frame(cx) {
            return Poll::Ready(Happening::Frame(frame));
        }
        self.frames = 0;
        match self.poll_rare(cx) {
            Poll::Pending if many => self.poll_frame(cx).map(Happening::Frame),
            happening => happening,
        }
    }

    fn poll_rare(&mut self, cx: &Waiting<'_>) -> Poll<Happening> {
        let rare = &mut (&mut self.stopping, &mut self.close, &mut self.check, &mut self.heartbeat);
        let (connections, checks) = (&self.state.connections, self.token.is_some());
        self.rare.poll(cx, |cx| {
            let (stopping, close, check, heartbeat) = rare;
            if close.is_none() && stopping.as_mut().poll(cx).is_ready() {
                **close = Some(Box::pin(sleep(connections.turn())));
            }
            if let Some(close) = close
                && close.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Happening::Over);
            }
            if checks && check.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Happening::Check);
            }
            heartbeat.poll_tick(cx).map(|_| Happening::Heartbeat)
        })
    }

    /// Waits until it must end, and hands out nothing: for while the client takes its time for what it was given. Dropping
    /// the future loses nothing.
    pub(super) async fn over(&mut self) -> End {
        loop {
            if self.token.is_some()
                && self.check.deadline() <= Instant::now()
                && let Err(end) = self.check().await
            {
                return end;
            }
            if let Happening::Over = poll_fn(|cx| self.poll_rare(cx)).await {
                return End::Stopping;
            }
        }
    }

    /// What happens next in a document or in a channel; neither keeps the other waiting.
    fn poll_frame(&mut self, cx: &mut Waiting<'_>) -> Poll<Result<ServerFrame>> {
        let (subscriptions, seats) = (&mut self.subscriptions, &mut self.seats);
        let mut frame = Poll::Pending;
        for turn in 0..2 {
            if frame.is_pending() {
                frame = match (self.frames + turn).is_multiple_of(2) {
                    true => subscriptions.poll_next(cx),
                    false => seats.poll_next(cx),
                };
            }
        }
        self.frames += u32::from(frame.is_ready());
        frame
    }

    /// Where the client can go on elsewhere; nothing while a subscription waits to be opened again.
    pub(super) fn farewell(&self) -> Option<ServerFrame> {
        if !self.reopening.is_empty() {
            return None;
        }
        self.subscriptions.place().map(|(cursor, basis)| ServerFrame::Heartbeat { cursor, basis })
    }

    fn remove(&mut self, reference: &str) -> bool {
        let waiting = self.reopening.len();
        self.reopening.retain(|(other, _)| **other != *reference);
        self.subscriptions.remove(reference) || self.reopening.len() < waiting || self.seats.leave(reference)
    }

    /// Takes newer credentials: from nobody to somebody, or of the same user.
    async fn authenticate(&mut self, token: SecretString) -> Result<(), End> {
        let caller = verify(&self.state, token.expose_secret()).await.map_err(End::Unauthenticated)?;
        self.become_caller(caller).await?;
        self.token = Some(token);
        self.check_later();
        Ok(())
    }

    /// Verifies the token again: it may have expired, or its session ended.
    ///
    /// # Errors
    /// When the connection must end.
    pub(super) async fn check(&mut self) -> Result<(), End> {
        let Some(token) = &self.token else { return Ok(()) };
        match verify(&self.state, token.expose_secret()).await {
            Ok(caller) => self.become_caller(caller).await?,
            // Nothing is known of the token while the database is away; it was good a moment ago.
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(End::Unauthenticated(error)),
        }
        self.check_later();
        Ok(())
    }

    fn check_later(&mut self) {
        self.check.as_mut().reset(Instant::now() + self.state.limits.token_check);
        self.rare.changed();
    }

    async fn become_caller(&mut self, caller: Caller) -> Result<(), End> {
        let other = self.caller.tenant() != caller.tenant() || self.caller.user_id() != caller.user_id();
        if other && !self.caller.is_anonymous() {
            let message = "this connection belongs to another user; open a new one";
            return Err(End::Unauthenticated(Error::new(ErrorKind::Unauthenticated, "other-user", message)));
        }
        self.counted.belongs_to(&caller, self.state.limits.connections_per_user).map_err(End::TooMany)?;
        let caller = match self.caller.request_id() {
            Some(id) => caller.with_request_id(id),
            None => caller,
        };
        let rights_changed = other || self.caller.roles() != caller.roles() || self.caller.claims() != caller.claims();
        self.caller = caller;
        if rights_changed {
            self.reopening.extend(self.subscriptions.take_all());
            self.seats.caller_changed();
        }
        Ok(())
    }

    /// Opens every subscription again where it stood: what it may show depends on who asks. What is not open yet stays
    /// in the list, so that dropping the future loses nothing.
    async fn reopen(&mut self) -> Result<(), End> {
        while let Some((reference, wanted)) = self.reopening.last().cloned() {
            match wanted.open(&*self.service, &self.caller).await {
                Ok(subscription) => {
                    self.reopening.pop();
                    self.subscriptions.add(reference, wanted, subscription);
                }
                Err(error) if error.is_retryable() => {
                    let closing = self.state.closing.clone();
                    tokio::select! {
                        () = closing.cancelled() => return Err(End::Stopping),
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
                Err(error) => return Err(End::Unauthenticated(error)),
            }
        }
        Ok(())
    }
}

/// What the client is told of something that it asked for.
fn failed(reference: Arc<str>, error: &Error) -> ServerFrame {
    if error.kind() == ErrorKind::Internal {
        tracing::error!(code = error.code(), error = ?error, "a frame could not be answered");
    }
    ServerFrame::error(Some(reference), error)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("caller", &self.caller).finish_non_exhaustive()
    }
}
