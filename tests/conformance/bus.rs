//! The way between nodes: in one process, over Redis, over PostgreSQL.

use std::sync::Arc;

use universal_core::{
    Backend, Settings,
    conformance::bus::{CASES, Fixture, Node},
};
use universal_tests::{
    environment::required,
    postgres::{MASTER_KEY, TestDatabase},
};

use super::subject::run;

fn node(backend: &Backend) -> Node {
    Node::new(Arc::clone(backend.bus()), Arc::clone(backend.broadcaster()))
}

async fn in_memory(change: impl FnOnce(&mut Settings)) -> Backend {
    let mut settings = Settings::default();
    change(&mut settings);
    Backend::builder().in_memory().with_settings(settings).build().await.expect("a backend opens")
}

async fn on_postgres(database: &TestDatabase) -> Backend {
    in_memory(|settings| {
        settings.database_url = Some(database.url().into());
        settings.master_key = Some(MASTER_KEY.to_owned().into());
    })
    .await
}

/// A prefix that no other test has.
fn prefix(name: &str) -> String {
    format!("test:{name}:{}", uuid::Uuid::now_v7())
}

async fn keeps_its_promises(one: &Backend, other: &Backend) {
    let fixture = Fixture::new(node(one), node(other));
    fixture.open().await.unwrap();
    run(CASES.iter().copied(), fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_inside_a_process_keeps_its_promises() {
    let backend = in_memory(|_| {}).await;
    assert_eq!(backend.summary().bus, "this process");
    keeps_its_promises(&backend, &backend).await;
    backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_over_redis_keeps_its_promises() {
    let prefix = prefix("conformance");
    let redis = |settings: &mut Settings| {
        settings.redis_url = Some(required("UNIVERSAL_TEST_REDIS_URL").into());
        settings.redis_prefix.clone_from(&prefix);
    };
    let (one, other) = (in_memory(redis).await, in_memory(redis).await);
    assert_eq!(one.summary().bus, "Redis");
    keeps_its_promises(&one, &other).await;
    one.shutdown().await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_over_postgresql_keeps_its_promises() {
    let database = TestDatabase::migrated().await;
    let (one, other) = (on_postgres(&database).await, on_postgres(&database).await);
    assert_eq!(one.summary().bus, "PostgreSQL");
    keeps_its_promises(&one, &other).await;
    one.shutdown().await;
    other.shutdown().await;
}
