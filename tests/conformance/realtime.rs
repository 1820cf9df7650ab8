//! The feed and its subscribers.

use std::sync::Arc;

use universal_core::conformance::{
    realtime::{CASES, Fixture},
    watch,
};

use super::subject::{On, Subject, run, subject};

fn fixture(subject: &Subject) -> Fixture {
    let backend = &subject.backend;
    Fixture::new(Arc::clone(backend.collections()), Arc::clone(backend.realtime()), Arc::clone(backend.feed()))
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_keep_their_promises_on_sqlite() {
    let subject = subject(On::Sqlite).await;
    run(CASES.iter().copied(), fixture(&subject)).await;
    subject.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_keep_their_promises_on_postgresql() {
    let subject = subject(On::Postgres).await;
    run(CASES.iter().copied(), fixture(&subject)).await;
    subject.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_keep_their_promises_on_sqlite() {
    let subject = subject(On::Sqlite).await;
    run(watch::CASES.iter().copied(), fixture(&subject)).await;
    subject.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_keep_their_promises_on_postgresql() {
    let subject = subject(On::Postgres).await;
    run(watch::CASES.iter().copied(), fixture(&subject)).await;
    subject.backend.shutdown().await;
}
