//! How a worker works.

use std::time::Duration;

use crate::error::{Error, Result};

/// How a worker works.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WorkerOptions {
    /// How many jobs run at a time in this process. 16 unless set.
    pub concurrency: u32,
    /// For how long a claim holds without a beat: how late a job of a dead worker begins again. 30 s unless set.
    pub lease: Duration,
    /// How often leases are renewed, at most a third of `lease`. 8 s unless set.
    pub beat: Duration,
    /// How often the queue is looked at without a hint. 1 s unless set.
    pub poll: Duration,
    /// How often running jobs are looked at for having been called off. 1 s unless set.
    pub watch: Duration,
    /// How long [`Workers::shutdown`](super::Workers::shutdown) waits for running jobs before it hands them back. 20 s unless set.
    pub grace: Duration,
    /// How long jobs that have ended are kept. 7 days unless set.
    pub keep: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            concurrency: 16,
            lease: Duration::from_secs(30),
            beat: Duration::from_secs(8),
            poll: Duration::from_secs(1),
            watch: Duration::from_secs(1),
            grace: Duration::from_secs(20),
            keep: Duration::from_secs(7 * 86_400),
        }
    }
}

impl WorkerOptions {
    /// The usual options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `concurrency` jobs at a time.
    #[must_use]
    pub fn with_concurrency(mut self, concurrency: u32) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Holds jobs for `lease`, renewed every `beat`.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration, beat: Duration) -> Self {
        (self.lease, self.beat) = (lease, beat);
        self
    }

    /// Looks at the queue every `poll` without a hint.
    #[must_use]
    pub fn with_poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// Looks for cancellations every `watch`.
    #[must_use]
    pub fn with_watch(mut self, watch: Duration) -> Self {
        self.watch = watch;
        self
    }

    /// Lets running jobs finish for `grace` at shutdown.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Keeps ended jobs for `keep`.
    #[must_use]
    pub fn with_keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        let ok = (1..=1000).contains(&self.concurrency)
            && self.lease >= Duration::from_millis(100)
            && !self.beat.is_zero()
            && self.beat.saturating_mul(3) <= self.lease
            && !self.poll.is_zero()
            && !self.watch.is_zero();
        if ok {
            return Ok(());
        }
        Err(Error::invalid(
            "invalid-worker-options",
            "a worker runs 1 to 1000 jobs, its lease is at least 100 ms and three beats long, and poll and watch are above zero",
        ))
    }

    /// How long before the end of a lease its handler is asked to stop.
    pub(super) fn margin(&self) -> Duration {
        self.lease / 4
    }

    /// How long a handler that was asked to stop may take before its future is dropped. Less than the margin, so that a
    /// worker that cannot renew is silent before anybody else may begin.
    pub(super) fn stop_within(&self) -> Duration {
        (self.lease / 8).min(Duration::from_secs(2))
    }
}
