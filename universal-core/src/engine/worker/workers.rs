//! Starting and stopping.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    engine::worker::{
        backend::ClaimedJobs, claimer, keeper, options::WorkerOptions, running::Running, shared::Shared, supervisor,
    },
    error::Result,
    jobs::{Functions, Queue, StopReason},
};

/// How long the queue may take to be told about handlers that were stopped at shutdown.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The workers of this process. Dropping it stops them at once: what runs is left to the end of its lease, and runs again
/// elsewhere. [`Workers::shutdown`] lets it finish.
#[must_use = "dropping this stops the workers"]
pub struct Workers {
    shared: Arc<Shared>,
    /// The keeper, which goes on until the last handler has ended.
    keeping: TaskTracker,
}

impl Workers {
    /// Starts to run the jobs of `functions` from `queue`. Needs a tokio runtime.
    ///
    /// # Errors
    /// `Invalid` (`invalid-worker-options`).
    pub fn start(queue: Arc<dyn Queue>, functions: Functions, options: WorkerOptions) -> Result<Self> {
        options.check()?;
        let slots = usize::try_from(options.concurrency).unwrap_or(usize::MAX);
        let shared = Arc::new(Shared {
            queue,
            functions,
            options,
            name: uuid::Uuid::now_v7().to_string().into(),
            running: Running::default(),
            slots: Arc::new(Semaphore::new(slots)),
            stop: CancellationToken::new(),
            abandon: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let (ready, claimed) = mpsc::channel(slots);
        let tasks = &shared.tasks;
        tasks.spawn(claimer::run(Arc::clone(&shared), ready));
        tasks.spawn(supervisor::run(Arc::clone(&shared), ClaimedJobs::new(claimed)));
        tasks.spawn(keeper::prune(Arc::clone(&shared)));
        let keeping = TaskTracker::new();
        keeping.spawn(keeper::run(Arc::clone(&shared)));
        keeping.close();
        Ok(Self { shared, keeping })
    }

    /// The name of these workers in leases and logs. No other start has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Claims no more, lets what runs finish for `grace`, asks the rest to stop and hands it back uncounted.
    /// Returns when nothing of the workers is left.
    pub async fn shutdown(self) {
        let shared = &self.shared;
        shared.stop.cancel();
        shared.tasks.close();
        if timeout(shared.options.grace, shared.tasks.wait()).await.is_err() {
            shared.running.stop_all(StopReason::Shutdown);
            if timeout(shared.options.stop_within() + LAST_WORDS, shared.tasks.wait()).await.is_err() {
                tracing::warn!("some jobs could not be handed back; they run again when their leases end");
            }
        }
        // Ends the keeper, and whatever did not end by itself.
        shared.abandon.cancel();
        self.keeping.wait().await;
        if timeout(LAST_WORDS, shared.tasks.wait()).await.is_err() {
            tracing::error!("a function blocks its thread and cannot be stopped");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.abandon.cancel();
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("name", &self.shared.name).finish_non_exhaustive()
    }
}
