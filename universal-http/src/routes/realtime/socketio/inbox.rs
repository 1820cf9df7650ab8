//! From a Socket.IO event to a frame of the realtime protocol.
//!
//! An event's name is the frame's `type`, its argument has the frame's other members: a frame that the protocol learns later
//! works here without a change.

use std::sync::Arc;

use serde_json::value::RawValue;
use socketioxide::{
    adapter::LocalAdapter,
    extract::AckSender,
    handler::{FromMessageParts as _, MessageHandler, Value},
    socket::Socket,
};
use tokio::sync::mpsc;
use universal_core::error::{Error, Result};

use super::session::{Fault, Session};

/// How many messages wait at most.
pub(super) const MESSAGES: usize = 64;

/// A message of the client's.
pub(super) struct Message {
    /// The array: the event's name and its arguments.
    text: String,
    /// Where its answer goes, if the client wants one there.
    pub(super) ack: Option<AckSender>,
    session: Arc<Session>,
}

impl Message {
    /// The frame that it stands for.
    ///
    /// # Errors
    /// `Invalid` for another shape.
    pub(super) fn to_frame(&self) -> Result<String> {
        let bad = || {
            Error::invalid(
                "invalid-frame",
                "an event has a name and one argument, an object: socket.emit(\"subscribe\", {ref: \"1\", …})",
            )
        };
        let parts: Vec<&RawValue> = serde_json::from_str(&self.text).map_err(|_| bad())?;
        let (name, argument) = match parts.as_slice() {
            [name] => (name, "{}"),
            [name, argument] if argument.get() == "null" => (name, "{}"),
            [name, argument] => (name, argument.get()),
            _ => return Err(bad()),
        };
        let members = argument.strip_prefix('{').ok_or_else(bad)?.trim_start();
        let comma = if members.starts_with('}') { "" } else { "," };
        Ok(format!("{{\"type\":{}{comma}{members}", name.get()))
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.session.end_waiting(self.text.len());
    }
}

/// Takes every event of a socket, in order. It runs where the engine reads: what it cannot take ends the session.
pub(super) struct Inbox {
    pub(super) messages: mpsc::Sender<Message>,
    pub(super) session: Arc<Session>,
}

/// Tells this handler from the closures that the crate takes.
pub(super) struct InOrder;

impl MessageHandler<LocalAdapter, InOrder> for Inbox {
    fn call(&self, socket: Arc<Socket>, mut value: Value, ack: Option<i64>) {
        let Some(text) = value.as_str().map(|text| text.as_str().to_owned()) else {
            self.session.fail(Fault::Binary);
            return;
        };
        let wants_ack = ack.is_some();
        let Ok(sender) = AckSender::from_message_parts(&socket, &mut value, &ack);
        let message = Message { text, ack: wants_ack.then_some(sender), session: Arc::clone(&self.session) };
        if self.session.begin_waiting(message.text.len()).is_ok() && self.messages.try_send(message).is_err() {
            self.session.fail(Fault::TooMuchWaiting);
        }
    }
}
