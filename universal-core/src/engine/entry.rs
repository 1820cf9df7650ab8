//! A change as this node holds it for its subscribers.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::{
    cursor::Cursor,
    realtime::{
        change::{Change, Image},
        delivery::{Delivery, DeliveryKind},
    },
};

/// A change, with its images parsed, and what is said of it made, at most once for all subscribers.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) change: Arc<Change>,
    before: OnceLock<Map<String, Value>>,
    after: OnceLock<Map<String, Value>>,
    /// What is delivered where nothing is hidden, by kind.
    open: [OnceLock<Delivery>; 5],
}

impl Entry {
    pub(crate) fn new(change: Change) -> Self {
        Self { change: Arc::new(change), before: OnceLock::new(), after: OnceLock::new(), open: Default::default() }
    }

    /// The members of the document before the change.
    pub(crate) fn before(&self) -> Option<&Map<String, Value>> {
        self.change.before.as_ref().map(|image| self.before.get_or_init(|| members(image)))
    }

    /// The members of the document after the change.
    pub(crate) fn after(&self) -> Option<&Map<String, Value>> {
        self.change.after.as_ref().map(|image| self.after.get_or_init(|| members(image)))
    }

    /// The delivery of this change as `kind`, the same for all who see it whole.
    pub(crate) fn delivery(&self, cursor: Cursor, kind: DeliveryKind) -> Delivery {
        let make = |cursor| Delivery::new(cursor, kind, Arc::clone(&self.change), None);
        let slot = match kind {
            DeliveryKind::Create => &self.open[0],
            DeliveryKind::Update => &self.open[1],
            DeliveryKind::Enter => &self.open[2],
            DeliveryKind::Delete => &self.open[3],
            DeliveryKind::Leave => &self.open[4],
        };
        let delivery = slot.get_or_init(|| make(cursor.clone()));
        // A subscriber of before a restore counts in another history.
        if *delivery.cursor() == cursor { delivery.clone() } else { make(cursor) }
    }

    /// What it holds in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let size = |image: &Option<Image>| image.as_ref().map_or(0, |image| image.body.len());
        // With what is parsed and printed of it.
        3 * size(&self.change.before) + 6 * size(&self.change.after) + 256
    }
}

/// The members of a stored document; what a table holds was checked before it was written.
fn members(image: &Image) -> Map<String, Value> {
    serde_json::from_str(&image.body).unwrap_or_default()
}
