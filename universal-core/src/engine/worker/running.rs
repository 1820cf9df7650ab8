//! The jobs that run in this process, and until when each is held.

use std::{collections::HashMap, sync::Mutex};

use tokio::time::Instant;

use crate::jobs::{JobContext, JobId, Lease, StopReason};

/// The jobs that run in this process. Its lock is held for moments only, never across an `await`.
#[derive(Debug, Default)]
pub(super) struct Running {
    jobs: Mutex<HashMap<JobId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    context: JobContext,
    held_until: Instant,
}

impl Running {
    /// A job begins that is held until `held_until`, by this process's own clock.
    pub(super) fn begin(&self, context: &JobContext, held_until: Instant) {
        let entry = Entry { context: context.clone(), held_until };
        self.lock().insert(context.job().id.clone(), entry);
    }

    /// A job has ended, in whatever way.
    pub(super) fn end(&self, lease: &Lease) {
        let mut jobs = self.lock();
        // The next attempt may run here already, when the lease of this one was lost.
        if jobs.get(&lease.id).is_some_and(|entry| entry.context.lease() == lease) {
            jobs.remove(&lease.id);
        }
    }

    pub(super) fn leases(&self) -> Vec<Lease> {
        self.lock().values().map(|entry| entry.context.lease().clone()).collect()
    }

    /// Whether the attempt is still believed to hold its job.
    pub(super) fn holds(&self, lease: &Lease) -> bool {
        self.lock()
            .get(&lease.id)
            .is_some_and(|entry| entry.context.lease() == lease && entry.held_until > Instant::now())
    }

    /// These leases were renewed until `held_until`.
    pub(super) fn renew(&self, lease: &Lease, held_until: Instant) {
        if let Some(entry) = self.lock().get_mut(&lease.id)
            && entry.context.lease() == lease
        {
            entry.held_until = held_until;
        }
    }

    /// Asks one attempt to stop.
    pub(super) fn stop(&self, lease: &Lease, reason: StopReason) {
        let entry = self.lock().get(&lease.id).map(|entry| entry.context.clone());
        if let Some(context) = entry.filter(|context| context.lease() == lease) {
            context.stop(reason);
        }
    }

    /// Asks every attempt to stop that is held no longer than `until`.
    pub(super) fn stop_held_until(&self, until: Instant, reason: StopReason) -> usize {
        let late: Vec<JobContext> = self
            .lock()
            .values()
            .filter(|entry| entry.held_until <= until && !entry.context.is_stopped())
            .map(|entry| entry.context.clone())
            .collect();
        late.iter().for_each(|context| context.stop(reason));
        late.len()
    }

    /// Asks every attempt to stop.
    pub(super) fn stop_all(&self, reason: StopReason) {
        let all: Vec<JobContext> = self.lock().values().map(|entry| entry.context.clone()).collect();
        all.iter().for_each(|context| context.stop(reason));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Entry>> {
        // A panic while it was held leaves the map whole: every change is one call.
        self.jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
