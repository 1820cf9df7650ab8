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
    /// The documents that it refers to, under the members that name them, if they were asked for. A member without a
    /// document that the caller may read is not there.
    pub expanded: Vec<(String, Expanded)>,
}

/// What a reference led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expanded {
    /// The document whose id the member holds.
    One(Arc<Document>),
    /// The documents whose ids the member's array holds, in its order, without those that the caller may not read.
    Many(Vec<Arc<Document>>),
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
        Self { collection, id, body: body.into(), revision, owner, created_at, updated_at, expanded: Vec::new() }
    }

    /// The same with the documents that it refers to.
    #[must_use]
    pub fn with_expanded(mut self, expanded: Vec<(String, Expanded)>) -> Self {
        self.expanded = expanded;
        self
    }

    /// What the reference `member` led to, if it was asked for and there is something.
    #[must_use]
    pub fn expanded(&self, member: &str) -> Option<&Expanded> {
        self.expanded.iter().find(|(name, _)| name == member).map(|(_, expanded)| expanded)
    }

    /// Writes the document as an answer shows it: `{"id":…, members, "_meta":{…}}`, and `"_expand":{…}` before `_meta`
    /// if it has documents that it refers to. The members pass through as they are stored.
    pub fn write_json(&self, out: &mut String) {
        let meta = envelope::Meta {
            revision: self.revision.as_str(),
            owner: self.owner.as_ref().map(AsRef::as_ref),
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        envelope::open(out, self.id.as_str(), &self.body);
        if !self.expanded.is_empty() {
            out.push_str(",\"_expand\":{");
            for (at, (name, expanded)) in self.expanded.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                envelope::write_string(out, name);
                out.push(':');
                expanded.write_json(out);
            }
            out.push('}');
        }
        envelope::close(out, &meta);
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

impl Expanded {
    /// The recursion is as deep as references are followed.
    fn write_json(&self, out: &mut String) {
        match self {
            Self::One(document) => document.write_json(out),
            Self::Many(documents) => {
                out.push('[');
                for (at, document) in documents.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    document.write_json(out);
                }
                out.push(']');
            }
        }
    }

    /// The documents, one or many.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        let documents = match self {
            Self::One(document) => std::slice::from_ref(document),
            Self::Many(documents) => documents,
        };
        documents.iter().map(AsRef::as_ref)
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
