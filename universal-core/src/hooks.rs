//! Hooks of a host's: what its closures become.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::{
    backend::{Backend, Parts},
    collections::hook::{BeforeCommit, CollectionMatch, PendingWrite},
    error::{Error, ErrorKind, Result},
    id::CollectionName,
    realtime::{
        change::Change,
        consumer::{Committed, Consumer},
    },
    transaction::Transaction,
};

/// Code before a commit.
type Before = dyn for<'a> Fn(&'a Backend, &'a mut Transaction<'_>, &'a mut PendingWrite) -> BoxFuture<'a, Result<()>>
    + Send
    + Sync;
/// Code after a commit.
type After = dyn for<'a> Fn(&'a Backend, &'a Committed) -> BoxFuture<'a, Result<()>> + Send + Sync;

/// The longest name of a consumer.
const LONGEST_NAME: usize = 64;

/// The hooks that a host has given.
#[derive(Debug)]
pub(crate) struct HostHooks {
    pub(crate) before: Vec<BeforeHook>,
    pub(crate) after: Vec<AfterHook>,
    /// How long one call before a commit may take.
    pub(crate) limit: Duration,
}

impl Default for HostHooks {
    fn default() -> Self {
        Self { before: Vec::new(), after: Vec::new(), limit: Duration::from_secs(2) }
    }
}

impl HostHooks {
    pub(crate) fn before_ports(&self, lender: &Lender) -> Vec<Arc<dyn BeforeCommit>> {
        let port = |hook: &BeforeHook| Arc::new(Called { hook: hook.clone(), lender: lender.clone() }) as _;
        self.before.iter().map(port).collect()
    }

    /// The hooks after commits, by names that can be kept.
    ///
    /// # Errors
    /// `Invalid` `invalid-settings` for a name that cannot be one or stands twice.
    pub(crate) fn after_ports(&self, lender: &Lender) -> Result<Vec<Arc<dyn Consumer>>> {
        let mut ports: Vec<Arc<dyn Consumer>> = Vec::with_capacity(self.after.len());
        for hook in &self.after {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
            let is_name = (1..=LONGEST_NAME).contains(&hook.name.len()) && hook.name.chars().all(fits);
            if !is_name || ports.iter().any(|port| port.name() == hook.name) {
                let message = "a hook after commits has a name of its own: 1 to 64 characters of a-z, 0-9, - and _";
                return Err(Error::invalid("invalid-settings", message).with_field("after_commit"));
            }
            ports.push(Arc::new(Called { hook: hook.clone(), lender: lender.clone() }));
        }
        Ok(ports)
    }
}

/// A closure that runs before commits.
#[derive(Clone)]
pub(crate) struct BeforeHook {
    collections: CollectionMatch,
    run: Arc<Before>,
}

impl BeforeHook {
    pub(crate) fn new(collections: CollectionMatch, run: Arc<Before>) -> Self {
        Self { collections, run }
    }
}

impl fmt::Debug for BeforeHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforeHook").field("collections", &self.collections).finish_non_exhaustive()
    }
}

/// A closure that runs after commits.
#[derive(Clone)]
pub(crate) struct AfterHook {
    collections: CollectionMatch,
    name: String,
    run: Arc<After>,
}

impl AfterHook {
    pub(crate) fn new(collections: CollectionMatch, name: String, run: Arc<After>) -> Self {
        Self { collections, name, run }
    }
}

impl fmt::Debug for AfterHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterHook").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Lends hooks the backend that they belong to, which is complete only after they were given to its parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lender(Arc<OnceLock<Weak<Parts>>>);

impl Lender {
    /// From here on, `backend` is what hooks are called with, as long as somebody else holds it.
    pub(crate) fn lend(&self, backend: &Backend) {
        // It is called once, by the builder.
        let _ = self.0.set(Arc::downgrade(&backend.parts));
    }

    fn backend(&self) -> Result<Backend> {
        let parts = self.0.get().and_then(Weak::upgrade);
        let gone = || Error::new(ErrorKind::Unavailable, "shutting-down", "the backend is shutting down");
        Ok(Backend { parts: parts.ok_or_else(gone)? })
    }
}

/// A hook with the backend that it is called with.
#[derive(Debug)]
struct Called<H> {
    hook: H,
    lender: Lender,
}

#[async_trait]
impl BeforeCommit for Called<BeforeHook> {
    fn concerns(&self, collection: &CollectionName) -> bool {
        self.hook.collections.matches(collection)
    }

    async fn before_commit(&self, transaction: &mut Transaction<'_>, write: &mut PendingWrite) -> Result<()> {
        (self.hook.run)(&self.lender.backend()?, transaction, write).await
    }
}

#[async_trait]
impl Consumer for Called<AfterHook> {
    fn name(&self) -> &str {
        &self.hook.name
    }

    fn wants(&self, change: &Change) -> bool {
        self.hook.collections.matches(&change.collection)
    }

    async fn consume(&self, committed: &Committed) -> Result<()> {
        (self.hook.run)(&self.lender.backend()?, committed).await
    }
}
