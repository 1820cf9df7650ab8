//! Collections too large to be renamed or dropped while their administrator waits: it goes on by itself.

use std::time::Duration;

use serde_json::json;
use universal_core::{
    Caller, TenantId,
    collections::{
        Batch, CollectionSettings, CollectionState, Counting, IndexSettings, IndexState, ListQuery, NewDocument,
        Progress, SearchSettings,
    },
    id::{CollectionName, DocumentId},
    json::Object,
    realtime::Operation,
};
use universal_tests::wait::{until, until_some};

use crate::conformance::subject::{On, Subject, subject};

/// More than are moved within one call.
const DOCUMENTS: usize = 11_000;
/// How long the background may take.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_large_collection_is_renamed_and_dropped_in_the_background_on_sqlite() {
    moves(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_collection_is_renamed_and_dropped_in_the_background_on_postgresql() {
    moves(On::Postgres).await;
}

async fn moves(on: On) {
    let subject = subject(on).await;
    let (from, to) = (CollectionName::new("drafts").unwrap(), CollectionName::new("books").unwrap());
    configure(&subject, &from).await;
    fill(&subject, &from).await;

    // The background may have taken part, so that one call sufficed; mostly it does not.
    let progress = collections(&subject).rename_collection(&system(), &from, &to).await.unwrap();
    if progress == Progress::Continues {
        for closed in [&from, &to] {
            let refused = create(&subject, closed, "late").await.unwrap_err();
            assert_eq!(refused.code(), "collection-closed", "{closed}");
        }
    }
    // Nobody asks again: the background goes on.
    until("the background ends", PATIENCE, || async {
        state(&subject, &to).await == Some(CollectionState::Active) && state(&subject, &from).await.is_none()
    })
    .await;
    assert_eq!((count(&subject, &from).await, count(&subject, &to).await), (0, DOCUMENTS as u64));

    // Indexes, their uniqueness and the words of the search moved along.
    ready(&subject, &to).await;
    let by_code = ListQuery::new().with_filter("code == \"c07777\"").unwrap();
    let explained = collections(&subject).explain(&system(), &to, &by_code, None).await.unwrap();
    assert_eq!(explained.index.expect("an index is used").name, "code");
    assert_eq!(ids(&subject, &to, &by_code).await, ["d07777"]);
    assert_eq!(ids(&subject, &to, &ListQuery::new().with_search("word7777")).await, ["d07777"]);
    assert_eq!(create(&subject, &to, "c07777").await.unwrap_err().code(), "unique-violation");
    assert!(create(&subject, &from, "c07777").await.is_ok(), "nothing of it is left under the old name");
    assert!(ids(&subject, &from, &by_code).await.len() == 1);

    let head = collections(&subject).list(&system(), &to, &ListQuery::new()).await.unwrap().cursor.seq();
    let dropped = collections(&subject).drop_collection(&system(), &to).await.unwrap();
    println!("renaming: {progress:?}; dropping: {dropped:?}");
    until("the background ends", PATIENCE, || async {
        state(&subject, &to).await.is_none() && count(&subject, &to).await == 0
    })
    .await;
    let mut deleted = deletions(&subject, &to, head).await;
    deleted.sort_unstable();
    deleted.dedup();
    assert_eq!(deleted.len(), DOCUMENTS, "each document's deletion is in the feed");

    // The name begins anew, with indexes and words of its own.
    configure(&subject, &to).await;
    create(&subject, &to, "c07777").await.expect("the dropped collection's keys are free");
    ready(&subject, &to).await;
    assert_eq!(ids(&subject, &to, &by_code).await.len(), 1);
    assert_eq!(ids(&subject, &to, &ListQuery::new().with_search("word7777")).await, Vec::<String>::new());
    subject.backend.shutdown().await;
}

fn collections(subject: &Subject) -> &dyn universal_core::collections::Collections {
    subject.backend.collections().as_ref()
}

fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

async fn configure(subject: &Subject, name: &CollectionName) {
    let settings = CollectionSettings::new()
        .with_index("code", IndexSettings::on(["code"]).unique())
        .with_search(SearchSettings::new(["title"]));
    collections(subject).configure(&system(), name, settings, None).await.unwrap();
    ready(subject, name).await;
}

async fn ready(subject: &Subject, name: &CollectionName) {
    until("the background ends", PATIENCE, || async {
        let info = collections(subject).settings(&system(), name).await.unwrap();
        let built = info.indexes.iter().all(|index| index.state == IndexState::Ready);
        built && collections(subject).list(&system(), name, &ListQuery::new().with_search("x")).await.is_ok()
    })
    .await;
}

async fn fill(subject: &Subject, name: &CollectionName) {
    for first in (0..DOCUMENTS).step_by(450) {
        let batch = (first..(first + 450).min(DOCUMENTS)).fold(Batch::new(), |batch, n| {
            let body = json!({"code": format!("c{n:05}"), "title": format!("the word{n}")});
            let document = NewDocument::new(Object::from_value(body).unwrap());
            batch.create(name, document.with_id(DocumentId::new(format!("d{n:05}")).unwrap()))
        });
        collections(subject).batch(&system(), batch).await.unwrap();
    }
}

async fn create(subject: &Subject, name: &CollectionName, code: &str) -> universal_core::Result<()> {
    let document = NewDocument::new(Object::from_value(json!({"code": code, "title": "one more"}))?);
    collections(subject).create(&system(), name, document).await.map(|_| ())
}

async fn count(subject: &Subject, name: &CollectionName) -> u64 {
    let query = ListQuery::new().with_count(Counting::Exact);
    let page = collections(subject).list(&system(), name, &query).await.unwrap().value;
    page.count.expect("a count was asked for").value
}

async fn ids(subject: &Subject, name: &CollectionName, query: &ListQuery) -> Vec<String> {
    let page = collections(subject).list(&system(), name, query).await.unwrap().value;
    page.items.iter().map(|document| document.id.to_string()).collect()
}

/// The state of a collection, if it is there at all.
async fn state(subject: &Subject, name: &CollectionName) -> Option<CollectionState> {
    let all = collections(subject).collections(&system()).await.unwrap();
    all.into_iter().find(|info| info.name == *name).map(|info| info.state)
}

/// The ids of documents of `name` that were deleted after a place in the feed, all of them.
async fn deletions(subject: &Subject, name: &CollectionName, after: i64) -> Vec<String> {
    until_some("the feed has all deletions", PATIENCE, || async move {
        let (mut deleted, mut after) = (Vec::new(), after);
        loop {
            let changes = subject.backend.feed().read(&TenantId::default_tenant(), after, 500).await.unwrap();
            let Some(last) = changes.last() else { return (deleted.len() >= DOCUMENTS).then_some(deleted) };
            after = last.seq;
            let of_it = changes.iter().filter(|change| change.collection == *name);
            let ids = of_it.filter(|change| change.operation == Operation::Delete).map(|change| change.id.to_string());
            deleted.extend(ids);
        }
    })
    .await
}
