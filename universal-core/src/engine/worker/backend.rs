//! The claimed jobs as a backend of apalis.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral, queue::Queue as QueueName},
    layers::Identity,
    task::{Task, builder::TaskBuilder, task_id::TaskId},
    worker::context::WorkerContext,
};
use tokio::sync::mpsc;

use crate::engine::worker::shared::Ready;

/// Gives apalis the jobs that the claimer has claimed. It never fails: a failing database is the claimer's affair,
/// and an error here would end the apalis worker and drop its handlers.
#[derive(Clone, Debug)]
pub(super) struct ClaimedJobs {
    /// Shared, so that a worker that is started anew goes on where the one before ended.
    ready: Arc<Mutex<mpsc::Receiver<Ready>>>,
}

impl ClaimedJobs {
    pub(super) fn new(ready: mpsc::Receiver<Ready>) -> Self {
        Self { ready: Arc::new(Mutex::new(ready)) }
    }
}

impl Backend for ClaimedJobs {
    type Task = Task<Ready>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// The receiver keeps the waker and wakes it for every job, so no wake-up is lost and nothing is polled.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Task<Ready>, Infallible>>> {
        let received = {
            let mut ready = self.ready.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            ready.poll_recv(cx)
        };
        received.map(|ready| match ready {
            Some(ready) => Some(Ok(task(ready))),
            None => {
                // The claimer has stopped. apalis waits for its handlers and then for this call: without it, a worker whose
                // backend is exhausted never ends. It fails only on a worker that has not started.
                let _ = worker.stop();
                None
            }
        })
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

fn task(ready: Ready) -> Task<Ready> {
    let attempts = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let (id, function) = (TaskId::from_string(ready.job.id.as_str()), QueueName::from(ready.job.function.as_str()));
    // apalis counts an attempt when it begins; ours is counted by the claim.
    let before = attempts(ready.job.attempt.saturating_sub(1));
    let most = attempts(ready.job.max_attempts);
    TaskBuilder::new(ready).task_id(id).queue(function).attempt(before).max_attempts(most).build()
}

impl BackendConfig for ClaimedJobs {
    type Args = Ready;
    type Id = String;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
