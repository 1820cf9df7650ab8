//! The commit of a write: among others in SQLite's group, or alone where hooks of the host's run in it.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::{
    drivers::sql::{
        collections::{service::SqlCollections, write::WRITE_CONFLICT},
        transaction::NEEDS_TRANSACTION,
        write::Write,
    },
    error::Result,
};

/// How often a write with hooks is done again because somebody wrote the same document meanwhile.
const ATTEMPTS: u32 = 5;

impl SqlCollections {
    /// Runs `operation` in a transaction and answers after its commit; it may run more than once. `is_hooked` says that
    /// hooks are known to run in it; a write that meets one unforeseen is done again in a transaction of its own.
    pub(super) async fn commit<T, F>(&self, is_hooked: bool, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Write<'_>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    {
        let operation = Arc::new(operation);
        if !is_hooked {
            let shared = Arc::clone(&operation);
            match self.database.write(move |write| shared(write)).await {
                Err(error) if error.code() == NEEDS_TRANSACTION => {}
                outcome => return outcome,
            }
        }
        let mut attempt = 1;
        loop {
            let shared = Arc::clone(&operation);
            match self.database.write_alone_with_host(move |write| shared(write)).await {
                Err(error) if error.code() == WRITE_CONFLICT && attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }
}
