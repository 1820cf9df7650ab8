//! Hooks of a host's, on both databases: inside the transaction of a write, and after its commit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, Statement};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use universal_core::{
    Backend, Caller, CollectionName, DocumentId, Error, ErrorKind, Result, TenantId,
    builder::Builder,
    collections::{
        Action, Batch, CollectionMatch, CollectionSettings, Document, DocumentWrite, ListQuery, Matching, NewDocument,
        PendingWrite, Precondition,
    },
    jobs::{Enqueue, Functions, JobContext},
    json::Object,
    secret::MasterKey,
};
use universal_tests::postgres::TestDatabase;

/// A database that outlives the backends that are opened on it.
enum Ground {
    Sqlite(tempfile::TempDir),
    Postgres(TestDatabase),
}

async fn grounds() -> [Ground; 2] {
    [Ground::Sqlite(tempfile::tempdir().unwrap()), Ground::Postgres(TestDatabase::migrated().await)]
}

impl Ground {
    async fn open(&self, with: impl FnOnce(Builder) -> Builder) -> Backend {
        let builder = Backend::builder().with_master_key(MasterKey::from_hex(&"7a".repeat(32)).unwrap());
        let builder = match self {
            Self::Sqlite(folder) => {
                let mut settings = universal_core::Settings::default();
                folder.path().clone_into(&mut settings.data);
                builder.with_settings(settings)
            }
            Self::Postgres(database) => builder.in_memory().with_postgres_connection(database.connect().await),
        };
        with(builder).build().await.expect("a backend opens")
    }
}

fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

fn name(name: &str) -> CollectionName {
    CollectionName::new(name).unwrap()
}

fn only(collection: &str) -> CollectionMatch {
    CollectionMatch::Only(name(collection))
}

fn object(value: Value) -> Object {
    Object::from_value(value).unwrap()
}

fn creation(collection: &str, value: Value) -> DocumentWrite {
    DocumentWrite::Create { collection: name(collection), document: NewDocument::new(object(value)) }
}

async fn create(backend: &Backend, collection: &str, value: Value) -> Result<Document> {
    backend.collections().create(&system(), &name(collection), NewDocument::new(object(value))).await
}

async fn bodies(backend: &Backend, collection: &str) -> Vec<Value> {
    let list = backend.collections().list(&system(), &name(collection), &ListQuery::new()).await.expect("a list");
    list.value.items.iter().map(|document| serde_json::from_str(&document.body).unwrap()).collect()
}

fn refused<T>(outcome: Result<T>) -> (ErrorKind, &'static str) {
    match outcome {
        Ok(_) => panic!("it succeeded"),
        Err(error) => (error.kind(), error.code()),
    }
}

/// Keeps a journal, refuses `bad`, marks what is stored, and orders a job: all in the commit of the write.
fn bookkeeping(builder: Builder) -> Builder {
    builder.before_commit(only("orders"), |backend, tx, write| {
        Box::pin(async move {
            let before = write.before_members()?;
            let entry = json!({"action": write.action().as_str(), "order": write.id().as_str(), "before": before});
            backend.collections().write_in(tx, write.caller(), creation("journal", entry)).await?;
            if let Some(members) = write.after_mut() {
                members.insert("seen".into(), true.into());
            }
            if write.after().is_some_and(|after| after.get("bad") == Some(&Value::Bool(true))) {
                return Err(Error::new(ErrorKind::Conflict, "bad-order", "this order is refused"));
            }
            if write.action() == Action::Create {
                backend.jobs().enqueue_in(tx, write.caller(), Enqueue::new("note", json!({}))).await?;
            }
            Ok(())
        })
    })
}

fn with_note(builder: Builder) -> Builder {
    let functions = Functions::builder().register("note", |_: JobContext, _: Value| async move { Ok(()) });
    let mut builder = builder.with_functions(functions.build().unwrap());
    builder = bookkeeping(builder);
    builder
}

async fn jobs(backend: &Backend) -> usize {
    backend.jobs().list(&system(), universal_core::jobs::ListJobs::default()).await.expect("a list").items.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_writes_its_own_document_is_refused_and_nothing_is_written() {
    for ground in grounds().await {
        let backend = ground
            .open(|builder| {
                builder.before_commit(only("orders"), |backend, tx, write| {
                    Box::pin(async move {
                        if write.before().is_none() {
                            return Ok(());
                        }
                        // What the system writes runs the hook again; once is enough.
                        let again = write.after().is_some_and(|after| after.contains_key("again"));
                        if again {
                            return Ok(());
                        }
                        let (collection, id) = (write.collection().clone(), write.id().clone());
                        let patch = Object::patch_from_value(json!({"again": true}))?;
                        let own = DocumentWrite::Patch { collection, id, patch, precondition: Precondition::None };
                        backend.collections().write_in(tx, &system(), own).await.map(|_| ())
                    })
                })
            })
            .await;
        let order = create(&backend, "orders", json!({"n": 1})).await.unwrap();
        let patch = Object::patch_from_value(json!({"n": 2})).unwrap();
        let orders = name("orders");
        let patched = backend.collections().patch(&system(), &orders, &order.id, patch, Precondition::None).await;
        assert_eq!(refused(patched), (ErrorKind::Conflict, "hook-wrote-its-document"));
        let deleted = backend.collections().delete(&system(), &orders, &order.id, Precondition::None).await;
        assert_eq!(refused(deleted), (ErrorKind::Conflict, "hook-wrote-its-document"));
        assert_eq!(bodies(&backend, "orders").await, [json!({"n": 1})]);
        backend.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_changes_refuses_and_writes_in_the_same_commit() {
    for ground in grounds().await {
        let backend = ground.open(with_note).await;
        let made = create(&backend, "orders", json!({"n": 1})).await.expect("it is created");
        assert_eq!(&*made.body, r#"{"n":1,"seen":true}"#, "the answer is what is stored");
        let patch = Object::patch_from_value(json!({"n": {"$inc": 1}})).unwrap();
        let orders = name("orders");
        backend.collections().patch(&system(), &orders, &made.id, patch, Precondition::None).await.expect("patched");
        assert_eq!(bodies(&backend, "orders").await, [json!({"n": 2, "seen": true})]);
        let bad = create(&backend, "orders", json!({"bad": true})).await;
        assert_eq!(refused(bad), (ErrorKind::Conflict, "bad-order"));
        backend.collections().delete(&system(), &orders, &made.id, Precondition::None).await.expect("deleted");
        let id = made.id.as_str();
        let journal = bodies(&backend, "journal").await;
        assert_eq!(
            journal,
            [
                json!({"action": "create", "order": id, "before": null}),
                json!({"action": "update", "order": id, "before": {"n": 1, "seen": true}}),
                json!({"action": "delete", "order": id, "before": {"n": 2, "seen": true}}),
            ],
            "what was refused left no entry"
        );
        assert_eq!(jobs(&backend).await, 1, "and no job");
        backend.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_in_batches_and_writes_by_filter_too() {
    for ground in grounds().await {
        let backend = ground.open(with_note).await;
        let (orders, other) = (name("orders"), name("other"));
        let batch = |bad: bool| {
            Batch::new()
                .create(&other, NewDocument::new(object(json!({"o": 1}))))
                .create(&orders, NewDocument::new(object(json!({"n": 1}))))
                .create(&orders, NewDocument::new(object(json!({"n": 2, "bad": bad}))))
        };
        assert_eq!(refused(backend.collections().batch(&system(), batch(true)).await).1, "bad-order");
        assert!(bodies(&backend, "other").await.is_empty() && bodies(&backend, "journal").await.is_empty());
        backend.collections().batch(&system(), batch(false)).await.expect("the batch is done");
        assert_eq!((bodies(&backend, "journal").await.len(), jobs(&backend).await), (2, 2));
        let all = Matching::new(orders.clone(), "seen == true").unwrap();
        let patch = Object::patch_from_value(json!({"seen": null, "late": true})).unwrap();
        let affected = backend.collections().update_where(&system(), all.clone(), patch).await.expect("updated");
        assert_eq!(affected.changed, 2);
        assert!(bodies(&backend, "orders").await.iter().all(|order| order["seen"] == true && order["late"] == true));
        assert_eq!(backend.collections().delete_where(&system(), all).await.expect("deleted").changed, 2);
        assert_eq!(bodies(&backend, "journal").await.len(), 6);
        backend.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hook_changes_must_be_a_document_that_fits() {
    fn spoil(write: &mut PendingWrite) {
        let spoilt = write.after().and_then(|after| after.get("spoil")).cloned();
        let Some(members) = write.after_mut() else { return };
        match spoilt.as_ref().and_then(Value::as_str) {
            Some("id") => drop(members.insert("id".into(), "x".into())),
            Some("reserved") => drop(members.insert("_x".into(), 1.into())),
            Some("schema") => drop(members.insert("n".into(), "text".into())),
            _ => drop(members.insert("secret".into(), 1.into())),
        }
    }
    for ground in grounds().await {
        let hook = |builder: Builder| {
            builder.before_commit(CollectionMatch::All, |_, _, write| {
                Box::pin(async move {
                    spoil(write);
                    Ok(())
                })
            })
        };
        let backend = ground.open(hook).await;
        let schema = json!({"properties": {"n": {"type": "integer"}}});
        let settings = CollectionSettings::new().with_schema(schema).with_hidden("secret");
        backend.collections().configure(&system(), &name("things"), settings, None).await.expect("configured");
        for (spoil, code) in [("id", "reserved-key"), ("reserved", "reserved-key"), ("schema", "schema-violation")] {
            assert_eq!(refused(create(&backend, "things", json!({"spoil": spoil})).await).1, code);
        }
        let user = Caller::user(TenantId::default_tenant(), "ada".parse().unwrap());
        let made =
            backend.collections().create(&user, &name("things"), NewDocument::new(object(json!({"n": 1})))).await;
        // The hook may write what the caller may not see.
        assert_eq!(&*made.expect("created").body, r#"{"n":1}"#);
        assert_eq!(bodies(&backend, "things").await, [json!({"n": 1, "secret": 1})]);
        backend.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_goes_astray_is_stopped_and_writes_go_on() {
    let astray = |builder: Builder| {
        builder.with_hook_limit(Duration::from_millis(300)).before_commit(only("traps"), |backend, tx, write| {
            Box::pin(async move {
                let trap = write.after().and_then(|after| after.get("trap")).and_then(Value::as_str).unwrap_or("");
                match trap {
                    "sleep" => std::future::pending().await,
                    "panic" => panic!("a hook's defect"),
                    "beside" => create(backend, "other", json!({})).await.map(|_| ()),
                    "nested" => backend.transaction(|_| Box::pin(async { Ok(()) })).await,
                    "again" => {
                        let again = creation("traps", json!({"trap": "again"}));
                        backend.collections().write_in(tx, &system(), again).await.map(|_| ())
                    }
                    "sql" => {
                        let connection = tx.connection::<DatabaseTransaction>().expect("SQL");
                        let sql = Statement::from_string(connection.get_database_backend(), "SELECT no_such_thing");
                        // It passes over the error of its own statement.
                        let _ = connection.execute_raw(sql).await;
                        Ok(())
                    }
                    _ => Ok(()),
                }
            })
        })
    };
    for ground in grounds().await {
        let backend = ground.open(astray).await;
        for (trap, kind, code) in [
            ("sleep", ErrorKind::Timeout, "hook-timeout"),
            ("panic", ErrorKind::Internal, "internal"),
            ("beside", ErrorKind::Conflict, "write-outside-transaction"),
            ("nested", ErrorKind::Conflict, "nested-transaction"),
            ("again", ErrorKind::Internal, "hooks-too-deep"),
        ] {
            let outcome = create(&backend, "traps", json!({"trap": trap})).await;
            assert_eq!(refused(outcome), (kind, code), "{trap}");
        }
        if let Ground::Postgres(_) = ground {
            // PostgreSQL aborts a transaction at the first error; SQLite only refuses the statement.
            assert!(create(&backend, "traps", json!({"trap": "sql"})).await.is_err());
        }
        assert!(bodies(&backend, "traps").await.is_empty() && bodies(&backend, "other").await.is_empty());
        create(&backend, "traps", json!({})).await.expect("writes go on");
        create(&backend, "other", json!({})).await.expect("here too");
        backend.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_in_a_transaction_of_the_hosts_and_many_at_once() {
    for ground in grounds().await {
        let backend = ground.open(with_note).await;
        let inner = backend.clone();
        let outcome: Result<()> = backend
            .transaction(move |tx| {
                Box::pin(async move {
                    inner.collections().write_in(tx, &system(), creation("orders", json!({"n": 1}))).await?;
                    Err(Error::new(ErrorKind::Conflict, "changed-my-mind", "never mind"))
                })
            })
            .await;
        assert_eq!(refused(outcome).1, "changed-my-mind");
        assert!(bodies(&backend, "journal").await.is_empty(), "what the hook wrote is gone with it");
        assert_eq!(jobs(&backend).await, 0);
        let writes = (0..40).map(|n| {
            let backend = backend.clone();
            tokio::spawn(async move {
                let collection = if n % 2 == 0 { "orders" } else { "other" };
                create(&backend, collection, json!({"n": n, "bad": n % 8 == 0})).await.is_ok()
            })
        });
        let done = futures_util::future::join_all(writes).await;
        assert_eq!(done.into_iter().filter(|done| *done.as_ref().unwrap()).count(), 35);
        assert_eq!((bodies(&backend, "journal").await.len(), jobs(&backend).await), (15, 15));
        backend.shutdown().await;
    }
}

/// What a consumer saw, as it tells it.
fn consumer(builder: Builder, seen: mpsc::UnboundedSender<(String, i64)>) -> Builder {
    builder.after_commit(only("orders"), "teller", move |_, committed| {
        let told = (format!("{} {}", committed.change.operation, committed.change.id), committed.change.seq);
        let outcome = seen.send(told).map_err(|_| Error::internal("nobody listens"));
        Box::pin(async move { outcome })
    })
}

async fn next(seen: &mut mpsc::UnboundedReceiver<(String, i64)>) -> (String, i64) {
    tokio::time::timeout(Duration::from_secs(20), seen.recv())
        .await
        .expect("a change comes")
        .expect("the consumer lives")
}

async fn create_as(backend: &Backend, id: &str) {
    let document = NewDocument::new(object(json!({}))).with_id(DocumentId::new(id).unwrap());
    backend.collections().create(&system(), &name("orders"), document).await.expect("created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_sees_every_change_in_order_and_goes_on_after_a_restart() {
    for ground in grounds().await {
        let first = ground.open(|builder| builder).await;
        create_as(&first, "before").await;
        // On PostgreSQL it has its number only when it has been numbered.
        let mut follow = first
            .realtime()
            .subscribe(&system(), universal_core::realtime::Subscribe::to(name("orders")))
            .await
            .expect("a subscription");
        create_as(&first, "numbered").await;
        // The one before may have been numbered only after the subscription began.
        loop {
            let event = follow.next().await.expect("it is numbered");
            if matches!(event, universal_core::realtime::Event::Change(change) if change.id().as_str() == "numbered") {
                break;
            }
        }
        first.shutdown().await;

        let (tell, mut seen) = mpsc::unbounded_channel();
        let second = ground.open(|builder| consumer(builder, tell)).await;
        for n in 0..150 {
            create_as(&second, &format!("a{n:03}")).await;
        }
        create(&second, "other", json!({})).await.expect("another collection");
        let mut last = 0;
        for n in 0..150 {
            let (told, seq) = next(&mut seen).await;
            assert_eq!(told, format!("create a{n:03}"), "what was there before it is not its business");
            assert!(seq > last, "{seq} after {last}");
            last = seq;
        }
        second.shutdown().await;

        // Written while no consumer runs.
        let third = ground.open(|builder| builder).await;
        create_as(&third, "meanwhile").await;
        third.shutdown().await;

        let (tell, mut seen) = mpsc::unbounded_channel();
        let fourth = ground.open(|builder| consumer(builder, tell)).await;
        create_as(&fourth, "z").await;
        let mut told = Vec::new();
        while told.last().is_none_or(|last| last != "create z") {
            told.push(next(&mut seen).await.0);
        }
        // At least once: what was seen may come again, what was not may not be missing.
        let new: Vec<_> = told.iter().filter(|told| !told.starts_with("create a")).collect();
        assert_eq!(new, ["create meanwhile", "create z"]);
        fourth.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_consumer_fails_comes_again_before_those_behind_it() {
    for ground in grounds().await {
        let (tell, mut seen) = mpsc::unbounded_channel();
        let failures = Arc::new(AtomicU32::new(0));
        let left = Arc::clone(&failures);
        let backend = ground
            .open(move |builder| {
                builder.after_commit(CollectionMatch::All, "stumbles", move |_, committed| {
                    let (tell, left, id) = (tell.clone(), Arc::clone(&left), committed.change.id.to_string());
                    Box::pin(async move {
                        if id == "b" {
                            let times = left.fetch_add(1, Ordering::SeqCst);
                            assert!(times != 1, "a panic is a failure too");
                            if times < 3 {
                                return Err(Error::internal("not yet"));
                            }
                        }
                        let _ = tell.send((id, 0));
                        Ok(())
                    })
                })
            })
            .await;
        for id in ["a", "b", "c"] {
            create_as(&backend, id).await;
        }
        for id in ["a", "b", "c"] {
            assert_eq!(next(&mut seen).await.0, id);
        }
        assert_eq!(failures.load(Ordering::SeqCst), 4);
        backend.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_one_hands_on_a_tenants_changes() {
    let database = TestDatabase::migrated().await;
    let ground = Ground::Postgres(database);
    let (tell, mut seen) = mpsc::unbounded_channel();
    let one = ground.open(|builder| consumer(builder, tell.clone())).await;
    let two = ground.open(|builder| consumer(builder, tell)).await;
    for n in 0..60 {
        create_as(if n % 2 == 0 { &one } else { &two }, &format!("n{n:02}")).await;
    }
    for n in 0..60 {
        assert_eq!(next(&mut seen).await.0, format!("create n{n:02}"), "each once, in order, while both nodes live");
    }
    one.shutdown().await;
    create_as(&two, "after").await;
    assert_eq!(next(&mut seen).await.0, "create after", "the other node takes over");
    two.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_needs_a_name_of_its_own() {
    for names in [vec!["a", "a"], vec![""], vec!["With Space"], vec!["a/b"]] {
        let builder = names.into_iter().fold(Backend::builder().in_memory(), |builder, name| {
            builder.after_commit(CollectionMatch::All, name, |_, _| Box::pin(async { Ok(()) }))
        });
        assert_eq!(refused(builder.build().await), (ErrorKind::Invalid, "invalid-settings"));
    }
}
