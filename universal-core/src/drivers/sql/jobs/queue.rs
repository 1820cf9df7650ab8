//! The port [`Queue`] on a database.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::{Notify, broadcast};

use crate::{
    drivers::sql::{
        connection::Database,
        error::is_serialization_failure,
        jobs::{
            claim::{self, Outlook},
            finish,
            order::{self, micros},
        },
    },
    error::{Error, Result},
    id::TenantId,
    jobs::{Claim, Claimed, Effects, Failure, Held, Job, JobId, JobState, Lease, ListJobs, NewJob, Queue},
    transaction::Transaction,
};

/// Hints that a listener has not taken yet; one that lags looks for itself.
const HINTS: usize = 256;
/// How often a completion with effects is tried when other transactions are in its way.
const ATTEMPTS: u32 = 5;

/// Jobs in a table. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SqlQueue {
    database: Database,
    ended: broadcast::Sender<JobId>,
}

impl SqlQueue {
    /// The queue of a database.
    pub(crate) fn new(database: Database) -> Self {
        Self { database, ended: broadcast::Sender::new(HINTS) }
    }

    fn tell(&self, id: &JobId) {
        // Nobody listening is not an error.
        let _ = self.ended.send(id.clone());
    }
}

#[async_trait]
impl Queue for SqlQueue {
    async fn insert(&self, job: NewJob) -> Result<Job> {
        self.database
            .write(move |write| {
                let job = job.clone();
                Box::pin(async move { order::insert(write, &job).await })
            })
            .await
    }

    async fn insert_in(&self, tx: &mut Transaction<'_>, job: NewJob) -> Result<Job> {
        order::insert(&mut self.database.join(tx)?, &job).await
    }

    async fn get(&self, tenant: &TenantId, id: &JobId) -> Result<Option<Job>> {
        order::get(&self.database, tenant, id).await
    }

    async fn list(&self, tenant: &TenantId, list: &ListJobs) -> Result<Vec<Job>> {
        order::list(&self.database, tenant, list).await
    }

    async fn cancel(&self, tenant: &TenantId, id: &JobId) -> Result<Option<Job>> {
        let (key, job) = ((tenant.clone(), id.clone()), (tenant.clone(), id.clone()));
        let changed = self
            .database
            .write(move |write| {
                let (tenant, id) = job.clone();
                Box::pin(async move { order::cancel(write, &tenant, &id).await })
            })
            .await?;
        match changed {
            Some(job) => {
                self.tell(&job.id);
                Ok(Some(job))
            }
            None => self.get(&key.0, &key.1).await,
        }
    }

    async fn retry(&self, tenant: &TenantId, id: &JobId, attempts: u32) -> Result<Option<Job>> {
        let job = (tenant.clone(), id.clone());
        let changed = self
            .database
            .write(move |write| {
                let (tenant, id) = job.clone();
                Box::pin(async move { order::retry(write, &tenant, &id, attempts).await })
            })
            .await?;
        match changed {
            Some(job) => Ok(Some(job)),
            None => self.get(tenant, id).await,
        }
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        if claim.functions.is_empty() || claim.limit == 0 {
            return Ok(Claimed::default());
        }
        let outlook = Outlook::look(&self.database, claim).await?;
        if outlook.is_idle() {
            return Ok(Claimed::new(Vec::new(), outlook.next()));
        }
        let (claim, lapsed) = (claim.clone(), outlook.lapsed());
        let (jobs, ended) = self
            .database
            .write(move |write| {
                let claim = claim.clone();
                Box::pin(async move {
                    let ended = if lapsed { claim::lapse(write).await? } else { Vec::new() };
                    Ok((claim::claim(write, &claim).await?, ended))
                })
            })
            .await?;
        ended.iter().for_each(|id| self.tell(id));
        Ok(Claimed::new(jobs, None))
    }

    async fn beat(&self, leases: &[Lease], lease: Duration) -> Result<Vec<Held>> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let leases: Arc<[Lease]> = leases.into();
        self.database
            .write(move |write| {
                let leases = Arc::clone(&leases);
                Box::pin(async move { claim::beat(write, &leases, lease).await })
            })
            .await
    }

    async fn called_off(&self, leases: &[Lease]) -> Result<Vec<JobId>> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        claim::called_off(&self.database, leases).await
    }

    async fn complete(&self, lease: &Lease, result: &Value) -> Result<()> {
        let result = serde_json::to_string(result).map_err(Error::internal)?;
        let mine = lease.clone();
        self.database
            .write(move |write| {
                let (lease, result) = (mine.clone(), result.clone());
                Box::pin(async move { finish::complete(write, &lease, &result).await })
            })
            .await?;
        self.tell(&lease.id);
        Ok(())
    }

    async fn complete_with(&self, lease: &Lease, effects: Effects) -> Result<Value> {
        let mut attempt = 1;
        loop {
            let (database, lease_, effects) = (self.database.clone(), lease.clone(), Arc::clone(&effects));
            let done = self
                .database
                .transaction(move |tx| {
                    Box::pin(async move {
                        finish::lock(&mut database.join(tx)?, &lease_).await?;
                        let result = effects(tx).await?;
                        let text = serde_json::to_string(&result).map_err(Error::internal)?;
                        finish::complete(&mut database.join(tx)?, &lease_, &text).await?;
                        Ok(result)
                    })
                })
                .await;
            match done {
                Err(error) if attempt < ATTEMPTS && is_serialization_failure(&error) => {
                    tokio::time::sleep(Duration::from_millis(u64::from(attempt) * 3)).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
                Ok(result) => {
                    self.tell(&lease.id);
                    return Ok(result);
                }
            }
        }
    }

    async fn fail(&self, lease: &Lease, failure: Failure) -> Result<JobState> {
        let mine = lease.clone();
        let state = self
            .database
            .write(move |write| {
                let (lease, failure) = (mine.clone(), failure.clone());
                Box::pin(async move { finish::fail(write, &lease, &failure).await })
            })
            .await?;
        self.tell(&lease.id);
        Ok(state)
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        let mine = lease.clone();
        self.database
            .write(move |write| {
                let lease = mine.clone();
                Box::pin(async move { finish::release(write, &lease).await })
            })
            .await
    }

    async fn prune(&self, age: Duration) -> Result<u64> {
        let sql = format!(
            "DELETE FROM universal_jobs WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM universal_jobs \
                WHERE finished_at < (SELECT {}) - $1 ORDER BY finished_at LIMIT 1000)",
            self.database.dialect().now(),
        );
        let age = micros(age);
        self.database
            .write(move |write| {
                let sql = sql.clone();
                Box::pin(async move { write.execute(&sql, vec![age.into()]).await })
            })
            .await
    }

    fn wake(&self) -> Arc<Notify> {
        self.database.jobs_signal()
    }

    fn ended(&self) -> broadcast::Receiver<JobId> {
        self.ended.subscribe()
    }
}
