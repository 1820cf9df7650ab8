//! One statement and its bound values on any connection.

use sea_orm::{ConnectionTrait, QueryResult, Statement, TryGetable, Value};

use crate::{
    drivers::sql::{dialect::Dialect, error::from_db},
    error::Result,
};

/// All rows of a query.
pub(crate) async fn all(
    connection: &impl ConnectionTrait,
    dialect: Dialect,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<QueryResult>> {
    let statement = Statement::from_sql_and_values(dialect.backend(), sql, values);
    connection.query_all_raw(statement).await.map_err(from_db)
}

/// The first row of a query.
pub(crate) async fn one(
    connection: &impl ConnectionTrait,
    dialect: Dialect,
    sql: &str,
    values: Vec<Value>,
) -> Result<Option<QueryResult>> {
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
pub(crate) fn column<T: TryGetable>(row: &QueryResult, index: usize) -> Result<T> {
    row.try_get_by_index(index).map_err(from_db)
}
