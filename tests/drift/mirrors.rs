//! Whatever is written, whichever rules come and go, and however often it must come back: what a watcher holds is what
//! the server lists.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::json;
use tokio::runtime::Runtime;
use universal_core::{
    Caller, TenantId,
    collections::{CollectionSettings, ListQuery, NewDocument, Precondition, Rules},
    conformance::{mirror::Mirror, realtime::Fixture, watch::follow},
    error::ErrorKind,
    id::{CollectionName, DocumentId, UserId},
    json::Object,
    realtime::{Subscribe, Subscription},
};
use universal_tests::environment::Volume;

use crate::conformance::subject::{On, Subject, subject};

/// Rules for `list` and `get`: what one shows is not what the other shows.
const RULES: [&str; 4] =
    ["doc.n > 2", "meta.owner == caller.id", "doc.open == true || meta.owner == caller.id", "doc.n % 2 == 0"];
/// What the watchers ask for.
const FILTERS: [&str; 3] = ["", "n < 5", "open == true"];

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Put {
        by: usize,
        id: u8,
        n: i64,
        open: bool,
    },
    Patch {
        id: u8,
        n: i64,
    },
    Delete {
        id: u8,
    },
    DeleteSome {
        below: i64,
    },
    Rules(usize),
    /// A watcher loses its connection and comes back at once.
    Reconnect(usize),
    /// It loses it and comes back only after the next steps.
    Leave(usize),
    /// All catch up, and are compared.
    Compare,
}

fn step() -> impl Strategy<Value = Step> {
    let (id, n) = (0..6_u8, 0..8_i64);
    prop_oneof![
        6 => (0..2_usize, id.clone(), n.clone(), any::<bool>()).prop_map(|(by, id, n, open)| Step::Put { by, id, n, open }),
        4 => (id.clone(), n.clone()).prop_map(|(id, n)| Step::Patch { id, n }),
        3 => id.prop_map(|id| Step::Delete { id }),
        1 => n.prop_map(|below| Step::DeleteSome { below }),
        1 => (0..RULES.len()).prop_map(Step::Rules),
        2 => (0..FILTERS.len()).prop_map(Step::Reconnect),
        1 => (0..FILTERS.len()).prop_map(Step::Leave),
        1 => Just(Step::Compare),
    ]
}

/// A watcher, connected or not.
struct Watcher {
    watched: Subscribe,
    open: Option<Subscription>,
    mirror: Mirror,
}

struct Stage {
    on: Fixture,
    callers: [Caller; 2],
    system: Caller,
    name: CollectionName,
    watchers: Vec<Watcher>,
}

impl Stage {
    async fn new(subject: &Subject, name: CollectionName) -> Self {
        let backend = &subject.backend;
        let on = Fixture::new(backend.collections().clone(), backend.realtime().clone(), backend.feed().clone());
        let user = || Caller::user(TenantId::default_tenant(), UserId::generate());
        let watcher = |filter: &&str| {
            let mut watched = Subscribe::to(name.clone());
            if !filter.is_empty() {
                watched.filter = ListQuery::new().with_filter(filter).unwrap().filter;
            }
            Watcher { watched, open: None, mirror: Mirror::default() }
        };
        let watchers = FILTERS.iter().map(watcher).collect();
        let system = Caller::system(TenantId::default_tenant());
        configure((&on, &system, &name), RULES[0]).await;
        Self { on, callers: [user(), user()], system, name, watchers }
    }

    /// The first user watches; both write, or the program itself.
    async fn play(&mut self, step: &Step) -> Result<(), String> {
        let id = |id: &u8| DocumentId::new(format!("d{id}")).unwrap();
        let (collections, name) = (&self.on.collections, &self.name);
        match step {
            Step::Put { by, id: which, n, open } => {
                let body = Object::from_value(json!({"n": n, "open": open})).unwrap();
                let document = NewDocument::new(body.clone()).with_id(id(which));
                match collections.create(&self.callers[*by], name, document).await {
                    Err(error) if error.kind() == ErrorKind::Conflict => {
                        let put = collections.replace(&self.system, name, &id(which), body, Precondition::None).await;
                        put.map(drop).map_err(|error| error.to_string())
                    }
                    other => other.map(drop).map_err(|error| error.to_string()),
                }
            }
            Step::Patch { id: which, n } => {
                let patch = Object::from_value(json!({"n": n})).unwrap();
                found(collections.patch(&self.system, name, &id(which), patch, Precondition::None).await.map(drop))
            }
            Step::Delete { id: which } => {
                found(collections.delete(&self.system, name, &id(which), Precondition::None).await.map(drop))
            }
            Step::DeleteSome { below } => {
                let some = universal_core::collections::Matching::new(name.clone(), &format!("n < {below}")).unwrap();
                found(collections.delete_where(&self.system, some).await.map(drop))
            }
            Step::Rules(which) => {
                configure((&self.on, &self.system, &self.name), RULES[*which]).await;
                Ok(())
            }
            Step::Reconnect(which) => self.connect(*which).await,
            Step::Leave(which) => {
                self.watchers[*which].open = None;
                Ok(())
            }
            Step::Compare => self.compare().await,
        }
    }

    async fn connect(&mut self, which: usize) -> Result<(), String> {
        let watcher = &mut self.watchers[which];
        watcher.open = None;
        let watched = watcher.mirror.resume(watcher.watched.clone());
        let opened = self.on.realtime.watch(&self.callers[0], watched).await;
        watcher.open = Some(opened.map_err(|error| error.to_string())?);
        Ok(())
    }

    async fn compare(&mut self) -> Result<(), String> {
        for which in 0..self.watchers.len() {
            if self.watchers[which].open.is_none() {
                self.connect(which).await?;
            }
            let Watcher { watched, open, mirror } = &mut self.watchers[which];
            let Some(open) = open else { return Err("it was opened".to_owned()) };
            follow(&self.on, &self.callers[0], watched, (open, mirror)).await?;
        }
        Ok(())
    }
}

async fn configure((on, system, name): (&Fixture, &Caller, &CollectionName), rule: &str) {
    let rules = Rules::default().with_list(rule).with_get(rule).with_create("true").with_update("true");
    let settings = CollectionSettings::new().with_rules(rules.with_delete("true"));
    on.collections.configure(system, name, settings, None).await.expect("the rules are valid");
}

/// A document that is not there is none that can be changed.
fn found(outcome: universal_core::error::Result<()>) -> Result<(), String> {
    match outcome {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

#[test]
fn a_watcher_holds_what_the_server_lists() {
    let runtime = Runtime::new().unwrap();
    let both = runtime.block_on(async { [subject(On::Sqlite).await, subject(On::Postgres).await] });
    let cases = Volume::from_environment().pick(12, 2000);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let mut kinds = BTreeMap::new();
    let result = {
        let (number, kinds) = (std::cell::Cell::new(0_u32), std::cell::RefCell::new(&mut kinds));
        TestRunner::new(config).run(&prop::collection::vec(step(), 5..60), |steps| {
            number.set(number.get() + 1);
            for (subject, place) in both.iter().zip(["sqlite", "postgres"]) {
                let name = CollectionName::new(format!("mirror{}", number.get())).unwrap();
                let snapshots = runtime.block_on(async {
                    let mut stage = Stage::new(subject, name).await;
                    for (at, step) in steps.iter().enumerate() {
                        stage.play(step).await.map_err(|error| format!("{place}, step {at} {step:?}: {error}"))?;
                    }
                    stage.compare().await.map_err(|error| format!("{place}, at the end: {error}"))?;
                    Ok::<_, String>(stage.watchers.iter().map(|watcher| watcher.mirror.snapshots()).sum::<usize>())
                });
                let snapshots = snapshots.map_err(TestCaseError::fail)?;
                *kinds.borrow_mut().entry(place).or_insert(0) += snapshots;
            }
            Ok(())
        })
    };
    runtime.block_on(async {
        for subject in both {
            subject.backend.shutdown().await;
        }
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    println!("the rows came this often: {kinds:?}");
}
