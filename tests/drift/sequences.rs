//! Sequences of operations drawn by chance have the same answers, the same documents and the same feed on both databases.

use std::{cell::Cell, collections::BTreeMap, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::Value;
use tokio::runtime::{Handle, Runtime};
use universal_core::{
    Caller,
    collections::{CollectionSettings, IndexSettings, IndexState, Rules},
    id::CollectionName,
    realtime::Operation,
};
use universal_tests::{environment::Volume, wait::until};

use super::{
    drawn::{Step, steps},
    player::{Player, callers},
};
use crate::conformance::subject::{On, Subject, subject};

/// How many steps a sequence has at most.
const STEPS: usize = 30;

#[test]
fn sequences_of_operations_are_answered_alike_by_both_databases() {
    let runtime = Runtime::new().unwrap();
    let both = runtime.block_on(async { [subject(On::Sqlite).await, subject(On::Postgres).await] });
    let callers = callers();
    let cases = Volume::from_environment().pick(200, 20_000);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    // The same sequences in every run, so that a failure can be looked at again.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (played, number, done) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let result = runner.run(&steps(STEPS), |steps| {
        number.set(number.get() + 1);
        let name = format!("drift{}", number.get());
        played.set(played.get() + steps.len());
        done.set(done.get() + compare(runtime.handle(), &both, &callers, &name, &steps)?);
        Ok(())
    });
    runtime.block_on(async {
        for subject in both {
            subject.backend.shutdown().await;
        }
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(done.get() * 3 > played.get(), "only {} of {} operations were not refused", done.get(), played.get());
    println!("{} operations in {} sequences, {} of them not refused", played.get(), number.get(), done.get());
}

/// Plays the steps on both; how many were not refused.
fn compare(
    runtime: &Handle,
    both: &[Subject; 2],
    callers: &[Caller; 3],
    name: &str,
    steps: &[Step],
) -> Result<usize, TestCaseError> {
    let collection = CollectionName::new(name).unwrap();
    let mut done = 0;
    runtime.block_on(async {
        let [mut sqlite, mut postgres] =
            [player(&both[0], callers, &collection).await, player(&both[1], callers, &collection).await];
        for (at, step) in steps.iter().enumerate() {
            let answers = (sqlite.play(step).await, postgres.play(step).await);
            prop_assert_eq!(&answers.0, &answers.1, "step {} {:?}: SQLite, then PostgreSQL", at, step);
            let kind = answers.0["kind"].as_str().unwrap_or_default();
            done += usize::from(kind.is_empty());
            prop_assert!(!["Internal", "Unavailable", "Timeout"].contains(&kind), "step {at} {step:?}: {kind}");
        }
        let documents = (sqlite.everything().await, postgres.everything().await);
        prop_assert_eq!(&documents.0, &documents.1, "the documents at the end");
        // SQLite numbers its changes in the write's own commit: what is there is all.
        let here = sqlite.changes(0).await;
        let there = postgres.changes(here.len()).await;
        let shown =
            |player: &Player, changes: &[_]| changes.iter().map(|change| player.change(change)).collect::<Vec<_>>();
        let feeds = (shown(&sqlite, &here), shown(&postgres, &there));
        prop_assert_eq!(&feeds.0, &feeds.1, "the feed");
        prop_assert_eq!(replayed(&here, &feeds.0), documents.0, "the feed, replayed, makes the documents");
        Ok(done)
    })
}

pub(super) async fn player(subject: &Subject, callers: &[Caller; 3], collection: &CollectionName) -> Player {
    let either = "doc.public == true || meta.owner == caller.id";
    let rules = Rules::default()
        .with_list(either)
        .with_get(either)
        .with_create("caller.id != null && after.n != 1.5")
        .with_update("meta.owner == caller.id && !(after.n == 0)")
        .with_delete("meta.owner == caller.id && doc.code != \"d\"");
    let settings = CollectionSettings::new()
        .with_rules(rules)
        .with_hidden("secret")
        .with_immutable("born")
        .with_index("code", IndexSettings::on(["code"]).unique())
        .with_index("order", IndexSettings::on(["public", "-n"]));
    let configured = subject.backend.collections().configure(&callers[2], collection, settings, None).await;
    configured.expect("the settings are valid");
    // A collection changes once more when its indexes are built; that must not happen to one database within a step.
    until("the indexes are built", Duration::from_secs(30), || async {
        let info = subject.backend.collections().settings(&callers[2], collection).await.unwrap();
        info.indexes.iter().all(|index| index.state == IndexState::Ready)
    })
    .await;
    Player::new(subject, callers.clone(), collection.clone()).await.unwrap()
}

/// What a reader of the feed alone would hold: the model of the collection.
fn replayed(changes: &[universal_core::realtime::Change], shown: &[Value]) -> BTreeMap<String, Value> {
    let mut documents = BTreeMap::new();
    for (change, shown) in changes.iter().zip(shown) {
        let id = shown["id"].as_str().unwrap().to_owned();
        match change.operation {
            Operation::Create | Operation::Update => drop(documents.insert(id, shown["after"]["body"].clone())),
            Operation::Delete => drop(documents.remove(&id)),
        }
    }
    documents
}
