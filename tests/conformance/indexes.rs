//! Indexes.

use std::sync::Arc;

use universal_core::conformance::indexes::cases;

use super::subject::{On, run, subject};

async fn indexes(on: On) {
    let subject = subject(on).await;
    run(cases(), Arc::clone(subject.backend.collections())).await;
    subject.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_keep_their_promises_on_sqlite() {
    indexes(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_keep_their_promises_on_postgresql() {
    indexes(On::Postgres).await;
}
