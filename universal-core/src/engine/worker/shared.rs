//! What the parts of a worker share.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    engine::worker::{options::WorkerOptions, running::Running},
    jobs::{Functions, Job, Queue},
};

/// What the parts of a worker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) functions: Functions,
    pub(super) options: WorkerOptions,
    /// The name in leases: no other start of a worker has it.
    pub(super) name: Arc<str>,
    pub(super) running: Running,
    /// One permit for each job that may run.
    pub(super) slots: Arc<Semaphore>,
    /// No more claims.
    pub(super) stop: CancellationToken,
    /// No more anything: what still runs is left to the end of its lease.
    pub(super) abandon: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// A job on its way from the claimer to its handler.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) job: Job,
    /// Until when it is held without a beat, by this process's clock, counted from before the claim was sent.
    pub(super) held_until: Instant,
    /// Its slot, free again when this is dropped.
    pub(super) slot: OwnedSemaphorePermit,
}

/// A number from 0 to 1 by chance; the middle if the system has no randomness.
pub(super) fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |drawn| f64::from(drawn) / f64::from(u32::MAX))
}
