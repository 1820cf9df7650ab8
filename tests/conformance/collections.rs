//! Documents.

use std::sync::Arc;

use serde_json::json;
use universal_core::{
    Backend, Caller, TenantId,
    collections::{Command, DocumentWrite, IdempotencyKey, ListQuery, NewDocument},
    conformance::{
        collections::{cases, once},
        explain,
        jobs::Work,
        rules, search, transfer,
    },
    json::Object,
    secret::MasterKey,
};
use universal_tests::postgres::TestDatabase;

use super::subject::{On, Subject, run, subject};

async fn documents(on: On) {
    let subject = subject(on).await;
    let settings = [rules::CASES, explain::CASES, search::CASES, transfer::CASES].concat();
    let cases = cases().chain(settings);
    run(cases, Arc::clone(subject.backend.collections())).await;
    subject.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_keep_their_promises_on_sqlite() {
    documents(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_keep_their_promises_on_postgresql() {
    documents(On::Postgres).await;
}

fn once_fixture(subject: &Subject) -> once::Fixture {
    let backend = subject.backend.clone();
    let parts = (Arc::clone(backend.collections()), Arc::clone(backend.kept_answers()), Arc::clone(backend.feed()));
    let transact = Arc::new(move |work: Work| {
        let backend = backend.clone();
        Box::pin(async move { backend.transaction(|tx| work(tx)).await }) as futures_util::future::BoxFuture<'static, _>
    });
    once::Fixture::new(parts, Arc::clone(&subject.clock), transact)
}

async fn commands(on: On) {
    let subject = subject(on).await;
    run(once::CASES.iter().copied(), once_fixture(&subject)).await;
    subject.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_done_once_on_sqlite() {
    commands(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_done_once_on_postgresql() {
    commands(On::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_taken_on_every_node() {
    let database = TestDatabase::migrated().await;
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let builder = Backend::builder().in_memory().with_postgres_connection(database.connect().await);
        nodes.push(builder.with_master_key(MasterKey::generate().unwrap()).build().await.expect("a backend"));
    }
    let (caller, name) = (Caller::system(TenantId::default_tenant()), "todos".parse().unwrap());
    for round in 0..8 {
        let key = IdempotencyKey::new(format!("round-{round}")).unwrap();
        let calls = (0..12).map(|n| {
            let collections = Arc::clone(nodes[n % 2].collections());
            let (caller, key, collection) = (caller.clone(), key.clone(), Clone::clone(&name));
            let document = NewDocument::new(Object::from_value(json!({ "round": round })).unwrap());
            let command = Command::Write(DocumentWrite::Create { collection, document });
            tokio::spawn(async move { collections.once(&caller, &key, command).await })
        });
        for outcome in futures_util::future::join_all(calls).await {
            if let Err(error) = outcome.expect("a call that does not panic") {
                assert_eq!(error.code(), "idempotency-in-flight");
            }
        }
        let found = nodes[0].collections().list(&caller, &name, &ListQuery::new()).await.unwrap();
        assert_eq!(found.value.items.len(), round + 1);
    }
    for node in nodes {
        node.shutdown().await;
    }
}
