//! What a subscriber is told.

use serde_json::{Value, json};

use super::{
    drawn::Watch,
    filter::Filter,
    world::{Asker, Document, World},
};

impl World {
    /// The events of a subscription that was open during the whole sequence; or, `replayed`, of one that begins now from
    /// the place where the sequence began.
    pub(super) fn events(&self, by: &Asker, watch: &Watch, replayed: bool) -> Vec<Value> {
        let mut events = Vec::new();
        for (number, change) in self.feed[watch.tenant].iter().enumerate() {
            if change.place != watch.place || watch.id.is_some_and(|id| id != change.id) {
                continue;
            }
            let shows = |image: &Option<Document>| {
                image.as_ref().is_some_and(|document| {
                    let filter = watch.filter.as_ref().unwrap_or(&Filter::True);
                    may_see(by, watch, document) && filter.matches(&change.id, document, 0)
                })
            };
            let (saw, sees) = (shows(&change.before), shows(&change.after));
            let operation = match change.operation {
                "delete" if saw => "delete",
                "update" if saw && !sees => "leave",
                operation if sees => operation,
                _ => continue,
            };
            // From the past only what may be seen today, or might when it was deleted.
            if replayed && sees && !self.last(watch, &change.id).is_some_and(|last| may_see(by, watch, last)) {
                continue;
            }
            let document = change.after.as_ref().filter(|_| sees).map(|document| document.show(&change.id));
            events.push(json!({
                "number": number + 1, "op": operation, "id": change.id, "revision": change.revision, "document": document,
            }));
        }
        events
    }

    /// The document as it is, or was when it was deleted.
    fn last(&self, watch: &Watch, id: &str) -> Option<&Document> {
        let of = self.feed[watch.tenant].iter().rev().find(|change| change.place == watch.place && change.id == id)?;
        of.after.as_ref().or(of.before.as_ref())
    }

    /// The feed of a tenant.
    pub(super) fn changes(&self, tenant: usize) -> Vec<Value> {
        let image = |image: &Option<Document>| {
            image.as_ref().map(|document| json!({"body": document.body, "owner": document.owner}))
        };
        let shown = self.feed[tenant].iter().map(|change| {
            json!({
                "place": format!("{:?}", change.place), "op": change.operation, "id": change.id,
                "revision": change.revision, "before": image(&change.before), "after": image(&change.after),
                "actor": change.actor,
            })
        });
        shown.collect()
    }
}

fn may_see(by: &Asker, watch: &Watch, document: &Document) -> bool {
    match watch.id {
        // One document is read by its id; several are a list.
        Some(_) => by.may_get(watch.place, document),
        None => by.may_list(watch.place, document),
    }
}
