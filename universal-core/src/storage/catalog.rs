//! The port behind which the rows of objects are kept.
//!
//! The life of a version of bytes: its row is written *before* the first byte ([`Catalog::begin`]),
//! so that no byte can exist of which the catalog does not know; one transaction makes it the
//! object's version and the one before it garbage ([`Catalog::publish`]); garbage, and versions
//! whose upload never ended, are found by [`Catalog::stale`], deleted from the store and then
//! forgotten ([`Catalog::forget`]). Every step can be repeated, and a crash between two steps
//! leaves bytes that will be swept, never an object without bytes.

use std::fmt;

use async_trait::async_trait;

use crate::{
    caller::Caller,
    clock::Timestamp,
    error::Result,
    id::TenantId,
    storage::{
        bucket::BucketName, content_type::ContentType, key::ObjectKey, object::Object, signed_url::Grant, upload::Match,
    },
};

/// The name under which bytes lie in the store: a UUID of version 7, never anything a user wrote.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// A new name.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().simple().to_string())
    }

    /// For catalogs: a name that was stored.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object with what only the store needs to know.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The object.
    pub object: Object,
    /// Names this life of the key: kept when the object is replaced, new after delete and put.
    pub id: String,
    /// Where its bytes lie.
    pub version: Version,
}

impl AsRef<Object> for Entry {
    fn as_ref(&self) -> &Object {
        &self.object
    }
}

/// Bytes in the store that no object needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The tenant.
    pub tenant: TenantId,
    /// The name of the bytes.
    pub version: Version,
}

/// A complete version and what to make of it.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Who puts it.
    pub caller: Caller,
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The bytes.
    pub version: NewVersion,
    /// The precondition on what is there.
    pub if_match: Option<Match>,
    /// The precondition on what is not there.
    pub if_none_match: Option<Match>,
    /// The right to upload that is used up by this.
    pub token: Option<UploadToken>,
    /// The present moment.
    pub now: Timestamp,
}

/// Bytes that are complete and durable in the store.
#[derive(Clone, Debug)]
pub struct NewVersion {
    /// The name that [`Catalog::begin`] was told.
    pub name: Version,
    /// The size in bytes.
    pub size: u64,
    /// The media type.
    pub content_type: ContentType,
    /// SHA-256 of the bytes in hexadecimal.
    pub sha256: String,
}

/// A right to upload once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadToken {
    /// The name of the right.
    pub id: String,
    /// When it ends; from then on nobody needs to remember that it was used.
    pub expires_at: Timestamp,
}

impl UploadToken {
    /// The right of a grant.
    #[must_use]
    pub fn of(grant: &Grant) -> Self {
        Self { id: grant.nonce().to_owned(), expires_at: grant.expires_at() }
    }
}

/// What became of a publication.
#[derive(Clone, Debug)]
pub struct Published {
    /// The object as it is now.
    pub object: Object,
    /// Whether the key was new.
    pub created: bool,
}

/// An object to delete.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Who deletes it.
    pub caller: Caller,
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The precondition on what is there.
    pub if_match: Option<Match>,
    /// The present moment.
    pub now: Timestamp,
}

/// Which objects of a bucket to read, in the order of the bytes of their keys.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The bucket.
    pub bucket: &'a BucketName,
    /// Only what this user owns.
    pub owner: Option<&'a crate::id::UserId>,
    /// From this key on.
    pub from: &'a str,
    /// Whether an object at `from` itself is read.
    pub inclusive: bool,
    /// Up to this key, which is not read.
    pub until: Option<&'a str>,
    /// At most so many.
    pub limit: u32,
}

/// The rows of objects and of the bytes that no object needs.
#[async_trait]
pub trait Catalog: Send + Sync + fmt::Debug {
    /// The object at a key. Asks nothing about the reader: [`decide_read`](crate::storage::decide_read) does.
    ///
    /// # Errors
    /// `Unavailable`, `Internal`.
    async fn find(&self, tenant: &TenantId, bucket: &BucketName, key: &ObjectKey) -> Result<Option<Entry>>;

    /// Objects in the order of the bytes of their keys.
    ///
    /// # Errors
    /// `Unavailable`, `Internal`.
    async fn scan(&self, scan: Scan<'_>) -> Result<Vec<Object>>;

    /// Records that bytes are about to be written under a name. Durable when it returns.
    ///
    /// # Errors
    /// `Unavailable`, `Busy`, `Internal`.
    async fn begin(&self, tenant: &TenantId, version: &Version, now: Timestamp) -> Result<()>;

    /// Makes a version the object's own, in one transaction: the name is still known as begun, the
    /// right to upload was not used before, [`decide_put`](crate::storage::decide_put) agrees under
    /// the lock of the row; then the row is written and the version before it becomes garbage.
    ///
    /// # Errors
    /// What `decide_put` answers; `Timeout` (`upload-expired`) if the version was swept meanwhile;
    /// `Forbidden` (`presigned-used`); `Unavailable`, `Busy`, `OutcomeUnknown`, `Internal`.
    async fn publish(&self, publication: Publication) -> Result<Published>;

    /// Deletes an object and makes its version garbage, in one transaction, if
    /// [`decide_delete`](crate::storage::decide_delete) agrees under the lock of the row.
    ///
    /// # Errors
    /// What `decide_delete` answers; `Unavailable`, `Busy`, `OutcomeUnknown`, `Internal`.
    async fn remove(&self, removal: Removal) -> Result<()>;

    /// Up to `limit` names after `after` (in the order of tenant and name) that have been garbage,
    /// or begun and not published, since before `before`. Those that were begun are garbage from
    /// then on, so that a late publication fails. Of every tenant: this is housekeeping.
    ///
    /// # Errors
    /// `Unavailable`, `Busy`, `Internal`.
    async fn stale(&self, before: Timestamp, after: Option<&Blob>, limit: u32) -> Result<Vec<Blob>>;

    /// Forgets garbage whose bytes have been deleted.
    ///
    /// # Errors
    /// `Unavailable`, `Busy`, `Internal`.
    async fn forget(&self, blobs: Vec<Blob>) -> Result<()>;

    /// Forgets rights to upload that were used and ended before `before`.
    ///
    /// # Errors
    /// `Unavailable`, `Busy`, `Internal`.
    async fn forget_tokens(&self, before: Timestamp) -> Result<()>;
}
