//! Transactions that end badly, and the writers beside them.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use serde_json::json;
use tokio::time::Instant;
use universal_core::{
    Backend, Caller, Settings, TenantId,
    collections::{Document, DocumentWrite, ListQuery, NewDocument},
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId},
    json::Object,
    page::Limit,
    realtime::{Event, Subscribe, Subscription},
    secret::MasterKey,
};
use universal_tests::{postgres::TestDatabase, wait};

use crate::conformance::subject::{On, subject};

fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

fn things() -> CollectionName {
    CollectionName::new("things").unwrap()
}

fn thing(id: &str) -> NewDocument {
    NewDocument::new(Object::from_value(json!({ "n": 1 })).unwrap()).with_id(DocumentId::new(id).unwrap())
}

fn creation(id: &str) -> DocumentWrite {
    DocumentWrite::Create { collection: things(), document: thing(id) }
}

async fn create(backend: &Backend, id: &str) -> Result<Document> {
    backend.collections().create(&system(), &things(), thing(id)).await
}

async fn ids(backend: &Backend) -> Vec<String> {
    let query = ListQuery::new().with_limit(Limit::new(500).unwrap());
    let list = backend.collections().list(&system(), &things(), &query).await.expect("a list");
    list.value.items.iter().map(|document| document.id.as_str().to_owned()).collect()
}

async fn follow(backend: &Backend) -> Subscription {
    backend.realtime().subscribe(&system(), Subscribe::to(things())).await.expect("a subscription")
}

async fn next(subscription: &mut Subscription) -> String {
    let event = tokio::time::timeout(Duration::from_secs(10), subscription.next()).await.expect("an event comes");
    match event.expect("the feed can be read") {
        Event::Change(change) => change.id().as_str().to_owned(),
        other => panic!("{other:?} came"),
    }
}

fn code<T>(outcome: Result<T>) -> (ErrorKind, &'static str) {
    match outcome {
        Ok(_) => panic!("it succeeded"),
        Err(error) => (error.kind(), error.code()),
    }
}

async fn on_disk(folder: &Path) -> Backend {
    let mut settings = Settings::default();
    folder.clone_into(&mut settings.data);
    Backend::builder().with_settings(settings).build().await.expect("a backend opens in a new folder")
}

async fn on_postgres(database: &TestDatabase) -> (Backend, DatabaseConnection) {
    let pool = database.connect().await;
    let builder = Backend::builder().in_memory().with_postgres_connection(pool.clone());
    (builder.with_master_key(MasterKey::generate().unwrap()).build().await.expect("a backend opens"), pool)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_beside_the_handle_is_refused_and_does_not_lock_up() {
    for on in [On::Sqlite, On::Postgres] {
        let subject = subject(on).await;
        let backend = subject.backend.clone();
        let started = Instant::now();
        let inner = backend.clone();
        let outcome = backend
            .transaction(move |tx| {
                Box::pin(async move {
                    inner.collections().write_in(tx, &system(), creation("inside")).await?;
                    let beside = code(create(&inner, "beside").await);
                    assert_eq!(beside, (ErrorKind::Conflict, "write-outside-transaction"));
                    let nested = inner.transaction(|_| Box::pin(async { Ok(()) })).await;
                    assert_eq!(code(nested), (ErrorKind::Conflict, "nested-transaction"));
                    Ok(())
                })
            })
            .await;
        outcome.expect("the transaction itself is sound");
        assert!(started.elapsed() < Duration::from_secs(3), "it took {:?}", started.elapsed());
        assert_eq!(ids(&backend).await, ["inside"]);
        create(&backend, "later").await.expect("writes go on");
        backend.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_takes_too_long_is_rolled_back_and_writes_go_on() {
    let limit = Duration::from_millis(300);
    let database = TestDatabase::migrated().await;
    let pool = database.connect().await;
    let builder = Backend::builder().in_memory().with_postgres_connection(pool.clone()).with_transaction_limit(limit);
    let postgres = builder.with_master_key(MasterKey::generate().unwrap()).build().await.expect("a backend opens");
    let sqlite = Backend::builder().in_memory().with_transaction_limit(limit).build().await.expect("a backend opens");
    for backend in [sqlite, postgres] {
        let inner = backend.clone();
        let outcome: Result<()> = backend
            .transaction(move |tx| {
                Box::pin(async move {
                    inner.collections().write_in(tx, &system(), creation("late")).await?;
                    std::future::pending().await
                })
            })
            .await;
        assert_eq!(code(outcome), (ErrorKind::Timeout, "transaction-timeout"));
        create(&backend, "after").await.expect("writes go on");
        assert_eq!(ids(&backend).await, ["after"]);
        backend.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_caller_goes_away_is_rolled_back_and_writes_go_on() {
    for on in [On::Sqlite, On::Postgres] {
        let subject = subject(on).await;
        let backend = subject.backend.clone();
        for moment in 0..60_u64 {
            let (inner, id) = (backend.clone(), format!("gone{moment}"));
            let transaction = backend.transaction(move |tx| {
                Box::pin(async move {
                    inner.collections().write_in(tx, &system(), creation(&id)).await?;
                    wait::pause(Duration::from_millis(3)).await;
                    inner.collections().write_in(tx, &system(), creation(&format!("{id}b"))).await.map(|_| ())
                })
            });
            // Dropped at another moment each time: while it waits, writes, sleeps or commits.
            let _ = tokio::time::timeout(Duration::from_micros(moment * 200), transaction).await;
        }
        let written = tokio::time::timeout(Duration::from_secs(10), create(&backend, "after")).await;
        written.expect("the writer goes on").expect("and writes");
        let left = ids(&backend).await;
        for id in left.iter().filter(|id| *id != "after") {
            let other = id.strip_suffix('b').map_or_else(|| format!("{id}b"), str::to_owned);
            assert!(left.contains(&other), "{id} is there without {other}");
        }
        backend.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_another_backend_is_refused() {
    let (one, other) = (Backend::in_memory().await.unwrap(), Backend::in_memory().await.unwrap());
    let stranger = other.clone();
    let outcome = one
        .transaction(move |tx| {
            Box::pin(async move { stranger.collections().write_in(tx, &system(), creation("d")).await.map(|_| ()) })
        })
        .await;
    assert_eq!(code(outcome), (ErrorKind::Invalid, "foreign-transaction"));
    assert!(ids(&one).await.is_empty() && ids(&other).await.is_empty());
    one.shutdown().await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_write_among_many_fails_alone() {
    for on in [On::Sqlite, On::Postgres] {
        let subject = subject(on).await;
        let backend = subject.backend.clone();
        create(&backend, "taken").await.unwrap();
        let elsewhere = TenantId::new("elsewhere").unwrap();
        let nobody = Caller::system(elsewhere.clone());
        let writes = (0..64).map(|n| {
            let (backend, nobody) = (backend.clone(), nobody.clone());
            tokio::spawn(async move {
                match n {
                    20 => create(&backend, "taken").await,
                    // It inserts the document first and learns then that there is no such tenant.
                    21 | 40 => backend.collections().create(&nobody, &things(), thing("astray")).await,
                    _ => create(&backend, &format!("d{n}")).await,
                }
            })
        });
        let outcomes = futures_util::future::join_all(writes.collect::<Vec<_>>()).await;
        for (n, outcome) in outcomes.into_iter().enumerate() {
            let outcome = outcome.expect("no panic");
            match n {
                20 => assert_eq!(code(outcome), (ErrorKind::Conflict, "document-exists")),
                21 | 40 => assert_eq!(code(outcome), (ErrorKind::NotFound, "tenant-not-found")),
                _ => drop(outcome.unwrap_or_else(|error| panic!("write {n} on {on:?}: {error:?}"))),
            }
        }
        wait::until("62 changes", Duration::from_secs(10), || async {
            backend.feed().state(&TenantId::default_tenant()).await.expect("a state").head == 62
        })
        .await;
        backend.create_tenant(&elsewhere).await.unwrap();
        let astray = backend.collections().list(&nobody, &things(), &ListQuery::new()).await.unwrap();
        assert!(astray.value.items.is_empty(), "a failed write left {:?}", astray.value.items);
        backend.shutdown().await;
    }
}

/// PostgreSQL answers the COMMIT of a failed transaction with a rollback and no error.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_the_body_passes_over_is_never_answered_as_done() {
    let database = TestDatabase::migrated().await;
    let (backend, _pool) = on_postgres(&database).await;
    let inner = backend.clone();
    let outcome = backend
        .transaction(move |tx| {
            Box::pin(async move {
                inner.collections().write_in(tx, &system(), creation("d")).await?;
                let host = tx.connection::<DatabaseTransaction>().expect("a connection");
                assert!(host.execute_unprepared("SELECT 1 / 0").await.is_err());
                Ok(())
            })
        })
        .await;
    assert_eq!(code(outcome), (ErrorKind::Conflict, "transaction-failed"));
    assert!(ids(&backend).await.is_empty());
    backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_writers_wait_for_a_hosts_transaction_on_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let backend = on_disk(folder.path()).await;
    let url = format!("sqlite://{}", folder.path().join("universal.sqlite").display());
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let host = Database::connect(options).await.expect("the host opens the file too");
    let mut live = follow(&backend).await;

    // Short: ours waits, and succeeds.
    let held = immediate(&host).await;
    let mut tx = backend.join(&held);
    backend.collections().write_in(&mut tx, &system(), creation("lent")).await.expect("a lent transaction writes");
    let signals = backend.signals_of(tx);
    let waiting = tokio::spawn({
        let backend = backend.clone();
        async move { create(&backend, "waited").await }
    });
    wait::pause(Duration::from_millis(400)).await;
    assert!(!waiting.is_finished(), "a write got past the host's lock");
    held.commit().await.expect("the host commits");
    backend.notify(&signals);
    waiting.await.unwrap().expect("the write that waited succeeds");
    assert_eq!(next(&mut live).await, "lent");
    assert_eq!(next(&mut live).await, "waited");

    // Without `notify` the poll finds it.
    let held = immediate(&host).await;
    let mut tx = backend.join(&held);
    backend.collections().write_in(&mut tx, &system(), creation("quiet")).await.unwrap();
    drop(tx);
    held.commit().await.expect("the host commits");
    let before = Instant::now();
    assert_eq!(next(&mut live).await, "quiet");
    assert!(before.elapsed() < Duration::from_secs(3), "the poll took {:?}", before.elapsed());

    // Too long: ours says so plainly, and the next one is served.
    let held = immediate(&host).await;
    let refused = create(&backend, "refused").await;
    assert_eq!(code(refused), (ErrorKind::Busy, "database-busy"));
    held.rollback().await.expect("the host rolls back");
    create(&backend, "served").await.expect("writes go on");
    assert_eq!(next(&mut live).await, "served");
    assert_eq!(ids(&backend).await, ["lent", "quiet", "served", "waited"]);
    backend.shutdown().await;
}

async fn immediate(host: &DatabaseConnection) -> DatabaseTransaction {
    let options = TransactionOptions {
        isolation_level: None,
        access_mode: None,
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
    };
    host.begin_with_options(options).await.expect("the host gets the write lock")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lent_transaction_on_postgresql_is_in_the_feed_with_and_without_notify() {
    let database = TestDatabase::migrated().await;
    let (backend, pool) = on_postgres(&database).await;
    let mut live = follow(&backend).await;
    for (id, notifies) in [("told", true), ("untold", false)] {
        let host = pool.begin().await.unwrap();
        let mut tx = backend.join(&host);
        backend.collections().write_in(&mut tx, &system(), creation(id)).await.unwrap();
        let signals = backend.signals_of(tx);
        host.commit().await.unwrap();
        if notifies {
            backend.notify(&signals);
        }
        let before = Instant::now();
        assert_eq!(next(&mut live).await, id);
        assert!(before.elapsed() < Duration::from_secs(4), "{id} took {:?}", before.elapsed());
    }
    let host = pool.begin().await.unwrap();
    let mut tx = backend.join(&host);
    backend.collections().write_in(&mut tx, &system(), creation("undone")).await.unwrap();
    let signals = backend.signals_of(tx);
    host.rollback().await.unwrap();
    backend.notify(&signals);
    create(&backend, "marker").await.unwrap();
    assert_eq!(next(&mut live).await, "marker");
    backend.shutdown().await;
}

/// Writers that never rest must not keep a backend from stopping, nor be told "done" without being done.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_stops_under_writers_that_never_rest() {
    let database = TestDatabase::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let postgres = on_postgres(&database).await.0;
    for (backend, on) in [(on_disk(folder.path()).await, On::Sqlite), (postgres, On::Postgres)] {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..32)
            .map(|writer| {
                let (backend, stop) = (backend.clone(), Arc::clone(&stop));
                tokio::spawn(async move {
                    let (mut done, mut unknown) = (0_i64, 0_i64);
                    while !stop.load(Ordering::Relaxed) {
                        match create(&backend, &format!("w{writer}-{done}-{unknown}")).await {
                            Ok(_) => done += 1,
                            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => unknown += 1,
                            Err(error) => {
                                assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Busy), "{error:?}");
                                tokio::task::yield_now().await;
                            }
                        }
                    }
                    (done, unknown)
                })
            })
            .collect();
        wait::pause(Duration::from_millis(500)).await;
        let stopped = tokio::time::timeout(Duration::from_secs(20), backend.shutdown()).await;
        stop.store(true, Ordering::Relaxed);
        let (mut done, mut unknown) = (0, 0);
        for writer in writers {
            let (more, unsure) = writer.await.expect("a writer does not panic");
            done += more;
            unknown += unsure;
        }
        stopped.unwrap_or_else(|_| panic!("the shutdown on {on:?} did not end"));
        let again = match on {
            On::Sqlite => on_disk(folder.path()).await,
            On::Postgres => on_postgres(&database).await.0,
        };
        let caller = system();
        let head = async || again.feed().state(caller.tenant()).await.expect("a state").head;
        wait::until("what was acknowledged", Duration::from_secs(10), || async { head().await >= done }).await;
        assert!(done > 0 && head().await <= done + unknown, "{done} were acknowledged, {} are there", head().await);
        again.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_stops_although_a_host_holds_a_transaction_open() {
    let database = TestDatabase::migrated().await;
    let (backend, pool) = on_postgres(&database).await;
    let host = pool.begin().await.unwrap();
    let mut tx = backend.join(&host);
    backend.collections().write_in(&mut tx, &system(), creation("open")).await.unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(15), backend.shutdown()).await;
    stopped.expect("the shutdown ends");
    drop(tx);
    host.rollback().await.expect("the host's transaction is still the host's");
}

/// A document whose deletion still waits for its number is neither present nor in the feed as deleted;
/// a replay must show its past all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_shows_a_document_whose_deletion_has_no_number_yet() {
    let database = TestDatabase::migrated().await;
    let (backend, pool) = on_postgres(&database).await;
    let start = backend.realtime().head(&system()).await.unwrap();
    let mut live = follow(&backend).await;
    create(&backend, "d").await.unwrap();
    assert_eq!(next(&mut live).await, "d");
    let host = pool.begin().await.unwrap();
    host.execute_unprepared("SELECT head FROM universal_feeds FOR UPDATE").await.unwrap();
    let id = DocumentId::new("d").unwrap();
    backend
        .collections()
        .delete(&system(), &things(), &id, universal_core::collections::Precondition::None)
        .await
        .unwrap();
    let subscribe = Subscribe::to(things()).with_since(start);
    let mut replay = backend.realtime().subscribe(&system(), subscribe).await.unwrap();
    let first = tokio::time::timeout(Duration::from_secs(5), replay.next()).await.expect("the creation is shown");
    assert!(matches!(&first, Ok(Event::Change(change)) if change.revision().ends_with("-1")), "{first:?}");
    host.rollback().await.unwrap();
    assert_eq!(next(&mut replay).await, "d");
    backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_somebody_holds_keeps_no_other_tenant_waiting() {
    let database = TestDatabase::migrated().await;
    let (backend, pool) = on_postgres(&database).await;
    let other = Caller::system(TenantId::new("zebra").unwrap());
    backend.create_tenant(other.tenant()).await.unwrap();
    let host = pool.begin().await.unwrap();
    host.execute_unprepared("SELECT head FROM universal_feeds WHERE tenant_id = 'default' FOR UPDATE").await.unwrap();
    create(&backend, "held").await.unwrap();
    backend.collections().create(&other, &things(), thing("free")).await.unwrap();
    wait::until("the other tenant's change to have its number", Duration::from_secs(8), || async {
        backend.feed().state(other.tenant()).await.is_ok_and(|state| state.head == 1)
    })
    .await;
    assert_eq!(backend.feed().state(&TenantId::default_tenant()).await.unwrap().head, 0);
    host.rollback().await.unwrap();
    wait::until("the held tenant's change too", Duration::from_secs(8), || async {
        backend.feed().state(&TenantId::default_tenant()).await.is_ok_and(|state| state.head == 1)
    })
    .await;
    backend.shutdown().await;
}

/// A body's error is the answer, whatever it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_bodys_error_rolls_back_all_of_it() {
    for on in [On::Sqlite, On::Postgres] {
        let subject = subject(on).await;
        let backend = subject.backend.clone();
        let inner = backend.clone();
        let outcome: Result<()> = backend
            .transaction(move |tx| {
                Box::pin(async move {
                    inner.collections().write_in(tx, &system(), creation("d")).await?;
                    Err(Error::invalid("mine", "no"))
                })
            })
            .await;
        assert_eq!(code(outcome), (ErrorKind::Invalid, "mine"));
        assert!(ids(&backend).await.is_empty());
        assert_eq!(backend.feed().state(&TenantId::default_tenant()).await.unwrap().head, 0);
        backend.shutdown().await;
    }
}
