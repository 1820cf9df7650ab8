//! Which indexes there are: from settings to rows of `universal_indexes`, and back.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    collections::{
        index::{Index, parse_fields},
        settings::{CollectionSettings, IndexInfo, IndexState},
    },
    drivers::sql::{
        connection::Database,
        dialect::Dialect,
        statement::{Row, column},
        write::Write,
    },
    error::{Error, Result},
    id::{CollectionName, TenantId},
};

/// How many indexes one change of settings can add; their numbers are made of the tenant's version, which never repeats.
const NUMBERS: i64 = 64;

/// For how long an index that was taken out of the settings keeps its entries: a list that has just planned by the old
/// settings still reads them.
const STILL_READ: Duration = Duration::from_secs(10);

/// The indexes in rows that hold, from the column `first` on, `id, name, fields, is_unique, state, is_cut`.
pub(super) fn loaded(rows: &[Row], first: usize) -> Result<Vec<Index>> {
    let mut indexes = Vec::new();
    for row in rows {
        let Some(id) = column::<Option<i64>>(row, first)? else { continue };
        let state: String = column(row, first + 4)?;
        indexes.push(Index {
            id,
            name: column::<String>(row, first + 1)?.into(),
            fields: fields(&column::<String>(row, first + 2)?)?,
            unique: column(row, first + 3)?,
            ready: state == "ready",
            cut: column(row, first + 5)?,
        });
    }
    Ok(indexes)
}

/// The fields of an index as the table has them.
pub(super) fn fields(text: &str) -> Result<Vec<crate::collections::query::Sort>> {
    let texts: Vec<String> = serde_json::from_str(text).map_err(Error::internal)?;
    parse_fields(&texts).map_err(Error::internal)
}

/// How far the indexes of a collection are, in the order of their names.
pub(super) async fn states(
    database: &Database,
    tenant: &TenantId,
    collection: &CollectionName,
) -> Result<Vec<IndexInfo>> {
    let rows = database.all(STATES, vec![tenant.as_str().into(), collection.as_str().into()]).await?;
    let info = |row: &Row| {
        let state = match column::<String>(row, 1)?.as_str() {
            "ready" => IndexState::Ready,
            "failed" => IndexState::Failed,
            _ => IndexState::Building,
        };
        Ok(IndexInfo::new(column::<String>(row, 0)?, state, column(row, 2)?, column(row, 3)?))
    };
    rows.iter().map(info).collect()
}

impl Write<'_> {
    /// Makes the rows those that the settings ask for: what is gone or another one now is taken away in steps, what is
    /// new is built in steps. `version` is the tenant's since this change.
    pub(super) async fn reconcile_indexes(
        &mut self,
        tenant: &TenantId,
        collection: &CollectionName,
        (settings, version): (&CollectionSettings, i64),
        now: Timestamp,
    ) -> Result<()> {
        let mut kept = Vec::new();
        for row in self.all(PRESENT, vec![tenant.as_str().into(), collection.as_str().into()]).await? {
            let (id, name): (i64, String) = (column(&row, 0)?, column(&row, 1)?);
            let (present, unique): (String, bool) = (column(&row, 2)?, column(&row, 3)?);
            let same = match settings.indexes.get(&name) {
                Some(wanted) => parse_fields(&wanted.fields)? == fields(&present)? && wanted.unique == unique,
                None => false,
            };
            if same && column::<String>(&row, 4)? != "failed" {
                kept.push(name);
            } else {
                let sql = match self.dialect() {
                    Dialect::Postgres => format!("{DROP}, changed_by = pg_current_xact_id(), horizon = NULL {KEY}"),
                    Dialect::Sqlite => format!("{DROP} {KEY}"),
                };
                let not_before = now.plus(STILL_READ).as_micros();
                self.execute(&sql, vec![tenant.as_str().into(), id.into(), not_before.into()]).await?;
            }
        }
        let sql = match self.dialect() {
            Dialect::Postgres => ADD_AFTER_OTHERS,
            Dialect::Sqlite => ADD,
        };
        for ((name, index), number) in settings.indexes.iter().zip(0..).filter(|((name, _), _)| !kept.contains(name)) {
            let texts: Vec<String> =
                parse_fields(&index.fields)?.iter().map(crate::collections::index::field_text).collect();
            let values = vec![
                tenant.as_str().into(),
                (version * NUMBERS + number).into(),
                collection.as_str().into(),
                name.as_str().into(),
                serde_json::to_string(&texts).map_err(Error::internal)?.into(),
                index.unique.into(),
                now.as_micros().into(),
            ];
            self.execute(sql, values).await?;
        }
        Ok(())
    }
}

const STATES: &str = "SELECT name, state, documents, reason FROM universal_indexes
    WHERE tenant_id = $1 AND collection = $2 AND state <> 'dropping' ORDER BY name";

const PRESENT: &str = "SELECT id, name, fields, is_unique, state FROM universal_indexes
    WHERE tenant_id = $1 AND collection = $2 AND state <> 'dropping'";

/// On PostgreSQL the builder waits for those who decided without knowing of this change, too.
const DROP: &str = "UPDATE universal_indexes SET state = 'dropping', not_before = $3";

const KEY: &str = "WHERE tenant_id = $1 AND id = $2";

/// Changes of settings and the builder lock rows of indexes first and the tenant's row then.
pub(super) const LOCK_ALL: &str =
    "SELECT id FROM universal_indexes WHERE tenant_id = $1 AND collection = $2 ORDER BY id";

const ADD: &str = "INSERT INTO universal_indexes
    (tenant_id, id, collection, name, fields, is_unique, state, is_cut, last_id, documents, not_before, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, 'building', FALSE, '', 0, 0, $7)";

const ADD_AFTER_OTHERS: &str = "INSERT INTO universal_indexes
    (tenant_id, id, collection, name, fields, is_unique, state, is_cut, last_id, documents, not_before, changed_by,
     created_at)
    VALUES ($1, $2, $3, $4, $5, $6, 'building', FALSE, '', 0, 0, pg_current_xact_id(), $7)";
