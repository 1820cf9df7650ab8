//! Which rows a statement is about: those of one collection that a caller may see and a filter matches. Lists, counts,
//! aggregates and writes by filter stand on it, so that there is one place where a rule and a filter become SQL.

use sea_orm::Value;

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        index::Index,
        plan::{self, Scan},
        rule::Visible,
    },
    drivers::sql::{
        dialect::Dialect,
        lower::{Lowered, json_value, lower},
    },
    error::Result,
    expr::{Expression, Field, Known, Part},
    id::CollectionName,
};

/// Rows of `universal_documents`, and what the SQL that names them binds. A statement is
/// `SELECT … {selection.rows()} …`; what it binds beyond these values begins at [`next`](Self::next).
#[derive(Clone, Debug)]
pub(super) struct Selection {
    dialect: Dialect,
    /// What an index by key finds, after the tenant.
    key: String,
    /// What else must hold, each with ` AND ` before it.
    rest: String,
    values: Vec<Value>,
    entries: Option<Entries>,
}

/// The part of an index through which the rows are found; it stands in the statement as `entry`.
#[derive(Clone, Debug)]
struct Entries {
    condition: String,
    /// The document's id.
    id: &'static str,
}

impl Selection {
    /// The rows of `collection` that are `visible` to `caller` and match `filter`, which sees the moment `now`.
    ///
    /// # Errors
    /// `Invalid` for a filter that SQL cannot ask.
    pub(super) fn new(
        dialect: Dialect,
        caller: &Caller,
        collection: &CollectionName,
        visible: &Visible,
        filter: Option<&Expression>,
        now: Timestamp,
    ) -> Result<Self> {
        let mut selection = Self {
            dialect,
            key: "collection = $2".to_owned(),
            rest: String::new(),
            values: vec![caller.tenant().as_str().into(), collection.as_str().into()],
            entries: None,
        };
        match visible {
            Visible::All => {}
            Visible::OwnedBy(owner) => {
                let owner = selection.bind(owner.as_str());
                selection.key.push_str(&format!(" AND owner_id = ${owner}"));
            }
            Visible::Where(rule) => {
                let lowered = lower(rule, dialect, &Known::of(caller, now), selection.next())?;
                selection.restrict(lowered);
            }
        }
        if let Some(filter) = filter {
            let lowered = lower(filter, dialect, &Known::of(caller, now), selection.next())?;
            selection.restrict(lowered);
        }
        Ok(selection)
    }

    /// Only those of the rows that have `field`.
    pub(super) fn with(mut self, field: &Field) -> Self {
        let mut value = json_value(field, self.dialect, self.next());
        value.sql.push_str(" IS NOT NULL");
        self.restrict(value);
        self
    }

    /// Only those of the rows for which `condition` holds too; its first placeholder is [`next`](Self::next).
    pub(super) fn restrict(&mut self, condition: Lowered) {
        self.rest.push_str(" AND (");
        self.rest.push_str(&condition.sql);
        self.rest.push(')');
        self.values.extend(condition.values);
    }

    /// Binds a value and gives its number.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> usize {
        self.values.push(value.into());
        self.values.len()
    }

    /// Binds the values of a piece of SQL whose first placeholder is [`next`](Self::next).
    pub(super) fn bind_all(&mut self, values: Vec<Value>) {
        self.values.extend(values);
    }

    /// Finds the rows through the index that leaves the fewest to look at, if one does, in no order.
    pub(super) fn narrow(&mut self, indexes: &[Index], conditions: &[Part<'_>]) {
        if let Some(scan) = plan::choose(indexes, conditions, &[]) {
            self.through(&scan);
            self.between(Some(scan.low), Some(scan.high));
        }
    }

    /// Finds the rows through an index: through the entries from one key on and before another.
    pub(super) fn through(&mut self, scan: &Scan<'_>) {
        let number = self.bind(scan.index.id);
        let id = if scan.index.unique { "coalesce(entry.doc_id, entry.tie)" } else { "entry.tie" };
        self.entries = Some(Entries { condition: format!("entry.tenant_id = $1 AND entry.index_id = ${number}"), id });
    }

    /// Only rows whose entry has a key from `low` on and before `high`, if they are found through an index.
    pub(super) fn between(&mut self, low: Option<Vec<u8>>, high: Option<Vec<u8>>) {
        for (bound, sign) in [(low, ">="), (high, "<")] {
            if let Some(bound) = bound {
                let bound = self.bind(bound);
                self.restrict_entries(&format!("entry.key {sign} ${bound}"));
            }
        }
    }

    /// Only rows whose entry satisfies `condition`, if they are found through an index.
    pub(super) fn restrict_entries(&mut self, condition: &str) {
        if let Some(entries) = &mut self.entries {
            entries.condition.push_str(" AND ");
            entries.condition.push_str(condition);
        }
    }

    /// ` FROM … WHERE …`, over the columns of `universal_documents`, and of `entry` where they are found through an index.
    pub(super) fn rows(&self) -> String {
        let Self { key, rest, .. } = self;
        let Some(Entries { condition, id }) = &self.entries else {
            return format!(" FROM universal_documents WHERE tenant_id = $1 AND {key}{rest}");
        };
        // In both forms the entries are read first, in the order that is asked for, and each document by its key: no
        // statistics, or the lack of them, make the database do otherwise.
        match self.dialect {
            Dialect::Postgres => format!(
                " FROM universal_index_entries AS entry CROSS JOIN LATERAL (
                    SELECT * FROM universal_documents
                    WHERE tenant_id = $1 AND {key} AND id = {id}{rest} OFFSET 0) AS universal_documents
                 WHERE {condition}"
            ),
            Dialect::Sqlite => format!(
                " FROM universal_index_entries AS entry CROSS JOIN universal_documents
                 WHERE {condition} AND universal_documents.tenant_id = $1 AND {key} AND id = {id}{rest}"
            ),
        }
    }

    /// The same, but of the first `most` rows alone that the key finds: `most` rows are looked at, and no more.
    pub(super) fn rows_among(&self, most: u32) -> String {
        let Self { key, rest, .. } = self;
        format!(
            " FROM (SELECT * FROM universal_documents WHERE tenant_id = $1 AND {key} LIMIT {most})
             WHERE TRUE{rest}"
        )
    }

    /// How many rows the key finds, counted to `most`.
    pub(super) fn size_up_to(&self, most: u32) -> String {
        format!(
            "SELECT count(*) FROM (SELECT 1 FROM universal_documents WHERE tenant_id = $1 AND {} LIMIT {most})",
            self.key
        )
    }

    /// The number of the placeholder that comes next.
    pub(super) fn next(&self) -> usize {
        self.values.len() + 1
    }

    /// Which SQL is spoken.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What the statement binds.
    pub(super) fn values(&self) -> Vec<Value> {
        self.values.clone()
    }
}
