//! Many readers that hear nothing for a while, and all of them coming back at the same moment.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};
use serde_json::json;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use universal_tests::{
    bare::{Bare, Heard, cursor},
    client::Client,
    environment::{Volume, required_files},
    nodes::{Between, Nodes},
    server::Server,
    wait,
};

const COLLECTION: &str = "news";
/// What is written while they are away.
const MISSED: usize = 50;
/// How many open at once when nothing has happened yet.
const OPENING: usize = 64;
const PATIENCE: Duration = Duration::from_secs(300);
/// In how much time all must be back, at the volume of a release.
const BACK: Duration = Duration::from_secs(30);
/// What an idle one may cost: 200 MiB for 10 000.
const EACH: u64 = 20 * 1024;
const SLACK: u64 = 32 << 20;

/// What all readers count together.
#[derive(Debug, Default)]
struct Counts {
    /// Subscribed, and not lost since.
    subscribed: AtomicUsize,
    recovered: AtomicUsize,
    changes: AtomicUsize,
    restarts: AtomicUsize,
    /// Answers that were no recovery, and frames that nobody expected.
    trouble: AtomicUsize,
    /// Connections that were refused or lost before they were subscribed.
    attempts: AtomicUsize,
}

/// Comes back by itself with its place, for ever.
async fn reader(base: String, number: usize, counts: Arc<Counts>) {
    let mut place: Option<String> = None;
    let mut again = 0_u32;
    loop {
        let ended = connection(&base, &mut place, &counts).await;
        if ended {
            counts.subscribed.fetch_sub(1, Ordering::Relaxed);
            again = 0;
        } else {
            counts.attempts.fetch_add(1, Ordering::Relaxed);
            again = (again + 1).min(4);
        }
        // As a client does: a little later each time, and not all in the same millisecond.
        let pause = 50 * 2_u64.pow(again) + (number as u64 * 7919) % 100;
        wait::pause(Duration::from_millis(pause)).await;
    }
}

/// Whether it was subscribed before it ended.
async fn connection(base: &str, place: &mut Option<String>, counts: &Counts) -> bool {
    let Ok(mut socket) = Bare::open(base, "/realtime").await else { return false };
    let mut subscribe = json!({ "type": "subscribe", "ref": "1", "collection": COLLECTION });
    if let Some(place) = &*place {
        subscribe["since"] = json!(place);
    }
    if socket.say(&subscribe.to_string()).await.is_err() {
        return false;
    }
    let mut is_subscribed = false;
    loop {
        let frame = match socket.hear().await {
            Heard::Text(frame) => frame,
            Heard::Closed(code) => {
                counts.restarts.fetch_add(usize::from(code == Some(1012)), Ordering::Relaxed);
                return is_subscribed;
            }
            Heard::Lost => return is_subscribed,
        };
        if frame.starts_with("{\"type\":\"subscribed\"") {
            is_subscribed = true;
            counts.subscribed.fetch_add(1, Ordering::Relaxed);
            if place.is_none() {
                *place = cursor(&frame).map(str::to_owned);
            } else if frame.contains("\"recovered\":true") {
                counts.recovered.fetch_add(1, Ordering::Relaxed);
            } else {
                counts.trouble.fetch_add(1, Ordering::Relaxed);
            }
        } else if frame.starts_with("{\"type\":\"change\"") {
            *place = cursor(&frame).map(str::to_owned);
            // The first document's may come, if it was numbered after it was written.
            counts.changes.fetch_add(usize::from(frame.contains("\"id\":\"n")), Ordering::Relaxed);
        } else if frame.starts_with("{\"type\":\"heartbeat\"") {
            *place = cursor(&frame).map(str::to_owned);
        } else {
            counts.trouble.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Reads one document after the other, and says how long each answer took.
fn reading(client: Client, stop: Arc<AtomicBool>) -> JoinHandle<Vec<Duration>> {
    tokio::spawn(async move {
        let mut took = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            client.read(&format!("/db/{COLLECTION}/first")).await.expect(200);
            took.push(begun.elapsed());
            wait::pause(Duration::from_millis(5)).await;
        }
        took
    })
}

/// How often the database was asked, and what for the most.
async fn statements(database: &DatabaseConnection) -> Vec<(i64, String)> {
    let sql = "SELECT calls, left(regexp_replace(query, '\\s+', ' ', 'g'), 160) FROM pg_stat_statements
        WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY calls DESC LIMIT 6";
    let rows = database.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("the statements");
    let row = |row: &sea_orm::QueryResult| Some((row.try_get_by_index(0).ok()?, row.try_get_by_index(1).ok()?));
    rows.iter().filter_map(row).collect()
}

/// How often pages of the feed were asked for.
async fn pages(database: &DatabaseConnection) -> i64 {
    let sql = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
        WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND query LIKE 'SELECT seq, tx, collection, doc_id%'";
    let row = database.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("the statements");
    row.and_then(|row| row.try_get_by_index(0).ok()).expect("a number")
}

async fn forget_statements(database: &DatabaseConnection) {
    let sql = "SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)";
    database.execute_unprepared(sql).await.expect("they are counted anew");
}

struct Scene {
    nodes: Nodes,
    database: DatabaseConnection,
    counts: Arc<Counts>,
    readers: JoinSet<()>,
    client: Client,
    written: usize,
}

impl Scene {
    async fn begin(count: usize) -> Self {
        let nodes = Nodes::started(Between::Postgres).await;
        let database = nodes.database().connect().await;
        database.execute_unprepared("CREATE EXTENSION pg_stat_statements").await.expect("as tests/run starts it");
        let rules = json!({ "rules": { "list": "true", "get": "true", "create": "caller.id != null" } });
        nodes.one.admin().await.put(&format!("/admin/collections/{COLLECTION}"), rules).await.expect(200);
        let client = nodes.other.client().someone().await;
        client.put(&format!("/db/{COLLECTION}/first"), json!({ "text": "x" })).await.expect(201);
        let counts = Arc::new(Counts::default());
        let mut readers = JoinSet::new();
        for group in 0..count.div_ceil(OPENING) {
            let upto = ((group + 1) * OPENING).min(count);
            for number in group * OPENING..upto {
                readers.spawn(reader(nodes.one.url(), number, Arc::clone(&counts)));
            }
            wait::until("readers to subscribe", PATIENCE, || async {
                counts.subscribed.load(Ordering::Relaxed) >= upto
            })
            .await;
        }
        Self { nodes, database, counts, readers, client, written: 0 }
    }

    async fn write(&mut self, count: usize) {
        for _ in 0..count {
            let path = format!("/db/{COLLECTION}/n{}", self.written);
            self.client.put(&path, json!({ "text": "x".repeat(100) })).await.expect(201);
            self.written += 1;
        }
    }

    /// Ends the node by `end`, writes at the other, starts it again and waits until all have come back to everything.
    async fn storm(&mut self, what: &str, end: impl AsyncFn(&Server)) {
        let count = self.readers.len();
        let before = self.counts.recovered.load(Ordering::Relaxed);
        let begun = Instant::now();
        end(&self.nodes.one).await;
        let ended = begun.elapsed();
        self.write(MISSED).await;
        forget_statements(&self.database).await;
        self.nodes.one.start().await;
        let begun = Instant::now();
        let stop = Arc::new(AtomicBool::new(false));
        let reading = reading(self.nodes.one.client().with_token(self.client.token()), Arc::clone(&stop));
        let (counts, written) = (&self.counts, self.written);
        wait::until("all to be back", PATIENCE, || async {
            counts.recovered.load(Ordering::Relaxed) - before >= count
        })
        .await;
        let back = begun.elapsed();
        wait::until("all that was missed", PATIENCE, || async {
            counts.changes.load(Ordering::Relaxed) >= count * written
        })
        .await;
        let caught_up = begun.elapsed();
        stop.store(true, Ordering::Relaxed);
        let mut took = reading.await.expect("every read is answered");
        took.sort_unstable();
        let (asked, pages) = (statements(&self.database).await, pages(&self.database).await);
        println!(
            "{what}: it ended after {ended:?}; {count} were back {back:?} after it was ready, with all changes after {caught_up:?}; \
             {} failed attempts; {} told 1012; {} reads beside them, p99 {:?}, longest {:?}; memory {:?}",
            counts.attempts.swap(0, Ordering::Relaxed),
            counts.restarts.swap(0, Ordering::Relaxed),
            took.len(),
            took[took.len() * 99 / 100],
            took[took.len() - 1],
            self.nodes.one.memory(),
        );
        println!("  {pages} pages of the feed were read");
        for (calls, query) in &asked {
            println!("  {calls} × {query}");
        }
        let log = self.nodes.one.log();
        assert_eq!(counts.trouble.load(Ordering::Relaxed), 0, "some could not resume\n{log}");
        assert_eq!(counts.changes.load(Ordering::Relaxed), count * written, "each change once\n{log}");
        assert!(!log.contains("panicked"), "{log}");
        // One holds what they missed. It is kept for 5 s, and some is read when there is something new.
        let few = 10 + i64::try_from(back.as_secs()).expect("a short time");
        assert!((1..=few).contains(&pages), "{pages} pages were read for {count} who missed the same");
        if Volume::from_environment() == Volume::Release {
            assert!(back <= BACK, "they were back after {back:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_readers_cost_little_and_all_come_back_at_once() {
    // A listener takes 10 000 connections; some are for who reads meanwhile.
    let count = Volume::from_environment().pick(200, 9_900);
    required_files(count + 500);
    let empty = {
        let server = Server::sqlite().await;
        let memory = server.memory().present;
        server.kill();
        memory
    };
    let mut scene = Scene::begin(count).await;
    let idle = scene.nodes.one.memory().present;
    let grown = idle.saturating_sub(empty);
    println!("{count} idle readers: the server holds {idle} bytes, {} more for each", grown / count as u64);
    assert!(grown <= EACH * count as u64 + SLACK, "{count} idle readers cost {grown} bytes");
    scene
        .storm("told to stop", async |node| {
            node.stop().await;
        })
        .await;
    scene.storm("killed", async |node| node.kill()).await;
}
