//! What the engine asks of a driver about collections.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{
    collections::configured::Configured,
    error::Result,
    id::{CollectionName, TenantId},
};

/// Port: the settings of collections, as they were at most a second ago.
#[async_trait]
pub trait Configurations: Send + Sync + fmt::Debug {
    /// The settings of a collection; the default ones where nobody has configured it.
    ///
    /// # Errors
    /// `NotFound` for a tenant that does not exist; `Unavailable` and `Busy` from the database.
    async fn configured(&self, tenant: &TenantId, collection: &CollectionName) -> Result<Arc<Configured>>;

    /// The settings of a collection, no older than this version of the tenant's.
    ///
    /// # Errors
    /// As [`configured`](Self::configured).
    async fn configured_at(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        version: i64,
    ) -> Result<Arc<Configured>>;

    /// The versions of these tenants' settings, which rise with every change of them; unknown tenants are left out.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn versions(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, i64)>>;
}

/// Port: what collections need done from time to time. Any number of nodes may do it at once.
#[async_trait]
pub trait Maintenance: Send + Sync + fmt::Debug {
    /// Deletes documents whose time is over, and goes on with what was left to the background: dropping and renaming
    /// collections, and looking through documents after a change of settings. Answers whether there is more to do at
    /// once.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database; what was not done is tried again.
    async fn maintain(&self) -> Result<bool>;
}

/// Settings of nobody: every collection has the owner rule.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unconfigured;

#[async_trait]
impl Configurations for Unconfigured {
    async fn configured(&self, _: &TenantId, _: &CollectionName) -> Result<Arc<Configured>> {
        Ok(Arc::new(Configured::unconfigured(false)))
    }

    async fn configured_at(&self, tenant: &TenantId, of: &CollectionName, _: i64) -> Result<Arc<Configured>> {
        self.configured(tenant, of).await
    }

    async fn versions(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, i64)>> {
        Ok(tenants.iter().map(|tenant| (tenant.clone(), 0)).collect())
    }
}

/// Port: the indexes that are being built or taken away.
#[async_trait]
pub trait IndexBuilder: Send + Sync + fmt::Debug {
    /// Does a small piece of the work on each of some indexes, in a commit of its own.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database; the work goes on with the next step.
    async fn step(&self) -> Result<Step>;

    /// Resolves when there may be something to do.
    async fn woken(&self);
}

/// What is left after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Nothing.
    Idle,
    /// Something that must wait for others to end what they began.
    Waiting,
    /// Something.
    More,
}
