//! A WebSocket: frames in, frames out, and a limit for everything.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as WsError, Message, Utf8Bytes,
        error::CapacityError,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    connection::{Connection, End},
    counting::{Counting, Flooded},
    frame::ServerFrame,
    rare::Rare,
    sharing::Sharing,
};
use crate::{patience::WHOLE, state::State};

/// Credentials that are not, or no longer, valid.
const UNAUTHENTICATED: u16 = 4401;
/// No credentials and no subscription within the time for them.
const TOO_LATE: u16 = 4408;
/// More frames, or more connections of a user, than allowed.
const TOO_MANY: u16 = 4429;

/// The server restarts: another, or the same in a moment, answers (IANA's registry of close codes).
const RESTARTING: u16 = 1012;

/// How many events go out with one flush.
const BATCH: usize = 64;
/// From how many bytes on a frame is not copied into a buffer of the connection, where small ones are collected.
const LARGE: usize = 16 * 1024;
/// How long a client may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why it is over, as a close frame says it; nothing if the client left.
type Closing = Option<(u16, String)>;

/// A WebSocket, and what stands between it and the network.
type Socket<S> = WebSocketStream<Sharing<Counting<S>>>;

/// Lives until the client leaves, breaks a limit or loses its credentials, or the server stops.
pub(super) async fn run<S>(io: S, connection: Connection, state: &State)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let config = WebSocketConfig::default()
        // The default allocates 128 KiB for each of ten thousand idle sockets.
        .read_buffer_size(4 * 1024)
        .write_buffer_size(LARGE)
        // Room for the largest document, should it not go out from where it is shared.
        .max_write_buffer_size(4 * 1024 * 1024)
        .max_message_size(Some(state.limits.frame))
        .max_frame_size(Some(state.limits.frame));
    let io = Counting::new(io, state.limits.frames_per_second, state.limits.reading);
    let flooded = io.flooded();
    let mut socket = WebSocketStream::from_raw_socket(Sharing::new(io), Role::Server, Some(config)).await;
    let closing = Life::new(&mut socket, flooded, connection, state).live().await;
    if let Some((code, reason)) = closing {
        // A reason has at most 123 bytes (RFC 6455 §5.5); ours are ASCII.
        let reason: String = reason.chars().take(120).collect();
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        let goodbye = async {
            let _ = socket.close(Some(frame)).await;
            while let Some(Ok(_)) = socket.next().await {}
        };
        // A client that does not answer a close frame is closed without.
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

struct Life<'a, S> {
    socket: &'a mut Socket<S>,
    flooded: Flooded,
    /// The reading half is looked at when something has come, not for every event that goes out.
    incoming: Rare,
    connection: Connection,
    state: &'a State,
    /// The next moment at which something is due.
    alarm: Pin<Box<Sleep>>,
    due: Due,
}

/// What is due when.
struct Due {
    ping: Instant,
    /// The client must answer the last ping.
    answer: Option<Instant>,
    /// The client must sign in or subscribe.
    settle: Option<Instant>,
}

impl Due {
    fn next(&self) -> Instant {
        [self.answer, self.settle].into_iter().flatten().fold(self.ping, Instant::min)
    }
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin + Send> Life<'a, S> {
    fn new(socket: &'a mut Socket<S>, flooded: Flooded, connection: Connection, state: &'a State) -> Self {
        let (limits, now) = (&state.limits, Instant::now());
        let due = Due { ping: now + limits.ping, answer: None, settle: Some(now + limits.first_subscription) };
        let alarm = Box::pin(sleep_until(due.next()));
        Self { socket, flooded, incoming: Rare::new(), connection, state, alarm, due }
    }

    async fn live(mut self) -> Closing {
        match self.until_over().await {
            Over::Closing(closing) => closing,
            Over::End(end) => self.end(end).await,
        }
    }

    async fn until_over(&mut self) -> Over {
        let limits = &self.state.limits;
        loop {
            if self.due.settle.is_some() && self.connection.is_settled() {
                self.due.settle = None;
            }
            if self.alarm.deadline() != self.due.next() {
                self.alarm.as_mut().reset(self.due.next());
            }
            let (socket, incoming) = (&mut *self.socket, &self.incoming);
            let done = tokio::select! {
                biased;
                message = poll_fn(|cx| incoming.poll(cx, |cx| socket.poll_next_unpin(cx))) => {
                    self.due.answer = None;
                    match text_of(message) {
                        Ok(text) => self.heard(text).await,
                        Err(closing) => Err(Over::Closing(closing)),
                    }
                }
                () = self.flooded.behind_read() => {
                    let reason = format!("at most {} frames a second", limits.frames_per_second);
                    Err(Over::Closing(Some((TOO_MANY, reason))))
                }
                frame = self.connection.next() => match frame {
                    Ok(frame) => self.send_ready(Some(frame)).await,
                    Err(end) => Err(Over::End(end)),
                },
                () = self.alarm.as_mut() => self.alarmed().await,
            };
            if let Err(over) = done {
                return over;
            }
        }
    }

    /// Does what is due.
    async fn alarmed(&mut self) -> Result<(), Over> {
        let (limits, now) = (&self.state.limits, Instant::now());
        if self.due.answer.is_some_and(|at| at <= now) {
            // Whoever does not answer a ping would not read a close frame either.
            return Err(Over::Closing(None));
        }
        if self.due.settle.is_some_and(|at| at <= now) {
            return Err(Over::Closing(Some((TOO_LATE, "sign in or subscribe first".to_owned()))));
        }
        if self.due.ping <= now {
            self.send(Message::Ping(Default::default())).await?;
            let now = Instant::now();
            self.due.ping = now + limits.ping;
            self.due.answer = self.due.answer.or(Some(now + limits.ping_timeout));
        }
        Ok(())
    }

    async fn heard(&mut self, text: Option<String>) -> Result<(), Over> {
        if let Some(text) = text
            && let Some(frame) = self.connection.receive(&text).await.map_err(Over::End)?
        {
            self.send(message(&frame)).await?;
        }
        // A client that always has something to say hears all the same.
        self.send_ready(None).await
    }

    /// Sends a frame, and those that are ready behind it, with one flush.
    async fn send_ready(&mut self, first: Option<ServerFrame>) -> Result<(), Over> {
        let mut next = first;
        for sent in 0..BATCH {
            if next.is_none() {
                if sent > 0 {
                    // Room first: of what a client does not take, one frame waits and not a second one beside it.
                    within(room(self.socket), &mut self.connection).await?;
                }
                next = self.connection.ready().await.map_err(Over::End)?;
            }
            match next.take() {
                Some(frame) => within(take(self.socket, &frame), &mut self.connection).await?,
                None if sent == 0 => return Ok(()),
                None => break,
            }
        }
        within(self.socket.flush(), &mut self.connection).await
    }

    /// Says why, in a frame that a client's code can read, and then in the close frame.
    async fn end(&mut self, end: End) -> Closing {
        let (frame, closing) = match end {
            // Where the client goes on, at the next process.
            End::Stopping => {
                (self.connection.farewell(), (RESTARTING, "the server is stopping; connect again".to_owned()))
            }
            End::TooMany(error) => (Some(ServerFrame::error(None, &error)), (TOO_MANY, error.code().to_owned())),
            End::Unauthenticated(error) => {
                (Some(ServerFrame::error(None, &error)), (UNAUTHENTICATED, error.code().to_owned()))
            }
        };
        if let Some(frame) = frame {
            let _ = timeout(GOODBYE, self.socket.send(message(&frame))).await;
        }
        Some(closing)
    }

    async fn send(&mut self, message: Message) -> Result<(), Over> {
        within(self.socket.send(message), &mut self.connection).await
    }
}

/// Why a life is over.
enum Over {
    Closing(Closing),
    /// The connection must end, which the client is told.
    End(End),
}

/// A connection that is lost, whose client takes nothing, or takes it too slowly, is over without a word; it comes back with
/// its cursor. One that must end does not wait for a slow client.
async fn within(work: impl Future<Output = Result<(), WsError>>, connection: &mut Connection) -> Result<(), Over> {
    let mut work = pin!(work);
    // Most clients take it at once, and need no timer.
    let done = match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => tokio::select! {
            biased;
            done = timeout(WHOLE, work) => done,
            end = connection.over() => return Err(Over::End(end)),
        },
    };
    match done {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Over::Closing(None)),
    }
}

/// Waits until nothing of a frame waits to be sent that did not find room.
async fn room<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<S>) -> Result<(), WsError> {
    match socket.get_ref().is_sending() {
        true => socket.flush().await,
        false => poll_fn(|cx| socket.poll_ready_unpin(cx)).await,
    }
}

/// Takes a frame, which goes out with the next flush at the latest. Where there is [`room`] it waits for nothing.
async fn take<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<S>, frame: &ServerFrame) -> Result<(), WsError> {
    let bytes = frame.to_bytes();
    if bytes.len() >= LARGE
        && let Poll::Ready(flushed) = poll_fn(|cx| Poll::Ready(socket.poll_flush_unpin(cx))).await
    {
        flushed?;
        // A connection that the client has closed counts as flushed, whatever waits.
        if socket.get_mut().put(bytes.clone()) {
            return Ok(());
        }
    }
    socket.feed(text(bytes)).await
}

/// A frame as a message; a change's is shared with all who are told the same under the same name.
fn message(frame: &ServerFrame) -> Message {
    text(frame.to_bytes())
}

/// The bytes of a text as a message.
fn text(bytes: Bytes) -> Message {
    let lossy = |_| Utf8Bytes::from(String::from_utf8_lossy(&bytes).as_ref());
    Message::Text(Utf8Bytes::try_from(bytes.clone()).unwrap_or_else(lossy))
}

/// The text of a message, nothing for a control frame, or the end.
fn text_of(message: Option<Result<Message, WsError>>) -> Result<Option<String>, Closing> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Binary(_))) => Err(Some((1003, "frames are JSON in text messages".to_owned()))),
        Some(Err(WsError::Capacity(CapacityError::MessageTooLong { .. }))) => {
            Err(Some((1009, "the message is too long".to_owned())))
        }
        Some(Err(WsError::Utf8(_))) => Err(Some((1007, "the message is not UTF-8".to_owned()))),
        Some(Err(WsError::Protocol(_))) => Err(Some((1002, "this is not the WebSocket protocol".to_owned()))),
        Some(Ok(Message::Close(_) | Message::Frame(_))) | Some(Err(_)) | None => Err(None),
    }
}
