//! What the deletion of a document does to those that refer to it.

use std::{collections::HashSet, sync::Arc};

use crate::{
    collections::{
        configured::{Configured, closed},
        document::Document,
        reference,
        settings::OnDelete,
        state::CollectionState,
    },
    drivers::sql::{
        collections::{hooks::CollectionHooks, inbound::Referrer, references::members, rows, write::Author},
        dialect::Dialect,
        statement::{Row, column},
        write::Write,
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId, TenantId},
};

/// How many documents a deletion takes with it at most.
const MOST: usize = 1000;
/// How many bytes of documents.
const BYTES: usize = 32 * 1024 * 1024;
/// Over how many references it goes.
const DEPTH: usize = 8;

/// A document that is deleted because it refers to one that is.
#[derive(Debug)]
pub(super) struct Doomed {
    pub(super) document: Document,
    /// The settings of its collection.
    pub(super) configured: Arc<Configured>,
    /// What the host does with each write of it.
    pub(super) hooks: Option<Arc<CollectionHooks>>,
}

/// The documents that go with `root`, which is locked: those that refer to it with `cascade`, those that refer to these,
/// and so on, the farthest first; they are locked. References of documents in the collection `spared` have no
/// consequence. The rules of their collections are not asked: that they go is a setting of the administrators.
///
/// # Errors
/// `Conflict` `document-is-referenced` if a document that stays refers with `refuse`; `cascade-too-large`;
/// `collection-closed`; `Busy` `references-building`.
pub(super) async fn referring(
    write: &mut Write<'_>,
    author: Author<'_>,
    root: &Document,
    spared: Option<&CollectionName>,
) -> Result<Vec<Doomed>> {
    let inbound = &author.known.inbound;
    if inbound.of(&root.collection).is_empty() {
        return Ok(Vec::new());
    }
    let mut search = Search { found: Vec::new(), bytes: 0, refusals: Vec::new(), seen: HashSet::new() };
    let mut level = vec![(root.collection.clone(), root.id.clone())];
    search.seen.extend(level.iter().cloned());
    for depth in 0..=DEPTH {
        let mut next = Vec::new();
        for key in &level {
            let referrers = inbound.of(&key.0);
            if !referrers.is_empty() {
                search.look(write, author.tenant(), (key, referrers, spared), &mut next).await?;
            }
        }
        if !next.is_empty() && depth == DEPTH {
            return Err(too_large());
        }
        level = next;
    }
    search.end()
}

type Key = (CollectionName, DocumentId);

struct Search {
    found: Vec<Doomed>,
    bytes: usize,
    refusals: Vec<Key>,
    seen: HashSet<Key>,
}

impl Search {
    /// Looks for the documents that refer to one.
    async fn look(
        &mut self,
        write: &mut Write<'_>,
        tenant: &TenantId,
        (key, referrers, spared): (&Key, &[Referrer], Option<&CollectionName>),
        next: &mut Vec<Key>,
    ) -> Result<()> {
        if referrers.iter().any(|referrer| referrer.configured.state() == CollectionState::Building) {
            return Err(building());
        }
        let rows = rows_of(write, tenant, key, spared).await?;
        for row in &rows {
            let collection: String = column(row, 0)?;
            let path: String = column(row, 1)?;
            let is =
                |referrer: &&Referrer| referrer.collection.as_str() == collection && referrer.path.to_string() == path;
            // A row of settings that are no longer; it will be swept.
            let Some(referrer) = referrers.iter().find(is) else { continue };
            let found = (referrer.collection.clone(), DocumentId::trusted(column::<String>(row, 2)?));
            if self.seen.contains(&found) {
                continue;
            }
            match referrer.on_delete {
                OnDelete::Nothing => {}
                OnDelete::Refuse => self.refusals.push(found),
                OnDelete::Cascade => self.take(write, tenant, (&key.1, referrer), found, next).await?,
            }
        }
        if rows.len() > MOST {
            return Err(self.refusal().unwrap_or_else(too_large));
        }
        Ok(())
    }

    async fn take(
        &mut self,
        write: &mut Write<'_>,
        tenant: &TenantId,
        (target, referrer): (&DocumentId, &Referrer),
        found: Key,
        next: &mut Vec<Key>,
    ) -> Result<()> {
        // Whoever held it may have deleted it, or made it refer to something else.
        let Some(document) = write.lock_document(tenant, &found.0, &found.1).await? else { return Ok(()) };
        if !reference::names(&referrer.path, &members(&document)?, target) {
            return Ok(());
        }
        if referrer.configured.state() == CollectionState::Renaming {
            return Err(closed());
        }
        self.bytes = self.bytes.saturating_add(document.body.len());
        if self.found.len() >= MOST || self.bytes > BYTES {
            return Err(too_large());
        }
        self.found.push(Doomed {
            document,
            configured: Arc::clone(&referrer.configured),
            hooks: referrer.hooks.clone(),
        });
        self.seen.insert(found.clone());
        next.push(found);
        Ok(())
    }

    fn end(mut self) -> Result<Vec<Doomed>> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        self.found.reverse();
        Ok(self.found)
    }

    /// A document that goes anyway keeps nothing.
    fn refusal(&self) -> Option<Error> {
        self.refusals.iter().find(|key| !self.seen.contains(*key)).map(|(collection, _)| referenced(collection))
    }
}

/// The rows of documents that refer to one, which from now on nobody else can refer to.
async fn rows_of(
    write: &mut Write<'_>,
    tenant: &TenantId,
    (collection, id): &Key,
    spared: Option<&CollectionName>,
) -> Result<Vec<Row>> {
    if write.dialect() == Dialect::Postgres {
        // Whoever wrote a reference to it and has not committed yet is waited for; the next statement sees it.
        let sql = "SELECT 1 FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id = $3 FOR UPDATE";
        write.one(sql, rows::key(tenant, collection, id)).await?;
    }
    let mut values = rows::key(tenant, collection, id);
    values.push(spared.map_or("", CollectionName::as_str).into());
    values.push(i64::try_from(MOST + 1).map_err(Error::internal)?.into());
    write.all(REFERRING, values).await
}

const REFERRING: &str = "SELECT collection, path, doc_id FROM universal_references
    WHERE tenant_id = $1 AND target_collection = $2 AND target_id = $3 AND collection <> $4
    ORDER BY collection, path, doc_id LIMIT $5";

/// The code of a deletion that a document elsewhere refuses.
pub(super) const REFERENCED: &str = "document-is-referenced";

/// It names the collection, whose settings say so, and no document, which the caller may not know.
fn referenced(collection: &CollectionName) -> Error {
    let message = format!("documents in `{collection}` refer to it; delete or change them first");
    Error::new(ErrorKind::Conflict, REFERENCED, message)
}

fn too_large() -> Error {
    let message = format!(
        "the deletion would take more than {MOST} documents or {} MiB with it, or go over more than {DEPTH} references; \
         delete some of those that refer to it first",
        BYTES / 1024 / 1024
    );
    Error::new(ErrorKind::Conflict, "cascade-too-large", message)
}

/// The error where nobody knows yet which documents refer to one.
pub(super) fn building() -> Error {
    let message = "documents are being looked through after a change of settings; try again when that is done";
    Error::new(ErrorKind::Busy, "references-building", message).with_retry_after(std::time::Duration::from_secs(5))
}
