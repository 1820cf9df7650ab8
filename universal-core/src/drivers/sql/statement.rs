//! One statement and its bound values on any connection.

use futures_util::StreamExt as _;
use sea_orm::{ConnectionTrait, Statement, StreamTrait, TryGetable, Value};

use crate::{
    drivers::sql::{dialect::Dialect, error::from_db},
    error::Result,
};

/// A row of a query; its columns are read by [`column`].
pub(crate) type Row = sea_orm::QueryResult;

/// All rows of a query.
pub(crate) async fn all(
    connection: &impl ConnectionTrait,
    dialect: Dialect,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<Row>> {
    let statement = Statement::from_sql_and_values(dialect.backend(), sql, values);
    connection.query_all_raw(statement).await.map_err(from_db)
}

/// The rows of a query until their sizes reach `bytes`, one at least; and whether there were more.
pub(crate) async fn some(
    connection: &(impl ConnectionTrait + StreamTrait),
    dialect: Dialect,
    sql: &str,
    values: Vec<Value>,
    bytes: usize,
    size: impl Fn(&Row) -> Result<usize> + Send,
) -> Result<(Vec<Row>, bool)> {
    let statement = Statement::from_sql_and_values(dialect.backend(), sql, values);
    let mut found = std::pin::pin!(connection.stream_raw(statement).await.map_err(from_db)?);
    let (mut rows, mut total) = (Vec::new(), 0_usize);
    while let Some(row) = found.next().await {
        if total >= bytes {
            return Ok((rows, true));
        }
        let row = row.map_err(from_db)?;
        total = total.saturating_add(size(&row)?);
        rows.push(row);
    }
    Ok((rows, false))
}

/// Each row of a query, one after the other, so that none but the current one is held.
pub(crate) async fn each(
    connection: &(impl ConnectionTrait + StreamTrait),
    dialect: Dialect,
    sql: &str,
    values: Vec<Value>,
    mut take: impl FnMut(Row) -> Result<()> + Send,
) -> Result<()> {
    let statement = Statement::from_sql_and_values(dialect.backend(), sql, values);
    let mut found = std::pin::pin!(connection.stream_raw(statement).await.map_err(from_db)?);
    while let Some(row) = found.next().await {
        take(row.map_err(from_db)?)?;
    }
    Ok(())
}

/// The first row of a query.
pub(crate) async fn one(
    connection: &impl ConnectionTrait,
    dialect: Dialect,
    sql: &str,
    values: Vec<Value>,
) -> Result<Option<Row>> {
    let statement = Statement::from_sql_and_values(dialect.backend(), sql, values);
    connection.query_one_raw(statement).await.map_err(from_db)
}

/// How many rows a statement changed.
pub(crate) async fn execute(
    connection: &impl ConnectionTrait,
    dialect: Dialect,
    sql: &str,
    values: Vec<Value>,
) -> Result<u64> {
    let statement = Statement::from_sql_and_values(dialect.backend(), sql, values);
    Ok(connection.execute_raw(statement).await.map_err(from_db)?.rows_affected())
}

/// The column at `index` of a row.
pub(crate) fn column<T: TryGetable>(row: &Row, index: usize) -> Result<T> {
    row.try_get_by_index(index).map_err(from_db)
}
