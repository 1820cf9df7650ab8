//! Readers that hop from backend to backend with their cursor every few events.

use std::{sync::Arc, time::Duration};

use universal_core::{
    cursor::Cursor,
    realtime::{Change, Delivery, DeliveryKind, Event, Operation, Subscribe},
};
use universal_tests::wait;

use super::{
    chaos::Field,
    chaos_chain::{Dice, tag},
    chaos_writers::LAST,
};

/// A change as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    seq: i64,
    id: String,
    operation: Operation,
    revision: String,
    tag: Option<u64>,
}

impl Seen {
    pub(super) fn of_change(change: &Change) -> Self {
        Self {
            seq: change.seq,
            id: change.id.as_str().to_owned(),
            operation: change.operation,
            revision: change.revision.to_string(),
            tag: change.after.as_ref().and_then(|image| tag(&image.body)),
        }
    }

    fn of_delivery(delivery: &Delivery) -> Self {
        let body: Option<serde_json::Value> = delivery.document().expect("a document");
        Self {
            seq: delivery.cursor().seq(),
            id: delivery.id().as_str().to_owned(),
            operation: match delivery.kind() {
                DeliveryKind::Create => Operation::Create,
                DeliveryKind::Delete => Operation::Delete,
                _ => Operation::Update,
            },
            revision: delivery.revision().to_owned(),
            tag: body.and_then(|body| body["tag"].as_u64()),
        }
    }
}

/// Follows the feed from `start` to the last change; answers everything it saw, repeats dropped by cursor.
pub(super) async fn run(field: Arc<Field>, start: Cursor, seed: u64) -> Vec<Seen> {
    let (mut dice, mut seen, mut place) = (Dice::new(seed), Vec::<Seen>::new(), start);
    loop {
        field.count("hops of readers");
        let backend = &field.backends[usize::try_from(dice.below(field.backends.len() as u64)).unwrap()];
        let subscribe = Subscribe::to(field.name.clone()).with_since(place.clone());
        let Ok(mut subscription) = backend.realtime().subscribe(&field.caller, subscribe).await else {
            wait::pause(Duration::from_millis(20)).await;
            continue;
        };
        let stay = 1 + dice.below(60);
        for _ in 0..stay {
            // Short patience: the future is dropped in the middle of what it does.
            let patience = Duration::from_micros(if dice.happens(30) { dice.below(3000) } else { 400_000 });
            match tokio::time::timeout(patience, subscription.next()).await {
                Err(_) => {}
                Ok(Err(_)) => wait::pause(Duration::from_millis(10)).await,
                Ok(Ok(Event::Change(delivery))) => {
                    if delivery.cursor().seq() <= place.seq() {
                        field.count("repeats");
                        continue;
                    }
                    place = delivery.cursor().clone();
                    seen.push(Seen::of_delivery(&delivery));
                    if delivery.id().as_str() == LAST {
                        return seen;
                    }
                }
                Ok(Ok(other)) => {
                    field.note(|book| book.faults.push(format!("a reader at {place} got {other:?}")));
                    return seen;
                }
            }
        }
        if dice.happens(30) {
            // What a heartbeat would have told it.
            let told = subscription.cursor();
            if told.seq() > place.seq() {
                place = told;
            }
        }
    }
}
