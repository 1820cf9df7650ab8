//! Orders: insert, look, call off, order again.

use sea_orm::Value;

use crate::{
    drivers::sql::{
        connection::Database,
        dialect::Dialect,
        jobs::row::{self, COLUMNS, LISTED},
        write::Write,
    },
    error::{Error, ErrorKind, Result},
    id::TenantId,
    jobs::{Job, JobId, ListJobs, NewJob, Wait},
};

/// Inserts a job, or gives the one that has its unique key.
pub(super) async fn insert(write: &mut Write<'_>, new: &NewJob) -> Result<Job> {
    // A job of the key may end between the two statements; then the key is free and the insert is tried again.
    for _ in 0..3 {
        if let Some(row) = write.one(&insert_sql(write.dialect(), new.wait), insert_values(new)).await? {
            write.signal_jobs();
            return row::job(&row);
        }
        let known =
            write.one("SELECT 1 FROM universal_tenants WHERE id = $1", vec![new.tenant.as_str().into()]).await?;
        if known.is_none() {
            return Err(Error::not_found("tenant-not-found", "there is no such tenant"));
        }
        let Some(key) = &new.unique_key else { break };
        let sql = format!(
            "SELECT {COLUMNS} FROM universal_jobs WHERE tenant_id = $1 AND function = $2 \
             AND coalesce(owner_id, '') = $3 AND unique_key = $4 AND state IN ('queued', 'running')"
        );
        let owner = new.owner.as_ref().map_or("", |owner| owner.as_str());
        let values = vec![new.tenant.as_str().into(), new.function.as_str().into(), owner.into(), key.as_str().into()];
        if let Some(row) = write.one(&sql, values).await? {
            return row::job(&row);
        }
    }
    Err(Error::new(ErrorKind::Busy, "job-not-inserted", "another job of this key came and went meanwhile; try again"))
}

fn insert_sql(dialect: Dialect, wait: Wait) -> String {
    let now = dialect.now();
    let run_at = match wait {
        Wait::For(_) => format!("{now} + $6"),
        Wait::Until(_) => "$6".to_owned(),
    };
    format!(
        "INSERT INTO universal_jobs (tenant_id, id, function, input, state, priority, run_at, attempt, max_attempts, \
            owner_id, unique_key, cancel_requested, created_at) \
         SELECT id, $2, $3, $4, 'queued', $5, {run_at}, 0, $7, $8, $9, FALSE, {now} \
         FROM universal_tenants WHERE id = $1 \
         ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
    )
}

fn insert_values(new: &NewJob) -> Vec<Value> {
    let due = match new.wait {
        Wait::For(delay) => micros(delay),
        Wait::Until(moment) => moment.as_micros(),
    };
    vec![
        new.tenant.as_str().into(),
        new.id.as_str().into(),
        new.function.as_str().into(),
        new.input.as_str().into(),
        i64::from(new.priority).into(),
        due.into(),
        i64::from(new.max_attempts).into(),
        new.owner.as_ref().map(|owner| owner.as_str().to_owned()).into(),
        new.unique_key.clone().into(),
    ]
}

/// A duration as the tables count it.
pub(super) fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

pub(super) async fn get(database: &Database, tenant: &TenantId, id: &JobId) -> Result<Option<Job>> {
    let sql = format!("SELECT {COLUMNS} FROM universal_jobs WHERE tenant_id = $1 AND id = $2");
    let row = database.one(&sql, vec![tenant.as_str().into(), id.as_str().into()]).await?;
    row.as_ref().map(row::job).transpose()
}

pub(super) async fn list(database: &Database, tenant: &TenantId, list: &ListJobs) -> Result<Vec<Job>> {
    let mut sql = format!("SELECT {LISTED} FROM universal_jobs WHERE tenant_id = $1");
    let mut values: Vec<Value> = vec![tenant.as_str().into()];
    let mut and = |column: &str, value: Option<String>| {
        if let Some(value) = value {
            values.push(value.into());
            sql.push_str(&format!(" AND {column} ${}", values.len()));
        }
    };
    and("state =", list.state.map(|state| state.as_str().to_owned()));
    and("function =", list.function.as_ref().map(ToString::to_string));
    and("owner_id =", list.owner.as_ref().map(ToString::to_string));
    and("id <", list.before.as_ref().map(ToString::to_string));
    values.push((i64::from(list.limit.get()) + 1).into());
    sql.push_str(&format!(" ORDER BY id DESC LIMIT ${}", values.len()));
    database.all(&sql, values).await?.iter().map(row::job).collect()
}

/// Calls a job off; `None` if it has ended or is not there.
pub(super) async fn cancel(write: &mut Write<'_>, tenant: &TenantId, id: &JobId) -> Result<Option<Job>> {
    let now = write.dialect().now();
    let sql = format!(
        "UPDATE universal_jobs SET cancel_requested = TRUE, \
            finished_at = CASE WHEN state = 'queued' THEN {now} END, \
            state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END \
         WHERE tenant_id = $1 AND id = $2 AND state IN ('queued', 'running') RETURNING {COLUMNS}"
    );
    let row = write.one(&sql, vec![tenant.as_str().into(), id.as_str().into()]).await?;
    row.as_ref().map(row::job).transpose()
}

/// Queues an ended job again; `None` if it has not ended badly or is not there.
///
/// The attempt goes on counting: a worker that still believes in an old attempt must not find its number again.
pub(super) async fn retry(write: &mut Write<'_>, tenant: &TenantId, id: &JobId, attempts: u32) -> Result<Option<Job>> {
    let now = write.dialect().now();
    let values: Vec<Value> = vec![tenant.as_str().into(), id.as_str().into(), i64::from(attempts).into()];
    let taken = "SELECT 1 FROM universal_jobs AS mine JOIN universal_jobs AS other ON other.tenant_id = mine.tenant_id \
            AND other.function = mine.function AND coalesce(other.owner_id, '') = coalesce(mine.owner_id, '') \
            AND other.unique_key = mine.unique_key AND other.id <> mine.id \
            AND other.state IN ('queued', 'running') \
         WHERE mine.tenant_id = $1 AND mine.id = $2";
    if write.one(taken, vec![tenant.as_str().into(), id.as_str().into()]).await?.is_some() {
        return Err(Error::new(
            ErrorKind::Conflict,
            "job-exists",
            "a job with the unique key of this one is waiting or running already",
        ));
    }
    let sql = format!(
        "UPDATE universal_jobs SET state = 'queued', run_at = {now}, max_attempts = attempt + $3, \
            cancel_requested = FALSE, finished_at = NULL \
         WHERE tenant_id = $1 AND id = $2 AND state IN ('dead', 'cancelled') RETURNING {COLUMNS}"
    );
    let Some(row) = write.one(&sql, values).await? else { return Ok(None) };
    write.signal_jobs();
    row::job(&row).map(Some)
}
