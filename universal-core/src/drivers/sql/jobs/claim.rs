//! Claims, and what keeps them.

use std::time::Duration;

use sea_orm::Value;

use crate::{
    drivers::sql::{
        connection::Database,
        dialect::Dialect,
        jobs::{
            order::micros,
            row::{self, COLUMNS},
        },
        statement::column,
        write::Write,
    },
    error::Result,
    jobs::{Claim, Held, Job, JobFailure, JobId, Lease},
};

/// What there is to do, by a read: an idle worker costs no write.
pub(super) struct Outlook {
    /// How long until a job of the worker's functions is due; zero or less is now.
    pub(super) due: Option<i64>,
    /// How long until a lease ends; zero or less is now.
    pub(super) lapse: Option<i64>,
}

impl Outlook {
    pub(super) async fn look(database: &Database, claim: &Claim) -> Result<Self> {
        let sql = format!(
            "SELECT (SELECT min(run_at) FROM universal_jobs WHERE state = 'queued' AND function IN ({})) - {now}, \
                (SELECT min(lease_until) FROM universal_jobs WHERE state = 'running') - {now}",
            placeholders(1, claim.functions.len()),
            now = database.dialect().now(),
        );
        let row = database.one(&sql, functions(claim).collect()).await?;
        let Some(row) = row else { return Ok(Self { due: None, lapse: None }) };
        Ok(Self { due: column(&row, 0)?, lapse: column(&row, 1)? })
    }

    /// Whether there is nothing to claim now.
    pub(super) fn is_idle(&self) -> bool {
        self.due.is_none_or(|due| due > 0) && !self.lapsed()
    }

    /// Whether a lease has ended.
    pub(super) fn lapsed(&self) -> bool {
        self.lapse.is_some_and(|lapse| lapse <= 0)
    }

    /// How long until there is something to do.
    pub(super) fn next(&self) -> Option<Duration> {
        let next = self.due.into_iter().chain(self.lapse).min()?;
        Some(Duration::from_micros(u64::try_from(next).unwrap_or(0)))
    }
}

/// Puts back what was running under a lease that has ended; the ids of jobs that this ended for good.
pub(super) async fn lapse(write: &mut Write<'_>) -> Result<Vec<JobId>> {
    let error = JobFailure::new("job-lapsed", "the worker stopped without an answer; the attempt may have had effects");
    let rows = write.all(&lapse_sql(write.dialect()), vec![row::failure(&error)?]).await?;
    let mut ended = Vec::new();
    for row in rows {
        if column::<String>(&row, 1)? != "queued" {
            ended.push(JobId::trusted(column::<String>(&row, 0)?));
        }
    }
    Ok(ended)
}

fn lapse_sql(dialect: Dialect) -> String {
    let (now, skip_locked) = (dialect.now(), dialect.skip_locked());
    format!(
        "WITH lapsed AS (SELECT tenant_id AS lapsed_tenant, id AS lapsed_id FROM universal_jobs \
            WHERE state = 'running' AND lease_until <= (SELECT {now}) ORDER BY lease_until LIMIT 1000{skip_locked}) \
         UPDATE universal_jobs SET \
            state = CASE WHEN cancel_requested THEN 'cancelled' WHEN attempt >= max_attempts THEN 'dead' ELSE 'queued' END, \
            finished_at = CASE WHEN cancel_requested OR attempt >= max_attempts THEN {now} END, \
            error = $1, worker = NULL, lease_until = NULL \
         FROM lapsed WHERE tenant_id = lapsed_tenant AND id = lapsed_id RETURNING id, state"
    )
}

/// Takes what is due, best first.
pub(super) async fn claim(write: &mut Write<'_>, claim: &Claim) -> Result<Vec<Job>> {
    let mut values: Vec<Value> =
        vec![claim.worker.as_ref().into(), i64::from(claim.limit).into(), micros(claim.lease).into()];
    values.extend(functions(claim));
    let rows = write.all(&claim_sql(write.dialect(), claim.functions.len()), values).await?;
    let mut jobs = rows.iter().map(row::job).collect::<Result<Vec<_>>>()?;
    // RETURNING keeps no order.
    jobs.sort_by(|a, b| b.priority.cmp(&a.priority).then(a.run_at.cmp(&b.run_at)).then_with(|| a.id.cmp(&b.id)));
    Ok(jobs)
}

/// The clock is asked in a subquery: asked in the condition itself, it would be asked for every row and no index would help.
fn claim_sql(dialect: Dialect, functions: usize) -> String {
    let (now, skip_locked) = (dialect.now(), dialect.skip_locked());
    format!(
        "WITH due AS (SELECT tenant_id AS due_tenant, id AS due_id FROM universal_jobs \
            WHERE state = 'queued' AND run_at <= (SELECT {now}) AND function IN ({}) \
            ORDER BY priority DESC, run_at, id LIMIT $2{skip_locked}) \
         UPDATE universal_jobs SET state = 'running', attempt = attempt + 1, worker = $1, lease_until = {now} + $3, \
            started_at = {now} \
         FROM due WHERE tenant_id = due_tenant AND id = due_id RETURNING {COLUMNS}",
        placeholders(4, functions),
    )
}

/// Renews leases; what is not answered is lost.
pub(super) async fn beat(write: &mut Write<'_>, leases: &[Lease], lease: Duration) -> Result<Vec<Held>> {
    let sql = format!(
        "UPDATE universal_jobs SET lease_until = {} + $1 \
         WHERE state = 'running' AND (tenant_id, id, attempt, worker) IN (VALUES {}) RETURNING id, cancel_requested",
        write.dialect().now(),
        tuples(2, leases.len()),
    );
    let values = std::iter::once(micros(lease).into()).chain(leases.iter().flat_map(row::held)).collect();
    let rows = write.all(&sql, values).await?;
    rows.iter().map(|row| Ok(Held::new(JobId::trusted(column::<String>(row, 0)?), column(row, 1)?))).collect()
}

/// Which of these were called off.
pub(super) async fn called_off(database: &Database, leases: &[Lease]) -> Result<Vec<JobId>> {
    let sql = format!(
        "SELECT id FROM universal_jobs \
         WHERE state = 'running' AND cancel_requested AND (tenant_id, id, attempt, worker) IN (VALUES {})",
        tuples(1, leases.len()),
    );
    let rows = database.all(&sql, leases.iter().flat_map(row::held).collect()).await?;
    rows.iter().map(|row| column::<String>(row, 0).map(JobId::trusted)).collect()
}

fn functions(claim: &Claim) -> impl Iterator<Item = Value> {
    claim.functions.iter().map(|name| name.as_str().into())
}

fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// `count` tuples of four placeholders.
fn tuples(first: usize, count: usize) -> String {
    let tuple = |n: usize| format!("({})", placeholders(first + 4 * n, 4));
    (0..count).map(tuple).collect::<Vec<_>>().join(", ")
}
