//! Where a page of a list begins: opaque to the caller and signed, so that it can neither be read for
//! what it does not show nor be made up.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox};
use serde_json::Value;
use sha2::Sha256;

use crate::error::{Error, Result};

/// Bytes of the signature (HMAC-SHA-256, cut to half as RFC 2104 §5 allows).
const TAG: usize = 16;

/// The key that signs cursors.
#[derive(Debug)]
pub(crate) struct CursorKey(SecretBox<[u8; 32]>);

/// The place of a row in the order of a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Position {
    /// Whether the page goes back from the row instead of on from it.
    pub(crate) backwards: bool,
    /// The sort terms of the row and its id, as JSON values.
    pub(crate) values: Vec<Value>,
}

impl CursorKey {
    pub(crate) fn new(key: SecretBox<[u8; 32]>) -> Self {
        Self(key)
    }

    /// The cursor of `position` in the list that `scope` names (tenant, collection, filter, sort).
    pub(crate) fn seal(&self, scope: &str, position: &Position) -> String {
        let mut content = vec![u8::from(position.backwards)];
        content.extend_from_slice(Value::from(position.values.clone()).to_string().as_bytes());
        let tag = self.tag(scope, &content);
        content.extend(tag.into_iter().take(TAG));
        URL_SAFE_NO_PAD.encode(content)
    }

    /// The position of a cursor that [`seal`](Self::seal) made for the same `scope`.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub(crate) fn open(&self, scope: &str, cursor: &str) -> Result<Position> {
        let bad = || {
            Error::invalid(
                "invalid-cursor",
                "a cursor goes with the list that gave it: the same collection, filter and sort, unchanged",
            )
            .with_field("cursor")
        };
        if cursor.len() > 8192 {
            return Err(bad());
        }
        let sealed = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
        let at = sealed.len().checked_sub(TAG).ok_or_else(bad)?;
        let (content, tag) = sealed.split_at_checked(at).ok_or_else(bad)?;
        self.mac(scope, content).verify_truncated_left(tag).map_err(|_| bad())?;
        let (direction, values) = content.split_first().ok_or_else(bad)?;
        let Ok(Value::Array(values)) = serde_json::from_slice(values) else { return Err(bad()) };
        Ok(Position { backwards: *direction == 1, values })
    }

    fn tag(&self, scope: &str, content: &[u8]) -> Vec<u8> {
        self.mac(scope, content).finalize().into_bytes().to_vec()
    }

    fn mac(&self, scope: &str, content: &[u8]) -> Hmac<Sha256> {
        // HMAC takes keys of any length and pads them (RFC 2104 §2).
        let mut block = [0_u8; 64];
        for (to, from) in block.iter_mut().zip(self.0.expose_secret()) {
            *to = *from;
        }
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(&(scope.len() as u64).to_be_bytes());
        mac.update(scope.as_bytes());
        mac.update(content);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_for_its_own_list_and_unchanged() {
        let key = CursorKey::new(SecretBox::new(Box::new([7; 32])));
        let position = Position { backwards: true, values: vec![Value::from(3), Value::from("a")] };
        let cursor = key.seal("default todos", &position);
        assert_eq!(key.open("default todos", &cursor).unwrap(), position);
        assert!(key.open("default other", &cursor).is_err());
        let other = CursorKey::new(SecretBox::new(Box::new([8; 32])));
        assert!(other.open("default todos", &cursor).is_err());
        for at in 0..cursor.len() {
            let mut forged = cursor.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert!(forged == cursor || key.open("default todos", &forged).is_err(), "{at}");
        }
        for text in ["", "AAAA", "?", &"A".repeat(9000)] {
            assert_eq!(key.open("default todos", text).unwrap_err().code(), "invalid-cursor");
        }
    }
}
