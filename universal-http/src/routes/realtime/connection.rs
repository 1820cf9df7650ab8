//! One client's life: who it is, what it is subscribed to, and when it is over. It knows no transport.
#![cfg_attr(
    not(any(feature = "websocket", feature = "socketio")),
    expect(dead_code, reason = "only a socket speaks in frames")
)]

use std::{fmt, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use universal_core::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    expr::{Expression, Scope},
    id::{CollectionName, DocumentId},
    realtime::{Realtime, Subscribe},
};

use super::{
    frame::{ClientFrame, ServerFrame},
    subscriptions::Subscriptions,
};
use crate::{context::Context, metrics::Connected, middleware::authenticate::verify, state::State};

/// The pause before a subscription is opened again after the database could not be reached.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum End {
    /// Its credentials are no longer valid, or became another's.
    Unauthenticated(Error),
    /// The server stops.
    Stopping,
}

/// One client.
pub(super) struct Connection {
    state: Arc<State>,
    service: Arc<dyn Realtime>,
    caller: Caller,
    token: Option<SecretString>,
    check_at: Instant,
    heartbeat: Interval,
    subscriptions: Subscriptions,
    /// Subscriptions that wait to be opened again, with other rights.
    reopening: Vec<(String, Subscribe)>,
    _connected: Connected,
}

impl Connection {
    pub(super) fn new(service: Arc<dyn Realtime>, cx: &Context, transport: &'static str) -> Self {
        let state = Arc::clone(cx.state());
        let limits = &state.limits;
        let mut heartbeat = interval(limits.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        Self {
            service,
            caller: cx.caller().clone(),
            token: cx.token().cloned(),
            check_at: Instant::now() + limits.token_check,
            heartbeat,
            subscriptions: Subscriptions::new(limits.heartbeat),
            reopening: Vec::new(),
            _connected: state.metrics.connected(transport),
            state,
        }
    }

    /// Whether the client has said who it is or what it wants.
    pub(super) fn is_settled(&self) -> bool {
        !self.caller.is_anonymous() || self.subscriptions.len() > 0
    }

    /// Opens a subscription; `Subscribed` is what the client must hear first.
    ///
    /// # Errors
    /// What the service refuses, and `Conflict` or `RateLimited` of this connection's own.
    pub(super) async fn subscribe(&mut self, reference: String, wanted: Subscribe) -> Result<ServerFrame> {
        if self.subscriptions.contains(&reference) || self.reopening.iter().any(|(other, _)| *other == reference) {
            return Err(Error::new(ErrorKind::Conflict, "ref-in-use", "this `ref` is in use; unsubscribe it first"));
        }
        if self.subscriptions.len() + self.reopening.len() >= self.state.limits.subscriptions {
            let message = format!("a connection has {} subscriptions at most", self.state.limits.subscriptions);
            return Err(Error::new(ErrorKind::RateLimited, "too-many-subscriptions", message));
        }
        let subscription = self.service.subscribe(&self.caller, wanted.clone()).await?;
        let (cursor, recovered) = (subscription.start().clone(), subscription.recovered());
        let from = recovered.then(|| subscription.cursor());
        self.subscriptions.add(reference.clone(), wanted, subscription);
        Ok(ServerFrame::Subscribed { reference, cursor, from, recovered })
    }

    /// Does what a frame of the client asks for, and answers it.
    ///
    /// # Errors
    /// When the connection must end.
    pub(super) async fn receive(&mut self, text: &str) -> Result<Option<ServerFrame>, End> {
        let frame = match ClientFrame::parse(text) {
            Ok(frame) => frame,
            Err(error) => return Ok(Some(ServerFrame::error(None, &error))),
        };
        match frame {
            ClientFrame::Ping {} => Ok(Some(ServerFrame::Pong)),
            ClientFrame::Auth { token } => self.authenticate(SecretString::from(token)).await.map(|()| None),
            ClientFrame::Unsubscribe { reference } => Ok(match self.remove(&reference) {
                true => None,
                false => {
                    let error = Error::not_found("unknown-ref", "there is no subscription with this `ref`");
                    Some(ServerFrame::error(Some(reference), &error))
                }
            }),
            ClientFrame::Subscribe { reference, collection, id, filter, since } => {
                let wanted = wanted(&collection, id.as_deref(), filter.as_deref(), since.as_deref());
                let answer = match wanted {
                    Ok(wanted) => self.subscribe(reference.clone(), wanted).await,
                    Err(error) => Err(error),
                };
                Ok(Some(answer.unwrap_or_else(|error| {
                    if error.kind() == ErrorKind::Internal {
                        tracing::error!(code = error.code(), error = ?error, "a subscription failed");
                    }
                    ServerFrame::error(Some(reference), &error)
                })))
            }
        }
    }

    /// Waits for the next thing to tell the client. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the connection must end.
    pub(super) async fn next(&mut self) -> Result<ServerFrame, End> {
        loop {
            // Before anything is handed out, not only while nothing happens.
            if self.token.is_some() && self.check_at <= Instant::now() {
                self.check().await?;
            }
            if !self.reopening.is_empty() {
                self.reopen().await?;
            }
            let check_at = self.check_at;
            let checks = self.token.is_some();
            let closing = self.state.closing.clone();
            tokio::select! {
                biased;
                () = closing.cancelled() => return Err(End::Stopping),
                () = tokio::time::sleep_until(check_at), if checks => {}
                frame = self.subscriptions.next() => return frame.map_err(|_| End::Stopping),
                _ = self.heartbeat.tick() => {
                    if let Some(cursor) = self.subscriptions.cursor() {
                        return Ok(ServerFrame::Heartbeat { cursor: cursor.clone() });
                    }
                }
            }
        }
    }

    fn remove(&mut self, reference: &str) -> bool {
        let waiting = self.reopening.len();
        self.reopening.retain(|(other, _)| other != reference);
        self.subscriptions.remove(reference) || self.reopening.len() < waiting
    }

    /// Takes newer credentials: from nobody to somebody, or of the same user.
    async fn authenticate(&mut self, token: SecretString) -> Result<(), End> {
        let caller = verify(&self.state, token.expose_secret()).await.map_err(End::Unauthenticated)?;
        self.become_caller(caller).await?;
        self.token = Some(token);
        self.check_at = Instant::now() + self.state.limits.token_check;
        Ok(())
    }

    /// Verifies the token again: it may have expired, or its session ended.
    async fn check(&mut self) -> Result<(), End> {
        let Some(token) = &self.token else { return Ok(()) };
        match verify(&self.state, token.expose_secret()).await {
            Ok(caller) => self.become_caller(caller).await?,
            // Nothing is known of the token while the database is away; it was good a moment ago.
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(End::Unauthenticated(error)),
        }
        self.check_at = Instant::now() + self.state.limits.token_check;
        Ok(())
    }

    async fn become_caller(&mut self, caller: Caller) -> Result<(), End> {
        let other = self.caller.tenant() != caller.tenant() || self.caller.user_id() != caller.user_id();
        if other && !self.caller.is_anonymous() {
            let message = "this connection belongs to another user; open a new one";
            return Err(End::Unauthenticated(Error::new(ErrorKind::Unauthenticated, "other-user", message)));
        }
        let caller = match self.caller.request_id() {
            Some(id) => caller.with_request_id(id),
            None => caller,
        };
        let rights_changed = other || self.caller.roles() != caller.roles();
        self.caller = caller;
        if rights_changed {
            self.reopening.extend(self.subscriptions.take_all());
        }
        Ok(())
    }

    /// Opens every subscription again where it stood: what it may show depends on who asks. What is not open yet stays
    /// in the list, so that dropping the future loses nothing.
    async fn reopen(&mut self) -> Result<(), End> {
        while let Some((reference, wanted)) = self.reopening.last().cloned() {
            match self.service.subscribe(&self.caller, wanted.clone()).await {
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

/// What a client asks for, checked.
///
/// # Errors
/// `Invalid` naming the member.
pub(super) fn wanted(
    collection: &str,
    id: Option<&str>,
    filter: Option<&str>,
    since: Option<&str>,
) -> Result<Subscribe> {
    let mut wanted = Subscribe::to(CollectionName::new(collection)?);
    if let Some(id) = id {
        wanted = wanted.with_id(DocumentId::new(id)?);
    }
    if let Some(filter) = filter.filter(|text| !text.trim().is_empty()) {
        let filter = Expression::parse(filter, Scope::Filter).map_err(|error| match error.field() {
            Some(_) => error,
            None => error.with_field("filter"),
        })?;
        wanted = wanted.with_filter(filter);
    }
    if let Some(since) = since {
        wanted = wanted.with_since(since.parse().map_err(|error: Error| error.with_field("since"))?);
    }
    Ok(wanted)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("caller", &self.caller).finish_non_exhaustive()
    }
}
