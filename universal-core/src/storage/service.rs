//! The contract of files.

use async_trait::async_trait;

use crate::{
    caller::Caller,
    error::Result,
    storage::{
        bucket::BucketName,
        content::{ByteStream, Content, GetOptions},
        key::ObjectKey,
        listing::{ListObjects, ObjectPage},
        object::Object,
        signed_url::{Grant, PresignRequest, Presigned},
        upload::{Match, PutOptions, PutOutcome},
    },
};

/// Files in buckets.
///
/// Every method acts in the tenant of its caller. The anonymous get `Unauthenticated`; an object
/// that belongs to somebody else is answered like one that does not exist (`NotFound`,
/// `object-not-found`). Besides what is named, every method can fail with `Unavailable`, `Busy` or
/// `Internal`. Every future may be dropped at any point: an upload then has no effect, or all of it.
#[async_trait]
pub trait Storage: Send + Sync + std::fmt::Debug {
    /// Stores bytes under a key, new or in place of what the caller has there.
    ///
    /// The bytes are read as fast as the store takes them. When this returns, bytes and row are
    /// durable; until then, and if it fails, every reader sees what was there before. Of several
    /// uploads to one key the one that ends last stays.
    ///
    /// # Errors
    /// `TooLarge` (`object-too-large`) as soon as the limit is passed; `Invalid` (`size-mismatch`)
    /// if another size was announced; `PreconditionFailed` (`stale-revision`, `object-exists`);
    /// `Timeout` (`upload-timeout`, `upload-expired`); whatever error the stream gives;
    /// `OutcomeUnknown` if the connection to the database was lost while publishing.
    async fn put(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        options: PutOptions,
        content: ByteStream,
    ) -> Result<PutOutcome>;

    /// The object and its bytes, or a range of them. The bytes are those of one version, whatever is
    /// put meanwhile.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` (`range-not-satisfiable`).
    async fn get(&self, caller: &Caller, bucket: &BucketName, key: &ObjectKey, options: GetOptions) -> Result<Content>;

    /// The object without its bytes.
    ///
    /// # Errors
    /// `NotFound`.
    async fn head(&self, caller: &Caller, bucket: &BucketName, key: &ObjectKey) -> Result<Object>;

    /// Deletes the object. Its bytes go with a later sweep.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed` (`stale-revision`) if `if_match` does not hold;
    /// `OutcomeUnknown`.
    async fn delete(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        if_match: Option<Match>,
    ) -> Result<()>;

    /// The caller's objects in a bucket (all, for administrators), in the order of the bytes of
    /// their keys. A bucket without any is empty, not unknown.
    ///
    /// # Errors
    /// `Invalid`: `invalid-prefix`, `invalid-delimiter`, `invalid-cursor`.
    async fn list(&self, caller: &Caller, bucket: &BucketName, list: ListObjects) -> Result<ObjectPage>;

    /// A token with which somebody without credentials reads this object, or puts it once.
    ///
    /// # Errors
    /// `Invalid` (`invalid-expiry`, `invalid-presign`); `NotFound` if the caller may not do it
    /// either, or if there is nothing to read.
    async fn presign(&self, caller: &Caller, request: PresignRequest) -> Result<Presigned>;

    /// The right that a token carries. Nothing is used up by looking at it.
    ///
    /// # Errors
    /// `Forbidden` (`presigned-invalid`, `presigned-expired`).
    fn open_presigned(&self, token: &str) -> Result<Grant>;

    /// The object that a token allows to read, without its bytes.
    ///
    /// # Errors
    /// `Forbidden`: `presigned-invalid` if the token allows an upload, `presigned-gone` if the
    /// object it was made for is there no more.
    async fn head_presigned(&self, grant: &Grant) -> Result<Object>;

    /// Reads what a token allows to read.
    ///
    /// # Errors
    /// As [`Storage::head_presigned`]; `Invalid` (`range-not-satisfiable`).
    async fn get_presigned(&self, grant: &Grant, options: GetOptions) -> Result<Content>;

    /// Puts what a token allows to put. The token is used up by the transaction that publishes the
    /// object: an upload that fails may be tried again, one that succeeded may not.
    ///
    /// # Errors
    /// As [`Storage::put`]; `Forbidden`: `presigned-invalid` if the token allows reading,
    /// `presigned-type` if it asks for another media type, `presigned-used`.
    async fn put_presigned(&self, grant: &Grant, options: PutOptions, content: ByteStream) -> Result<PutOutcome>;
}
