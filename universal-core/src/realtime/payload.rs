//! What messages and members say: texts whose constructor is the check.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    error::{Error, ErrorKind, Result},
    json::{Limits, parse, value_to_text},
};

/// The most bytes of a message's payload.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// The most bytes of a member's state.
pub const MAX_STATE: usize = 4 * 1024;
/// The most bytes of an event's name.
const MAX_EVENT: usize = 64;

/// A JSON value of any kind as canonical text, at most [`MAX_MESSAGE`] bytes. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<str>);

impl Payload {
    /// Reads a JSON text.
    ///
    /// # Errors
    /// Those of [`json::parse`](fn@crate::json::parse); `TooLarge` `message-too-large`.
    pub fn parse(text: &[u8]) -> Result<Self> {
        if text.len() > MAX_MESSAGE {
            return Err(too_large());
        }
        let printed = value_to_text(&parse(text, &Limits::default())?);
        if printed.len() > MAX_MESSAGE {
            return Err(too_large());
        }
        Ok(Self(printed.into()))
    }

    /// Prints a value of Rust.
    ///
    /// # Errors
    /// `Invalid` `invalid-payload` if it is nothing that JSON knows; those of [`parse`](Self::parse).
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let text = serde_json::to_vec(value).map_err(|error| Error::invalid("invalid-payload", error.to_string()))?;
        Self::parse(&text)
    }

    /// For implementations: what another node printed. It was checked there.
    ///
    /// # Errors
    /// Of the format.
    pub fn deserialize_trusted<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(raw.get().into()))
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a value of Rust.
    ///
    /// # Errors
    /// `Invalid` `payload-does-not-fit` if it does not fit `T`.
    pub fn to<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0).map_err(|error| Error::invalid("payload-does-not-fit", error.to_string()))
    }

    /// Whether a member may say this of itself.
    ///
    /// # Errors
    /// `TooLarge` `presence-too-large` above [`MAX_STATE`].
    pub fn check_state(&self) -> Result<()> {
        if self.0.len() <= MAX_STATE {
            return Ok(());
        }
        let message = format!("what a member says of itself has {MAX_STATE} bytes at most");
        Err(Error::new(ErrorKind::TooLarge, "presence-too-large", message))
    }
}

fn too_large() -> Error {
    let message = format!("a message of a channel has {MAX_MESSAGE} bytes at most");
    Error::new(ErrorKind::TooLarge, "message-too-large", message)
}

/// As the value that it is, within other JSON.
impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What users say to one another is for no log.
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// The name of a message's event: 1 to 64 bytes without control characters. What it means is for the program.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventName(Arc<str>);

impl EventName {
    /// Checks `text` and makes it a name.
    ///
    /// # Errors
    /// `Invalid` `invalid-event`.
    pub fn new(text: &str) -> Result<Self> {
        if (1..=MAX_EVENT).contains(&text.len()) && !text.chars().any(char::is_control) {
            return Ok(Self(text.into()));
        }
        let message = format!("an event's name is 1 to {MAX_EVENT} bytes without control characters");
        Err(Error::invalid("invalid-event", message).with_field("event"))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl std::str::FromStr for EventName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl Serialize for EventName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EventName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as Deserialize>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_canonical_and_bounded() {
        assert_eq!(Payload::parse(br#" {"b": 1.0, "a": [null]} "#).unwrap().as_str(), r#"{"a":[null],"b":1}"#);
        let long = "x".repeat(MAX_MESSAGE);
        assert_eq!(Payload::of(&long).unwrap_err().code(), "message-too-large");
        assert_eq!(Payload::of(&long[2..]).unwrap().as_str().len(), MAX_MESSAGE);
        let state = Payload::of(&long[..MAX_STATE]).unwrap();
        assert_eq!(state.check_state().unwrap_err().code(), "presence-too-large");
    }

    #[test]
    fn events_have_short_names() {
        assert!(EventName::new("a.b c").is_ok());
        for bad in ["", "a\n", &"x".repeat(65)] {
            assert_eq!(EventName::new(bad).unwrap_err().code(), "invalid-event");
        }
    }
}
