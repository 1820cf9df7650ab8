//! Idempotency keys: a call that is repeated with its key has its first answer, and no second effect.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        batch::BatchResult,
        command::Outcome,
        document::{Document, Revision},
        matching::Affected,
        write::Written,
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId, UserId},
};

/// How long an answer is kept: 24 h.
pub const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The most characters of a key.
const MAX_KEY: usize = 255;

/// The name that a caller gives one call: 1 to 255 visible ASCII characters, best a UUID. Keys belong to the
/// caller who sent them; nobody else's are touched.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// Checks `text` and makes it a key.
    ///
    /// # Errors
    /// `Invalid` `invalid-idempotency-key`.
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        if (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(Arc::from(text)));
        }
        Err(Error::invalid(
            "invalid-idempotency-key",
            "an idempotency key is 1 to 255 visible ASCII characters, for example a UUID",
        )
        .with_field("Idempotency-Key"))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The answer to a call with a key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Once {
    /// What the call did.
    pub outcome: Outcome,
    /// Whether it did so earlier, and this time nothing.
    pub replayed: bool,
}

impl Once {
    /// An answer, for drivers.
    #[must_use]
    pub fn new(outcome: Outcome, replayed: bool) -> Self {
        Self { outcome, replayed }
    }
}

/// Where the answers of keys are kept.
#[async_trait]
pub trait KeptAnswers: Send + Sync + fmt::Debug {
    /// Forgets answers that were given before `moment`, a bounded number of them; says whether there are more.
    ///
    /// # Errors
    /// `Busy` and `Unavailable` from the database.
    async fn forget(&self, moment: Timestamp) -> Result<bool>;
}

/// Whose key it is.
///
/// # Errors
/// `Unauthenticated` for an anonymous caller: one could read another's answer.
pub fn principal(caller: &Caller) -> Result<&str> {
    caller.actor().ok_or_else(|| {
        Error::new(
            ErrorKind::Unauthenticated,
            "sign-in-required",
            "an idempotency key belongs to a caller: sign in, or leave the key out",
        )
        .with_field("Idempotency-Key")
    })
}

/// A number for the key of a principal, for locks that are numbers.
#[must_use]
pub fn lock_number(caller: &Caller, principal: &str, key: &IdempotencyKey) -> i64 {
    let mut hash = Sha256::new();
    for part in ["idempotency", caller.tenant().as_str(), principal, key.as_str()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let hash: [u8; 32] = hash.finalize().into();
    let mut number = [0_u8; 8];
    number.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    i64::from_be_bytes(number)
}

/// The answer to a key that stands for another call.
#[must_use]
pub fn reused() -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "idempotency-key-reused",
        "this idempotency key stands for another call of yours; take a new key for each call",
    )
    .with_field("Idempotency-Key")
}

/// The answer to a key whose call is not done yet.
#[must_use]
pub fn in_flight() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "idempotency-in-flight",
        "the call with this idempotency key is not done yet; ask again in a moment",
    )
    .with_field("Idempotency-Key")
    .with_retry_after(Duration::from_secs(1))
}

impl Outcome {
    /// The outcome as a text to keep.
    ///
    /// # Errors
    /// `Internal` if it cannot be written, which is a defect.
    pub fn to_stored(&self) -> Result<String> {
        let stored = match self {
            Self::Written(written) => Stored::Written(StoredWritten::of(written)),
            Self::Batch(results) => Stored::Batch(results.iter().map(StoredResult::of).collect()),
            Self::Affected(affected) => Stored::Affected(affected.clone()),
        };
        serde_json::to_string(&stored).map_err(Error::internal)
    }

    /// The outcome that a table holds.
    ///
    /// # Errors
    /// `Internal` for a text that [`to_stored`](Self::to_stored) did not write.
    pub fn from_stored(text: &str) -> Result<Self> {
        Ok(match serde_json::from_str(text).map_err(Error::internal)? {
            Stored::Written(written) => Self::Written(written.restored()),
            Stored::Batch(results) => Self::Batch(results.into_iter().map(StoredResult::restored).collect()),
            Stored::Affected(affected) => Self::Affected(affected),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    Written(StoredWritten),
    Batch(Vec<StoredResult>),
    Affected(Affected),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredResult {
    Written(StoredWritten),
    Read(StoredDocument),
    Checked(Option<String>),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredWritten {
    Created(StoredDocument),
    Updated(StoredDocument),
    Deleted(StoredDocument),
}

#[derive(Serialize, Deserialize)]
struct StoredDocument {
    collection: String,
    id: String,
    body: String,
    revision: String,
    owner: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl StoredWritten {
    fn of(written: &Written) -> Self {
        match written {
            Written::Created(document) => Self::Created(StoredDocument::of(document)),
            Written::Updated(document) => Self::Updated(StoredDocument::of(document)),
            Written::Deleted(document) => Self::Deleted(StoredDocument::of(document)),
        }
    }

    fn restored(self) -> Written {
        match self {
            Self::Created(document) => Written::Created(document.restored()),
            Self::Updated(document) => Written::Updated(document.restored()),
            Self::Deleted(document) => Written::Deleted(document.restored()),
        }
    }
}

impl StoredResult {
    fn of(result: &BatchResult) -> Self {
        match result {
            BatchResult::Written(written) => Self::Written(StoredWritten::of(written)),
            BatchResult::Read(document) => Self::Read(StoredDocument::of(document)),
            BatchResult::Checked(revision) => {
                Self::Checked(revision.as_ref().map(|revision| revision.as_str().to_owned()))
            }
        }
    }

    fn restored(self) -> BatchResult {
        match self {
            Self::Written(written) => BatchResult::Written(written.restored()),
            Self::Read(document) => BatchResult::Read(document.restored()),
            Self::Checked(revision) => BatchResult::Checked(revision.map(Revision::stored)),
        }
    }
}

impl StoredDocument {
    fn of(document: &Document) -> Self {
        Self {
            collection: document.collection.as_str().to_owned(),
            id: document.id.as_str().to_owned(),
            body: (*document.body).to_owned(),
            revision: document.revision.as_str().to_owned(),
            owner: document.owner.as_ref().map(|owner| owner.as_str().to_owned()),
            created_at: document.created_at.as_micros(),
            updated_at: document.updated_at.as_micros(),
        }
    }

    fn restored(self) -> Document {
        Document::new(
            CollectionName::trusted(self.collection),
            DocumentId::trusted(self.id),
            self.body,
            Revision::stored(self.revision),
            self.owner.map(UserId::trusted),
            (Timestamp::from_micros(self.created_at), Timestamp::from_micros(self.updated_at)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TenantId;

    #[test]
    fn a_key_is_short_and_visible() {
        for good in ["a", "8b1c4b3e-5d0e-4a57-9b8a-3c1f0c1f8a11", &"x".repeat(255), "\"quoted\"", "~!"] {
            assert!(IdempotencyKey::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\tb", "é", "\u{7f}", &"x".repeat(256)] {
            assert_eq!(IdempotencyKey::new(bad).unwrap_err().code(), "invalid-idempotency-key", "{bad}");
        }
    }

    #[test]
    fn nobody_has_no_keys() {
        let tenant = TenantId::default_tenant();
        assert_eq!(principal(&Caller::anonymous(tenant.clone())).unwrap_err().kind(), ErrorKind::Unauthenticated);
        assert_eq!(principal(&Caller::system(tenant)).unwrap(), "system");
    }

    #[test]
    fn an_outcome_comes_back_as_it_was_kept() {
        let document = Document::new(
            CollectionName::new("todos").unwrap(),
            DocumentId::new("a \"b\"").unwrap(),
            r#"{"n":1e300,"t":"\u001f\"é"}"#,
            Revision::stored("x-1"),
            Some(UserId::generate()),
            (Timestamp::from_micros(1), Timestamp::from_micros(2)),
        );
        let results = vec![
            BatchResult::Written(Written::Created(document.clone())),
            BatchResult::Written(Written::Updated(document.clone())),
            BatchResult::Written(Written::Deleted(document.clone())),
            BatchResult::Read(document.clone()),
            BatchResult::Checked(None),
            BatchResult::Checked(Some(Revision::stored("x-1"))),
        ];
        let affected = Affected::new(3, 2, Some("next".to_owned()));
        for outcome in [
            Outcome::Written(Written::Created(document)),
            Outcome::Batch(results),
            Outcome::Batch(Vec::new()),
            Outcome::Affected(affected),
        ] {
            let restored = Outcome::from_stored(&outcome.to_stored().unwrap()).unwrap();
            assert_eq!(format!("{restored:?}"), format!("{outcome:?}"));
        }
    }
}
