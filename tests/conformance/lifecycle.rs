//! References, dropped and renamed collections, documents whose time is over.

use std::sync::Arc;

use universal_core::conformance::lifecycle::{Fixture, cases};

use super::subject::{On, run, subject};

async fn lifecycle(on: On) {
    let subject = subject(on).await;
    let backend = &subject.backend;
    let fixture = Fixture::new(
        Arc::clone(backend.collections()),
        Arc::clone(backend.maintenance()),
        Arc::clone(backend.realtime()),
        Arc::clone(&subject.clock),
    );
    run(cases(), fixture).await;
    subject.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_live_as_promised_on_sqlite() {
    lifecycle(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_live_as_promised_on_postgresql() {
    lifecycle(On::Postgres).await;
}
