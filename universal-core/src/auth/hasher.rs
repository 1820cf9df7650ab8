//! Hashing off the async threads, behind a bounded queue.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    auth::{
        options::HashingOptions,
        password_hash::{Recipe, Verdict},
    },
    error::{Error, ErrorKind, Result},
};

/// Hashes and compares passwords on threads made for blocking work: a few at a time (each takes 19 MiB),
/// some waiting, the rest refused at once.
#[derive(Clone, Debug)]
pub struct PasswordHasher {
    recipe: Arc<Recipe>,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl PasswordHasher {
    /// With the cost and the bounds of `options`.
    ///
    /// # Errors
    /// `Invalid` if Argon2 does not accept the cost.
    pub fn new(options: &HashingOptions) -> Result<Self> {
        let threads = options.threads.clamp(1, 1_024);
        Ok(Self {
            recipe: Arc::new(Recipe::new(options)?),
            running: Arc::new(Semaphore::new(threads)),
            admitted: Arc::new(Semaphore::new(threads + options.queue.min(100_000))),
        })
    }

    /// The hash of a password, as PHC text.
    ///
    /// # Errors
    /// `Busy` (`too-many-sign-ins`) if the queue is full.
    pub async fn hash(&self, password: SecretString) -> Result<String> {
        self.run(move |recipe| recipe.hash(&password)).await?
    }

    /// Compares a password with a stored hash; without one, does the same work and finds no match.
    ///
    /// # Errors
    /// `Busy` (`too-many-sign-ins`) if the queue is full.
    pub async fn verify(&self, password: SecretString, stored: Option<String>) -> Result<Verdict> {
        self.run(move |recipe| recipe.verify(&password, stored.as_deref())).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Recipe) -> T + Send + 'static) -> Result<T> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| {
            Error::new(
                ErrorKind::Busy,
                "too-many-sign-ins",
                "too many people sign in at this moment; try again in a second",
            )
            .with_retry_after(Duration::from_secs(1))
        })?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(Error::internal)?;
        let recipe = Arc::clone(&self.recipe);
        // The permits go with the work: if the caller goes away, the thread is still taken until it is done.
        tokio::task::spawn_blocking(move || {
            let _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (admitted, running);
            work(&recipe)
        })
        .await
        .map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_queue_is_bounded_and_gives_its_places_back() {
        let options = HashingOptions::default().with_cost(64, 1, 1).with_queue(1, 2);
        let hasher = PasswordHasher::new(&options).unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let blocked = tokio::spawn({
            let hasher = hasher.clone();
            async move { hasher.run(move |_| held.recv().ok()).await }
        });
        while hasher.running.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.hash("correct horse".to_owned().into()).await })
            })
            .collect();
        while hasher.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let error = hasher.verify("correct horse".to_owned().into(), None).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Busy, "too-many-sign-ins"));
        assert!(error.retry_after().is_some());
        // A caller that goes away gives its place back.
        for task in waiting {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        release.send(()).unwrap();
        blocked.await.unwrap().unwrap();
        let hash = hasher.hash("correct horse".to_owned().into()).await.unwrap();
        assert!(hasher.verify("correct horse".to_owned().into(), Some(hash)).await.unwrap().matches);
        assert_eq!(hasher.admitted.available_permits(), 3);
    }
}
