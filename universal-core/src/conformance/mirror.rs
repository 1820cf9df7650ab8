//! A list held by a watcher, as a client holds it.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::{
    conformance::expect::failed,
    cursor::Cursor,
    realtime::{DeliveryKind, Event, Subscribe},
};

/// The documents of a watch, kept up by nothing but its events.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    documents: BTreeMap<String, Value>,
    /// Where a watch of these documents can go on, and what they stand on.
    place: Option<(Cursor, Arc<str>)>,
    basis: Option<Arc<str>>,
    /// How often the rows came.
    snapshots: usize,
}

impl Mirror {
    /// The documents' members by id.
    #[must_use]
    pub fn documents(&self) -> &BTreeMap<String, Value> {
        &self.documents
    }

    /// How often the rows came.
    #[must_use]
    pub fn snapshots(&self) -> usize {
        self.snapshots
    }

    /// The same watch, going on where this mirror is if it can.
    #[must_use]
    pub fn resume(&self, watch: Subscribe) -> Subscribe {
        match &self.place {
            Some((cursor, basis)) => watch.with_since(cursor.clone()).with_basis(Arc::clone(basis)),
            None => watch,
        }
    }

    /// Does what an event says. A document that enters may be there already, and one that leaves may not: a change is
    /// delivered at least once.
    ///
    /// # Errors
    /// An event that a watch does not have.
    pub fn apply(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Snapshot(page) => {
                if page.is_first {
                    self.documents.clear();
                    self.place = None;
                    self.snapshots += 1;
                }
                for row in &page.rows {
                    self.documents.insert(row.id.to_string(), row.document().map_err(failed)?);
                }
                self.basis = Some(Arc::clone(&page.basis));
                if page.is_last {
                    self.place = Some((page.cursor.clone(), Arc::clone(&page.basis)));
                }
            }
            Event::Change(change) => {
                let id = change.id().to_string();
                match (change.kind(), change.document().map_err(failed)?) {
                    (DeliveryKind::Enter | DeliveryKind::Update, Some(members)) => {
                        self.documents.insert(id, members);
                    }
                    (DeliveryKind::Leave, None) => {
                        self.documents.remove(&id);
                    }
                    (kind, members) => return Err(format!("a watch says no `{}` with {members:?}", kind.as_str())),
                }
                if let Some((cursor, _)) = &mut self.place {
                    *cursor = change.cursor().clone();
                }
            }
            other => return Err(format!("a watch says no {other:?}")),
        }
        Ok(())
    }
}
