//! The service of files: rows in a catalog, bytes in a store.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    caller::Caller,
    clock::SharedClock,
    drivers::blob::{
        download,
        store::BlobStore,
        upload::{self, Limits},
    },
    error::{Error, ErrorKind, Result},
    storage::{
        Blob, BucketName, ByteStream, Catalog, Content, Entry, GetOptions, Grant, ListObjects, Listing, Match,
        NewVersion, Object, ObjectKey, ObjectPage, PresignMethod, PresignRequest, Presigned, Publication, PutOptions,
        PutOutcome, Removal, Scan, Signer, Storage, UploadToken, Version, decide_delete, decide_put, decide_read,
        require_identity,
    },
};

/// The largest object unless somebody says otherwise.
const DEFAULT_MAX_BYTES: u64 = 50 * 1024 * 1024;
/// How long an upload may take unless somebody says otherwise. A sweep has to wait longer.
const DEFAULT_MAX_TIME: Duration = Duration::from_secs(30 * 60);
/// How often a read looks again when the version it found was swept before it was opened.
const LOOKS: u32 = 3;

/// [`Storage`] over a catalog of rows and a store of bytes.
#[derive(Debug)]
pub struct BlobStorage {
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) store: BlobStore,
    pub(super) clock: SharedClock,
    signer: Signer,
    max_bytes: u64,
    max_time: Duration,
}

impl BlobStorage {
    /// Files whose rows are in `catalog` and whose bytes are in `store`.
    #[must_use]
    pub fn new(catalog: Arc<dyn Catalog>, store: BlobStore, signer: Signer, clock: SharedClock) -> Self {
        Self { catalog, store, clock, signer, max_bytes: DEFAULT_MAX_BYTES, max_time: DEFAULT_MAX_TIME }
    }

    /// The largest object in bytes; 50 MiB if nothing is said.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long an upload may take; 30 minutes if nothing is said. Sweep only what is older.
    #[must_use]
    pub fn with_max_upload_time(mut self, time: Duration) -> Self {
        self.max_time = time;
        self
    }

    /// Uploads, then publishes: the whole life of a put.
    async fn store_object(
        &self,
        caller: Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        options: PutOptions,
        token: Option<UploadToken>,
        content: ByteStream,
    ) -> Result<PutOutcome> {
        let limits = Limits {
            bytes: options.max_bytes.map_or(self.max_bytes, |bytes| bytes.min(self.max_bytes)),
            announced: options.size,
            time: self.max_time,
        };
        limits.check()?;
        // Refused here, nothing is read; what decides is the same question under the row's lock.
        require_identity(&caller)?;
        let tenant = caller.tenant();
        let found = self.catalog.find(tenant, bucket, key).await?;
        let found = found.as_ref().map(|entry| &entry.object);
        decide_put(&caller, found, options.if_match.as_ref(), options.if_none_match.as_ref())?;

        let name = Version::generate();
        self.catalog.begin(tenant, &name, self.clock.now()).await?;
        self.store.prepare(tenant).await?;
        let path = BlobStore::path(tenant, &name);
        let uploaded = upload::upload(&self.store, &path, content, limits).await?;
        // From here on the bytes are the sweep's to remove: after an unknown outcome they may be in use.
        let publication = Publication {
            bucket: bucket.clone(),
            key: key.clone(),
            version: NewVersion {
                name,
                size: uploaded.size,
                content_type: options.content_type.unwrap_or_default(),
                sha256: uploaded.sha256,
            },
            if_match: options.if_match,
            if_none_match: options.if_none_match,
            token,
            now: self.clock.now(),
            caller,
        };
        let blob = Blob { tenant: publication.caller.tenant().clone(), version: publication.version.name.clone() };
        match self.catalog.publish(publication).await {
            Ok(published) => Ok(PutOutcome::new(published.object, published.created)),
            Err(error) => {
                // The one failure after which the sweep no longer knows these bytes.
                if error.code() == "upload-expired"
                    && let Err(error) = self.store.discard(&blob).await
                {
                    tracing::warn!(?error, version = ?blob.version, "the bytes of a late upload stay behind");
                }
                Err(error)
            }
        }
    }

    async fn read(&self, caller: &Caller, bucket: &BucketName, key: &ObjectKey) -> Result<Entry> {
        require_identity(caller)?;
        decide_read(caller, self.catalog.find(caller.tenant(), bucket, key).await?)
    }

    /// The object that a link for reading was made for.
    async fn read_granted(&self, grant: &Grant) -> Result<Entry> {
        grant.require(PresignMethod::Get)?;
        let caller = grant.caller();
        let found = self.catalog.find(caller.tenant(), grant.bucket(), grant.key()).await?;
        let found = found.filter(|entry| grant.object_id() == Some(entry.id.as_str()));
        decide_read(&caller, found).map_err(|_| {
            Error::new(
                ErrorKind::Forbidden,
                "presigned-gone",
                "the object that this link was made for is not there any more",
            )
        })
    }

    /// The bytes of an entry; nothing if they were swept since it was read.
    async fn open(&self, caller: &Caller, entry: Entry, options: &GetOptions) -> Result<Option<Content>> {
        let Entry { object, version, .. } = entry;
        let counts = options.if_range.as_ref().is_none_or(|revision| *revision == object.revision);
        let range = match options.range {
            Some(range) if counts => {
                Some(range.of(object.size).ok_or_else(crate::storage::ByteRange::not_satisfiable)?)
            }
            _ => None,
        };
        let path = BlobStore::path(caller.tenant(), &version);
        let stream = download::open(&self.store, &path, object.size, range.clone()).await?;
        Ok(stream.map(|stream| Content::new(object, range, stream)))
    }
}

fn without_bytes() -> Error {
    Error::internal("an object has a row and no bytes")
}

#[async_trait]
impl Storage for BlobStorage {
    #[tracing::instrument(name = "storage.put", skip_all, fields(tenant.id = %caller.tenant(), bucket = %bucket))]
    async fn put(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        options: PutOptions,
        content: ByteStream,
    ) -> Result<PutOutcome> {
        self.store_object(caller.clone(), bucket, key, options, None, content).await
    }

    #[tracing::instrument(name = "storage.get", skip_all, fields(tenant.id = %caller.tenant(), bucket = %bucket))]
    async fn get(&self, caller: &Caller, bucket: &BucketName, key: &ObjectKey, options: GetOptions) -> Result<Content> {
        for _ in 0..LOOKS {
            let entry = self.read(caller, bucket, key).await?;
            if let Some(content) = self.open(caller, entry, &options).await? {
                return Ok(content);
            }
        }
        Err(without_bytes())
    }

    #[tracing::instrument(name = "storage.head", skip_all, fields(tenant.id = %caller.tenant(), bucket = %bucket))]
    async fn head(&self, caller: &Caller, bucket: &BucketName, key: &ObjectKey) -> Result<Object> {
        Ok(self.read(caller, bucket, key).await?.object)
    }

    #[tracing::instrument(name = "storage.delete", skip_all, fields(tenant.id = %caller.tenant(), bucket = %bucket))]
    async fn delete(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        if_match: Option<Match>,
    ) -> Result<()> {
        let found = self.read(caller, bucket, key).await?;
        decide_delete(caller, Some(found), if_match.as_ref())?;
        let (bucket, key) = (bucket.clone(), key.clone());
        self.catalog.remove(Removal { caller: caller.clone(), bucket, key, if_match, now: self.clock.now() }).await
    }

    #[tracing::instrument(name = "storage.list", skip_all, fields(tenant.id = %caller.tenant(), bucket = %bucket))]
    async fn list(&self, caller: &Caller, bucket: &BucketName, list: ListObjects) -> Result<ObjectPage> {
        require_identity(caller)?;
        let owner = if caller.bypasses_rules() { None } else { caller.user_id() };
        let mut listing = Listing::new(&self.signer, caller, bucket, &list)?;
        while let Some((from, inclusive, until, limit)) = listing.next() {
            let scan = Scan { tenant: caller.tenant(), bucket, owner, from: &from, inclusive, until, limit };
            let rows = self.catalog.scan(scan).await?;
            listing.take(rows, limit);
        }
        listing.finish(&self.signer, caller, bucket)
    }

    #[tracing::instrument(name = "storage.presign", skip_all, fields(tenant.id = %caller.tenant(), bucket = %request.bucket))]
    async fn presign(&self, caller: &Caller, request: PresignRequest) -> Result<Presigned> {
        require_identity(caller)?;
        request.check()?;
        let object_id = match request.method {
            PresignMethod::Get => Some(self.read(caller, &request.bucket, &request.key).await?.id),
            PresignMethod::Put => {
                let found = self.catalog.find(caller.tenant(), &request.bucket, &request.key).await?;
                decide_put(caller, found.as_ref().map(|entry| &entry.object), None, None)?;
                None
            }
        };
        self.signer.sign(caller, &request, object_id, self.clock.now())
    }

    fn open_presigned(&self, token: &str) -> Result<Grant> {
        self.signer.open(token, self.clock.now())
    }

    async fn head_presigned(&self, grant: &Grant) -> Result<Object> {
        Ok(self.read_granted(grant).await?.object)
    }

    #[tracing::instrument(name = "storage.get_presigned", skip_all, fields(bucket = %grant.bucket()))]
    async fn get_presigned(&self, grant: &Grant, options: GetOptions) -> Result<Content> {
        let caller = grant.caller();
        for _ in 0..LOOKS {
            let entry = self.read_granted(grant).await?;
            if let Some(content) = self.open(&caller, entry, &options).await? {
                return Ok(content);
            }
        }
        Err(without_bytes())
    }

    #[tracing::instrument(name = "storage.put_presigned", skip_all, fields(bucket = %grant.bucket()))]
    async fn put_presigned(&self, grant: &Grant, mut options: PutOptions, content: ByteStream) -> Result<PutOutcome> {
        grant.require(PresignMethod::Put)?;
        if let Some(wanted) = grant.content_type() {
            if options.content_type.as_ref().is_some_and(|given| given != wanted) {
                return Err(Error::new(
                    ErrorKind::Forbidden,
                    "presigned-type",
                    format!("this link is for an upload of the type {wanted}"),
                ));
            }
            options.content_type = Some(wanted.clone());
        }
        if let Some(bytes) = grant.max_bytes() {
            options.max_bytes = Some(options.max_bytes.map_or(bytes, |other| other.min(bytes)));
        }
        let token = UploadToken::of(grant);
        self.store_object(grant.caller(), grant.bucket(), grant.key(), options, Some(token), content).await
    }
}
