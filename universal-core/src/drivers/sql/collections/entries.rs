//! The entries of documents in indexes, written in the transaction of their document.

use sea_orm::Value;

use crate::{
    collections::{
        document::Document,
        index::{Difference, Entry},
    },
    drivers::sql::{collections::write::Author, dialect::Dialect, statement::column, write::Write},
    error::{Error, Result},
    expr::Environment,
    id::{DocumentId, TenantId},
    json::Object,
};

/// A document and its members, if they are parsed already.
pub(super) type Version<'d> = (&'d Document, Option<&'d serde_json::Map<String, serde_json::Value>>);

impl Write<'_> {
    /// Changes the entries of a document from those of one version to those of another. After a `unique-violation`
    /// the entries are as they were.
    ///
    /// # Errors
    /// `Conflict` `unique-violation` if another document has what must be unique.
    pub(super) async fn change_entries(
        &mut self,
        author: &Author<'_>,
        before: Option<Version<'_>>,
        after: Option<Version<'_>>,
    ) -> Result<()> {
        let configured = &author.known.configured;
        let Some((document, _)) = after.or(before) else { return Ok(()) };
        if configured.indexes().is_empty() {
            return Ok(());
        }
        let (parsed_before, parsed_after) = (parsed(before)?, parsed(after)?);
        let before = environment(before, parsed_before.as_ref());
        let after = environment(after, parsed_after.as_ref());
        let difference = Difference::between(configured.indexes(), before.as_ref(), after.as_ref());
        let (tenant, id) = (author.caller.tenant(), &document.id);
        if !difference.gone.is_empty()
            && let Some(violation) = self.held(author, id, &difference.new).await?
        {
            return Err(violation);
        }
        self.remove_entries(tenant, id, &difference.gone).await?;
        let added: Vec<Added<'_>> = difference.new.iter().map(|entry| (entry, id)).collect();
        let stored = self.add_entries(tenant, &added).await?;
        if let Some(refused) = difference.new.iter().find(|entry| !stored.contains(&entry.index)) {
            let new: Vec<Entry> =
                difference.new.iter().filter(|entry| stored.contains(&entry.index)).cloned().collect();
            self.remove_entries(tenant, id, &new).await?;
            let gone: Vec<Added<'_>> = difference.gone.iter().map(|entry| (entry, id)).collect();
            self.add_entries(tenant, &gone).await?;
            return Err(violation(author, refused)?);
        }
        for index in configured.indexes().iter().filter(|index| !index.cut) {
            if difference.new.iter().any(|entry| entry.index == index.id && entry.cut) {
                self.mark_cut(tenant, index.id).await?;
            }
        }
        Ok(())
    }

    /// The refusal of a new document because another has what must be unique, found before anything is written. On
    /// SQLite a write that is refused and has written takes its whole group with it; on PostgreSQL nothing is looked for.
    ///
    /// # Errors
    /// Those of the database; the refusal is no error here.
    pub(super) async fn refusal(
        &mut self,
        author: &Author<'_>,
        (document, members): (&Document, &serde_json::Map<String, serde_json::Value>),
    ) -> Result<Option<Error>> {
        let unique = author.known.configured.indexes().iter().filter(|index| index.unique);
        let environment = environment(Some((document, Some(members))), None);
        let entries: Vec<Entry> =
            environment.iter().flat_map(|document| unique.clone().map(|index| index.entry(document))).collect();
        self.held(author, &document.id, &entries).await
    }

    /// The refusal of the first of `entries` that another document holds.
    async fn held(&mut self, author: &Author<'_>, id: &DocumentId, entries: &[Entry]) -> Result<Option<Error>> {
        if self.dialect() == Dialect::Postgres {
            return Ok(None);
        }
        for entry in entries.iter().filter(|entry| entry.exclusive) {
            let mut values: Vec<Value> = vec![author.caller.tenant().as_str().into(), entry.index.into()];
            values.extend([entry.key.clone().into(), id.as_str().into()]);
            let sql = "SELECT 1 FROM universal_index_entries
                WHERE tenant_id = $1 AND index_id = $2 AND key = $3 AND tie = '' AND doc_id <> $4";
            if self.one(sql, values).await?.is_some() {
                return violation(author, entry).map(Some);
            }
        }
        Ok(None)
    }

    /// Stores entries; answers the indexes of those that are there now. An exclusive one is left out if another document
    /// has its key. No two of them may have the same key in the same index.
    pub(super) async fn add_entries(&mut self, tenant: &TenantId, entries: &[Added<'_>]) -> Result<Vec<i64>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut values: Vec<Value> = vec![tenant.as_str().into()];
        let mut rows = String::new();
        for (entry, id) in entries {
            let at = values.len();
            let between = if rows.is_empty() { "" } else { ", " };
            rows.push_str(&format!("{between}($1, ${}, ${}, ${}, ${})", at + 1, at + 2, at + 3, at + 4));
            values.push(entry.index.into());
            values.push(entry.key.clone().into());
            values.push(entry.tie(id.as_str()).into());
            values.push(entry.named(id.as_str()).map(str::to_owned).into());
        }
        let sql = format!(
            "INSERT INTO universal_index_entries (tenant_id, index_id, key, tie, doc_id) VALUES {rows}
             ON CONFLICT (tenant_id, index_id, key, tie) DO UPDATE SET doc_id = excluded.doc_id
             WHERE universal_index_entries.doc_id IS NOT DISTINCT FROM excluded.doc_id
             RETURNING index_id"
        );
        self.all(&sql, values).await?.iter().map(|row| column(row, 0)).collect()
    }

    /// Removes entries of a document.
    async fn remove_entries(&mut self, tenant: &TenantId, id: &DocumentId, entries: &[Entry]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut values: Vec<Value> = vec![tenant.as_str().into(), id.as_str().into()];
        let mut rows: Vec<String> = Vec::new();
        for entry in entries {
            let at = values.len();
            rows.push(format!("(index_id = ${} AND key = ${} AND tie = ${})", at + 1, at + 2, at + 3));
            values.push(entry.index.into());
            values.push(entry.key.clone().into());
            values.push(entry.tie(id.as_str()).into());
        }
        let sql = format!(
            "DELETE FROM universal_index_entries
             WHERE tenant_id = $1 AND ({}) AND (doc_id IS NULL OR doc_id = $2)",
            rows.join(" OR ")
        );
        self.execute(&sql, values).await.map(|_| ())
    }

    /// From now on the order of this index is not that of its values.
    pub(super) async fn mark_cut(&mut self, tenant: &TenantId, index: i64) -> Result<()> {
        let sql = "UPDATE universal_indexes SET is_cut = TRUE WHERE tenant_id = $1 AND id = $2 AND NOT is_cut";
        if self.execute(sql, vec![tenant.as_str().into(), index.into()]).await? > 0 {
            let sql = "UPDATE universal_tenants SET cut_version = cut_version + 1 WHERE id = $1";
            self.execute(sql, vec![tenant.as_str().into()]).await?;
        }
        Ok(())
    }
}

/// An entry and its document.
pub(super) type Added<'e> = (&'e Entry, &'e DocumentId);

/// The refusal of a document whose entry another one holds.
fn violation(author: &Author<'_>, entry: &Entry) -> Result<Error> {
    let configured = &author.known.configured;
    let index = configured.indexes().iter().find(|index| index.id == entry.index);
    let index = index.ok_or_else(|| Error::internal("an entry of an index that is not there"))?;
    Ok(index.violation(configured.hides(author.caller, index)))
}

/// The members of a version that nobody has parsed yet.
fn parsed(version: Option<Version<'_>>) -> Result<Option<Object>> {
    match version {
        Some((document, None)) => Object::from_stored(&document.body).map(Some),
        _ => Ok(None),
    }
}

fn environment<'d>(version: Option<Version<'d>>, parsed: Option<&'d Object>) -> Option<Environment<'d>> {
    let (document, members) = version?;
    let members = members.or(parsed.map(Object::as_map))?;
    let environment = Environment::new(document.id.as_str(), members)
        .with_owner(document.owner.as_ref().map(|owner| owner.as_str()))
        .with_revision(document.revision.as_str())
        .with_moments(document.created_at, document.updated_at);
    Some(environment)
}

/// The entry of a version in one index.
pub(super) fn environment_of<'d>(document: &'d Document, members: &'d Object) -> Option<Environment<'d>> {
    environment(Some((document, Some(members.as_map()))), None)
}
