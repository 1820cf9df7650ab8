//! Documents, rules and roles change by chance; after each step every socket holds what its user may list, and has shown
//! nothing that its user may not see.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher as _, RandomState},
};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};
use universal_tests::{client::Client, environment::Volume};

use super::{
    eye::Eye,
    house::{House, encoded, listed},
    law::{Asker, LAWS, Law},
};
use crate::conformance::subject::On;

const USERS: usize = 3;
/// What the watchers of a user ask for; all let the mark in.
const FILTERS: [&str; USERS] = ["", "n < 5 || has(mark)", "open == true || has(mark)"];
/// How many steps a sequence has.
const STEPS: usize = 50;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// By a user or, as the last, an administrator.
    Put {
        by: usize,
        id: u8,
        n: i64,
        open: bool,
        to: usize,
    },
    Patch {
        by: usize,
        id: u8,
        n: i64,
    },
    Secret {
        id: u8,
        secret: i64,
    },
    Delete {
        by: usize,
        id: u8,
    },
    DeleteSome {
        below: i64,
    },
    Both {
        ids: (u8, u8),
        n: i64,
    },
    Law(usize),
    Role {
        of: usize,
        is_editor: bool,
    },
    Come(usize),
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (by, id, n) = (0..=USERS, 0..6_u8, 0..8_i64);
    let write = (by.clone(), id.clone(), n.clone(), any::<bool>(), 0..USERS);
    prop_oneof![
        6 => write.prop_map(|(by, id, n, open, to)| Step::Put { by, id, n, open, to }),
        4 => (by.clone(), id.clone(), n.clone()).prop_map(|(by, id, n)| Step::Patch { by, id, n }),
        2 => (id.clone(), n.clone()).prop_map(|(id, secret)| Step::Secret { id, secret }),
        3 => (by, id.clone()).prop_map(|(by, id)| Step::Delete { by, id }),
        1 => n.clone().prop_map(|below| Step::DeleteSome { below }),
        2 => ((id.clone(), id), n).prop_map(|(ids, n)| Step::Both { ids, n }),
        2 => (0..LAWS.len()).prop_map(Step::Law),
        2 => (0..USERS, any::<bool>()).prop_map(|(of, is_editor)| Step::Role { of, is_editor }),
        2 => (0..2 * USERS).prop_map(Step::Come),
        1 => (0..2 * USERS).prop_map(Step::Leave),
    ]
}

/// A user, and two sockets.
struct User {
    client: Client,
    asker: Asker,
    eyes: [Eye; 2],
}

struct Stage<'a> {
    house: &'a House,
    collection: String,
    admin: &'a Client,
    users: Vec<User>,
    law: &'static Law,
    /// Every version that there was, by id and revision.
    versions: HashMap<(String, String), Value>,
    marks: u64,
    /// How many documents frames have shown.
    shown: usize,
}

impl<'a> Stage<'a> {
    async fn new((house, admin): (&'a House, &'a Client), clients: &mut [Client], number: u32) -> Result<Self, String> {
        let collection = format!("rights{number}");
        let mut users = Vec::new();
        for (client, filter) in clients.iter_mut().zip(FILTERS) {
            house.set_roles(client, &[]).await;
            *client = house.refreshed(client).await;
            let asker = Asker { id: client.user_id().to_owned(), is_editor: false };
            let eyes = [Eye::new(&collection, Some(filter)), Eye::new(&collection, None)];
            users.push(User { client: client.clone(), asker, eyes });
        }
        let law = &LAWS[0];
        let mut stage = Self { house, collection, admin, users, law, versions: HashMap::new(), marks: 0, shown: 0 };
        stage.configure().await;
        for User { client, eyes, .. } in &mut stage.users {
            for eye in eyes {
                eye.come(client).await?;
            }
        }
        Ok(stage)
    }

    async fn configure(&self) {
        let rule = self.law.rule();
        let hidden: &[&str] = if self.law.hides { &["secret"] } else { &[] };
        let rules = json!({ "list": rule, "get": rule, "create": "true", "update": "true", "delete": "true" });
        let settings = json!({ "rules": rules, "hidden": hidden });
        self.admin.put(&format!("/admin/collections/{}", self.collection), settings).await.expect(200);
    }

    fn client(&self, by: usize) -> &Client {
        self.users.get(by).map_or(self.admin, |user| &user.client)
    }

    fn path(&self, id: u8) -> String {
        format!("/db/{}/d{id}", self.collection)
    }

    async fn play(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Put { by, id, n, open, to } => {
                let body = json!({ "n": n, "open": open, "to": self.users[*to].asker.id });
                answered(self.client(*by).put(&self.path(*id), body).await)
            }
            Step::Patch { by, id, n } => answered(self.client(*by).patch(&self.path(*id), json!({ "n": n })).await),
            Step::Secret { id, secret } => {
                answered(self.admin.patch(&self.path(*id), json!({ "secret": secret })).await)
            }
            Step::Delete { by, id } => answered(self.client(*by).delete(&self.path(*id)).await),
            Step::DeleteSome { below } => {
                let path = format!("/db/{}?filter={}", self.collection, encoded(&format!("n < {below}")));
                answered(self.admin.delete(&path).await)
            }
            Step::Both { ids: (one, other), n } => {
                let put = |id: &u8| json!({ "op": "replace", "collection": self.collection, "id": format!("d{id}"), "body": { "n": n } });
                let mut operations = vec![put(one)];
                operations.extend((one != other).then(|| put(other)));
                answered(self.admin.post("/db", json!({ "operations": operations })).await)
            }
            Step::Law(which) => self.change_law(&LAWS[*which]).await,
            Step::Role { of, is_editor } => self.change_role(*of, *is_editor).await,
            Step::Come(which) => {
                let user = &mut self.users[which / 2];
                user.eyes[which % 2].come(&user.client).await
            }
            Step::Leave(which) => {
                self.users[which / 2].eyes[which % 2].leave();
                Ok(())
            }
        }
    }

    /// Other rules come into force within a second; a watch says when.
    async fn change_law(&mut self, law: &'static Law) -> Result<(), String> {
        if std::ptr::eq(self.law, law) {
            return Ok(());
        }
        for User { client, eyes, .. } in &mut self.users {
            if !eyes[0].is_open() {
                eyes[0].come(client).await?;
            }
        }
        // Nothing that came before is to be taken for what comes now.
        self.compare().await?;
        self.law = law;
        self.configure().await;
        for User { eyes, .. } in &mut self.users {
            let before = eyes[0].snapshots;
            while eyes[0].snapshots == before {
                eyes[0].hear().await?;
            }
        }
        Ok(())
    }

    async fn change_role(&mut self, of: usize, is_editor: bool) -> Result<(), String> {
        let roles: &[&str] = if is_editor { &["editor"] } else { &[] };
        let user = &mut self.users[of];
        self.house.set_roles(&user.client, roles).await;
        user.client = self.house.refreshed(&user.client).await;
        user.asker.is_editor = is_editor;
        for eye in &mut user.eyes {
            match eye.renew(&user.client).await {
                // The old credentials were looked at first, and are good no longer.
                Err(fault) if ["4401", "session-ended"].iter().any(|end| fault.contains(end)) => {
                    eye.come(&user.client).await?
                }
                renewed => renewed?,
            }
        }
        Ok(())
    }

    /// Brings every open socket up to now, and compares.
    async fn compare(&mut self) -> Result<(), String> {
        self.marks += 1;
        let mark = format!("/db/{}/mark", self.collection);
        answered(self.admin.put(&mark, json!({ "mark": self.marks })).await)?;
        for document in listed(self.admin, &self.collection, "").await? {
            let key = (text(&document["id"]), text(&document["_meta"]["revision"]));
            self.versions.insert(key, document);
        }
        for (number, User { client, asker, eyes }) in self.users.iter_mut().enumerate() {
            let all = by_id(listed(client, &self.collection, "").await?);
            for eye in eyes.iter_mut().filter(|eye| eye.is_open()) {
                let name = format!("user {number}, {:?}", eye.watches());
                eye.catch_up(self.marks).await.map_err(|fault| format!("{name}: {fault}"))?;
                let expected = match eye.watches() {
                    Some(filter) if !filter.is_empty() => by_id(listed(client, &self.collection, filter).await?),
                    _ => all.clone(),
                };
                // A watch whose rules or roles have changed brings the documents anew in a moment.
                while eye.watches().is_some() && eye.documents != expected {
                    eye.hear().await.map_err(|fault| format!("{name}: {fault}\nit should hold {expected:?}"))?;
                }
                for shown in std::mem::take(&mut eye.shown) {
                    self.shown += 1;
                    may_see(&self.versions, (self.law, asker), &shown).map_err(|fault| format!("{name}: {fault}"))?;
                }
                if eye.documents != expected {
                    return Err(format!("{name} holds {:?}\nand may list {expected:?}", eye.documents));
                }
            }
        }
        Ok(())
    }

    /// Who subscribes is not told that rules or roles have changed, and reads anew.
    async fn read_anew(&mut self, of: impl Fn(usize) -> bool) -> Result<(), String> {
        for (number, User { client, eyes, .. }) in self.users.iter_mut().enumerate() {
            if of(number) {
                eyes[1].documents = by_id(listed(client, &self.collection, "").await?);
            }
        }
        Ok(())
    }

    async fn all(&mut self, steps: &[Step]) -> Result<(), String> {
        for (at, step) in steps.iter().enumerate() {
            let played = async {
                self.play(step).await?;
                match step {
                    Step::Law(_) => self.read_anew(|_| true).await?,
                    Step::Role { of, .. } => self.read_anew(|number| number == *of).await?,
                    _ => {}
                }
                self.compare().await
            };
            played.await.map_err(|fault| format!("step {at} {step:?}: {fault}"))?;
        }
        for User { client, eyes, .. } in &mut self.users {
            for eye in eyes.iter_mut().filter(|eye| !eye.is_open()) {
                eye.come(client).await?;
            }
        }
        self.compare().await.map_err(|fault| format!("at the end: {fault}"))
    }
}

/// Whether today's rule lets `by` see what was shown, and whether it was so.
fn may_see(
    versions: &HashMap<(String, String), Value>,
    (law, by): (&Law, &Asker),
    shown: &Value,
) -> Result<(), String> {
    let key = (text(&shown["id"]), text(&shown["_meta"]["revision"]));
    let Some(whole) = versions.get(&key) else { return Err(format!("there never was {shown}")) };
    if !law.shows(whole, by) {
        return Err(format!("{by:?} was shown {shown}, and may not see it"));
    }
    let mut expected = whole.clone();
    if law.hides
        && let Some(members) = expected.as_object_mut()
    {
        members.remove("secret");
    }
    if *shown != expected { Err(format!("{by:?} was shown {shown}; it was {expected}")) } else { Ok(()) }
}

/// What is not there, or not seen, cannot be changed; all else is done.
fn answered(answer: universal_tests::client::Answer) -> Result<(), String> {
    match answer.status {
        200..=299 | 403 | 404 | 409 => Ok(()),
        status => Err(format!("{status} {}", answer.text())),
    }
}

fn by_id(documents: Vec<Value>) -> BTreeMap<String, Value> {
    documents.into_iter().map(|document| (text(&document["id"]), document)).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// `UNIVERSAL_TEST_SEED`, or another number with every run.
fn seed() -> u64 {
    match std::env::var("UNIVERSAL_TEST_SEED") {
        Ok(seed) => seed.parse().expect("UNIVERSAL_TEST_SEED is a number"),
        Err(_) => RandomState::new().hash_one("rights"),
    }
}

fn sockets_say_what_requests_are_answered(on: On) {
    let (seed, mut bytes) = (seed(), [0; 32]);
    println!("UNIVERSAL_TEST_SEED={seed}");
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: Volume::from_environment().pick(6, 200),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let house = runtime.block_on(House::new(on));
    let (admin, clients) = runtime.block_on(async {
        let clients = futures_util::future::join_all((0..USERS).map(|_| house.someone())).await;
        (house.admin().await, std::cell::RefCell::new(clients))
    });
    let (number, steps, shown) = (std::cell::Cell::new(0), std::cell::Cell::new(0), std::cell::Cell::new(0));
    let result = runner.run(&prop::collection::vec(step(), STEPS), |sequence| {
        number.set(number.get() + 1);
        runtime.block_on(async {
            let mut taken = clients.take();
            let stage = Stage::new((&house, &admin), &mut taken, number.get()).await;
            let played = match stage {
                Ok(mut stage) => {
                    let played = stage.all(&sequence).await;
                    steps.set(steps.get() + sequence.len());
                    shown.set(shown.get() + stage.shown);
                    for (client, user) in taken.iter_mut().zip(&stage.users) {
                        client.clone_from(&user.client);
                    }
                    played
                }
                Err(error) => Err(error),
            };
            clients.replace(taken);
            played.map_err(TestCaseError::fail)
        })
    });
    runtime.block_on(house.close());
    result.unwrap_or_else(|error| panic!("UNIVERSAL_TEST_SEED={seed} repeats this: {error}"));
    println!("{on:?}: {} steps, {} documents shown, none that was not to be", steps.get(), shown.get());
    assert!(shown.get() > 0, "nothing was shown");
}

#[test]
fn sockets_say_what_requests_are_answered_on_sqlite() {
    sockets_say_what_requests_are_answered(On::Sqlite);
}

#[test]
fn sockets_say_what_requests_are_answered_on_postgresql() {
    sockets_say_what_requests_are_answered(On::Postgres);
}
