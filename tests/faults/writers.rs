//! Writers that never wait for each other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Method;
use serde_json::json;
use tokio::task::JoinSet;
use universal_tests::{client::Client, wait};

use super::book::{Book, Step};

/// Writers at work, until told to stop.
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Writers {
    /// `count` writers, each with documents of its own in `collection`.
    pub(super) fn start(count: usize, client: &Client, collection: &'static str, book: &Arc<Book>) -> Self {
        Self::named("w", count, client, collection, book)
    }

    /// The same, whose documents are called after `name`.
    pub(super) fn named(
        name: &'static str,
        count: usize,
        client: &Client,
        collection: &'static str,
        book: &Arc<Book>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let (client, book, stop) = (client.clone(), book.clone(), stop.clone());
            tasks.spawn(async move {
                let mut document = 0_usize;
                while !stop.load(Ordering::Relaxed) {
                    live(&client, collection, &book, &format!("{name}{number}-{document}"), document).await;
                    document += 1;
                }
            });
        }
        Self { stop, tasks }
    }

    /// Lets each finish the document it is at.
    pub(super) async fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a writer does not panic");
        }
    }
}

/// One document from its creation to its last step, or to the first step without an answer.
async fn live(client: &Client, collection: &str, book: &Book, id: &str, number: usize) {
    let path = format!("/db/{collection}/{id}");
    let steps = 2 + i64::try_from(number % 4).unwrap_or_default();
    for n in 0..steps {
        let request = match (n, n % 3) {
            (0, _) => client
                .request(Method::PUT, &path)
                .header("if-none-match", "*")
                .json(&json!({ "step": 0, "text": "x".repeat(200) })),
            (_, 1) => client.request(Method::PATCH, &path).json(&json!({ "step": { "$inc": 1 } })),
            (_, 2) => client.request(Method::PATCH, &path).json(&json!({ "step": n })),
            _ => client.request(Method::PUT, &path).json(&json!({ "step": n })),
        };
        if !does(client, book, id, Step::Is(n), request).await {
            return;
        }
    }
    if number % 5 == 4 {
        does(client, book, id, Step::Gone, client.request(Method::DELETE, &path)).await;
    }
}

/// Sends one step; `true` if it was acknowledged.
async fn does(client: &Client, book: &Book, id: &str, step: Step, request: reqwest::RequestBuilder) -> bool {
    book.sends(id, step);
    match client.try_send(request).await {
        Ok(answer) if (200..300).contains(&answer.status) => {
            book.has(id, step, answer.header("etag").trim_matches('"'));
            true
        }
        Ok(answer) if answer.status == 503 && answer.code() == "outcome-unknown" => false,
        // Anything else a server says means that nothing was done.
        Ok(answer) => {
            book.has_not(id);
            // The database ends the transaction of a node that stands still for longer than it may say nothing.
            let stood_still = answer.status == 504 && answer.code() == "statement-timeout";
            if !stood_still && !matches!(answer.status, 429 | 503) {
                book.refused(format!("{id}, {step:?}: {} {}", answer.status, answer.text()));
            }
            wait::pause(Duration::from_millis(20)).await;
            false
        }
        // It went away: before, while or after it did what was asked.
        Err(_) => {
            wait::pause(Duration::from_millis(50)).await;
            false
        }
    }
}
