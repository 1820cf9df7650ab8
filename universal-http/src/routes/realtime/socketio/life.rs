//! A client's life in the namespace: admitted, served, and told why it ends.

use std::{
    future::{Ready, ready},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use socketioxide::extract::{AckSender, SocketRef, TryData};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use universal_core::error::{Error, ErrorKind};

use super::{
    super::{
        connection::{Connection, End},
        frame::ServerFrame,
    },
    inbox::{Inbox, MESSAGES, Message},
    refusals::Refused,
    session::{Admitted, Held, Session},
    sockets::stopping,
};
use crate::{middleware::catch_panic::said, patience::WHOLE};

/// How long a client may take to read why it is over.
const GOODBYE: Duration = Duration::from_secs(2);

/// `auth` of the client.
#[derive(Deserialize)]
pub(super) struct Credentials {
    token: Option<String>,
}

/// Why a life ends.
enum Ending {
    /// The client left.
    Left,
    /// It takes nothing.
    Slow,
    /// The server stops.
    Stopping,
    /// It may not stay, or did what it must not.
    Refused(Error),
}

impl From<End> for Ending {
    fn from(end: End) -> Self {
        match end {
            End::Stopping => Self::Stopping,
            End::Unauthenticated(error) | End::TooMany(error) => Self::Refused(error),
        }
    }
}

/// Whether a client may come in: the same check as of an `auth` frame. Its handlers are there before it hears that it may,
/// so that none of its messages meets nobody.
pub(super) async fn admit(socket: SocketRef, auth: TryData<Credentials>) -> Result<(), Refused> {
    let lost = || Refused { code: "internal", message: "the request of this session is not known any more".into() };
    let session = session(&socket).ok_or_else(lost)?;
    let mut connection = Connection::new(Arc::clone(&session.service), &session.cx, "socketio")?;
    // A client that left and comes again is asked about what the first request of its session said.
    connection.check().await.map_err(turned_away)?;
    let odd = |_| Refused { code: "invalid-frame", message: "`auth` is an object with a text, `token`".into() };
    let token = auth.0.map_err(odd)?.token;
    if let Some(token) = token {
        match connection.receive(&json!({ "type": "auth", "token": token }).to_string()).await {
            Ok(Some(ServerFrame::Error { code, message, .. })) => {
                return Err(Refused { code, message: message.into() });
            }
            Ok(_) => {}
            Err(end) => return Err(turned_away(end)),
        }
    }
    let (messages, inbox) = mpsc::channel(MESSAGES);
    socket.on_fallback(Inbox { messages, session: Arc::clone(&session) });
    let gone = CancellationToken::new();
    socket.on_disconnect({
        let gone = gone.clone();
        move || {
            gone.cancel();
            ready(())
        }
    });
    session.admit(Admitted { connection, inbox, gone });
    Ok(())
}

fn turned_away(end: End) -> Refused {
    match end {
        End::Unauthenticated(error) | End::TooMany(error) => error.into(),
        End::Stopping => stopping().into(),
    }
}

/// Begins the life of a client that was admitted.
pub(super) fn begin(socket: SocketRef) -> Ready<()> {
    if let Some(session) = session(&socket)
        && let Some(admitted) = session.take_admitted()
    {
        let state = Arc::clone(session.cx.state());
        let request_id = Arc::clone(session.cx.request_id());
        state.tasks.clone().spawn(async move {
            if let Err(panic) = AssertUnwindSafe(run(socket, session, admitted)).catch_unwind().await {
                state.metrics.panicked();
                tracing::error!(request.id = %request_id, panic = said(panic.as_ref()), "a connection's task panicked");
            }
        });
    }
    ready(())
}

/// From the first message to the end of the session, unless the client comes again.
async fn run(socket: SocketRef, session: Arc<Session>, admitted: Admitted) {
    let lives = session.lives();
    let Admitted { connection, inbox, gone } = admitted;
    let mut life = Life { socket, session: &session, connection, inbox, gone, full: None };
    let ending = life.live().await;
    let left = matches!(ending, Ending::Left);
    life.end(ending).await;
    drop(life);
    if left {
        // It may have left the namespace alone. A session on which nobody lives is not kept.
        let state = session.cx.state();
        tokio::select! {
            () = session.ended.cancelled() => return,
            () = state.closing.cancelled() => {}
            () = sleep(state.limits.first_subscription) => if session.lives() != lives { return },
        }
    }
    session.hang_up().await;
}

struct Life<'a> {
    socket: SocketRef,
    session: &'a Session,
    connection: Connection,
    inbox: mpsc::Receiver<Message>,
    gone: CancellationToken,
    /// While there is no room: until when the client must have taken something.
    full: Option<Full>,
}

/// A client for which there is no room.
#[derive(Clone, Copy)]
struct Full {
    /// How many packets had left.
    gone: u64,
    since: Instant,
    moved: Instant,
}

impl Full {
    /// The same, or a newer one, if packets or parts of them have left.
    fn next(last: Option<Self>, gone: u64, moved: bool) -> Self {
        let now = Instant::now();
        match last {
            Some(last) if last.gone == gone => Self { moved: if moved { now } else { last.moved }, ..last },
            _ => Self { gone, since: now, moved: now },
        }
    }

    /// When it has taken too long.
    fn over(&self, reading: Duration) -> Instant {
        (self.moved + reading).min(self.since + WHOLE)
    }
}

impl Life<'_> {
    async fn live(&mut self) -> Ending {
        let session = self.session;
        let limits = &session.cx.state().limits;
        let closing = &session.cx.state().closing;
        let settle_by = Instant::now() + limits.first_subscription;
        let (mut settled, mut moved) = (false, false);
        loop {
            settled = settled || self.connection.is_settled();
            let room = session.flow.has_room();
            self.full = (!room).then(|| Full::next(self.full, session.flow.gone(), moved));
            moved = false;
            let reading = if session.flow.is_polled() { WHOLE } else { limits.reading };
            let full_until = self.full.map(|full| full.over(reading));
            // While there is no room nothing is read from the client either, and nothing from the feed.
            tokio::select! {
                biased;
                () = self.gone.cancelled() => return Ending::Left,
                fault = session.failed() => return Ending::Refused(fault.error()),
                message = self.inbox.recv(), if room => {
                    let Some(message) = message else { return Ending::Left };
                    if let Err(ending) = self.answer(message).await {
                        return ending;
                    }
                }
                frame = Self::next(&mut self.connection, room) => {
                    let sent = frame.map_err(Ending::from).and_then(|frame| self.emit(frame.to_text().as_ref()));
                    if let Err(ending) = sent {
                        return ending;
                    }
                }
                () = session.flow.changed(), if !room => moved = true,
                () = closing.cancelled(), if !room => return Ending::Stopping,
                () = sleep_until(full_until.unwrap_or(settle_by)), if !room => return Ending::Slow,
                () = sleep_until(settle_by), if !settled => {
                    let message = "sign in or subscribe first";
                    return Ending::Refused(Error::new(ErrorKind::Timeout, "nothing-asked", message));
                }
            }
        }
    }

    /// The next frame, if there is room for it.
    async fn next(connection: &mut Connection, room: bool) -> Result<ServerFrame, End> {
        match room {
            true => connection.next().await,
            false => Err(connection.over().await),
        }
    }

    async fn answer(&mut self, mut message: Message) -> Result<(), Ending> {
        let answer = match message.to_frame() {
            Ok(frame) => self.connection.receive(&frame).await?,
            Err(error) => Some(ServerFrame::error(None, &error)),
        };
        match (answer, message.ack.take()) {
            (Some(answer), Some(ack)) => self.acknowledge(ack, answer.to_text().as_ref()),
            (Some(answer), None) => self.emit(answer.to_text().as_ref()),
            (None, Some(ack)) => self.acknowledge(ack, r#"{"type":"ok"}"#),
            (None, None) => Ok(()),
        }
    }

    /// Sends a frame as the event of its name.
    fn emit(&self, frame: &str) -> Result<(), Ending> {
        let Some(raw) = raw(frame) else { return Ok(()) };
        self.session.flow.put(frame.len());
        // The queue has room for all that is counted; that it is full, or closed, means that the client is not there.
        self.socket.emit(kind(frame), raw).map_err(|_| Ending::Slow)
    }

    fn acknowledge(&self, ack: AckSender, frame: &str) -> Result<(), Ending> {
        let Some(raw) = raw(frame) else { return Ok(()) };
        self.session.flow.put(frame.len());
        ack.send(raw).map_err(|_| Ending::Slow)
    }

    /// Tells the client why, if it can hear it.
    async fn end(&mut self, ending: Ending) {
        let (error, stays_away) = match ending {
            Ending::Left | Ending::Slow => return,
            // Its client comes back by itself after a lost connection, and after a disconnect of the server's does not.
            Ending::Stopping => (stopping(), false),
            Ending::Refused(error) => (error, true),
        };
        let _ = self.emit(&ServerFrame::error(None, &error).to_text());
        if stays_away {
            self.session.flow.put(0);
            let _ = self.socket.clone().disconnect();
        }
        let _ = timeout(GOODBYE, self.session.flow.drained()).await;
    }
}

/// The session behind a socket.
fn session(socket: &SocketRef) -> Option<Arc<Session>> {
    socket.req_parts().extensions.get::<Arc<Held>>().map(|held| Arc::clone(&held.session))
}

/// A frame's text as it is, not to be printed again.
fn raw(frame: &str) -> Option<&RawValue> {
    serde_json::from_str(frame).ok()
}

/// The `type` of a frame of ours, which is its first member.
fn kind(frame: &str) -> &str {
    frame.strip_prefix(r#"{"type":""#).and_then(|rest| rest.split('"').next()).unwrap_or("message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_an_event_of_its_type() {
        let error = Error::invalid("invalid-frame", "a \"bad\" frame");
        let frame = ServerFrame::error(None, &error).to_text();
        assert_eq!(kind(&frame), "error");
        assert_eq!(raw(&frame).unwrap().get(), &*frame);
        assert_eq!(kind(&ServerFrame::Pong.to_text()), "pong");
    }
}
