//! Ends of attempts, each fenced: an attempt that no longer holds its job writes nothing.

use crate::{
    drivers::sql::{
        jobs::{
            order::micros,
            row::{self, HELD},
        },
        statement::column,
        write::Write,
    },
    error::{Error, Result},
    jobs::{Failure, JobState, Lease, fenced},
};

pub(super) async fn complete(write: &mut Write<'_>, lease: &Lease, result: &str) -> Result<()> {
    let sql = format!(
        "UPDATE universal_jobs SET state = 'succeeded', result = $5, error = NULL, worker = NULL, lease_until = NULL, \
            finished_at = {} WHERE {HELD}",
        write.dialect().now(),
    );
    let mut values = row::held(lease);
    values.push(result.into());
    one_row(write.execute(&sql, values).await?)
}

/// Makes sure that the attempt holds its job, and that nobody else can take it before this transaction ends.
pub(super) async fn lock(write: &mut Write<'_>, lease: &Lease) -> Result<()> {
    let sql = format!("SELECT attempt FROM universal_jobs WHERE {HELD}{}", write.dialect().for_update());
    write.one(&sql, row::held(lease)).await?.map(drop).ok_or_else(fenced)
}

pub(super) async fn fail(write: &mut Write<'_>, lease: &Lease, failure: &Failure) -> Result<JobState> {
    let mut values = row::held(lease);
    let (ends, error) = match failure {
        Failure::Again { error, wait } => {
            values.push(micros(*wait).into());
            ("cancel_requested OR attempt >= max_attempts", Some(error))
        }
        Failure::Final(error) => {
            values.push(0_i64.into());
            ("TRUE", Some(error))
        }
        Failure::Cancelled => {
            values.push(0_i64.into());
            ("TRUE", None)
        }
    };
    let dead = if matches!(failure, Failure::Cancelled) { "FALSE" } else { "NOT cancel_requested" };
    // Without an error of its own the attempt keeps that of the one before.
    values.push(error.map(row::failure).transpose()?.unwrap_or_else(|| Option::<String>::None.into()));
    let now = write.dialect().now();
    let sql = format!(
        "UPDATE universal_jobs SET \
            state = CASE WHEN NOT ({ends}) THEN 'queued' WHEN {dead} THEN 'dead' ELSE 'cancelled' END, \
            finished_at = CASE WHEN {ends} THEN {now} END, \
            run_at = {now} + $5, error = COALESCE($6, error), worker = NULL, lease_until = NULL \
         WHERE {HELD} RETURNING state"
    );
    let row = write.one(&sql, values).await?.ok_or_else(fenced)?;
    column::<String>(&row, 0)?.parse()
}

pub(super) async fn release(write: &mut Write<'_>, lease: &Lease) -> Result<()> {
    let sql = format!(
        "UPDATE universal_jobs SET attempt = attempt - 1, worker = NULL, lease_until = NULL, \
            state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END, \
            finished_at = CASE WHEN cancel_requested THEN {} END \
         WHERE {HELD}",
        write.dialect().now(),
    );
    one_row(write.execute(&sql, row::held(lease)).await?)?;
    write.signal_jobs();
    Ok(())
}

fn one_row(changed: u64) -> Result<()> {
    match changed {
        0 => Err(fenced()),
        1 => Ok(()),
        more => Err(Error::internal(format!("a job's key named {more} rows"))),
    }
}
