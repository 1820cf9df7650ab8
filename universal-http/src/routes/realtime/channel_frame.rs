//! What is said on the wire of channels.

use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use universal_core::{
    id::ChannelName,
    realtime::{ChannelEvent, Member, Message, PresenceChange},
};

/// What the server says of a channel that a client has joined.
#[derive(Debug)]
pub(super) enum ChannelFrame {
    /// It is there, and so are these.
    Joined {
        reference: Arc<str>,
        channel: ChannelName,
        key: Arc<str>,
        members: Arc<[Member]>,
    },
    /// Everybody who is there, anew.
    Sync {
        reference: Arc<str>,
        members: Arc<[Member]>,
    },
    /// Who came, went or changed.
    Presence {
        reference: Arc<str>,
        change: Arc<PresenceChange>,
    },
    Message {
        reference: Arc<str>,
        message: Arc<Message>,
    },
    /// Messages were lost.
    Lagged {
        reference: Arc<str>,
        missed: u64,
    },
}

impl ChannelFrame {
    /// What a client is told of an event, if it is one of this version.
    pub(super) fn of(reference: Arc<str>, event: ChannelEvent) -> Option<Self> {
        Some(match event {
            ChannelEvent::Sync(members) => Self::Sync { reference, members },
            ChannelEvent::Presence(change) => Self::Presence { reference, change },
            ChannelEvent::Message(message) => Self::Message { reference, message },
            ChannelEvent::Lagged { missed } => Self::Lagged { reference, missed },
            _ => return None,
        })
    }

    /// A WebSocket message.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Joined { reference, channel, key, members } => {
                let (channel, members) = (channel.as_str(), Members(members));
                json(&Joined { r#type: "joined", r#ref: reference, channel, key, members })
            }
            Self::Sync { reference, members } => {
                json(&Sync { r#type: "sync", r#ref: reference, members: Members(members) })
            }
            Self::Presence { reference, change } => {
                begin("presence", reference, change.printed.once(|| presence_members(change)))
            }
            Self::Message { reference, message } => {
                begin("message", reference, message.printed.once(|| message_members(message)))
            }
            Self::Lagged { reference, missed } => json(&Lagged { r#type: "lagged", r#ref: reference, missed: *missed }),
        }
    }
}

/// The beginning of a frame up to its `ref`: what comes after it is the same for all who get it.
fn begin(kind: &str, reference: &str, rest: &str) -> String {
    let reference = json(reference);
    let mut out = String::with_capacity(rest.len() + reference.len() + 32);
    for part in ["{\"type\":\"", kind, "\",\"ref\":", &reference, ",", rest] {
        out.push_str(part);
    }
    out
}

/// The members of a message, up to the end of the frame. Its payload passes through as text.
fn message_members(message: &Message) -> String {
    let payload = message.payload.as_str();
    let mut out = String::with_capacity(payload.len() + 192);
    out.push_str("\"event\":");
    out.push_str(&json(message.event.as_str()));
    // The text of an id needs no escape.
    for (name, id) in [("from", message.from.as_ref().map(|id| id.as_str())), ("key", message.key.as_deref())] {
        if let Some(id) = id {
            out.push_str(&format!(",\"{name}\":\"{id}\""));
        }
    }
    out.push_str(",\"payload\":");
    out.push_str(payload);
    out.push('}');
    out
}

/// The members of a change, up to the end of the frame.
fn presence_members(change: &PresenceChange) -> String {
    let part = |members| Some(Members(members)).filter(|members: &Members<'_>| !members.0.is_empty());
    let printed =
        json(&Presence { joined: part(&change.joined), updated: part(&change.updated), left: part(&change.left) });
    printed.strip_prefix('{').map(str::to_owned).unwrap_or(printed)
}

#[derive(Serialize)]
struct Joined<'a> {
    r#type: &'static str,
    r#ref: &'a str,
    channel: &'a str,
    key: &'a str,
    members: Members<'a>,
}

#[derive(Serialize)]
struct Sync<'a> {
    r#type: &'static str,
    r#ref: &'a str,
    members: Members<'a>,
}

#[derive(Serialize)]
struct Presence<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<Members<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<Members<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Members<'a>>,
}

#[derive(Serialize)]
struct Lagged<'a> {
    r#type: &'static str,
    r#ref: &'a str,
    missed: u64,
}

struct Members<'a>(&'a [Member]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Shown))
    }
}

/// A member as clients see it.
struct Shown<'a>(&'a Member);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("key", &*self.0.key)?;
        if let Some(user) = &self.0.user {
            map.serialize_entry("user", user)?;
        }
        map.serialize_entry("state", &self.0.state)?;
        map.serialize_entry("since", &self.0.since.to_string())?;
        map.end()
    }
}

/// Texts, numbers and what is JSON already always serialise.
fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned())
}

#[cfg(test)]
mod tests {
    use universal_core::{
        clock::Timestamp,
        id::UserId,
        realtime::{EventName, Payload},
    };

    use super::*;

    #[test]
    fn frames_of_channels() {
        let state = Payload::of(&serde_json::json!({"name": "A\"nn"})).unwrap();
        let member =
            Member::new("k1".into(), Some(UserId::new("u1").unwrap()), state.clone(), Timestamp::from_micros(0));
        let shown = r#"{"key":"k1","user":"u1","state":{"name":"A\"nn"},"since":"1970-01-01T00:00:00.000Z"}"#;
        let frame = ChannelFrame::Joined {
            reference: "a\"b".into(),
            channel: "room:1".parse().unwrap(),
            key: "k2".into(),
            members: [member.clone()].into(),
        };
        assert_eq!(
            frame.to_text(),
            format!(r#"{{"type":"joined","ref":"a\"b","channel":"room:1","key":"k2","members":[{shown}]}}"#)
        );
        let mut change = PresenceChange::default();
        change.left.push(member);
        let text = |event| ChannelFrame::of("1".into(), event).unwrap().to_text();
        assert_eq!(
            text(ChannelEvent::Presence(Arc::new(change))),
            format!(r#"{{"type":"presence","ref":"1","left":[{shown}]}}"#)
        );
        let message = |from, key| {
            let event = EventName::new("e\"").unwrap();
            ChannelEvent::Message(Arc::new(Message::new(event, state.clone(), from, key)))
        };
        assert_eq!(
            text(message(Some(UserId::new("u1").unwrap()), Some("k1".into()))),
            r#"{"type":"message","ref":"1","event":"e\"","from":"u1","key":"k1","payload":{"name":"A\"nn"}}"#
        );
        assert_eq!(
            text(message(None, None)),
            r#"{"type":"message","ref":"1","event":"e\"","payload":{"name":"A\"nn"}}"#
        );
        // Printed once, for all who hear it.
        let one = Arc::new(Message::new(EventName::new("e").unwrap(), state.clone(), None, None));
        let frames = ["1", "2"].map(|reference| {
            ChannelFrame::of(reference.into(), ChannelEvent::Message(Arc::clone(&one))).unwrap().to_text()
        });
        assert_eq!(frames[1], r#"{"type":"message","ref":"2","event":"e","payload":{"name":"A\"nn"}}"#);
        assert_eq!(
            one.printed.once(|| panic!("it was printed")),
            &frames[0][r#"{"type":"message","ref":"1","#.len()..]
        );
        assert_eq!(text(ChannelEvent::Lagged { missed: 3 }), r#"{"type":"lagged","ref":"1","missed":3}"#);
        assert_eq!(text(ChannelEvent::Sync([].into())), r#"{"type":"sync","ref":"1","members":[]}"#);
    }
}
