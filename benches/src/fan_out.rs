//! One writer, many subscribers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::Notify, task::JoinSet, time::timeout};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use crate::{
    bare::{PUBLISH, READY, SUBSCRIBE},
    client::Connection,
    documents::Operation,
    failure::{Failure, Result},
    sample::Sample,
    usage::Watched,
};

/// How many messages may be under way at once: enough to keep the server busy, too few to make anybody a slow reader.
const WINDOW: u64 = 8;
/// How long an answer, a delivery or a connection may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// After how long those who hear nothing have looked at everything.
const QUIET: Duration = Duration::from_millis(300);
/// How many connections a user may have.
pub(crate) const OF_ONE_USER: usize = 100;
/// How many subscribers connect at once.
pub(crate) const CONNECTING: usize = 32;
/// How every frame that counts begins, with the server and with the bare broadcast of its bytes.
pub(crate) const CHANGE: &str = "{\"type\":\"change\"";

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// Who hears a change. Subscribers are anonymous, but for those that are signed in, in a collection whose rule lets
/// anybody read it while `done` is not missing, so that a rule is judged for every change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// All, by one filter.
    Alike,
    /// All, each by a filter of its own.
    Each,
    /// Each has a filter of its own that does not match; one more hears it.
    Nobody,
    /// All, by one filter; they are signed in, a hundred of them as the same user, and the rule asks who they are.
    SignedIn,
}

impl Audience {
    /// All, in the order of the report.
    pub(crate) const ALL: [Self; 4] = [Self::Alike, Self::Each, Self::Nobody, Self::SignedIn];
    /// The settings of the collection.
    pub(crate) fn settings(self) -> &'static str {
        match self {
            Self::SignedIn => {
                r#"{"rules": {"list": "caller.id != null && (doc.done == false || doc.done == true)", "create": "caller.id != null"}}"#
            }
            _ => r#"{"rules": {"list": "doc.done == false || doc.done == true", "create": "caller.id != null"}}"#,
        }
    }

    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Alike => "one rule and filter",
            Self::Each => "a filter each",
            Self::Nobody => "no filter matches",
            Self::SignedIn => "signed in",
        }
    }

    /// The filter of a subscriber.
    fn filter(self, subscriber: usize) -> String {
        match self {
            Self::Alike | Self::SignedIn => "priority >= 0".to_owned(),
            Self::Each => format!("priority >= -{subscriber}"),
            Self::Nobody => format!("priority < -{subscriber}"),
        }
    }
}

/// Where subscribers connect, and what they say.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    address: SocketAddr,
    path: &'static str,
    hello: String,
    /// Whose filters the subscribers have, where there are filters.
    audience: Option<Audience>,
    /// The access tokens with which they sign in, each a hundred of them; nobody signs in without.
    tokens: Arc<[String]>,
    /// Where they begin, if not at the end.
    since: Option<String>,
    /// How the frame begins that says that nothing will be missed from here on.
    ready: &'static str,
}

/// Who sends.
#[derive(Debug)]
pub(crate) enum Publisher {
    /// Creates documents by HTTP.
    Server { connection: Connection, collection: String },
    /// Sends these bytes to the bare broadcast.
    Bare { socket: Box<Socket>, message: String },
}

impl Place {
    /// The server, subscribed to `collection`.
    pub(crate) fn server(address: SocketAddr, collection: &str, audience: Audience) -> Self {
        let hello = json!({ "type": "subscribe", "ref": "1", "collection": collection }).to_string();
        let ready = "{\"type\":\"subscribed\"";
        let (tokens, since) = (Arc::default(), None);
        Self { address, path: "/realtime", hello, audience: Some(audience), tokens, since, ready }
    }

    /// The same, signed in.
    pub(crate) fn with_tokens(self, tokens: Vec<String>) -> Self {
        Self { tokens: tokens.into(), ..self }
    }

    /// The same, from this cursor on.
    pub(crate) fn with_since(&self, since: String) -> Self {
        Self { since: Some(since), ..self.clone() }
    }

    /// The bare broadcast.
    pub(crate) fn bare(address: SocketAddr) -> Self {
        let (tokens, since) = (Arc::default(), None);
        Self { address, path: "/", hello: SUBSCRIBE.to_owned(), audience: None, tokens, since, ready: READY }
    }

    /// The same for one who hears everything.
    fn hearing(&self) -> Self {
        Self { audience: self.audience.map(|_| Audience::Alike), ..self.clone() }
    }

    /// What a subscriber says.
    fn hello(&self, subscriber: usize) -> String {
        match (self.audience, self.hello.strip_suffix('}')) {
            (Some(audience), Some(open)) => {
                let since = self.since.iter().map(|since| format!(",\"since\":{}", json!(since))).collect::<String>();
                format!("{open},\"filter\":{}{since}}}", json!(audience.filter(subscriber)))
            }
            _ => self.hello.clone(),
        }
    }

    async fn open(&self, subscriber: usize) -> Result<Socket> {
        Ok(self.subscribe(subscriber).await?.0)
    }

    /// A subscriber, and what it was answered.
    ///
    /// # Errors
    /// It is refused.
    pub(crate) async fn subscribe(&self, subscriber: usize) -> Result<(Socket, String)> {
        let opening = async {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            let (mut socket, _) = client_async(format!("ws://{}{}", self.address, self.path), stream).await?;
            if let Some(token) = self.tokens.get(subscriber / OF_ONE_USER % self.tokens.len().max(1)) {
                socket.send(Message::text(json!({ "type": "auth", "token": token }).to_string())).await?;
            }
            socket.send(Message::text(self.hello(subscriber))).await?;
            loop {
                let text = next_text(&mut socket).await?;
                if text.starts_with(self.ready) {
                    return Ok((socket, text));
                }
                if text.starts_with("{\"type\":\"error\"") {
                    return Err(format!("a subscriber was refused: {text}").into());
                }
            }
        };
        timeout(PATIENCE, opening).await.map_err(|_| "a subscriber got no answer")?
    }
}

impl Publisher {
    /// Creates documents in `collection`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(crate) async fn server(address: SocketAddr, token: &HeaderValue, collection: &str) -> Result<Self> {
        let connection = Connection::open(address, Some(token.clone())).await?;
        Ok(Self::Server { connection, collection: collection.to_owned() })
    }

    /// Sends `message` to all subscribers of the bare broadcast.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(crate) async fn bare(address: SocketAddr, message: String) -> Result<Self> {
        let place = Place { hello: PUBLISH.to_owned(), ..Place::bare(address) };
        Ok(Self::Bare { socket: Box::new(place.open(0).await?), message })
    }

    async fn publish(&mut self, number: u64) -> Result<()> {
        match self {
            Self::Server { connection, collection } => {
                let create = Operation::Create;
                connection.send(create.call(collection, number)).await?.expect(create.status())?;
            }
            Self::Bare { socket, message } => socket.send(Message::text(message.as_str())).await?,
        }
        Ok(())
    }
}

/// The frame in which the server delivers one change, to send the same bytes without it.
///
/// # Errors
/// The server refuses or does not deliver.
pub(crate) async fn frame(place: &Place, publisher: &mut Publisher) -> Result<String> {
    let mut socket = place.open(0).await?;
    publisher.publish(1_000_000).await?;
    loop {
        let text = timeout(PATIENCE, next_text(&mut socket)).await.map_err(|_| "no change was delivered")??;
        if text.starts_with(CHANGE) {
            serde_json::from_str::<Value>(&text)?;
            return Ok(text);
        }
    }
}

/// Publishes for `time`, at most `messages`, to so many subscribers; counts deliveries.
///
/// # Errors
/// A subscriber was closed or told to begin again, or a message did not reach all.
pub(crate) async fn run(
    place: &Place,
    mut publisher: Publisher,
    subscribers: usize,
    (time, messages): (Duration, u64),
    watched: Watched,
) -> Result<Sample> {
    let deaf = place.audience == Some(Audience::Nobody);
    let hearing = if deaf { 1 } else { u64::try_from(subscribers)? };
    let receiving = Arc::new(Receiving { each: hearing, ..Receiving::default() });
    let mut tasks = JoinSet::new();
    let memory = watched.memory();
    let mut opening =
        futures_util::stream::iter((0..subscribers).map(|number| place.open(number))).buffer_unordered(CONNECTING);
    while let Some(socket) = opening.next().await {
        tasks.spawn(receive(socket?, Arc::clone(&receiving)));
    }
    drop(opening);
    if let (Some(before), Some(now)) = (memory, watched.memory()) {
        let each = now.saturating_sub(before) / u64::try_from(subscribers.max(1))?;
        eprintln!("  memory of a subscriber that hears nothing yet: {each} bytes");
    }
    if deaf {
        tasks.spawn(receive(place.hearing().open(0).await?, Arc::clone(&receiving)));
    }
    publisher.publish(0).await?;
    receiving.wait(1, &mut tasks).await?;

    let before = watched.usage()?;
    let begin = Instant::now();
    let mut sent = 1_u64;
    while begin.elapsed() < time && sent < messages.saturating_add(1) {
        publisher.publish(sent).await?;
        sent += 1;
        receiving.wait(sent.saturating_sub(WINDOW), &mut tasks).await?;
    }
    receiving.wait(sent, &mut tasks).await?;
    let wall = begin.elapsed();
    if deaf {
        // The others have looked at the last change when nothing more happens.
        tokio::time::sleep(QUIET).await;
    }
    let (cpu, database_cpu) = watched.usage()?.since(&before);
    let looked_at = (sent - 1) * u64::try_from(subscribers)?;
    Ok(Sample { count: looked_at, wall, cpu: Some(cpu), database_cpu })
}

/// How much has arrived, at all subscribers together.
#[derive(Debug, Default)]
struct Receiving {
    each: u64,
    arrived: AtomicU64,
    whole: Notify,
}

impl Receiving {
    fn one(&self) {
        let arrived = self.arrived.fetch_add(1, Ordering::AcqRel) + 1;
        if arrived.is_multiple_of(self.each) {
            self.whole.notify_one();
        }
    }

    /// Waits until as much has arrived as `messages` make for all; an ended subscriber is an error.
    async fn wait(&self, messages: u64, subscribers: &mut JoinSet<Failure>) -> Result<()> {
        let wanted = messages * self.each;
        let arriving = async {
            while self.arrived.load(Ordering::Acquire) < wanted {
                tokio::select! {
                    () = self.whole.notified() => {}
                    ended = subscribers.join_next() => match ended {
                        Some(Ok(why)) => return Err(why),
                        Some(Err(error)) => return Err(error.into()),
                        None => return Err("there are no subscribers".into()),
                    },
                }
            }
            Ok(())
        };
        timeout(PATIENCE, arriving).await.map_err(|_| "a message did not reach all subscribers")?
    }
}

/// Counts what arrives, until something is wrong.
async fn receive(mut socket: Socket, receiving: Arc<Receiving>) -> Failure {
    loop {
        match next_text(&mut socket).await {
            Ok(text) if text.starts_with(CHANGE) => receiving.one(),
            Ok(text) if text.starts_with("{\"type\":\"heartbeat\"") => {}
            Ok(text) => return format!("a subscriber was told: {text}").into(),
            Err(error) => return error,
        }
    }
}

pub(crate) async fn next_text(socket: &mut Socket) -> Result<String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
            Some(Ok(Message::Close(why))) => return Err(format!("a socket was closed: {why:?}").into()),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Err("a socket was closed".into()),
        }
    }
}
