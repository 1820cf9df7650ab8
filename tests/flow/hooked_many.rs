//! Hooks before a commit run for the documents of an import and for those that a cascade deletes.

use std::sync::{Arc, Mutex};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use universal_core::{
    Backend, Caller, CollectionName, DocumentId, Error, ErrorKind, TenantId,
    builder::Builder,
    collections::{
        Action, CollectionMatch, CollectionSettings, ImportMode, ImportOptions, ListQuery, NewDocument, OnDelete,
        Precondition, Reference,
    },
    json::Object,
    secret::MasterKey,
};
use universal_tests::postgres::TestDatabase;

fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

fn name(name: &str) -> CollectionName {
    CollectionName::new(name).unwrap()
}

/// What the hook was called for, as `action id`.
type Calls = Arc<Mutex<Vec<String>>>;

/// Marks what is stored, refuses `bad` and the deletion of `kept`, and writes down its calls.
fn watched(builder: Builder, calls: Calls) -> Builder {
    builder.before_commit(CollectionMatch::Only(name("books")), move |_, _, write| {
        let calls = Arc::clone(&calls);
        Box::pin(async move {
            calls.lock().unwrap().push(format!("{} {}", write.action().as_str(), write.id()));
            if write.action() == Action::Delete && write.id().as_str() == "kept" {
                return Err(Error::new(ErrorKind::Conflict, "book-is-kept", "this book is kept"));
            }
            if write.after().is_some_and(|after| after.contains_key("bad")) {
                return Err(Error::new(ErrorKind::Conflict, "bad-book", "this book is refused"));
            }
            if let Some(members) = write.after_mut() {
                members.insert("seen".into(), true.into());
            }
            Ok(())
        })
    })
}

async fn create(backend: &Backend, collection: &str, id: &str, body: Value) {
    let document = NewDocument::new(Object::from_value(body).unwrap()).with_id(DocumentId::new(id).unwrap());
    backend.collections().create(&system(), &name(collection), document).await.unwrap();
}

async fn books(backend: &Backend) -> Vec<(String, Value)> {
    let page = backend.collections().list(&system(), &name("books"), &ListQuery::new()).await.unwrap().value;
    let shown = |document: &universal_core::collections::Document| {
        (document.id.to_string(), serde_json::from_str(&document.body).unwrap())
    };
    page.items.iter().map(shown).collect()
}

async fn both(run: impl AsyncFn(Backend, Calls)) {
    let database = TestDatabase::migrated().await;
    let (first, second) = (Calls::default(), Calls::default());
    let sqlite = watched(Backend::builder().in_memory(), Arc::clone(&first)).build().await.unwrap();
    run(sqlite, first).await;
    let builder = Backend::builder().in_memory().with_postgres_connection(database.connect().await);
    let builder = builder.with_master_key(MasterKey::generate().unwrap());
    let postgres = watched(builder, Arc::clone(&second)).build().await.unwrap();
    run(postgres, second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_runs_for_every_line_of_an_import() {
    both(async |backend, calls| {
        let lines = "{\"id\": \"a\", \"n\": 1}\n{\"id\": \"b\", \"bad\": 1}\n{\"id\": \"c\", \"n\": 3}\n";
        let import = async |options: ImportOptions| {
            let lines = stream::iter([Ok(bytes::Bytes::from(lines))]).boxed();
            backend.collections().import(&system(), &name("books"), lines, options).await.unwrap()
        };
        let report = import(ImportOptions::new().with_mode(ImportMode::Upsert)).await;
        assert_eq!((report.created, report.failed), (2, 1));
        let codes: Vec<_> = report.errors.iter().map(|error| error.code.to_string()).collect();
        assert_eq!(codes, ["bad-book"]);
        let stored = [("a".to_owned(), json!({"n": 1, "seen": true})), ("c".to_owned(), json!({"n": 3, "seen": true}))];
        assert_eq!(books(&backend).await, stored);
        let calls = calls.lock().unwrap().clone();
        for id in ["a", "b", "c"] {
            assert!(calls.iter().any(|call| call.ends_with(&format!(" {id}"))), "{calls:?}");
        }
        backend.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_sees_what_a_cascade_deletes_and_may_refuse_all_of_it() {
    both(async |backend, calls| {
        let settings =
            CollectionSettings::new().with_reference("by", Reference::to("people").with_on_delete(OnDelete::Cascade));
        backend.collections().configure(&system(), &name("books"), settings, None).await.unwrap();
        for person in ["ada", "bob"] {
            create(&backend, "people", person, json!({})).await;
        }
        for (book, by) in [("x", "ada"), ("y", "ada"), ("kept", "bob"), ("z", "bob")] {
            create(&backend, "books", book, json!({"by": by})).await;
        }
        let delete = async |person: &str| {
            let id = DocumentId::new(person).unwrap();
            backend.collections().delete(&system(), &name("people"), &id, Precondition::None).await
        };
        assert_eq!(delete("bob").await.unwrap_err().code(), "book-is-kept");
        assert_eq!(books(&backend).await.len(), 4, "nothing of a refused cascade is done");
        delete("ada").await.unwrap();
        let left: Vec<_> = books(&backend).await.into_iter().map(|(id, _)| id).collect();
        assert_eq!(left, ["kept", "z"]);
        let calls = calls.lock().unwrap().clone();
        assert!(["delete x", "delete y"].iter().all(|call| calls.iter().any(|made| made == call)), "{calls:?}");
        backend.shutdown().await;
    })
    .await;
}
