//! Subscribers that see the same of every change.
//!
//! Two subscribers are of one class if the rule, the filter and whatever these ask of the caller are the same. What one
//! of them sees of a change is decided, and printed, once for all.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest as _, Sha256};

use crate::{cursor::Cursor, error::Result, realtime::delivery::Delivery};

/// How many decisions a class remembers: what its members look at while they are about equally far.
const REMEMBERED: usize = 128;

/// What makes a class; equal keys, equal sight. The text is compared whole, not a digest of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClassKey(Arc<str>);

impl ClassKey {
    pub(crate) fn new(text: String) -> Self {
        Self(text.into())
    }

    /// A short form for the outside, the same on every node.
    pub(crate) fn digest(&self) -> Arc<str> {
        let digest = Sha256::digest(self.0.as_bytes());
        digest.iter().take(16).fold(String::with_capacity(32), |text, byte| text + &format!("{byte:02x}")).into()
    }
}

/// The decisions of a class about recent changes.
#[derive(Debug, Default)]
pub(crate) struct Class(Mutex<VecDeque<(Cursor, Option<Delivery>)>>);

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
        let found = decided.iter().rev().take_while(|(known, _)| known.seq() >= cursor.seq()).last();
        found.filter(|(known, _)| known == cursor).map(|(_, delivery)| delivery.clone())
    }

    fn remember(&self, cursor: &Cursor, delivery: Option<Delivery>) {
        let mut decided = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match decided.back() {
            // Another history began: its numbers may be smaller.
            Some((last, _)) if last.epoch() != cursor.epoch() => decided.clear(),
            Some((last, _)) if last.seq() >= cursor.seq() => return,
            _ => {}
        }
        decided.push_back((cursor.clone(), delivery));
        if decided.len() > REMEMBERED {
            decided.pop_front();
        }
    }
}
