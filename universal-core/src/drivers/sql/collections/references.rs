//! The rows that say which documents a document refers to.

use sea_orm::Value;
use serde_json::Map;

use crate::{
    collections::{
        configured::{Configured, closed},
        document::Document,
        reference::{self, Named},
    },
    drivers::sql::{collections::rows, statement::column, write::Write},
    error::{Error, Result},
    id::{CollectionName, TenantId},
    json::Object,
};

/// How many ids or rows go in one statement.
const CHUNK: usize = 100;

impl Write<'_> {
    /// Checks that the documents are there which `members` name and `before` did not, and keeps them from being deleted
    /// until the transaction ends. It writes nothing, so that a refusal leaves nothing half done.
    ///
    /// # Errors
    /// `Unprocessable` `invalid-reference` or `reference-not-found` with the member; `Conflict` `collection-closed`.
    pub(super) async fn check_references(
        &mut self,
        tenant: &TenantId,
        configured: &Configured,
        (document, members): (&Document, &Map<String, serde_json::Value>),
        before: Option<&Map<String, serde_json::Value>>,
    ) -> Result<()> {
        if !configured.binds_references() {
            return Ok(());
        }
        let mut wanted = reference::named(configured, members)?;
        let known = known(configured, before);
        wanted.retain(|named| !known.iter().any(|known| known.is(named)));
        // A document may refer to itself, also while it is being created.
        wanted.retain(|named| *named.collection != document.collection || named.id != document.id);
        for some in wanted.chunk_by(|a, b| a.collection == b.collection) {
            for some in some.chunks(CHUNK) {
                self.check_some(tenant, some).await?;
            }
        }
        Ok(())
    }

    async fn check_some(&mut self, tenant: &TenantId, some: &[Named<'_>]) -> Result<()> {
        let Some(first) = some.first() else { return Ok(()) };
        let sql = format!(
            "SELECT id FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id IN ({})
             ORDER BY id{}",
            places(3, some.len()),
            self.dialect().for_key_share()
        );
        let mut values: Vec<Value> = vec![tenant.as_str().into(), first.collection.as_str().into()];
        values.extend(some.iter().map(|named| Value::from(named.id.as_str())));
        let mut found = Vec::with_capacity(some.len());
        for row in self.all(&sql, values).await? {
            found.push(column::<String>(&row, 0)?);
        }
        let Some(missing) = some.iter().find(|named| !found.iter().any(|id| id == named.id.as_str())) else {
            return Ok(());
        };
        // A document that moves to another name is under neither for whoever looks at the wrong moment.
        let sql = "SELECT state FROM universal_collections WHERE tenant_id = $1 AND name = $2 AND state <> 'active'";
        let values = vec![tenant.as_str().into(), missing.collection.as_str().into()];
        Err(if self.one(sql, values).await?.is_some() { closed() } else { reference::not_found(missing) })
    }

    /// Writes down which documents a stored document refers to.
    pub(super) async fn store_references(
        &mut self,
        tenant: &TenantId,
        configured: &Configured,
        (document, members): (&Document, &Map<String, serde_json::Value>),
        before: Option<&Map<String, serde_json::Value>>,
    ) -> Result<()> {
        if !configured.binds_references() {
            return Ok(());
        }
        let after = reference::named(configured, members)?;
        if let Some(before) = before {
            let known = known(configured, Some(before));
            if known.len() == after.len() && after.iter().all(|named| known.iter().any(|known| known.is(named))) {
                return Ok(());
            }
            self.forget_references(tenant, document).await?;
        }
        self.insert_references(tenant, document, &after).await
    }

    /// Writes down anew what a document refers to, as it is stored; what does not fit the settings is passed over.
    pub(super) async fn rebuild_references(
        &mut self,
        tenant: &TenantId,
        configured: &Configured,
        (document, members): (&Document, &Map<String, serde_json::Value>),
    ) -> Result<()> {
        let named = reference::fitting(configured, members);
        self.insert_references(tenant, document, &named).await
    }

    async fn insert_references(&mut self, tenant: &TenantId, document: &Document, named: &[Named<'_>]) -> Result<()> {
        for some in named.chunks(CHUNK) {
            let row = |n: usize| {
                let first = 4 + 3 * n;
                format!("($1, ${first}, ${}, $2, ${}, $3)", first + 1, first + 2)
            };
            let rows: Vec<_> = (0..some.len()).map(row).collect();
            let sql = format!(
                "INSERT INTO universal_references (tenant_id, target_collection, target_id, collection, path, doc_id)
                 VALUES {} ON CONFLICT DO NOTHING",
                rows.join(", ")
            );
            let mut values = rows::key(tenant, &document.collection, &document.id);
            for named in some {
                values.push(named.collection.as_str().into());
                values.push(named.id.as_str().into());
                values.push(named.path.to_string().into());
            }
            self.execute(&sql, values).await?;
        }
        Ok(())
    }

    /// Forgets what a document refers to.
    pub(super) async fn forget_references(&mut self, tenant: &TenantId, document: &Document) -> Result<()> {
        let sql = "DELETE FROM universal_references WHERE tenant_id = $1 AND collection = $2 AND doc_id = $3";
        self.execute(sql, rows::key(tenant, &document.collection, &document.id)).await.map(|_| ())
    }

    /// Whether any document of `referrer` refers by the member `path` to one of `target`.
    pub(super) async fn is_referred_to(
        &mut self,
        tenant: &TenantId,
        target: &CollectionName,
        (referrer, path): (&CollectionName, &str),
    ) -> Result<bool> {
        let sql = "SELECT doc_id FROM universal_references
            WHERE tenant_id = $1 AND collection = $2 AND path = $3 AND target_collection = $4 LIMIT 1";
        let values = vec![tenant.as_str().into(), referrer.as_str().into(), path.into(), target.as_str().into()];
        Ok(self.one(sql, values).await?.is_some())
    }
}

/// The members of a stored document.
pub(super) fn members(document: &Document) -> Result<Map<String, serde_json::Value>> {
    Object::from_stored(&document.body).map(Object::into_map).map_err(Error::internal)
}

/// What a document named before; one from before the settings may not fit them.
fn known<'a>(configured: &'a Configured, before: Option<&Map<String, serde_json::Value>>) -> Vec<Named<'a>> {
    before.map(|before| reference::fitting(configured, before)).unwrap_or_default()
}

fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}
