//! What stands on the wire, version 1: the frames of a WebSocket, and the data of SSE events.
#![cfg_attr(
    not(any(feature = "websocket", feature = "socketio")),
    expect(dead_code, reason = "only a socket speaks in frames")
)]

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use universal_core::{
    cursor::Cursor,
    error::{Error, Result},
    realtime::{Delivery, SnapshotPage},
};

use super::channel_frame::ChannelFrame;

/// After how many milliseconds a browser comes back to an event stream that ended.
const RETRY: u32 = 1000;
/// The longest `ref` in bytes.
const MAX_REF: usize = 64;

/// What a client sends.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum ClientFrame {
    /// Credentials, or newer ones of the same user.
    Auth {
        token: String,
    },
    Subscribe {
        #[serde(rename = "ref")]
        reference: String,
        /// `"*"` for all collections of the tenant.
        collection: String,
        id: Option<String>,
        filter: Option<String>,
        since: Option<String>,
    },
    /// As `subscribe`, with the documents that are there.
    Watch {
        #[serde(rename = "ref")]
        reference: String,
        collection: String,
        id: Option<String>,
        filter: Option<String>,
        since: Option<String>,
        basis: Option<String>,
    },
    Unsubscribe {
        #[serde(rename = "ref")]
        reference: String,
    },
    /// Joins a channel.
    Join {
        #[serde(rename = "ref")]
        reference: String,
        channel: String,
        presence: Option<Value>,
        #[serde(default)]
        echo: bool,
    },
    Leave {
        #[serde(rename = "ref")]
        reference: String,
    },
    /// A message to all who joined the channel.
    Broadcast {
        #[serde(rename = "ref")]
        reference: String,
        event: String,
        #[serde(default)]
        payload: Value,
    },
    /// What the others see of this one; without, or with null, nothing.
    Presence {
        #[serde(rename = "ref")]
        reference: String,
        state: Option<Value>,
    },
    Ping {},
}

impl ClientFrame {
    /// # Errors
    /// `Invalid` for a text that is no frame.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let frame: Self = serde_json::from_str(text).map_err(|error| {
            let sentence = error.to_string();
            let sentence = sentence.split(" at line ").next().unwrap_or_default();
            Error::invalid("invalid-frame", format!("the frame was not understood: {}", cut(sentence, 200)))
        })?;
        let reference = match &frame {
            Self::Subscribe { reference, .. }
            | Self::Watch { reference, .. }
            | Self::Unsubscribe { reference }
            | Self::Join { reference, .. }
            | Self::Leave { reference }
            | Self::Broadcast { reference, .. }
            | Self::Presence { reference, .. } => Some(reference),
            Self::Auth { .. } | Self::Ping {} => None,
        };
        match reference {
            Some(reference) if reference.is_empty() || reference.len() > MAX_REF => {
                Err(Error::invalid("invalid-frame", format!("`ref` is a text of 1 to {MAX_REF} bytes"))
                    .with_field("/ref"))
            }
            _ => Ok(frame),
        }
    }
}

/// What the server says.
#[derive(Debug)]
pub(super) enum ServerFrame {
    /// `from` is where the stream goes on, unless changes were missed.
    Subscribed {
        reference: Arc<str>,
        cursor: Cursor,
        from: Option<Cursor>,
        recovered: bool,
        /// Of a watch.
        basis: Option<Arc<str>>,
    },
    /// Some of the documents that a watch begins with.
    Snapshot {
        reference: Arc<str>,
        page: SnapshotPage,
    },
    Change {
        reference: Arc<str>,
        delivery: Delivery,
        /// Of a watch.
        basis: Option<Arc<str>>,
    },
    Resync {
        reference: Arc<str>,
        reason: &'static str,
        cursor: Cursor,
    },
    Error {
        reference: Option<Arc<str>>,
        code: &'static str,
        message: String,
        position: Option<usize>,
    },
    Heartbeat {
        cursor: Cursor,
        /// Of the only subscription, where that is a watch.
        basis: Option<Arc<str>>,
    },
    Channel(ChannelFrame),
    Pong,
    /// Nothing, to keep an event stream open: a comment.
    KeepAlive,
}

impl ServerFrame {
    pub(super) fn error(reference: Option<Arc<str>>, error: &Error) -> Self {
        Self::Error { reference, code: error.code(), message: error.message().to_owned(), position: error.position() }
    }

    /// A WebSocket message. That of a change is made once for all who see the same of it under the same name.
    #[cfg(feature = "websocket")]
    pub(super) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Change { reference, delivery, .. } => {
                delivery.frame_once(reference, |delivery| named_change(reference, delivery))
            }
            _ => Bytes::from(self.to_text()),
        }
    }

    /// The same as a text.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Subscribed { reference, cursor, recovered, basis, .. } => {
                let basis = basis.as_deref();
                object("subscribed", Some(reference), &Subscribed { cursor, recovered: *recovered, basis })
            }
            Self::Snapshot { reference, page } => {
                let mut out = begin("snapshot", reference, page.rows.len() * 512);
                write_snapshot(&mut out, page);
                out
            }
            Self::Change { reference, delivery, .. } => named_change(reference, delivery),
            Self::Resync { reference, reason, cursor } => object("resync", Some(reference), &Resync { reason, cursor }),
            Self::Error { reference, code, message, position } => {
                object("error", reference.as_deref(), &Failed { code, message, position: *position })
            }
            Self::Heartbeat { cursor, .. } => object("heartbeat", None, &Heartbeat { cursor }),
            Self::Channel(frame) => frame.to_text(),
            Self::Pong => "{\"type\":\"pong\"}".to_owned(),
            Self::KeepAlive => "{\"type\":\"heartbeat\"}".to_owned(),
        }
    }

    /// An SSE event. That of a change is made once for all who see the same of it and, of a watch, stand on the same.
    pub(super) fn to_event_bytes(&self) -> Bytes {
        match self {
            Self::Change { delivery, basis, .. } => delivery.event_once(basis.as_deref(), |_| self.to_event()),
            _ => Bytes::from(self.to_event()),
        }
    }

    /// The same as a text. `id:` is there only where a client that begins again after it misses nothing.
    pub(super) fn to_event(&self) -> String {
        match self {
            Self::Subscribed { cursor, from, recovered, basis, .. } => {
                let members = Subscribed { cursor, recovered: *recovered, basis: basis.as_deref() };
                let from = from.as_ref().map(|from| (from, basis.as_deref()));
                format!("retry: {RETRY}\n{}", event("subscribed", from, &[&json(&members)]))
            }
            Self::Snapshot { page, .. } => {
                let mut data = String::with_capacity(page.rows.len() * 512 + 128);
                data.push('{');
                write_snapshot(&mut data, page);
                event("snapshot", page.is_last.then_some((&page.cursor, Some(&*page.basis))), &[&data])
            }
            Self::Change { delivery, basis, .. } => {
                let printed = delivery.print_once(change);
                event("change", Some((delivery.cursor(), basis.as_deref())), &["{", printed])
            }
            Self::Resync { reason, cursor, .. } => {
                event("resync", Some((cursor, None)), &[&json(&Resync { reason, cursor })])
            }
            // Not "error": a browser's EventSource has an event of its own with that name.
            Self::Error { code, message, position, .. } => {
                event("closed", None, &[&json(&Failed { code, message, position: *position })])
            }
            Self::Heartbeat { cursor, basis } => {
                event("heartbeat", Some((cursor, basis.as_deref())), &[&json(&Heartbeat { cursor })])
            }
            // Streams of events join no channels.
            Self::Channel(_) | Self::Pong => String::new(),
            Self::KeepAlive => ": keep-alive\n\n".to_owned(),
        }
    }
}

/// The id of an SSE event is a cursor, and of a watch also the basis that its documents stand on: `<cursor>~<basis>`.
pub(super) fn split_event_id(id: &str) -> (&str, Option<&str>) {
    match id.split_once('~') {
        Some((cursor, basis)) => (cursor, Some(basis)),
        None => (id, None),
    }
}

#[derive(Serialize)]
struct Subscribed<'a> {
    cursor: &'a Cursor,
    recovered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<&'a str>,
}

#[derive(Serialize)]
struct Resync<'a> {
    reason: &'a str,
    cursor: &'a Cursor,
}

#[derive(Serialize)]
struct Failed<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
}

#[derive(Serialize)]
struct Heartbeat<'a> {
    cursor: &'a Cursor,
}

/// A change, as the subscription of this name is told of it.
fn named_change(reference: &str, delivery: &Delivery) -> String {
    let printed = delivery.print_once(change);
    let mut out = begin("change", reference, printed.len());
    out.push_str(printed);
    out
}

/// What follows the reference in a change, the same for all who see the same of it; the document passes through as text.
fn change(delivery: &Delivery) -> String {
    let mut out = String::with_capacity(512);
    // A cursor, an operation's and a collection's name need no escape.
    out.push_str(&format!(
        "\"cursor\":\"{}\",\"op\":\"{}\",\"collection\":\"{}\",\"id\":{},\"revision\":{}",
        delivery.cursor(),
        delivery.kind().as_str(),
        delivery.collection(),
        quoted(delivery.id().as_str()),
        quoted(delivery.revision()),
    ));
    let before = out.len();
    out.push_str(",\"document\":");
    if !delivery.write_document(&mut out) {
        out.truncate(before);
    }
    out.push('}');
    out
}

/// The members of a snapshot and the end of the object.
fn write_snapshot(out: &mut String, page: &SnapshotPage) {
    out.push_str(&format!(
        "\"cursor\":\"{}\",\"basis\":{},\"first\":{},\"last\":{},\"documents\":[",
        page.cursor,
        quoted(&page.basis),
        page.is_first,
        page.is_last,
    ));
    for (place, row) in page.rows.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        row.write_document(out);
    }
    out.push_str("]}");
}

/// The beginning of a frame with room for as many bytes more.
fn begin(kind: &str, reference: &str, room: usize) -> String {
    let mut out = String::with_capacity(room + reference.len() + 48);
    out.push_str("{\"type\":\"");
    out.push_str(kind);
    out.push_str("\",\"ref\":");
    out.push_str(&quoted(reference));
    out.push(',');
    out
}

fn object(kind: &str, reference: Option<&str>, members: &impl Serialize) -> String {
    let mut out = format!("{{\"type\":\"{kind}\"");
    if let Some(reference) = reference {
        out.push_str(",\"ref\":");
        out.push_str(&quoted(reference));
    }
    let members = json(members);
    out.push(',');
    out.push_str(members.strip_prefix('{').unwrap_or("}"));
    out
}

/// One event, whose data comes in parts. Data of one line: JSON has no raw line feeds.
fn event(name: &str, id: Option<(&Cursor, Option<&str>)>, data: &[&str]) -> String {
    let head = match id {
        Some((cursor, Some(basis))) => format!("event: {name}\nid: {cursor}~{basis}\ndata: "),
        Some((cursor, None)) => format!("event: {name}\nid: {cursor}\ndata: "),
        None => format!("event: {name}\ndata: "),
    };
    // In one piece, of this size: it is kept.
    let mut parts = vec![&*head];
    parts.extend(data);
    parts.push("\n\n");
    parts.concat()
}

/// Texts and numbers always serialise.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned())
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_frames() {
        assert!(matches!(ClientFrame::parse(r#"{"type":"ping"}"#), Ok(ClientFrame::Ping {})));
        let frame = ClientFrame::parse(r#"{"type":"subscribe","ref":"1","collection":"todos","since":"e.1"}"#);
        assert!(matches!(frame, Ok(ClientFrame::Subscribe { reference, .. }) if reference == "1"));
        for bad in [
            "",
            "[]",
            "5",
            "{",
            r#"{"type":"dance"}"#,
            r#"{"type":"subscribe","ref":"","collection":"todos"}"#,
            r#"{"type":"subscribe","ref":"1"}"#,
            r#"{"type":"subscribe","ref":"1","collection":"todos","extra":1}"#,
            r#"{"type":"unsubscribe","ref":5}"#,
            r#"{"type":"ping","x":1}"#,
        ] {
            assert_eq!(ClientFrame::parse(bad).err().map(|error| error.code()), Some("invalid-frame"), "{bad}");
        }
        let deep = format!("{{\"type\":\"ping\",\"x\":{}", "[".repeat(100_000));
        assert!(ClientFrame::parse(&deep).is_err());
    }

    #[test]
    fn server_frames() {
        let cursor = Cursor::new("e1", 7);
        let frame = ServerFrame::Subscribed {
            reference: "a\"b".into(),
            cursor: cursor.clone(),
            from: Some(Cursor::new("e1", 3)),
            recovered: true,
            basis: None,
        };
        assert_eq!(frame.to_text(), r#"{"type":"subscribed","ref":"a\"b","cursor":"e1.7","recovered":true}"#);
        assert_eq!(
            frame.to_event(),
            "retry: 1000\nevent: subscribed\nid: e1.3\ndata: {\"cursor\":\"e1.7\",\"recovered\":true}\n\n"
        );
        let frame = ServerFrame::Heartbeat { cursor, basis: None };
        assert_eq!(frame.to_text(), r#"{"type":"heartbeat","cursor":"e1.7"}"#);
        assert_eq!(frame.to_event(), "event: heartbeat\nid: e1.7\ndata: {\"cursor\":\"e1.7\"}\n\n");
        let error = Error::invalid("invalid-filter", "expected a name").with_position(3);
        assert_eq!(
            ServerFrame::error(Some("1".into()), &error).to_text(),
            r#"{"type":"error","ref":"1","code":"invalid-filter","message":"expected a name","position":3}"#
        );
        assert_eq!(ServerFrame::Pong.to_text(), r#"{"type":"pong"}"#);
    }
}
