//! Waiting for a condition instead of sleeping for a time.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep};

/// Asks until the answer is `Some`, and gives up loudly after `limit`.
pub async fn until_some<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> F,
) -> T {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain for: {what}");
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Asks until the answer is `true`, and gives up loudly after `limit`.
pub async fn until<F: Future<Output = bool>>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) {
    until_some(what, limit, || {
        let answer = ask();
        async move { answer.await.then_some(()) }
    })
    .await;
}

/// A pause whose length is the subject of a test: how long a process lives before it is killed.
pub async fn pause(length: Duration) {
    sleep(length).await;
}
