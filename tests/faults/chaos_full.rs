//! A database that has no room left.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement};
use serde_json::json;
use universal_core::{
    Backend, Caller, CollectionName, DocumentId, ErrorKind, Result, Settings, TenantId,
    collections::{Document, DocumentWrite, NewDocument},
    json::Object,
    realtime::Operation,
};

use super::chaos_chain::{Acknowledged, faults_of_acknowledged, faults_of_chain, faults_of_documents, whole_feed};

fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

fn name() -> CollectionName {
    CollectionName::new("big").unwrap()
}

fn document(id: &str, bytes: usize) -> NewDocument {
    let body = Object::from_value(json!({ "tag": 1, "text": "x".repeat(bytes) })).unwrap();
    NewDocument::new(body).with_id(DocumentId::new(id).unwrap())
}

/// Leaves the writer's connection room for `pages` more.
async fn leave_room(backend: &Backend, pages: i64) -> Result<()> {
    backend
        .transaction(move |tx| {
            Box::pin(async move {
                let connection = tx.connection::<DatabaseTransaction>().expect("SQL");
                let count = Statement::from_string(DbBackend::Sqlite, "PRAGMA page_count");
                let row = connection.query_one_raw(count).await.expect("a count").expect("a row");
                let now: i64 = row.try_get_by_index(0).expect("a number");
                let limit = format!("PRAGMA max_page_count = {}", now + pages);
                connection.execute_unprepared(&limit).await.expect("a limit");
                Ok(())
            })
        })
        .await
}

/// A full disk makes SQLite end the transaction in the middle of a group: what follows in it must not
/// be committed piece by piece, and nobody may be told "done" of what is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_nothing_that_was_acknowledged_and_tears_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    folder.path().clone_into(&mut settings.data);
    let backend = Backend::builder().with_settings(settings).build().await.expect("a backend opens");
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    for round in 0..6_i64 {
        leave_room(&backend, 4 + round * 9).await.expect("the limit is set");
        let writes = (0..48_usize).map(|n| {
            let (backend, id) = (backend.clone(), format!("r{round}-{n}"));
            tokio::spawn(async move {
                // The small ones fit where a big one did not.
                let size = if n % 3 == 0 { 30_000 } else { 20 };
                (id.clone(), backend.collections().create(&system(), &name(), document(&id, size)).await)
            })
        });
        for write in futures_util::future::join_all(writes.collect::<Vec<_>>()).await {
            match write.expect("no panic") {
                (id, Ok(written)) => acknowledged.push(acknowledgement(&id, &written)),
                (id, Err(error)) => {
                    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "storage-full"), "{error:?}");
                    refused.push(id);
                }
            }
        }
        // A transaction of the caller's meets it too, and the writer goes on after it.
        leave_room(&backend, 4).await.expect("the limit is set");
        let (inner, id) = (backend.clone(), format!("t{round}"));
        let outcome = backend
            .transaction(move |tx| {
                Box::pin(async move {
                    let one = DocumentWrite::Create { collection: name(), document: document(&format!("{id}-a"), 20) };
                    inner.collections().write_in(tx, &system(), one).await?;
                    let big = DocumentWrite::Create { collection: name(), document: document(&id, 60_000) };
                    inner.collections().write_in(tx, &system(), big).await.map(|_| ())
                })
            })
            .await;
        let error = outcome.expect_err("there is no room for it");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "storage-full"), "{error:?}");
        refused.extend([format!("t{round}"), format!("t{round}-a")]);
        let id = format!("after{round}");
        let (caller, name) = (system(), name());
        let create = backend.collections().create(&caller, &name, document(&id, 60_000));
        let after = tokio::time::timeout(Duration::from_secs(10), create).await.expect("the writer goes on");
        acknowledged.push(acknowledgement(&id, &after.expect("the new connection has room")));
    }
    let changes = whole_feed(&backend).await.expect("the feed can be read");
    let mut faults = faults_of_chain(&changes);
    faults.extend(faults_of_acknowledged(&changes, &acknowledged));
    faults.extend(faults_of_documents(&backend, &name(), &changes).await);
    for change in &changes {
        if refused.iter().any(|id| id == change.id.as_str()) {
            faults.push(format!("{} was refused and is in the feed", change.id));
        }
    }
    println!("{} acknowledged, {} refused", acknowledged.len(), refused.len());
    faults.truncate(15);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    backend.shutdown().await;
}

fn acknowledgement(id: &str, written: &Document) -> Acknowledged {
    let revision = written.revision.as_str().to_owned();
    Acknowledged { id: id.to_owned(), operation: Operation::Create, revision, tag: Some(1) }
}
