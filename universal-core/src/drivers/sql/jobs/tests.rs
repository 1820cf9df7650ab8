//! The suite of the contract on each database.

#![cfg(feature = "testing")]

use std::sync::Arc;

use crate::{
    conformance::jobs::{JobsFixture, Work, cases},
    drivers::sql::{
        connection::{Database, Signals},
        jobs::SqlQueue,
        open::OpenOptions,
    },
    engine::local::LocalBus,
    id::TenantId,
};

async fn fixture(database: Database) -> JobsFixture {
    let insert = "INSERT INTO universal_tenants (id, created_at) VALUES ('other', 0)";
    database.write(move |w| Box::pin(async move { w.execute(insert, vec![]).await })).await.unwrap();
    let transacting = database.clone();
    JobsFixture {
        queue: Arc::new(SqlQueue::new(database)),
        transact: Arc::new(move |work: Work| {
            let database = transacting.clone();
            Box::pin(async move { database.transaction(move |tx| Box::pin(async move { work(tx).await })).await })
        }),
        tenant: TenantId::default_tenant(),
        other_tenant: TenantId::new("other").unwrap(),
    }
}

fn signals() -> Signals {
    Signals::new(Arc::new(LocalBus::default()))
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    let mut running = tokio::task::JoinSet::new();
    for case in cases() {
        running.spawn(async move {
            let database = Database::open_temporary(&OpenOptions::default(), signals()).await.unwrap();
            let outcome = (case.run)(fixture(database.clone()).await).await;
            database.shutdown().await;
            (case.name, outcome)
        });
        if running.len() >= 8 {
            check(running.join_next().await.unwrap().unwrap());
        }
    }
    while let Some(outcome) = running.join_next().await {
        check(outcome.unwrap());
    }
}

fn check((name, outcome): (&str, Result<(), String>)) {
    assert!(outcome.is_ok(), "{name}: {}", outcome.unwrap_err());
}

/// Needs `UNIVERSAL_TEST_POSTGRES_URL` (or `UNIVERSAL_TEST_POSTGRES`), a server on which databases may be made.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres() {
    use sqlx::{Connection as _, Executor as _};
    let named = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
    let server = named("UNIVERSAL_TEST_POSTGRES_URL").or_else(|| named("UNIVERSAL_TEST_POSTGRES"));
    let server = server.expect("UNIVERSAL_TEST_POSTGRES_URL is the address of a server; tests/run starts one");
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    let mut failures = Vec::new();
    for case in cases() {
        let name = format!("universal_jobs_{}", crate::id::random_hex(6).unwrap());
        connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
        let database = Database::open_postgres(&url, &OpenOptions::default(), signals()).await.unwrap();
        let outcome = (case.run)(fixture(database.clone()).await).await;
        database.shutdown().await;
        connection.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
        if let Err(found) = outcome {
            failures.push(format!("{}: {found}", case.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
