//! A job's row.

use sea_orm::Value;

use crate::{
    clock::Timestamp,
    drivers::sql::statement::{Row, column},
    error::{Error, Result},
    id::{TenantId, UserId},
    jobs::{FunctionName, Job, JobFailure, JobId, Lease},
};

/// The columns that [`job`] reads, in its order.
pub(super) const COLUMNS: &str = "tenant_id, id, function, input, state, priority, run_at, attempt, max_attempts, \
    owner_id, unique_key, result, error, cancel_requested, created_at, started_at, finished_at";

/// The same without input and result, which a list leaves out: a page of them could be 160 MB.
pub(super) const LISTED: &str = "tenant_id, id, function, 'null', state, priority, run_at, attempt, max_attempts, \
    owner_id, unique_key, CAST(NULL AS TEXT), error, cancel_requested, created_at, started_at, finished_at";

/// The condition under which an attempt may write: `$1` to `$4` are [`held`].
pub(super) const HELD: &str = "tenant_id = $1 AND id = $2 AND attempt = $3 AND worker = $4 AND state = 'running'";

/// The values of [`HELD`].
pub(super) fn held(lease: &Lease) -> Vec<Value> {
    vec![
        lease.tenant.as_str().into(),
        lease.id.as_str().into(),
        i64::from(lease.attempt).into(),
        lease.worker.as_ref().into(),
    ]
}

/// Reads [`COLUMNS`].
pub(super) fn job(row: &Row) -> Result<Job> {
    let text = |index: usize| column::<String>(row, index);
    let optional = |index: usize| column::<Option<String>>(row, index);
    let number = |index: usize| column::<i64>(row, index);
    let moment = |index: usize| number(index).map(Timestamp::from_micros);
    let mut job = Job::new(
        TenantId::trusted(text(0)?),
        JobId::trusted(text(1)?),
        FunctionName::new(text(2)?)?,
        json(&text(3)?)?,
        moment(14)?,
    );
    job.state = text(4)?.parse()?;
    job.priority = i16::try_from(number(5)?).map_err(Error::internal)?;
    job.run_at = moment(6)?;
    job.attempt = u32::try_from(number(7)?).map_err(Error::internal)?;
    job.max_attempts = u32::try_from(number(8)?).map_err(Error::internal)?;
    job.owner = optional(9)?.map(UserId::trusted);
    job.unique_key = optional(10)?;
    job.result = optional(11)?.map(|text| json(&text)).transpose()?;
    job.error = optional(12)?.map(|text| json::<JobFailure>(&text)).transpose()?;
    job.cancel_requested = column(row, 13)?;
    job.started_at = column::<Option<i64>>(row, 15)?.map(Timestamp::from_micros);
    job.finished_at = column::<Option<i64>>(row, 16)?.map(Timestamp::from_micros);
    Ok(job)
}

/// A failure as the table keeps it.
pub(super) fn failure(error: &JobFailure) -> Result<Value> {
    Ok(serde_json::to_string(error).map_err(Error::internal)?.into())
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(Error::internal)
}
