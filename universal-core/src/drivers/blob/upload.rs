//! From a stream to bytes in the store: bounded memory, the hash on the way, nothing left on failure.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload, path::Path};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::{
    drivers::blob::store::{BlobStore, from_store},
    error::{Error, ErrorKind, Result},
    id::hex,
    storage::ByteStream,
};

/// What an upload has to keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// At most so many bytes.
    pub(super) bytes: u64,
    /// Exactly so many bytes, if the caller announced it.
    pub(super) announced: Option<u64>,
    /// At most so long.
    pub(super) time: Duration,
}

impl Limits {
    /// Refuses what can be refused before the first byte.
    pub(super) fn check(&self) -> Result<()> {
        if self.announced.is_some_and(|size| size > self.bytes) { Err(self.too_large()) } else { Ok(()) }
    }

    fn too_large(&self) -> Error {
        let message = format!("the object is larger than the limit of {} bytes; nothing was stored", self.bytes);
        Error::new(ErrorKind::TooLarge, "object-too-large", message)
    }
}

/// What was uploaded.
#[derive(Debug)]
pub(super) struct Uploaded {
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// Writes the stream to `path`, which nobody has used before. Durable when it returns. If it fails
/// or is dropped, what was written is taken back as far as the store can; the sweep does the rest.
pub(super) async fn upload(store: &BlobStore, path: &Path, content: ByteStream, limits: Limits) -> Result<Uploaded> {
    limits.check()?;
    let mut draft = Draft { store, path, multipart: None, size: 0, hash: Sha256::new() };
    let deadline = Instant::now() + limits.time;
    let outcome = match tokio::time::timeout_at(deadline, draft.fill(content, limits)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::new(
            ErrorKind::Timeout,
            "upload-timeout",
            format!("the upload took longer than {} seconds; nothing was stored", limits.time.as_secs()),
        )),
    };
    match outcome {
        Ok(()) => Ok(Uploaded { size: draft.size, sha256: hex(&draft.hash.finalize()) }),
        Err(error) => {
            draft.abort().await;
            Err(error)
        }
    }
}

struct Draft<'a> {
    store: &'a BlobStore,
    path: &'a Path,
    /// Once there is more than one part.
    multipart: Option<Box<dyn MultipartUpload>>,
    size: u64,
    hash: Sha256,
}

impl Draft<'_> {
    async fn fill(&mut self, mut content: ByteStream, limits: Limits) -> Result<()> {
        let part_bytes = self.store.part_bytes();
        let mut part = BytesMut::new();
        while let Some(chunk) = content.next().await {
            let mut chunk = chunk?;
            self.size = self.size.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            if self.size > limits.bytes {
                return Err(limits.too_large());
            }
            while !chunk.is_empty() {
                let room = part_bytes.saturating_sub(part.len()).min(chunk.len());
                part.extend_from_slice(&chunk.split_to(room));
                if part.len() >= part_bytes {
                    self.write_part(part.split().freeze()).await?;
                }
            }
        }
        if limits.announced.is_some_and(|announced| announced != self.size) {
            return Err(Error::invalid(
                "size-mismatch",
                "the content has another size than was announced; nothing was stored",
            ));
        }
        self.complete(part.freeze()).await
    }

    async fn write_part(&mut self, part: Bytes) -> Result<()> {
        self.hash.update(&part);
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            None => self.multipart.insert(self.store.inner().put_multipart(self.path).await.map_err(from_store)?),
        };
        multipart.put_part(PutPayload::from(part)).await.map_err(from_store)
    }

    async fn complete(&mut self, last: Bytes) -> Result<()> {
        if self.multipart.is_none() {
            self.hash.update(&last);
            let put = self.store.inner().put(self.path, PutPayload::from(last)).await;
            return put.map(|_| ()).map_err(from_store);
        }
        if !last.is_empty() {
            self.write_part(last).await?;
        }
        match &mut self.multipart {
            Some(multipart) => multipart.complete().await.map(|_| ()).map_err(from_store),
            None => Ok(()),
        }
    }

    async fn abort(&mut self) {
        if let Some(mut multipart) = self.multipart.take()
            && let Err(error) = multipart.abort().await
        {
            tracing::debug!(%error, "an upload could not be taken back; the sweep will");
        }
    }
}
