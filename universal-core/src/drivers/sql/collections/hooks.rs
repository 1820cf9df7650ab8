//! Hooks of the host's inside the transaction of a write.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use serde_json::{Map, Value};

use crate::{
    caller::Caller,
    collections::{
        configured::Configured,
        decide::{self, Decided},
        document::Document,
        hook::{BeforeCommit, PendingWrite},
    },
    drivers::sql::{connection::Database, write::Write},
    error::{Error, ErrorKind, Result},
    id::CollectionName,
};

/// How deep writes of hooks may cause hooks to write.
const DEEPEST: u32 = 8;

tokio::task_local! {
    /// How many hooks this task is inside of.
    static DEPTH: u32;
}

/// The hooks of a backend, and how long each may take.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    hooks: Arc<[Arc<dyn BeforeCommit>]>,
    limit: Duration,
}

impl Hooks {
    pub(crate) fn new(hooks: Vec<Arc<dyn BeforeCommit>>, limit: Duration) -> Self {
        Self { hooks: hooks.into(), limit }
    }

    /// Those of a collection, if there are any.
    pub(super) fn of(&self, database: &Database, collection: &CollectionName) -> Option<Arc<CollectionHooks>> {
        let hooks: Vec<_> = self.hooks.iter().filter(|hook| hook.concerns(collection)).cloned().collect();
        (!hooks.is_empty()).then(|| Arc::new(CollectionHooks { database: database.clone(), hooks, limit: self.limit }))
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("hooks", &self.hooks.len()).finish_non_exhaustive()
    }
}

/// The hooks of one collection, in the order in which they were given.
#[derive(Debug)]
pub(super) struct CollectionHooks {
    database: Database,
    hooks: Vec<Arc<dyn BeforeCommit>>,
    limit: Duration,
}

impl CollectionHooks {
    /// Runs them for a document that will be stored; answers it with what they changed.
    pub(super) async fn before_store<'a>(
        &self,
        write: &mut Write<'_>,
        (caller, configured): (&Caller, &Configured),
        before: Option<&Document>,
        decided: Decided<'a>,
    ) -> Result<Decided<'a>> {
        let members = decided.members.clone().into_owned();
        let pending = PendingWrite::new(caller.clone(), decided.document.clone(), before.cloned(), members);
        let pending = self.run(write, pending).await?;
        if let Some(before) = before {
            untouched(write, caller, before).await?;
        }
        match pending.into_changed()? {
            Some(members) => altered(configured, caller, decided, members),
            None => Ok(decided),
        }
    }

    /// Runs them for a document that will be deleted.
    pub(super) async fn before_delete(
        &self,
        write: &mut Write<'_>,
        caller: &Caller,
        document: &Document,
    ) -> Result<()> {
        self.run(write, PendingWrite::deletion(caller.clone(), document.clone())).await?;
        untouched(write, caller, document).await
    }

    async fn run(&self, write: &mut Write<'_>, mut pending: PendingWrite) -> Result<PendingWrite> {
        let depth = DEPTH.try_with(|depth| *depth).unwrap_or(0) + 1;
        if depth > DEEPEST {
            let message = "hooks write documents whose hooks write documents, and so on; a hook must come to an end";
            return Err(Error::new(ErrorKind::Internal, "hooks-too-deep", message));
        }
        for hook in &self.hooks {
            let mut lent = self.database.lend_write(write)?;
            let running = std::panic::AssertUnwindSafe(hook.before_commit(&mut lent.transaction, &mut pending));
            let running = DEPTH.scope(depth, self.database.inside(running.catch_unwind()));
            let outcome = match tokio::time::timeout(self.limit, running).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(Error::internal("a hook panicked; the write was rolled back")),
                Err(_) => Err(took_too_long(self.limit)),
            };
            lent.give_back();
            outcome?;
        }
        Ok(pending)
    }
}

/// Refuses a write whose hooks wrote its own document: it was decided on what is no longer there, and would take the same
/// revision twice.
async fn untouched(write: &mut Write<'_>, caller: &Caller, before: &Document) -> Result<()> {
    let current = write.lock_document(caller.tenant(), &before.collection, &before.id).await?;
    if current.is_some_and(|current| current.revision == before.revision) {
        return Ok(());
    }
    let message =
        "a hook wrote a document that this very write is about; it may change what will be stored, and write others";
    Err(Error::new(ErrorKind::Conflict, "hook-wrote-its-document", message))
}

/// What will be stored in place of what was decided. The hook is a part of the program: the schema alone binds it.
fn altered<'a>(
    configured: &Configured,
    caller: &Caller,
    mut decided: Decided<'a>,
    members: Map<String, Value>,
) -> Result<Decided<'a>> {
    decide::without_id(&members)?;
    configured.fits(&Caller::system(caller.tenant().clone()), &members, None)?;
    decided.document.body = crate::json::members_to_text(&members).into();
    decided.members = std::borrow::Cow::Owned(members);
    Ok(decided)
}

fn took_too_long(limit: Duration) -> Error {
    let message = format!("a hook took longer than {} s and the write was rolled back", limit.as_secs_f64());
    Error::new(ErrorKind::Timeout, "hook-timeout", message)
}
