//! Subscribers that see the same of every change.
//!
//! Two subscribers are of one class if the rule, the filter and whatever these ask of the caller are the same. What one
//! of them sees of a change is decided, and printed, once for all.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{cursor::Cursor, error::Result, id::hex, realtime::delivery::Delivery};

/// How many decisions a class remembers: what its members look at while they are about equally far.
const REMEMBERED: usize = 128;
/// How many bytes of them it remembers, but for the last one.
const MAX_BYTES: usize = 640 * 1024;

/// What makes a class; equal keys, equal sight. The text is compared whole, not a digest of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClassKey(Arc<str>);

impl ClassKey {
    pub(crate) fn new(text: String) -> Self {
        Self(text.into())
    }

    /// A short form for the outside, the same on every node with the same key.
    pub(crate) fn digest(&self, key: &[u8; 32]) -> Arc<str> {
        let mut digest = String::with_capacity(32);
        // HMAC takes a key of any length; its only error does not occur.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
            mac.update(self.0.as_bytes());
            digest.push_str(&hex(mac.finalize().into_bytes().get(..16).unwrap_or_default()));
        }
        digest.into()
    }
}

/// The decisions of a class about recent changes.
#[derive(Debug, Default)]
pub(crate) struct Class(Mutex<Decided>);

#[derive(Debug, Default)]
struct Decided {
    recent: VecDeque<(Cursor, Option<Delivery>)>,
    /// What they hold, about.
    bytes: usize,
}

impl Decided {
    fn clear(&mut self) {
        *self = Self::default();
    }

    fn forget_oldest(&mut self) {
        if let Some((_, delivery)) = self.recent.pop_front() {
            self.bytes -= delivery.map_or(0, |delivery| delivery.bytes());
        }
    }
}

impl Class {
    /// What the class sees of the change before `cursor`: remembered, or decided now.
    ///
    /// # Errors
    /// Those of `decide`.
    pub(crate) fn sees(
        self: &Arc<Self>,
        cursor: &Cursor,
        decide: impl FnOnce() -> Result<Option<Delivery>>,
    ) -> Result<Option<Delivery>> {
        // A subscriber who is alone in its class has nobody to share with.
        if Arc::strong_count(self) < 2 {
            return decide();
        }
        if let Some(known) = self.known(cursor) {
            return Ok(known);
        }
        let decided = decide()?;
        self.remember(cursor, decided.clone());
        Ok(decided)
    }

    fn known(&self, cursor: &Cursor) -> Option<Option<Delivery>> {
        let decided = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Its members are about equally far: most ask for the last one.
        let found = decided.recent.iter().rev().take_while(|(known, _)| known.seq() >= cursor.seq()).last();
        found.filter(|(known, _)| known == cursor).map(|(_, delivery)| delivery.clone())
    }

    fn remember(&self, cursor: &Cursor, delivery: Option<Delivery>) {
        let mut decided = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match decided.recent.back() {
            // Another history began: its numbers may be smaller.
            Some((last, _)) if last.epoch() != cursor.epoch() => decided.clear(),
            Some((last, _)) if last.seq() >= cursor.seq() => return,
            _ => {}
        }
        decided.bytes += delivery.as_ref().map_or(0, Delivery::bytes);
        decided.recent.push_back((cursor.clone(), delivery));
        while decided.recent.len() > REMEMBERED || (decided.bytes > MAX_BYTES && decided.recent.len() > 1) {
            decided.forget_oldest();
        }
    }
}
