//! Documents.

use std::sync::Arc;

use universal_core::conformance::{collections, rules, transfer};

use super::subject::{On, run, subject};

#[tokio::test(flavor = "multi_thread")]
async fn documents_keep_their_promises_on_sqlite() {
    let subject = subject(On::Sqlite).await;
    let cases = collections::CASES.iter().chain(rules::CASES).chain(transfer::CASES);
    run(cases.copied(), Arc::clone(subject.backend.collections())).await;
    subject.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_keep_their_promises_on_postgresql() {
    let subject = subject(On::Postgres).await;
    let cases = collections::CASES.iter().chain(rules::CASES).chain(transfer::CASES);
    run(cases.copied(), Arc::clone(subject.backend.collections())).await;
    subject.backend.shutdown().await;
}
