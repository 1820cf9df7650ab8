//! Reads of documents: pages, counts, aggregates, distinct values.

use std::sync::Arc;

use universal_core::conformance::reads::GROUPS;

use super::subject::{On, run, subject};

async fn keep_their_promises(on: On) {
    let subject = subject(on).await;
    let cases = GROUPS.iter().flat_map(|group| group.iter().copied());
    run(cases, Arc::clone(subject.backend.collections())).await;
    subject.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_keep_their_promises_on_sqlite() {
    keep_their_promises(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_keep_their_promises_on_postgresql() {
    keep_their_promises(On::Postgres).await;
}
