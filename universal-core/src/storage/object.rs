//! An object: what is known about a file besides its bytes.

use serde::Serialize;

use crate::{
    clock::Timestamp,
    id::UserId,
    storage::{bucket::BucketName, content_type::ContentType, key::ObjectKey},
};

/// What is known about a file besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Object {
    /// The bucket.
    pub bucket: BucketName,
    /// The key in the bucket.
    pub key: ObjectKey,
    /// The size in bytes.
    pub size: u64,
    /// The media type that was declared when it was put.
    pub content_type: ContentType,
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// An opaque text that names these very bytes and never repeats, not even after delete and put.
    /// HTTP shows it as the `ETag`.
    pub revision: String,
    /// The user who put it first. An object that the program itself put has none.
    pub owner: Option<UserId>,
    /// When the key was first put.
    pub created_at: Timestamp,
    /// When these bytes were put.
    pub updated_at: Timestamp,
}

impl Object {
    /// For catalogs and tests: an object of `size` bytes, with the type `application/octet-stream`,
    /// without an owner, and everything else empty.
    #[must_use]
    pub fn new(bucket: BucketName, key: ObjectKey, size: u64) -> Self {
        Self {
            bucket,
            key,
            size,
            content_type: ContentType::octet_stream(),
            sha256: String::new(),
            revision: String::new(),
            owner: None,
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
        }
    }
}
