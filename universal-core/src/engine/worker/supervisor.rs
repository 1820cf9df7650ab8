//! Runs the apalis worker, and runs it again under a new name should it end before its time.

use std::{sync::Arc, time::Duration};

use apalis::prelude::{WorkerBuilder, WorkerError};
use futures_util::future::BoxFuture;

use crate::{
    engine::worker::{
        attempt,
        backend::ClaimedJobs,
        shared::{Ready, Shared},
    },
    error::{Error, Result},
};

/// Runs apalis until the claimer has stopped and the last handler has ended.
pub(super) async fn run(shared: Arc<Shared>, jobs: ClaimedJobs) {
    for generation in 1_u32.. {
        let name = format!("{}.{generation}", shared.name);
        let worker = shared.tasks.spawn(worker(Arc::clone(&shared), jobs.clone(), name.clone()));
        match worker.await {
            Ok(Ok(())) if shared.stop.is_cancelled() => return,
            Ok(Ok(())) => tracing::error!(worker = name, "a worker ended before its time; a new one is started"),
            Ok(Err(error)) => tracing::error!(worker = name, error = %error, "a worker failed; a new one is started"),
            Err(error) => tracing::error!(worker = name, error = %error, "a worker panicked; a new one is started"),
        }
        tokio::select! {
            () = shared.abandon.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}

async fn worker(shared: Arc<Shared>, jobs: ClaimedJobs, name: String) -> Result<(), WorkerError> {
    let run = move |ready: Ready| -> BoxFuture<'static, Result<()>> {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            // A task of its own: apalis polls all handlers in one, where one that computes would hold up the others, and
            // drops them when it ends.
            let attempt = shared.tasks.spawn(attempt::run(Arc::clone(&shared), ready));
            attempt.await.map_err(Error::internal)?
        })
    };
    WorkerBuilder::new(name).backend(jobs).build(run).run().await
}
