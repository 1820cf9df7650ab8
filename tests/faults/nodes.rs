//! Two nodes on one PostgreSQL, under load, while one of them, the Redis between them or the database goes away.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use universal_tests::{
    client::Client,
    environment::Volume,
    nodes::{Between, Nodes},
    proxy::Proxy,
    subscriber::Subscriber,
    wait,
};

use super::{
    book::{Book, Life, Step, faults_of_feed, faults_of_store},
    writers::Writers,
};

const WRITERS: usize = 4;
const COLLECTION: &str = "steps";
const PATIENCE: Duration = Duration::from_secs(60);

fn rounds() -> u32 {
    Volume::from_environment().pick(2, 20)
}

/// How often a node is frozen, and for how long.
fn freezes() -> (u32, Duration) {
    // All of it within the life of an access token.
    Volume::from_environment().pick((1, Duration::from_secs(3)), (10, Duration::from_secs(60)))
}

/// How long Redis is frozen.
fn redis_is_away() -> Duration {
    Duration::from_secs(Volume::from_environment().pick(3, 30))
}

/// Two nodes under load, and who watches.
struct Scene {
    nodes: Nodes,
    clients: (Client, Client),
    book: Arc<Book>,
    writers: Vec<Writers>,
    subscribers: Vec<(&'static str, Subscriber)>,
    undoing: (Arc<AtomicBool>, JoinHandle<u32>),
}

impl Scene {
    async fn begin(nodes: Nodes) -> Self {
        let (one, other) = nodes.someone().await;
        let (book, both) = (Arc::new(Book::default()), vec![one.clone(), other.clone()]);
        let subscribers = vec![
            ("on one", Subscriber::follow(&one, COLLECTION, None).await),
            ("on the other", Subscriber::follow(&other, COLLECTION, None).await),
            ("hopping", Subscriber::hopping(both.clone(), COLLECTION).await),
            ("hopping back", Subscriber::hopping(both.into_iter().rev().collect(), COLLECTION).await),
        ];
        let writers = vec![
            Writers::named("a", WRITERS, &one, COLLECTION, &book),
            Writers::named("b", WRITERS, &other, COLLECTION, &book),
        ];
        let stop = Arc::new(AtomicBool::new(false));
        let undoing = (Arc::clone(&stop), tokio::spawn(undo(other.clone(), stop)));
        let scene = Self { nodes, clients: (one, other), book, writers, subscribers, undoing };
        scene.gets_on().await;
        scene
    }

    /// Waits until more was written.
    async fn gets_on(&self) {
        let before = self.book.acknowledged();
        wait::until("writers to get on", PATIENCE, || async { self.book.acknowledged() > before + 10 * WRITERS }).await;
    }

    /// Ends the load and compares what was acknowledged with what is stored and what each subscriber saw.
    async fn judge(self, what: &str) {
        for writers in self.writers {
            writers.finish().await;
        }
        self.undoing.0.store(true, Ordering::Relaxed);
        let undone = self.undoing.1.await.expect("it does not panic");
        let client = &self.clients.0;
        wait::until("the last write", PATIENCE, || async {
            client.put(&format!("/db/{COLLECTION}/last"), json!({ "step": 0 })).await.status < 300
        })
        .await;
        let mut lives = self.book.copy();
        let stored = everything(&self.clients.1).await;
        let mut faults = self.book.refusals();
        let before_last: HashMap<_, _> = stored
            .iter()
            .filter(|(id, _)| *id != "last")
            .map(|(id, document)| (id.clone(), document.clone()))
            .collect();
        faults.extend(faults_of_store(&lives, &before_last));
        lives.insert("last".to_owned(), Life { unknown: Some(Step::Is(0)), ..Life::default() });
        let mut connections = Vec::new();
        for (name, subscriber) in &self.subscribers {
            let is_last =
                |seen: &[universal_tests::subscriber::Received]| seen.last().is_some_and(|last| last.id == "last");
            subscriber.until(&format!("the last change {name}"), PATIENCE, is_last).await;
            let found = faults_of_feed(&lives, &stored, &subscriber.distinct());
            faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
            faults.extend(subscriber.trouble().into_iter().map(|frame| format!("{name}: {frame}")));
            connections.push(subscriber.connections());
        }
        let [(_, on_one), (_, on_the_other), ..] = &self.subscribers[..] else { unreachable!("there are four") };
        let mut late = self.book.delays("b", &on_one.distinct());
        late.extend(self.book.delays("a", &on_the_other.distinct()));
        assert!(!late.is_empty(), "nothing of one node came to the other");
        late.sort_unstable();
        let late = |part: usize| late.get((late.len() * part / 1_000).min(late.len().saturating_sub(1))).copied();
        println!(
            "{what}: {} writes acknowledged, {} without an answer, {undone} undone, connections {connections:?}; from the request \
             on one node to the subscriber on the other: median {:?}, p99 {:?}, the latest {:?}",
            self.book.acknowledged(),
            self.book.unknown(),
            late(500),
            late(990),
            late(1_000),
        );
        assert!(undone > 0, "nothing was undone");
        faults.truncate(20);
        let logs = (self.nodes.one.log(), self.nodes.other.log());
        assert!(faults.is_empty(), "{}\n--- one:\n{}\n--- the other:\n{}", faults.join("\n"), logs.0, logs.1);
    }
}

/// Batches whose last operation is refused, so that nothing of them happens; answers how many there were.
async fn undo(client: Client, stop: Arc<AtomicBool>) -> u32 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let operations = json!([
            { "op": "create", "collection": COLLECTION, "id": format!("undone-{count}"), "body": { "step": 0 } },
            { "op": "check", "collection": COLLECTION, "id": "nobody", "if_match": "*" },
        ]);
        let request = client.request(http::Method::POST, "/db").json(&json!({ "operations": operations }));
        if let Ok(answer) = client.try_send(request).await {
            assert!(answer.status >= 400, "a batch was done whose check fails: {}", answer.text());
            count += 1;
        }
        wait::pause(Duration::from_millis(20)).await;
    }
    count
}

async fn everything(client: &Client) -> HashMap<String, Value> {
    let (mut stored, mut cursor) = (HashMap::new(), String::new());
    loop {
        let page = client.read(&format!("/db/{COLLECTION}?limit=500{cursor}")).await.expect(200).json();
        for document in page["items"].as_array().expect("items") {
            stored.insert(document["id"].as_str().expect("an id").to_owned(), document.clone());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return stored,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_takes_nothing_with_it_with_redis() {
    a_node_is_killed(Between::Redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_takes_nothing_with_it_on_postgresql_alone() {
    a_node_is_killed(Between::Postgres).await;
}

async fn a_node_is_killed(between: Between) {
    let scene = Scene::begin(Nodes::started(between).await).await;
    for _ in 0..rounds() {
        for node in [&scene.nodes.one, &scene.nodes.other] {
            node.kill();
            // The other one carries on by itself, and takes over the clients.
            scene.gets_on().await;
            node.start().await;
            scene.gets_on().await;
        }
    }
    scene.judge(&format!("a node killed, {between:?}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_freezes_and_thaws_loses_nothing_with_redis() {
    a_node_freezes(Between::Redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_freezes_and_thaws_loses_nothing_on_postgresql_alone() {
    a_node_freezes(Between::Postgres).await;
}

async fn a_node_freezes(between: Between) {
    let scene = Scene::begin(Nodes::started(between).await).await;
    let (count, long) = freezes();
    for _ in 0..count {
        scene.nodes.one.freeze();
        scene.gets_on().await;
        wait::pause(long).await;
        scene.gets_on().await;
        scene.nodes.one.thaw();
        scene.gets_on().await;
    }
    scene.judge(&format!("a node frozen, {between:?}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_again_and_again_takes_nothing_with_it() {
    let scene = Scene::begin(Nodes::started(Between::Redis).await).await;
    let redis = scene.nodes.redis.as_ref().expect("a Redis");
    for _ in 0..rounds() {
        redis.kill();
        scene.gets_on().await;
        redis.start().await;
        scene.gets_on().await;
    }
    scene.judge("Redis killed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_freezes_takes_nothing_with_it() {
    let scene = Scene::begin(Nodes::started(Between::Redis).await).await;
    let redis = scene.nodes.redis.as_ref().expect("a Redis");
    redis.freeze();
    scene.gets_on().await;
    wait::pause(redis_is_away()).await;
    scene.gets_on().await;
    redis.thaw();
    scene.gets_on().await;
    scene.judge("Redis frozen").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_to_redis_that_is_cut_takes_nothing_with_it() {
    let scene = Scene::begin(Nodes::started(Between::Redis).await).await;
    let way = scene.nodes.way.as_ref().expect("a way to Redis");
    let before = way.connections();
    way.cut();
    // Longer than a connection may be silent: each is given up and made anew.
    wait::until("connections to be given up", PATIENCE, || async { way.connections() > before }).await;
    scene.gets_on().await;
    way.mend();
    scene.gets_on().await;
    scene.judge("the way to Redis cut").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_without_any_hint_between_nodes() {
    let nodes = Nodes::started(Between::Redis).await;
    // From the first write on.
    nodes.way.as_ref().expect("a way to Redis").cut();
    let scene = Scene::begin(nodes).await;
    for _ in 0..rounds() {
        scene.gets_on().await;
    }
    scene.judge("no hints").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_without_any_notification_of_postgresql() {
    let nodes = Nodes::started(Between::Silence).await;
    let scene = Scene::begin(nodes).await;
    for _ in 0..rounds() {
        scene.gets_on().await;
    }
    let lost = scene.nodes.way.as_ref().map_or(0, Proxy::lost);
    assert!(lost > 0, "nothing was lost on the way");
    scene.judge(&format!("{lost} notifications lost")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_is_killed_keeps_what_was_acknowledged_with_redis() {
    postgres_is_killed(Between::Redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_is_killed_keeps_what_was_acknowledged_alone() {
    postgres_is_killed(Between::Postgres).await;
}

async fn postgres_is_killed(between: Between) {
    let scene = Scene::begin(Nodes::on_own_postgres(between).await).await;
    let postgres = scene.nodes.postgres.as_ref().expect("a PostgreSQL");
    for _ in 0..rounds() {
        postgres.kill();
        postgres.start().await;
        scene.gets_on().await;
    }
    scene.judge(&format!("PostgreSQL killed, {between:?}")).await;
}
