//! The documents that a write by filter may change, found as a list finds its rows: through an index where one serves,
//! on a connection that reads. So SQLite's one writer is not kept while a collection is looked through.

use sea_orm::Value;

use crate::{
    caller::Caller,
    collections::{
        list_cursor::Position,
        matching::Matching,
        plan::{self, Scan},
        query::ListQuery,
        rule::Action,
    },
    drivers::sql::{
        collections::{
            list::{self, Asked, Statement},
            perform::Performance,
        },
        connection::Database,
        dialect::Dialect,
        reach::Reach,
        statement::{Row, column},
        write::Write,
    },
    error::{Error, Result},
    expr::Known,
    id::{DocumentId, TenantId},
};

/// How many entries of an index are read and put in the order of ids. Where there may be more, the collection's own key,
/// which is in that order, gives a page sooner or not much later.
const SORTED: i64 = 20_000;

/// Documents that matched a moment ago, in the order of their ids. Nothing is locked: each is looked at again.
#[derive(Debug)]
pub(super) struct Candidates {
    /// As many as a call writes at most.
    pub(super) ids: Vec<DocumentId>,
    /// Whether there are others after them.
    pub(super) more: bool,
}

/// Where they are looked for.
pub(super) enum Place<'a, 't> {
    /// In what is committed.
    Database(&'a Database),
    /// In a transaction, with what it has written itself.
    Transaction(&'a mut Write<'t>),
}

/// The documents that match and that the caller may list, from the cursor on.
///
/// # Errors
/// `Forbidden` for a caller who may list none; `Invalid` for a field that is hidden and for a cursor of another call.
pub(super) async fn find(mut place: Place<'_, '_>, by: &Performance<'_>, matching: &Matching) -> Result<Candidates> {
    let (caller, now) = (by.caller, by.now);
    let configured = &by.author(&matching.collection)?.known.configured;
    let visible = configured.rule(Action::List).visible(caller, now)?;
    configured.may_ask(caller, &matching.filter)?;
    let start = matching.cursor.as_deref().map(|cursor| start(by, matching, cursor)).transpose()?;
    let query = ListQuery::new().with_expression(matching.filter.clone()).with_limit(matching.limit);
    let facts = Known::of(caller, now);
    let conditions = plan::conditions(&visible, query.filter.as_ref(), &facts);
    let mut scan = plan::choose(configured.indexes(), &conditions, &query.sort);
    if let Some(out_of_order) = scan.as_ref().filter(|scan| scan.order.is_none())
        && place.holds_too_many(caller.tenant(), out_of_order).await?
    {
        scan = None;
    }
    let (scan, start) = (scan.as_ref(), start.as_ref());
    let asked = Asked {
        caller,
        collection: &matching.collection,
        query: &query,
        visible: &visible,
        now,
        search: None,
        scan,
        start,
    };
    let statement = Statement::build(place.dialect(), asked, by.cursors)?;
    let rows = place.rows(asked.reach(), &statement.ids(), statement.values()).await?;
    let found: Result<Vec<_>> = rows.iter().map(|row| Ok(DocumentId::trusted(column::<String>(row, 0)?))).collect();
    let (mut ids, limit) = (found?, query.limit.get() as usize);
    let more = ids.len() > limit;
    ids.truncate(limit);
    Ok(Candidates { ids, more })
}

/// What a cursor of a write by filter belongs to: the same documents in the same order as a list without keys.
pub(super) fn scope(caller: &Caller, matching: &Matching) -> String {
    list::scope(caller, &matching.collection, &ListQuery::new().with_expression(matching.filter.clone()))
}

fn start(by: &Performance<'_>, matching: &Matching, cursor: &str) -> Result<Position> {
    let position = by.cursors.open(&scope(by.caller, matching), cursor)?;
    if !position.backwards && matches!(position.values.as_slice(), [id] if id.is_string()) {
        return Ok(position);
    }
    let message = "a cursor of a write goes on from where the call before ended; take its `next_cursor`";
    Err(Error::invalid("invalid-cursor", message).with_field("cursor"))
}

impl Place<'_, '_> {
    fn dialect(&self) -> Dialect {
        match self {
            Self::Database(database) => database.dialect(),
            Self::Transaction(write) => write.dialect(),
        }
    }

    async fn rows(&mut self, reach: Reach, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        match self {
            // Ids are short, and bounded in number.
            Self::Database(database) => {
                database.some(reach, sql, values, usize::MAX, |_| Ok(0)).await.map(|(rows, _)| rows)
            }
            Self::Transaction(write) => write.all(sql, values).await,
        }
    }

    /// Whether the part of the index that is read holds more than is worth being put in order.
    async fn holds_too_many(&mut self, tenant: &TenantId, scan: &Scan<'_>) -> Result<bool> {
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM universal_index_entries
             WHERE tenant_id = $1 AND index_id = $2 AND key >= $3 AND key < $4 LIMIT {}) AS counted",
            SORTED + 1
        );
        let key = vec![tenant.as_str().into(), scan.index.id.into()];
        let values = key.into_iter().chain([scan.low.clone().into(), scan.high.clone().into()]).collect();
        let rows = self.rows(Reach::Index, &sql, values).await?;
        let row = rows.first().ok_or_else(|| Error::internal("a count answered nothing"))?;
        Ok(column::<i64>(row, 0)? > SORTED)
    }
}
