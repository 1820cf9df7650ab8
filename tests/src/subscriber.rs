//! A WebSocket subscriber that comes back by itself and resumes where it was.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::{client::Client, wait};

/// A WebSocket that speaks the realtime protocol, frame by frame.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Opens the WebSocket of the server at `base`.
    ///
    /// # Errors
    ///
    /// The server could not be reached, or refused the upgrade.
    pub async fn open(base: &str) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let url = format!("{}/realtime", base.replacen("http", "ws", 1));
        let (stream, _) = connect_async(url).await?;
        Ok(Self { stream })
    }

    /// Opens it and signs in as `client`.
    pub async fn signed_in(client: &Client) -> Self {
        let mut socket = Self::open(client.base()).await.expect("a WebSocket");
        socket.send(json!({ "type": "auth", "token": client.token() })).await;
        socket
    }

    /// Sends a frame; a closed socket shows at the next read.
    pub async fn send(&mut self, frame: Value) {
        self.stream.send(Message::text(frame.to_string())).await.ok();
    }

    /// Sends a text that may be no frame at all.
    pub async fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.ok();
    }

    /// The next frame, or nothing when the socket is closed. Waits at most 40 s: heartbeats come every 15 s.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            match timeout(Duration::from_secs(40), self.stream.next()).await.ok()?? {
                Ok(Message::Text(text)) => {
                    return Some(
                        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}")),
                    );
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next frame of this type; others are passed over.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("the socket closed before a frame `{kind}`"));
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// The code with which the server closes the socket, after all other frames.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            match timeout(Duration::from_secs(40), self.stream.next()).await.expect("the socket to be closed")? {
                Ok(Message::Close(frame)) => return frame.map(|frame| u16::from(frame.code)),
                Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// One change as it came over the wire.
#[derive(Clone, Debug)]
pub struct Received {
    /// The cursor's text.
    pub cursor: String,
    /// The number in the cursor.
    pub seq: i64,
    /// `create`, `update`, `delete` or `leave`.
    pub op: String,
    /// The document's id.
    pub id: String,
    /// The document's revision.
    pub revision: String,
    /// The document, unless it is gone.
    pub document: Value,
    /// When it came.
    pub at: Instant,
}

impl Received {
    fn from_frame(frame: &Value) -> Self {
        let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
        let cursor = text("cursor");
        let seq = cursor
            .split_once('.')
            .and_then(|(_, seq)| seq.parse().ok())
            .unwrap_or_else(|| panic!("no cursor in {frame}"));
        Self {
            cursor,
            seq,
            op: text("op"),
            id: text("id"),
            revision: text("revision"),
            document: frame["document"].clone(),
            at: Instant::now(),
        }
    }
}

#[derive(Debug, Default)]
struct Seen {
    changes: Vec<Received>,
    cursor: Option<String>,
    connections: u32,
    trouble: Vec<Value>,
}

/// Follows a collection through every loss of the connection, until dropped.
#[derive(Debug)]
pub struct Subscriber {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Subscriber {
    /// Follows `collection` as `client`, and returns when the first `subscribed` is there.
    pub async fn follow(client: &Client, collection: &str, filter: Option<&str>) -> Self {
        Self::follow_from(client, collection, filter, None).await
    }

    /// As [`Subscriber::follow`], from the cursor `since` on.
    pub async fn follow_from(client: &Client, collection: &str, filter: Option<&str>, since: Option<&str>) -> Self {
        Self::start(vec![client.clone()], collection, filter, since).await
    }

    /// Follows `collection` on the first of `clients`, and whenever the connection ends, on the next, from where it was.
    pub async fn hopping(clients: Vec<Client>, collection: &str) -> Self {
        Self::start(clients, collection, None, None).await
    }

    async fn start(clients: Vec<Client>, collection: &str, filter: Option<&str>, since: Option<&str>) -> Self {
        let seen = Arc::new(Mutex::new(Seen { cursor: since.map(str::to_owned), ..Seen::default() }));
        let task = tokio::spawn({
            let (seen, collection, filter) = (seen.clone(), collection.to_owned(), filter.map(str::to_owned));
            async move {
                for client in clients.iter().cycle() {
                    connection(&seen, client, &collection, filter.as_deref()).await;
                    wait::pause(Duration::from_millis(50)).await;
                }
            }
        });
        let subscriber = Self { seen, task };
        wait::until("a first subscription", Duration::from_secs(30), || async { subscriber.connections() > 0 }).await;
        subscriber
    }

    /// Every change received, repeats included, in the order received.
    #[must_use]
    pub fn changes(&self) -> Vec<Received> {
        lock(&self.seen).changes.clone()
    }

    /// Every change received, the first time it was.
    #[must_use]
    pub fn distinct(&self) -> Vec<Received> {
        let mut known = std::collections::HashSet::new();
        self.changes().into_iter().filter(|change| known.insert(change.cursor.clone())).collect()
    }

    /// How many times it was connected and subscribed.
    #[must_use]
    pub fn connections(&self) -> u32 {
        lock(&self.seen).connections
    }

    /// Frames that break the promise of resumption: `resync`, `error`, `subscribed` without recovery.
    #[must_use]
    pub fn trouble(&self) -> Vec<Value> {
        lock(&self.seen).trouble.clone()
    }

    /// Waits until `enough` of the changes.
    pub async fn until(&self, what: &str, limit: Duration, enough: impl Fn(&[Received]) -> bool + Send + Sync) {
        wait::until(what, limit, || async { enough(&lock(&self.seen).changes) }).await;
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(seen: &Mutex<Seen>, client: &Client, collection: &str, filter: Option<&str>) {
    let Ok(mut socket) = Socket::open(client.base()).await else { return };
    socket.send(json!({ "type": "auth", "token": client.token() })).await;
    let mut subscribe = json!({ "type": "subscribe", "ref": "1", "collection": collection });
    if let Some(filter) = filter {
        subscribe["filter"] = json!(filter);
    }
    let since = lock(seen).cursor.clone();
    if let Some(since) = &since {
        subscribe["since"] = json!(since);
    }
    socket.send(subscribe).await;
    while let Some(frame) = socket.next().await {
        let mut seen = lock(seen);
        match frame["type"].as_str().unwrap_or_default() {
            "subscribed" => {
                seen.connections += 1;
                if since.is_none() {
                    seen.cursor = frame["cursor"].as_str().map(str::to_owned);
                } else if frame["recovered"] != true {
                    seen.trouble.push(frame);
                }
            }
            "change" => {
                let change = Received::from_frame(&frame);
                seen.cursor = Some(change.cursor.clone());
                seen.changes.push(change);
            }
            "resync" | "error" => seen.trouble.push(frame),
            _ => {}
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
