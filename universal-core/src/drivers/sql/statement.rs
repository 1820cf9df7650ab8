//! One statement and its bound values on any connection.

use futures_util::StreamExt as _;
use sea_orm::{ConnectionTrait, QueryResult, Statement, StreamTrait, Value};

#[cfg(feature = "sqlite")]
use crate::drivers::sql::sqlite::cell::Cell;
use crate::{
    drivers::sql::{column::Column, dialect::Dialect, error::from_db},
    error::Result,
};

/// A row of a query; its columns are read by [`column`].
#[derive(Debug)]
pub(crate) struct Row(Source);

#[derive(Debug)]
enum Source {
    /// Through sea-orm: PostgreSQL, and a host's transaction on SQLite.
    Orm(QueryResult),
    /// From a connection of our own.
    #[cfg(feature = "sqlite")]
    Cells(Vec<Cell>),
}

#[cfg(feature = "sqlite")]
impl Row {
    /// A row that our own connection has read.
    pub(super) fn from_cells(cells: Vec<Cell>) -> Self {
        Self(Source::Cells(cells))
    }
}

/// All rows of a query.
pub(crate) async fn all(
    connection: &impl ConnectionTrait,
    dialect: Dialect,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<Row>> {
    let statement = Statement::from_sql_and_values(dialect.backend(), sql, values);
    let rows = connection.query_all_raw(statement).await.map_err(from_db)?;
    Ok(rows.into_iter().map(|row| Row(Source::Orm(row))).collect())
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
        let row = Row(Source::Orm(row.map_err(from_db)?));
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
        take(Row(Source::Orm(row.map_err(from_db)?)))?;
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
    let row = connection.query_one_raw(statement).await.map_err(from_db)?;
    Ok(row.map(|row| Row(Source::Orm(row))))
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
pub(crate) fn column<T: Column>(row: &Row, index: usize) -> Result<T> {
    match &row.0 {
        Source::Orm(row) => row.try_get_by_index(index).map(T::from_orm).map_err(from_db),
        #[cfg(feature = "sqlite")]
        Source::Cells(cells) => cells.get(index).and_then(T::from_cell).ok_or_else(|| {
            crate::error::Error::internal(format!("column {index} holds another type than is expected"))
        }),
    }
}

/// How many bytes the text at `index` of a row has.
pub(crate) fn text_length(row: &Row, index: usize) -> Result<usize> {
    match &row.0 {
        #[cfg(feature = "sqlite")]
        Source::Cells(cells) => match cells.get(index) {
            Some(Cell::Text(text)) => Ok(text.len()),
            _ => Err(crate::error::Error::internal(format!("column {index} holds no text"))),
        },
        Source::Orm(_) => column::<String>(row, index).map(|text| text.len()),
    }
}

pub(crate) fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}
