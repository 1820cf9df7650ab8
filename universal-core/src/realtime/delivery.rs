//! What one subscriber sees of one change.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{
    cursor::Cursor,
    error::{Error, Result},
    id::{CollectionName, DocumentId},
    realtime::{
        change::{Change, Image},
        feed::CHANGE_BYTES,
    },
};

/// What a subscriber sees of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryKind {
    /// A document came into being.
    Create,
    /// A document changed.
    Update,
    /// In a watch: a document came to be among those that are watched.
    Enter,
    /// A document that could be seen was deleted.
    Delete,
    /// A document that could be seen no longer matches, or may no longer be seen; in a watch also one that was deleted.
    Leave,
}

impl DeliveryKind {
    /// Whether the subscriber sees the document, not only its id.
    #[must_use]
    pub fn carries_document(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Enter)
    }

    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Enter => "enter",
            Self::Delete => "delete",
            Self::Leave => "leave",
        }
    }
}

/// For how many references the frame of a delivery is kept.
const REFERENCES: usize = 2;

/// A change as one subscriber may see it. Cheap to clone; clones share what was printed of it.
#[derive(Clone, Debug)]
pub struct Delivery(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cursor: Cursor,
    kind: DeliveryKind,
    change: Arc<Change>,
    /// What the subscriber sees in place of the change's own body, if something of it is hidden.
    body: Option<Arc<str>>,
    printed: OnceLock<String>,
    /// The whole frame for those who call their subscription this; most call it the same.
    framed: [OnceLock<(Box<str>, Bytes)>; REFERENCES],
    /// The whole event for those whose watch stands on this, or who watch nothing.
    event: OnceLock<(Option<Box<str>>, Bytes)>,
}

/// How long an image's text is.
fn size(image: Option<&Image>) -> usize {
    image.map_or(0, |image| image.body.len())
}

impl Delivery {
    /// For implementations: `change` as `kind`, with `body` in place of the change's own members if it is given.
    #[must_use]
    pub fn new(cursor: Cursor, kind: DeliveryKind, change: Arc<Change>, body: Option<Arc<str>>) -> Self {
        let (printed, framed, event) = Default::default();
        Self(Arc::new(Inner { cursor, kind, change, body, printed, framed, event }))
    }

    /// The members that the subscriber sees.
    fn shown(&self) -> Option<&str> {
        let after = self.0.change.after.as_ref()?;
        self.0.kind.carries_document().then(|| self.0.body.as_deref().unwrap_or(&after.body))
    }

    /// What it holds in memory, about, while nothing is printed of it: the images, and what is shown in their place.
    pub(crate) fn bytes_unprinted(&self) -> usize {
        let change = &self.0.change;
        CHANGE_BYTES + size(change.before.as_ref()) + size(change.after.as_ref()) + self.shown_bytes()
    }

    /// What it holds in memory, about, with what is printed of it.
    pub(crate) fn bytes(&self) -> usize {
        // The print, and the frames and the event that are kept of it.
        let shown = self.0.body.as_ref().map_or_else(|| size(self.0.change.after.as_ref()), |body| body.len());
        self.bytes_unprinted() + (2 + REFERENCES) * shown
    }

    fn shown_bytes(&self) -> usize {
        self.0.body.as_ref().map_or(0, |body| body.len())
    }

    pub(crate) fn change(&self) -> &Change {
        &self.0.change
    }

    /// The place after this change.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.0.cursor
    }

    /// What the subscriber sees happen.
    #[must_use]
    pub fn kind(&self) -> DeliveryKind {
        self.0.kind
    }

    /// The collection.
    #[must_use]
    pub fn collection(&self) -> &CollectionName {
        &self.0.change.collection
    }

    /// The document's id.
    #[must_use]
    pub fn id(&self) -> &DocumentId {
        &self.0.change.id
    }

    /// The revision that the change made (for a deletion: ended).
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.0.change.revision
    }

    /// The delivery as a transport writes it, printed by the first that asks and shared by all who see the same of this
    /// change. `print` must depend on the delivery alone, and be the same for all transports of a process.
    pub fn print_once(&self, print: impl FnOnce(&Self) -> String) -> &str {
        self.0.printed.get_or_init(|| print(self))
    }

    /// The delivery as a transport frames it for a subscription of this name: made by the first that asks, and kept for
    /// the first few names. `frame` must depend on both alone, and be the same for all transports of a process.
    pub fn frame_once(&self, reference: &str, frame: impl FnOnce(&Self) -> String) -> Bytes {
        for kept in &self.0.framed {
            match kept.get() {
                Some((name, frame)) if **name == *reference => return frame.clone(),
                Some(_) => {}
                None => {
                    let made = Bytes::from(frame(self));
                    // Another may have been quicker; its frame may have another name.
                    let _ = kept.set((reference.into(), made.clone()));
                    return made;
                }
            }
        }
        Bytes::from(frame(self))
    }

    /// The delivery as a transport sends it as an event where a watch stands on `basis`, or nothing is watched: made by the
    /// first that asks, and kept for others of the same basis; for those of another it is made each time. `event` must
    /// depend on both alone, and be the same for all transports of a process.
    pub fn event_once(&self, basis: Option<&str>, event: impl FnOnce(&Self) -> String) -> Bytes {
        let make = || Bytes::from(event(self));
        match self.0.event.get() {
            Some((known, event)) if known.as_deref() == basis => event.clone(),
            Some(_) => make(),
            None => {
                let made = make();
                // Another may have been quicker, for another basis.
                let _ = self.0.event.set((basis.map(Into::into), made.clone()));
                made
            }
        }
    }

    /// Writes the document as a read answers it, or nothing where the subscriber sees only the id.
    /// Answers whether it wrote.
    pub fn write_document(&self, out: &mut String) -> bool {
        let change = &self.0.change;
        match (&change.after, self.shown()) {
            (Some(after), Some(body)) => {
                let meta = crate::json::envelope::Meta {
                    revision: &change.revision,
                    owner: after.owner.as_ref().map(AsRef::as_ref),
                    created_at: change.created_at,
                    updated_at: change.at,
                };
                crate::json::envelope::write(out, change.id.as_str(), body, &meta);
                true
            }
            _ => false,
        }
    }

    /// The members of the document, or `None` where the subscriber sees only the id.
    ///
    /// # Errors
    /// `Invalid` if they do not fit `T`.
    pub fn document<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>> {
        self.shown()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| Error::invalid("document-does-not-fit", error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, realtime::change::Operation};

    fn delivery() -> Delivery {
        let (collection, id) = ("todos".parse().unwrap(), "a".parse().unwrap());
        let (image, now) = (Image { body: "{}".into(), owner: None }, Timestamp::from_micros(0));
        let change = Change::new(1, 1, collection, id, Operation::Create, "r-1", (None, Some(image)), (now, now));
        Delivery::new(Cursor::new("e", 1), DeliveryKind::Create, Arc::new(change), None)
    }

    #[test]
    fn what_is_sent_is_made_once_for_all_who_are_sent_the_same() {
        let delivery = delivery();
        for name in ["1", "2"] {
            let frame = delivery.frame_once(name, |_| format!("frame {name}"));
            let again = delivery.clone().frame_once(name, |_| unreachable!());
            assert_eq!((&*frame, again.as_ptr()), (format!("frame {name}").as_bytes(), frame.as_ptr()));
        }
        assert_eq!(delivery.frame_once("3", |_| "frame 3".to_owned()), "frame 3");
        for basis in [None, Some("b")] {
            let delivery = self::delivery();
            let event = delivery.event_once(basis, |_| format!("event {basis:?}"));
            let again = delivery.clone().event_once(basis, |_| unreachable!());
            assert_eq!((&*event, again.as_ptr()), (format!("event {basis:?}").as_bytes(), event.as_ptr()));
            assert_eq!(delivery.event_once(Some("other"), |_| "another".to_owned()), "another");
        }
    }
}
