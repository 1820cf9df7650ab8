//! How an object is put, and what came of it.

use crate::storage::{content_type::ContentType, object::Object};

/// A precondition on the revision that is there (RFC 9110 §13.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// `*`: whatever is there, as long as something is.
    Any,
    /// One of these revisions.
    Revisions(Vec<String>),
}

impl Match {
    /// Whether `revision` (nothing if there is no object) is among them.
    #[must_use]
    pub fn matches(&self, revision: Option<&str>) -> bool {
        match (self, revision) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::Revisions(wanted), Some(revision)) => wanted.iter().any(|one| one == revision),
        }
    }
}

/// How an object is put.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PutOptions {
    /// The media type; `application/octet-stream` if none is given.
    pub content_type: Option<ContentType>,
    /// Put only if what is there matches.
    pub if_match: Option<Match>,
    /// Put only if what is there does not match; `Match::Any` puts only what is new.
    pub if_none_match: Option<Match>,
    /// Fewer bytes than the store's own limit; more bytes than this end the upload.
    pub max_bytes: Option<u64>,
    /// How many bytes the caller announced. Fewer or more end the upload without effect.
    pub size: Option<u64>,
}

impl PutOptions {
    /// With a media type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: ContentType) -> Self {
        self.content_type = Some(content_type);
        self
    }

    /// Only if what is there matches.
    #[must_use]
    pub fn with_if_match(mut self, condition: Match) -> Self {
        self.if_match = Some(condition);
        self
    }

    /// Only if what is there does not match.
    #[must_use]
    pub fn with_if_none_match(mut self, condition: Match) -> Self {
        self.if_none_match = Some(condition);
        self
    }

    /// With a limit in bytes, below the store's own.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// With the size that was announced, in bytes.
    #[must_use]
    pub fn with_size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }
}

/// What came of a put.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PutOutcome {
    /// The object as it is now.
    pub object: Object,
    /// Whether the key was new; otherwise the object was replaced.
    pub created: bool,
}

impl PutOutcome {
    /// For drivers: an object and whether its key was new.
    #[must_use]
    pub fn new(object: Object, created: bool) -> Self {
        Self { object, created }
    }
}
