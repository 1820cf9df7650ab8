//! Where bytes lie, under names of our own.

#[cfg(feature = "fs")]
use std::{collections::HashSet, path::PathBuf, sync::Mutex};
use std::{fmt, sync::Arc};

use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};

use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    storage::{Blob, Version},
};

/// Parts of an upload to a disk or to memory: small, because each upload holds one.
const SMALL_PART: usize = 1024 * 1024;
/// Parts of an upload to a service: S3 refuses smaller ones but for the last.
const LARGE_PART: usize = 5 * 1024 * 1024;

/// A place for bytes. Cheap to clone.
///
/// The name of a version in it is `<tenant>/<uuid>`; nothing that a user wrote becomes part of a
/// path. A returned upload is durable: on a disk the file and its folder were synced.
#[derive(Clone)]
pub struct BlobStore {
    inner: Arc<dyn ObjectStore>,
    part_bytes: usize,
    #[cfg(feature = "fs")]
    disk: Option<Arc<Disk>>,
}

#[cfg(feature = "fs")]
struct Disk {
    root: PathBuf,
    /// Folders of tenants that are there for good: made, and synced with the root.
    durable: Mutex<HashSet<TenantId>>,
}

impl BlobStore {
    /// Memory: everything is gone with the process.
    #[must_use]
    pub fn memory() -> Self {
        Self { part_bytes: SMALL_PART, ..Self::lent(Arc::new(InMemory::new())) }
    }

    /// A store that the host made. It has to be durable when it answers a write, as S3 is, and no
    /// one else may write to it. Uploads that a crash cut short may leave parts in it that only the
    /// store itself can remove: give it a rule that ends incomplete multipart uploads after a day.
    #[must_use]
    pub fn lent(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            inner: store,
            part_bytes: LARGE_PART,
            #[cfg(feature = "fs")]
            disk: None,
        }
    }

    /// A folder on a local disk, made if it is not there. One backend per folder.
    ///
    /// # Errors
    /// `Unavailable` (`store-unavailable`) if the folder cannot be made or opened.
    #[cfg(feature = "fs")]
    pub async fn local(root: impl Into<PathBuf>) -> Result<Self> {
        let root: PathBuf = root.into();
        let opened = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&root).and_then(|()| std::fs::canonicalize(&root)).map_err(unavailable)
        });
        let root = opened.await.map_err(Error::internal)??;
        let store = object_store::local::LocalFileSystem::new_with_prefix(&root).map_err(from_store)?.with_fsync(true);
        let disk = Disk { root, durable: Mutex::new(HashSet::new()) };
        Ok(Self { inner: Arc::new(store), part_bytes: SMALL_PART, disk: Some(Arc::new(disk)) })
    }

    /// The store itself, for looking into it. Whoever writes to it or deletes from it breaks objects.
    #[must_use]
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner)
    }

    pub(super) fn inner(&self) -> &dyn ObjectStore {
        self.inner.as_ref()
    }

    /// How many bytes an upload gathers before it writes them.
    pub(super) fn part_bytes(&self) -> usize {
        self.part_bytes
    }

    pub(super) fn path(tenant: &TenantId, version: &Version) -> Path {
        Path::from_iter([tenant.as_str(), version.as_str()])
    }

    /// Makes the place for a tenant's bytes. On a disk the tenant's folder has to be durable before
    /// a file in it can be: the file's own sync reaches no further than its folder.
    pub(super) async fn prepare(&self, tenant: &TenantId) -> Result<()> {
        #[cfg(feature = "fs")]
        if let Some(disk) = &self.disk {
            let is_durable = |disk: &Disk| disk.durable.lock().map(|known| known.contains(tenant)).unwrap_or(false);
            if !is_durable(disk) {
                let (root, name) = (disk.root.clone(), tenant.clone());
                let made = tokio::task::spawn_blocking(move || make_folder(&root, &name));
                made.await.map_err(Error::internal)?.map_err(unavailable)?;
                if let Ok(mut known) = disk.durable.lock() {
                    known.insert(tenant.clone());
                }
            }
        }
        #[cfg(not(feature = "fs"))]
        let _ = tenant;
        Ok(())
    }

    /// Deletes the bytes of a version and whatever an upload of it left behind.
    pub(super) async fn discard(&self, blob: &Blob) -> Result<()> {
        let path = Self::path(&blob.tenant, &blob.version);
        match self.inner.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(from_store(error)),
        }
        #[cfg(feature = "fs")]
        if let Some(disk) = &self.disk {
            let file = disk.root.join(blob.tenant.as_str()).join(blob.version.as_str());
            let removed = tokio::task::spawn_blocking(move || remove_drafts(&file));
            removed.await.map_err(Error::internal)?.map_err(unavailable)?;
        }
        Ok(())
    }
}

impl fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStore").field("store", &format_args!("{}", self.inner)).finish_non_exhaustive()
    }
}

#[cfg(feature = "fs")]
fn make_folder(root: &std::path::Path, tenant: &TenantId) -> std::io::Result<()> {
    let folder = root.join(tenant.as_str());
    match std::fs::create_dir(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // A link that somebody planted would lead the files of this tenant elsewhere.
    if !std::fs::symlink_metadata(&folder)?.is_dir() {
        return Err(std::io::ErrorKind::NotADirectory.into());
    }
    // Folders can be opened and synced on Unix only; elsewhere the file system decides.
    #[cfg(unix)]
    {
        std::fs::File::open(root)?.sync_all()?;
        if let Some(parent) = root.parent() {
            std::fs::File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

/// `object_store` writes to `<name>#<n>` before it renames. A killed process leaves that file, and
/// the store neither lists nor deletes it.
#[cfg(feature = "fs")]
fn remove_drafts(file: &std::path::Path) -> std::io::Result<()> {
    for number in 1_u32.. {
        let mut draft = file.as_os_str().to_owned();
        draft.push(format!("#{number}"));
        match std::fs::remove_file(&draft) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(feature = "fs")]
fn unavailable(error: std::io::Error) -> Error {
    from_store(object_store::Error::Generic { store: "disk", source: Box::new(error) })
}

/// The one door through which a store's error becomes ours. That bytes are missing is for the caller
/// to tell apart, before this.
pub(super) fn from_store(error: object_store::Error) -> Error {
    let (code, message) = if is_full(&error) {
        ("store-full", "the object store is full; nothing was stored")
    } else {
        ("store-unavailable", "the object store does not answer as it should; nothing was done, try again")
    };
    Error::new(ErrorKind::Unavailable, code, message).with_source(error)
}

fn is_full(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if let Some(io) = one.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge
            );
        }
        cause = one.source();
    }
    false
}
