//! Batches that want the same documents at the same time, on PostgreSQL.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement, TransactionTrait as _};
use serde_json::json;
use universal_core::{
    Backend, Caller, CollectionName, DocumentId, TenantId,
    collections::{Batch, BatchOperation, BatchResult, DocumentWrite, NewDocument, Precondition, Written},
    error::{Error, ErrorKind, Result},
    json::Object,
    secret::MasterKey,
};
use universal_tests::{postgres::TestDatabase, wait};

fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

fn things() -> CollectionName {
    CollectionName::new("things").unwrap()
}

fn thing(id: &str) -> NewDocument {
    NewDocument::new(object()).with_id(DocumentId::new(id).unwrap())
}

fn object() -> Object {
    Object::from_value(json!({ "n": 1 })).unwrap()
}

/// Creates the second of two documents before the first, in each of the ways to create one.
fn batches() -> [Batch; 3] {
    let put = |batch: Batch, id: &str, precondition| {
        batch.replace(&things(), &DocumentId::new(id).unwrap(), object(), precondition)
    };
    [
        Batch::new().create(&things(), thing("b")).create(&things(), thing("a")),
        put(put(Batch::new(), "b", Precondition::Absent), "a", Precondition::Absent),
        put(Batch::new().create(&things(), thing("b")), "a", Precondition::Absent),
    ]
}

/// While somebody has `a` and may yet give it up, a batch that wants `b` and `a` waits for it without having taken `b`:
/// so two batches never wait for each other, in whatever order they name them.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_takes_the_ids_of_what_it_creates_in_one_order() {
    for batch in batches() {
        let database = TestDatabase::migrated().await;
        let pool = database.connect().await;
        let builder = Backend::builder().in_memory().with_postgres_connection(pool.clone());
        let backend = builder.with_master_key(MasterKey::generate().unwrap()).build().await.expect("a backend opens");
        let (inner, pool_inside) = (backend.clone(), pool.clone());
        let outcome: Result<()> = backend
            .transaction(move |tx| {
                Box::pin(async move {
                    let first = DocumentWrite::Create { collection: things(), document: thing("a") };
                    inner.collections().write_in(tx, &system(), first).await?;
                    let beside = inner.clone();
                    let batch = tokio::spawn(async move { beside.collections().batch(&system(), batch).await });
                    wait::until("the batch to wait", Duration::from_secs(20), || async {
                        let sql = Statement::from_string(DbBackend::Postgres, WAITING);
                        let row = pool_inside.query_one_raw(sql).await.expect("a look at the locks");
                        row.expect("a row").try_get_by_index::<i64>(0).expect("a number") > 0
                    })
                    .await;
                    // Whoever inserts what another transaction has inserted and not committed waits for it.
                    let free = pool_inside.begin().await.expect("a transaction");
                    free.execute_unprepared("SET LOCAL lock_timeout = '200ms'").await.expect("a setting");
                    free.execute_unprepared(SECOND).await.expect("nobody has it");
                    free.rollback().await.expect("a rollback");
                    Err(Error::new(ErrorKind::Conflict, "gives-up", format!("{}", batch.is_finished())))
                })
            })
            .await;
        let error = outcome.expect_err("it gives up");
        assert_eq!((error.code(), error.message()), ("gives-up", "false"), "{error:?}");
        backend.shutdown().await;
    }
}

const WAITING: &str = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE NOT l.granted AND a.datname = current_database()";

const SECOND: &str = "INSERT INTO universal_documents
    (tenant_id, collection, id, body, revision, owner_id, created_at, updated_at)
    VALUES ('default', 'things', 'b', '{}', 'x-1', NULL, 0, 0)";

/// Rows that are stored before their turn show in nothing that the batch does before it.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_a_batch_is_that_of_its_answers_and_of_the_feed() {
    let database = TestDatabase::migrated().await;
    let builder = Backend::builder().in_memory().with_postgres_connection(database.connect().await);
    let backend = builder.with_master_key(MasterKey::generate().unwrap()).build().await.expect("a backend opens");
    let mut follow = backend
        .realtime()
        .subscribe(&system(), universal_core::realtime::Subscribe::to(things()))
        .await
        .expect("a subscription");
    let order = ["d", "b", "e", "a", "c"];
    let batch = order.iter().fold(Batch::new(), |batch, id| batch.create(&things(), thing(id)));
    let patched = BatchOperation::Write(DocumentWrite::Patch {
        collection: things(),
        id: DocumentId::new("b").unwrap(),
        patch: Object::patch_from_value(json!({"n": {"$inc": 1}})).unwrap(),
        precondition: Precondition::Exists,
    });
    let results = backend.collections().batch(&system(), batch.with(patched)).await.expect("a batch");
    let told: Vec<_> = results
        .iter()
        .map(|result| match result {
            BatchResult::Written(Written::Created(document)) => format!("create {}", document.id),
            BatchResult::Written(Written::Updated(document)) => format!("update {} {}", document.id, document.body),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["create d", "create b", "create e", "create a", "create c", "update b {\"n\":2}"]);
    for id in ["d", "b", "e", "a", "c", "b"] {
        let event = tokio::time::timeout(Duration::from_secs(20), follow.next()).await.expect("an event comes");
        match event.expect("the feed can be read") {
            universal_core::realtime::Event::Change(change) => assert_eq!(change.id().as_str(), id),
            other => panic!("{other:?} came"),
        }
    }
    // The refusal is that of the first that fails, and nothing is left of what was stored before it.
    let bad = Batch::new()
        .create(&things(), thing("x"))
        .check(&things(), &DocumentId::new("nobody").unwrap(), Precondition::Exists)
        .create(&things(), thing("d"));
    let error = backend.collections().batch(&system(), bad).await.expect_err("it is refused");
    assert_eq!((error.kind(), error.field()), (ErrorKind::NotFound, Some("/operations/1")), "{error:?}");
    assert!(backend.collections().get(&system(), &things(), &DocumentId::new("x").unwrap()).await.is_err());
    backend.shutdown().await;
}
