//! A reader of server-sent events.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;

use crate::client::Client;

/// One event.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// The `event:` line.
    pub event: String,
    /// The `id:` line.
    pub id: String,
    /// The `data:` lines.
    pub data: String,
}

impl Event {
    /// The data as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.data))
    }
}

/// An open stream of events.
pub struct Sse {
    body: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Sse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sse").field("buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl Sse {
    /// Opens the stream at `path`, resuming after `last_event_id` if there is one.
    pub async fn open(client: &Client, path: &str, last_event_id: Option<&str>) -> Self {
        let mut request = client.request(http::Method::GET, path).timeout(Duration::from_secs(600));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.header("accept", "text/event-stream").send().await.expect("an answer");
        let status = response.status().as_u16();
        if status != 200 {
            panic!("{status}: {}", response.text().await.unwrap_or_default());
        }
        let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(kind.starts_with("text/event-stream"), "the content type is {kind}");
        Self { body: Box::pin(response.bytes_stream()), buffer: Vec::new() }
    }

    /// The next event, or nothing when the server closed the stream. Waits at most 20 s.
    pub async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(Duration::from_secs(20), self.read()).await.expect("an event within 20 s")
    }

    /// The next event that is no heartbeat.
    pub async fn next_of_interest(&mut self) -> Option<Event> {
        loop {
            let event = self.next().await?;
            if event.event != "heartbeat" {
                return Some(event);
            }
        }
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let event = parse(&String::from_utf8_lossy(&block));
                if event.is_some() {
                    return event;
                }
                continue;
            }
            let chunk = self.body.next().await?.ok()?;
            // Lines may end in CR LF; events do not carry a CR otherwise.
            self.buffer.extend(chunk.iter().copied().filter(|byte| *byte != b'\r'));
        }
    }
}

/// A block of lines; a block of comments alone is no event.
fn parse(block: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut found = false;
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event.event),
            "id" => value.clone_into(&mut event.id),
            "data" => {
                if !event.data.is_empty() {
                    event.data.push('\n');
                }
                event.data.push_str(value);
            }
            _ => continue,
        }
        found = true;
    }
    found.then_some(event)
}
