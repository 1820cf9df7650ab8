//! The rows that say when documents expire, and the deletion of those whose time is over.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Map, Value};

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{configured::Configured, document::Document},
    drivers::sql::{
        collections::{
            configurations::Known,
            references::members,
            rows,
            service::SqlCollections,
            write::{self, Author},
        },
        feed::SETTINGS_CHANGED,
        statement::column,
        write::Write,
    },
    error::{ErrorKind, Result},
    id::{CollectionName, DocumentId, TenantId},
};

/// How many documents are looked at between two looks at what is due.
const PAGE: i64 = 256;
/// How many are deleted at once; each has a commit of its own, which SQLite's writer shares among them.
const AT_ONCE: usize = 16;
/// After how long a document is looked at again that could not be deleted.
const AGAIN: Duration = Duration::from_secs(300);

impl Write<'_> {
    /// Writes down when a stored document expires.
    pub(super) async fn store_expiry(
        &mut self,
        tenant: &TenantId,
        configured: &Configured,
        (document, members): (&Document, &Map<String, Value>),
        before: Option<(&Document, &Map<String, Value>)>,
    ) -> Result<()> {
        let Some(expiry) = configured.expiry() else { return Ok(()) };
        let moment = expiry.of(document, members)?;
        // One from before the settings may hold no moment.
        let known = before.and_then(|(document, members)| expiry.of(document, members).ok().flatten());
        match moment {
            Some(moment) if known != Some(moment) => self.put_expiry(tenant, document, moment).await,
            None if before.is_some() => self.forget_expiry(tenant, &document.collection, &document.id).await,
            _ => Ok(()),
        }
    }

    /// Writes down anew when a document expires, as it is stored.
    pub(super) async fn rebuild_expiry(
        &mut self,
        tenant: &TenantId,
        configured: &Configured,
        (document, members): (&Document, &Map<String, Value>),
    ) -> Result<()> {
        match configured.expiry().and_then(|expiry| expiry.of(document, members).ok().flatten()) {
            Some(moment) => self.put_expiry(tenant, document, moment).await,
            None => Ok(()),
        }
    }

    /// A document does not expire.
    pub(super) async fn forget_expiry(
        &mut self,
        tenant: &TenantId,
        collection: &CollectionName,
        id: &DocumentId,
    ) -> Result<()> {
        let sql = "DELETE FROM universal_expiries WHERE tenant_id = $1 AND collection = $2 AND doc_id = $3";
        self.execute(sql, rows::key(tenant, collection, id)).await.map(|_| ())
    }

    async fn put_expiry(&mut self, tenant: &TenantId, document: &Document, moment: Timestamp) -> Result<()> {
        let mut values = rows::key(tenant, &document.collection, &document.id);
        values.push(moment.as_micros().into());
        self.execute(PUT, values).await.map(|_| ())
    }
}

impl SqlCollections {
    /// Deletes documents whose time is over, some of them; answers whether there are more.
    pub(super) async fn expire(&self) -> Result<bool> {
        let now = self.clock.now();
        let due = self.database.all(DUE, vec![now.as_micros().into(), PAGE.into()]).await?;
        let more = due.len() == usize::try_from(PAGE).unwrap_or(usize::MAX);
        let mut keys = Vec::with_capacity(due.len());
        for row in &due {
            keys.push((
                TenantId::trusted(column::<String>(row, 0)?),
                CollectionName::trusted(column::<String>(row, 1)?),
                DocumentId::trusted(column::<String>(row, 2)?),
            ));
        }
        let deletions = keys.into_iter().map(|(tenant, collection, id)| self.expire_one(tenant, collection, id, now));
        futures_util::stream::iter(deletions).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(more)
    }

    async fn expire_one(
        &self,
        tenant: TenantId,
        collection: CollectionName,
        id: DocumentId,
        now: Timestamp,
    ) -> Result<()> {
        let known = self.configurations.recent(&tenant, &collection).await?;
        let caller = Caller::system(tenant.clone());
        let key = (collection.clone(), id.clone());
        let deletion = self.commit(known.hooks.is_some(), move |write| {
            let (caller, known, key) = (caller.clone(), known.clone(), key.clone());
            Box::pin(async move { expire_locked(write, &caller, &known, (&key.0, &key.1), now).await })
        });
        match deletion.await {
            // It is due still, and the next look knows the settings.
            Err(error) if error.code() == SETTINGS_CHANGED => {
                self.configurations.read(&tenant, &collection).await.map(|_| ())
            }
            // Something refers to it, or its collection is dropped or renamed: others must not wait for it.
            Err(error) if error.kind() == ErrorKind::Conflict || error.code() == "references-building" => {
                tracing::debug!(code = error.code(), "a document whose time is over could not be deleted yet");
                self.database
                    .write(move |write| {
                        let mut values = rows::key(&tenant, &collection, &id);
                        values.push(now.plus(AGAIN).as_micros().into());
                        Box::pin(async move { write.execute(POSTPONE, values).await.map(|_| ()) })
                    })
                    .await
            }
            outcome => outcome,
        }
    }
}

async fn expire_locked(
    write: &mut Write<'_>,
    caller: &Caller,
    known: &Known,
    (collection, id): (&CollectionName, &DocumentId),
    now: Timestamp,
) -> Result<()> {
    let tenant = caller.tenant();
    let Some(current) = write.lock_document(tenant, collection, id).await? else {
        return write.forget_expiry(tenant, collection, id).await;
    };
    let members = members(&current)?;
    let moment = known.configured.expiry().and_then(|expiry| expiry.of(&current, &members).ok().flatten());
    match moment {
        None => write.forget_expiry(tenant, collection, id).await,
        Some(moment) if moment > now => write.put_expiry(tenant, &current, moment).await,
        Some(_) => {
            known.configured.takes_writes()?;
            write::delete_with(write, Author { caller, known, now }, &current, None).await.map(|_| ())
        }
    }
}

const PUT: &str = "INSERT INTO universal_expiries (tenant_id, collection, doc_id, expires_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (tenant_id, collection, doc_id) DO UPDATE SET expires_at = excluded.expires_at";

const POSTPONE: &str =
    "UPDATE universal_expiries SET expires_at = $4 WHERE tenant_id = $1 AND collection = $2 AND doc_id = $3";

/// Goes across tenants, as the upkeep does; what is done about a row is done in its tenant.
const DUE: &str = "SELECT tenant_id, collection, doc_id FROM universal_expiries WHERE expires_at <= $1
    ORDER BY expires_at LIMIT $2";
