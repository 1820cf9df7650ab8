//! How many documents there are in all.

use serde_json::Value as Json;

use crate::{
    collections::count::Counting,
    drivers::sql::{
        collections::selection::Selection, connection::Database, dialect::Dialect, reach::Reach, statement::column,
    },
    error::{Error, Result},
    page::{Count, Precision},
};

/// How many rows an estimate on SQLite looks at.
const LOOKED_AT: u32 = 10_000;

/// Counts the rows of `selection`; none if that is not asked.
pub(super) async fn count(database: &Database, mut selection: Selection, counting: Counting) -> Result<Option<Count>> {
    let count = match (counting, selection.dialect()) {
        (Counting::None, _) => return Ok(None),
        (Counting::Exact, _) => {
            let sql = format!("SELECT count(*){}", selection.rows());
            Count::new(number(database, &sql, &selection).await?, Precision::Exact)
        }
        (Counting::Capped(cap), _) => {
            let rows = selection.rows();
            let limit = selection.bind(i64::from(cap) + 1);
            let sql = format!("SELECT count(*) FROM (SELECT 1{rows} LIMIT ${limit}) AS counted");
            let found = number(database, &sql, &selection).await?;
            let precision = if found > u64::from(cap) { Precision::AtLeast } else { Precision::Exact };
            Count::new(found.min(u64::from(cap)), precision)
        }
        (Counting::Estimated, Dialect::Postgres) => {
            let sql = format!("EXPLAIN (FORMAT JSON) SELECT id{}", selection.rows());
            let row = database.one(&sql, selection.values()).await?;
            let row = row.ok_or_else(|| Error::internal("EXPLAIN answered nothing"))?;
            Count::new(planned(&column::<Json>(&row, 0)?)?, Precision::Estimate)
        }
        (Counting::Estimated, Dialect::Sqlite) => {
            // SQLite keeps no numbers of rows, so this is what a bounded look can say.
            let size = selection.size_up_to(LOOKED_AT + 1);
            let sql = format!("SELECT count(*), ({size}){}", selection.rows_among(LOOKED_AT));
            let row = database.first(Reach::Scan, &sql, selection.values()).await?;
            let row = row.ok_or_else(|| Error::internal("a count answered nothing"))?;
            let cut = column::<i64>(&row, 1)? > i64::from(LOOKED_AT);
            let precision = if cut { Precision::AtLeast } else { Precision::Exact };
            Count::new(u64::try_from(column::<i64>(&row, 0)?).unwrap_or(0), precision)
        }
    };
    Ok(Some(count))
}

async fn number(database: &Database, sql: &str, selection: &Selection) -> Result<u64> {
    let row = database.first(Reach::Scan, sql, selection.values()).await?;
    let row = row.ok_or_else(|| Error::internal("a count answered nothing"))?;
    u64::try_from(column::<i64>(&row, 0)?).map_err(Error::internal)
}

/// The rows that PostgreSQL's planner expects.
fn planned(plan: &Json) -> Result<u64> {
    let rows = plan.pointer("/0/Plan/Plan Rows").and_then(Json::as_f64);
    let rows = rows.and_then(|rows| crate::json::from_f64(rows.round())).and_then(|rows| rows.as_u64());
    rows.ok_or_else(|| Error::internal("EXPLAIN answered no number of rows"))
}
