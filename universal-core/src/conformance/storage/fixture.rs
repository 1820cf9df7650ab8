//! What a case works with, and small words for what it does.

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{ObjectStore, path::Path};
use sha2::{Digest as _, Sha256};

use crate::{
    caller::Caller,
    clock::ManualClock,
    error::{Error, Result},
    id::{TenantId, UserId, hex},
    storage::{BucketName, ByteStream, Content, GetOptions, ObjectKey, PutOptions, PutOutcome, Storage, Sweep},
};

/// A storage under test with the parts behind it.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The service.
    pub storage: Arc<dyn Storage>,
    /// The same storage's sweep.
    pub sweep: Arc<dyn Sweep>,
    /// The store of its bytes, with a tenant's bytes under the tenant's name.
    pub store: Arc<dyn ObjectStore>,
    /// The clock that storage and sweep read.
    pub clock: Arc<ManualClock>,
}

impl Fixture {
    pub(super) fn ann(&self) -> Caller {
        user("ann")
    }

    pub(super) fn bob(&self) -> Caller {
        user("bob")
    }

    pub(super) async fn put(&self, caller: &Caller, key: &str, content: &[u8]) -> Result<PutOutcome> {
        self.put_with(caller, key, PutOptions::default(), one(content)).await
    }

    pub(super) async fn put_with(
        &self,
        caller: &Caller,
        key: &str,
        options: PutOptions,
        content: ByteStream,
    ) -> Result<PutOutcome> {
        self.storage.put(caller, &bucket(), &self::key(key), options, content).await
    }

    pub(super) async fn open(&self, caller: &Caller, key: &str, options: GetOptions) -> Result<Content> {
        self.storage.get(caller, &bucket(), &self::key(key), options).await
    }

    pub(super) async fn read(&self, caller: &Caller, key: &str) -> Result<Vec<u8>> {
        drain(self.open(caller, key, GetOptions::default()).await?).await
    }

    /// Sweeps everything that can be swept.
    pub(super) async fn sweep_all(&self) -> Result<()> {
        self.clock.advance(std::time::Duration::from_secs(7200));
        self.sweep.sweep(std::time::Duration::from_secs(3600)).await.map(|_| ())
    }

    /// How many versions the store holds for the tenant of the cases.
    pub(super) async fn blobs(&self) -> Result<usize, String> {
        let prefix = Path::from(TenantId::default_tenant().as_str());
        let found: Vec<_> = self.store.list(Some(&prefix)).try_collect().await.map_err(|error| error.to_string())?;
        Ok(found.len())
    }
}

pub(super) fn user(id: &str) -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::trusted(id))
}

pub(super) fn bucket() -> BucketName {
    name("files")
}

pub(super) fn name(text: &str) -> BucketName {
    BucketName::new(text).unwrap_or_else(|_| bucket())
}

/// A key of a case's own text, which is always one.
pub(super) fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).or_else(|_| ObjectKey::new("bad")).unwrap_or_else(|_| unreachable!("'bad' is a key"))
}

pub(super) fn one(content: &[u8]) -> ByteStream {
    chunks(content, content.len().max(1))
}

/// A stream of pieces of this size.
pub(super) fn chunks(content: &[u8], size: usize) -> ByteStream {
    let pieces: Vec<Result<Bytes>> = content.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

/// A stream that gives this and then never ends.
pub(super) fn stalled(content: &[u8]) -> ByteStream {
    chunks(content, content.len().max(1)).chain(stream::pending()).boxed()
}

/// A stream that gives this and then breaks.
pub(super) fn broken(content: &[u8]) -> ByteStream {
    let end = stream::iter([Err(Error::invalid("test-broken", "the client went away"))]);
    chunks(content, content.len().max(1)).chain(end).boxed()
}

pub(super) async fn drain(content: Content) -> Result<Vec<u8>> {
    let chunks: Vec<Bytes> = content.stream.try_collect().await?;
    Ok(chunks.concat())
}

/// Bytes that are different at every place of a part.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at.wrapping_mul(31) ^ (at >> 8) ^ (at >> 16)) & 0xff).unwrap_or(0)).collect()
}

pub(super) fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

pub(super) fn same<T: PartialEq + Debug>(what: &str, got: T, wanted: T) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what}: got {got:?}, wanted {wanted:?}")) }
}

pub(super) fn check(what: &str, holds: bool) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// The answer, or the words for a failure that should not be.
pub(super) fn fine<T>(what: &str, result: Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error:?}"))
}

pub(super) fn refused<T: Debug>(what: &str, result: Result<T>, code: &str) -> Result<(), String> {
    match result {
        Err(error) if error.code() == code => Ok(()),
        other => Err(format!("{what}: got {other:?}, wanted {code}")),
    }
}
