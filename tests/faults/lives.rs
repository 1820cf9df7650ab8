//! Many lives of the same ids: what belongs to one never shows in another.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::task::JoinSet;
use universal_core::{
    Backend, Caller, TenantId,
    collections::{Document, DocumentWrite, NewDocument, Precondition, Written},
    error::ErrorKind,
    id::{CollectionName, DocumentId},
    json::Object,
    realtime::Operation,
};
use universal_tests::wait;

use super::chaos_chain::{
    Acknowledged, Dice, faults_of_acknowledged, faults_of_chain, faults_of_documents, incarnation, tag, whole_feed,
};
use crate::conformance::subject::{On, subject};

const ROUNDS: u64 = 10_000;
const WRITERS: u64 = 16;
const IDS: u64 = 5;

#[derive(Debug, Default)]
struct Book {
    acknowledged: Vec<Acknowledged>,
    /// The life that each incarnation was born as.
    lives: HashMap<String, u64>,
    /// The last few revisions of each id, of whatever life.
    known: HashMap<String, Vec<String>>,
    faults: Vec<String>,
    done: HashMap<&'static str, u64>,
}

#[derive(Debug)]
struct Stage {
    backend: Backend,
    caller: Caller,
    name: CollectionName,
    next_life: AtomicU64,
    rounds: AtomicU64,
    book: Mutex<Book>,
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_never_mix_on_sqlite() {
    lives_never_mix(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_never_mix_on_postgresql() {
    lives_never_mix(On::Postgres).await;
}

async fn lives_never_mix(on: On) {
    let subject = subject(on).await;
    let stage = Arc::new(Stage {
        backend: subject.backend.clone(),
        caller: Caller::system(TenantId::default_tenant()),
        name: CollectionName::new("lives").unwrap(),
        next_life: AtomicU64::new(1),
        rounds: AtomicU64::new(0),
        book: Mutex::default(),
    });
    let mut writers = JoinSet::new();
    for seed in 0..WRITERS {
        let stage = Arc::clone(&stage);
        writers.spawn(async move {
            let mut dice = Dice::new(seed + 1);
            while stage.rounds.fetch_add(1, Ordering::Relaxed) < ROUNDS {
                stage.round(&mut dice).await;
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer does not panic");
    }
    let backend = &stage.backend;
    let head = async || backend.feed().state(stage.caller.tenant()).await.expect("a state").head;
    let book = std::mem::take(&mut *stage.book.lock().unwrap_or_else(PoisonError::into_inner));
    wait::until("every change to have its number", Duration::from_secs(20), || async {
        head().await >= i64::try_from(book.acknowledged.len()).unwrap()
    })
    .await;
    let changes = whole_feed(backend).await.expect("the feed can be read");
    let mut faults = book.faults;
    faults.extend(faults_of_chain(&changes));
    faults.extend(faults_of_acknowledged(&changes, &book.acknowledged));
    faults.extend(faults_of_documents(backend, &stage.name, &changes).await);
    for change in &changes {
        let life = book.lives.get(incarnation(&change.revision));
        for image in [&change.before, &change.after].into_iter().flatten() {
            if tag(&image.body).as_ref() != life {
                faults.push(format!("{}: {} shows {} in life {life:?}", change.seq, change.revision, image.body));
            }
        }
    }
    println!("{ROUNDS} rounds, {} lives, {} changes; {:?}", book.lives.len(), changes.len(), book.done);
    let count = faults.len();
    faults.truncate(15);
    assert!(faults.is_empty(), "{count} faults:\n{}", faults.join("\n"));
    assert!(book.lives.len() > 200 && book.done.contains_key("stale-revision"), "too little happened");
    subject.backend.shutdown().await;
}

impl Stage {
    async fn round(&self, dice: &mut Dice) {
        let id = DocumentId::new(format!("d{}", dice.below(IDS))).unwrap();
        let collection = self.name.clone();
        let life = self.next_life.fetch_add(1, Ordering::Relaxed);
        let body = Object::from_value(json!({ "tag": life, "n": 0 })).unwrap();
        let old = self.some_revision(id.as_str(), dice);
        let matching = old.clone().map_or(Precondition::Exists, |old| Precondition::Revision(vec![old]));
        let increment = Object::patch_from_value(json!({ "n": { "$inc": 1 } })).unwrap();
        let (write, condition) = match dice.below(10) {
            0 => (DocumentWrite::Create { collection, document: NewDocument::new(body).with_id(id) }, None),
            1 | 2 => (DocumentWrite::Replace { collection, id, body, precondition: Precondition::Absent }, None),
            3 => (DocumentWrite::Delete { collection, id, precondition: Precondition::None }, None),
            4 => (DocumentWrite::Delete { collection, id, precondition: matching }, old),
            5 => {
                let Some(of) = old.as_deref().and_then(|old| self.life_of(old)) else { return };
                let body = Object::from_value(json!({ "tag": of, "replaced": true, "n": 0 })).unwrap();
                (DocumentWrite::Replace { collection, id, body, precondition: matching }, old)
            }
            6 | 7 => (DocumentWrite::Patch { collection, id, patch: increment, precondition: matching }, old),
            _ => (DocumentWrite::Patch { collection, id, patch: increment, precondition: Precondition::None }, None),
        };
        let outcome = self.backend.collections().write(&self.caller, write).await;
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(written) => book.take(&written, condition.as_deref()),
            Err(error) => {
                let expected =
                    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::PreconditionFailed);
                *book.done.entry(error.code()).or_default() += 1;
                if !expected {
                    book.faults.push(format!("{error:?}"));
                }
            }
        }
    }

    fn some_revision(&self, id: &str, dice: &mut Dice) -> Option<String> {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let known = book.known.get(id)?;
        // Mostly the newest, so that some conditions hold.
        let back = if dice.happens(70) { 0 } else { usize::try_from(dice.below(known.len() as u64)).unwrap() };
        known.get(known.len() - 1 - back).cloned()
    }

    fn life_of(&self, revision: &str) -> Option<u64> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).lives.get(incarnation(revision)).copied()
    }
}

impl Book {
    fn take(&mut self, written: &Written, condition: Option<&str>) {
        let (operation, document): (_, &Document) = match written {
            Written::Created(document) => (Operation::Create, document),
            Written::Updated(document) => (Operation::Update, document),
            Written::Deleted(document) => (Operation::Delete, document),
            other => panic!("{other:?} is new to this test"),
        };
        let (id, revision) = (document.id.as_str().to_owned(), document.revision.as_str().to_owned());
        let life = tag(&document.body);
        let born = self.lives.entry(incarnation(&revision).to_owned()).or_insert_with(|| life.unwrap_or_default());
        if life != Some(*born) {
            self.faults.push(format!("{id} {revision} shows {} in life {born}", document.body));
        }
        if let Some(condition) = condition
            && incarnation(condition) != incarnation(&revision)
        {
            self.faults.push(format!("a write that demanded {condition} did {operation} {revision}"));
        }
        let known = self.known.entry(id.clone()).or_default();
        known.push(revision.clone());
        if known.len() > 40 {
            known.remove(0);
        }
        *self.done.entry(operation.as_str()).or_default() += 1;
        self.acknowledged.push(Acknowledged { id, operation, revision, tag: None });
    }
}

/// A document that one commit deletes and creates again is never seen to be away.
#[tokio::test(flavor = "multi_thread")]
async fn a_life_that_follows_in_the_same_commit_leaves_no_hole() {
    for on in [On::Sqlite, On::Postgres] {
        let subject = subject(on).await;
        let caller = Caller::system(TenantId::default_tenant());
        let name = CollectionName::new("reborn").unwrap();
        let document = |n: u64| {
            let body = Object::from_value(json!({ "tag": n, "n": 0 })).unwrap();
            NewDocument::new(body).with_id(DocumentId::new("d").unwrap())
        };
        subject.backend.collections().create(&caller, &name, document(0)).await.unwrap();
        let rebirths = {
            let (backend, caller, name) = (subject.backend.clone(), caller.clone(), name.clone());
            tokio::spawn(async move {
                for n in 1..150 {
                    let (collections, caller, name) = (Arc::clone(backend.collections()), caller.clone(), name.clone());
                    let again = document(n);
                    let delete = DocumentWrite::Delete {
                        collection: name.clone(),
                        id: DocumentId::new("d").unwrap(),
                        precondition: Precondition::None,
                    };
                    let create = DocumentWrite::Create { collection: name, document: again };
                    let outcome = backend
                        .transaction(move |tx| {
                            Box::pin(async move {
                                collections.write_in(tx, &caller, delete).await?;
                                collections.write_in(tx, &caller, create).await.map(|_| ())
                            })
                        })
                        .await;
                    outcome.unwrap();
                }
            })
        };
        let mut patches = 0;
        while !rebirths.is_finished() {
            let patch = Object::patch_from_value(json!({ "n": { "$inc": 1 } })).unwrap();
            let id = DocumentId::new("d").unwrap();
            let patched = subject.backend.collections().patch(&caller, &name, &id, patch, Precondition::None).await;
            patched.unwrap_or_else(|error| panic!("on {on:?}, after {patches} patches: {error:?}"));
            patches += 1;
        }
        rebirths.await.unwrap();
        subject.backend.shutdown().await;
    }
}
