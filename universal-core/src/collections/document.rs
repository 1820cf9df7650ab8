//! A document as it is stored.

use std::{fmt, sync::Arc};

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    id::{CollectionName, DocumentId, UserId},
    json::envelope,
};

/// A stored document: its members as text, and what the backend knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Document {
    /// The collection.
    pub collection: CollectionName,
    /// The id, unique in the collection.
    pub id: DocumentId,
    /// The members as canonical JSON text, without `id` and `_meta`.
    pub body: Arc<str>,
    /// The version of this life of the document; never repeats for an id.
    pub revision: Revision,
    /// The user who created it, unless the program itself did.
    pub owner: Option<UserId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl Document {
    /// A document, for drivers.
    #[must_use]
    pub fn new(
        collection: CollectionName,
        id: DocumentId,
        body: impl Into<Arc<str>>,
        revision: Revision,
        owner: Option<UserId>,
        (created_at, updated_at): (Timestamp, Timestamp),
    ) -> Self {
        Self { collection, id, body: body.into(), revision, owner, created_at, updated_at }
    }

    /// Writes the document as an answer shows it: `{"id":…, members, "_meta":{…}}`. The members
    /// pass through as they are stored.
    pub fn write_json(&self, out: &mut String) {
        let meta = envelope::Meta {
            revision: self.revision.as_str(),
            owner: self.owner.as_ref().map(AsRef::as_ref),
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        envelope::write(out, self.id.as_str(), &self.body, &meta);
    }

    /// The members as a `T`.
    ///
    /// # Errors
    /// `Invalid` if they do not fit.
    pub fn to<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.body)
            .map_err(|error| Error::invalid("document-does-not-fit", format!("the document does not fit: {error}")))
    }
}

/// The version of a document: `<incarnation>-<n>`. The incarnation is drawn when the document is
/// created, so that a document that was deleted and created again never shows an old revision.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Revision(Arc<str>);

impl Revision {
    /// The first revision of a new life.
    ///
    /// # Errors
    /// `Internal` if the operating system has no randomness to give.
    pub fn first() -> Result<Self> {
        Ok(Self(format!("{}-1", crate::id::random_hex(8)?).into()))
    }

    /// The revision after this one.
    #[must_use]
    pub fn next(&self) -> Self {
        match self.0.split_once('-').and_then(|(life, n)| Some((life, n.parse::<u64>().ok()?))) {
            Some((life, n)) => Self(format!("{life}-{}", n.saturating_add(1)).into()),
            None => Self(format!("{}-2", self.0).into()),
        }
    }

    /// A revision that a table holds.
    #[must_use]
    pub fn stored(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text, which is also the `ETag`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
