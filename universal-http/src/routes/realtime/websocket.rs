//! A WebSocket: frames in, frames out, and a limit for everything.

use std::{future::poll_fn, time::Duration};

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as WsError, Message,
        error::CapacityError,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    connection::{Connection, End},
    counting::{Counting, Flooded},
    frame::ServerFrame,
};
use crate::state::State;

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
/// How long a client may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why it is over, as a close frame says it; nothing if the client left.
type Closing = Option<(u16, String)>;

/// Lives until the client leaves, breaks a limit or loses its credentials, or the server stops.
pub(super) async fn run<S>(io: S, connection: Connection, state: &State)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let config = WebSocketConfig::default()
        // The default allocates 128 KiB for each of ten thousand idle sockets.
        .read_buffer_size(4 * 1024)
        .write_buffer_size(16 * 1024)
        // Room for the largest document; more than one message is never waiting.
        .max_write_buffer_size(4 * 1024 * 1024)
        .max_message_size(Some(state.limits.frame))
        .max_frame_size(Some(state.limits.frame));
    let io = Counting::new(io, state.limits.frames_per_second);
    let flooded = io.flooded();
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let closing = Life { socket: &mut socket, flooded, connection, state }.live().await;
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
    socket: &'a mut WebSocketStream<Counting<S>>,
    flooded: Flooded,
    connection: Connection,
    state: &'a State,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Life<'_, S> {
    async fn live(mut self) -> Closing {
        let limits = &self.state.limits;
        let mut pings = interval(limits.ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        let settle_by = Instant::now() + limits.first_subscription;
        let mut settled = false;
        let mut answer_by: Option<Instant> = None;
        loop {
            settled = settled || self.connection.is_settled();
            let dead = answer_by.unwrap_or(settle_by);
            tokio::select! {
                biased;
                message = self.socket.next() => {
                    answer_by = None;
                    let text = match incoming(message) {
                        Ok(text) => text,
                        Err(closing) => return closing,
                    };
                    if let Some(text) = text && let Err(closing) = self.answer(&text).await {
                        return closing;
                    }
                    // A client that always has something to say hears all the same.
                    match self.connection.next().now_or_never() {
                        None => {}
                        Some(Ok(frame)) => if let Err(closing) = self.send_with_followers(frame).await {
                            return closing;
                        },
                        Some(Err(end)) => return self.end(end).await,
                    }
                }
                () = self.flooded.behind_read() => {
                    return Some((TOO_MANY, format!("at most {} frames a second", limits.frames_per_second)));
                }
                frame = self.connection.next() => match frame {
                    Ok(frame) => if let Err(closing) = self.send_with_followers(frame).await {
                        return closing;
                    },
                    Err(end) => return self.end(end).await,
                },
                _ = pings.tick() => {
                    if let Err(closing) = self.send(Message::Ping(Default::default())).await {
                        return closing;
                    }
                    answer_by = answer_by.or(Some(Instant::now() + limits.ping_timeout));
                }
                () = sleep_until(dead), if answer_by.is_some() || !settled => {
                    return match answer_by {
                        // Whoever does not answer a ping would not read a close frame either.
                        Some(_) => None,
                        None => Some((TOO_LATE, "sign in or subscribe first".to_owned())),
                    };
                }
            }
        }
    }

    async fn answer(&mut self, text: &str) -> Result<(), Closing> {
        match self.connection.receive(text).await {
            Ok(Some(frame)) => self.send(Message::text(frame.to_text())).await,
            Ok(None) => Ok(()),
            Err(end) => Err(self.end(end).await),
        }
    }

    /// Sends a frame, and those that are ready behind it, with one flush.
    async fn send_with_followers(&mut self, first: ServerFrame) -> Result<(), Closing> {
        self.feed(Message::text(first.to_text())).await?;
        for _ in 1..BATCH {
            // Room first: of what a client does not take, one frame waits and not a second one beside it.
            self.within(Step::Room).await?;
            match self.connection.next().now_or_never() {
                None => break,
                Some(Ok(frame)) => self.feed(Message::text(frame.to_text())).await?,
                Some(Err(end)) => return Err(self.end(end).await),
            }
        }
        self.within(Step::Flush).await
    }

    /// Says why, in a frame that a client's code can read, and then in the close frame.
    async fn end(&mut self, end: End) -> Closing {
        match end {
            End::Stopping => {
                // Where the client goes on, at the next process.
                if let Some(frame) = self.connection.farewell() {
                    let _ = self.send(Message::text(frame.to_text())).await;
                }
                Some((RESTARTING, "the server is stopping; connect again".to_owned()))
            }
            End::TooMany(error) => {
                let _ = self.send(Message::text(ServerFrame::error(None, &error).to_text())).await;
                Some((TOO_MANY, error.code().to_owned()))
            }
            End::Unauthenticated(error) => {
                let _ = self.send(Message::text(ServerFrame::error(None, &error).to_text())).await;
                Some((UNAUTHENTICATED, error.code().to_owned()))
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Closing> {
        self.feed(message).await?;
        self.within(Step::Flush).await
    }

    async fn feed(&mut self, message: Message) -> Result<(), Closing> {
        self.within(Step::Feed(message)).await
    }

    /// A reader that takes nothing for a while is closed; it comes back with its cursor.
    async fn within(&mut self, step: Step) -> Result<(), Closing> {
        let work = async {
            match step {
                Step::Room => poll_fn(|cx| self.socket.poll_ready_unpin(cx)).await,
                Step::Feed(message) => self.socket.feed(message).await,
                Step::Flush => self.socket.flush().await,
            }
        };
        match timeout(self.state.limits.reading, work).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }
}

enum Step {
    Room,
    Feed(Message),
    Flush,
}

/// The text of a message, nothing for a control frame, or the end.
fn incoming(message: Option<Result<Message, WsError>>) -> Result<Option<String>, Closing> {
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
