//! Told to stop under load: what was begun is answered, what is new is turned away, and readers are told where to go on.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, timeout},
};
use universal_tests::{
    bare::{Bare, Heard, cursor},
    client::Client,
    environment::Volume,
    postgres::MASTER_KEY,
    postgres_server::PostgresServer,
    server::Server,
    wait,
};

const COLLECTION: &str = "steps";
const WRITERS: usize = 16;
const READERS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Done,
    /// 503, and the connection with it.
    TurnedAway,
    /// Nobody listened any more.
    NotReached,
    /// The connection ended without an answer.
    Broken,
}

#[derive(Debug, Default)]
struct Ledger {
    fates: BTreeMap<String, Fate>,
    faults: Vec<String>,
}

/// Writers that go on until nobody listens any more.
struct Load {
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Load {
    fn start(client: &Client, round: u32) -> Self {
        let (ledger, stop) = (Arc::default(), Arc::default());
        let mut tasks = JoinSet::new();
        for writer in 0..WRITERS {
            // A connection of its own, as each of many clients has.
            let client = Client::new(client.base()).with_token(client.token());
            let (ledger, stop) = (Arc::clone(&ledger), Arc::clone(&stop));
            tasks.spawn(write(client, format!("r{round}w{writer}"), ledger, stop));
        }
        Self { ledger, stop, tasks }
    }

    fn done(&self) -> usize {
        self.ledger.lock().expect("no panic").fates.values().filter(|fate| **fate == Fate::Done).count()
    }

    async fn finish(mut self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a writer does not panic");
        }
        std::mem::take(&mut *self.ledger.lock().expect("no panic"))
    }
}

async fn write(client: Client, name: String, ledger: Arc<Mutex<Ledger>>, stop: Arc<AtomicBool>) {
    for number in 0.. {
        let id = format!("{name}-{number}");
        let request = client.request(http::Method::PUT, &format!("/db/{COLLECTION}/{id}"));
        let answer = client.try_send(request.header("if-none-match", "*").json(&json!({ "n": number }))).await;
        let fate = match &answer {
            Ok(answer) if answer.status == 201 => Fate::Done,
            Ok(answer) if answer.status == 503 => Fate::TurnedAway,
            Ok(answer) => {
                ledger.lock().expect("no panic").faults.push(format!("{id}: {} {}", answer.status, answer.text()));
                return;
            }
            Err(error) if error.is_connect() => Fate::NotReached,
            Err(_) => Fate::Broken,
        };
        ledger.lock().expect("no panic").fates.insert(id, fate);
        if fate == Fate::NotReached || stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// A reader, and what it was told last: its place and the end.
fn reader(mut socket: Bare) -> JoinHandle<(Option<String>, Heard, Instant)> {
    tokio::spawn(async move {
        let mut place = None;
        loop {
            match socket.hear().await {
                Heard::Text(frame) => place = cursor(&frame).map(str::to_owned).or(place),
                end => return (place, end, Instant::now()),
            }
        }
    })
}

async fn readers(client: &Client) -> Vec<JoinHandle<(Option<String>, Heard, Instant)>> {
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut socket = Bare::open(client.base(), "/realtime").await.expect("a WebSocket");
        socket.say(&json!({ "type": "auth", "token": client.token() }).to_string()).await.expect("an open socket");
        let subscribe = json!({ "type": "subscribe", "ref": "1", "collection": COLLECTION });
        socket.say(&subscribe.to_string()).await.expect("an open socket");
        socket.hear_of("subscribed").await.expect("an answer");
        readers.push(reader(socket));
    }
    readers
}

/// How one stop went.
#[derive(Debug, Default)]
struct Sum {
    fates: BTreeMap<Fate, usize>,
    longest: Duration,
    faults: Vec<String>,
}

impl Sum {
    /// Stops `server` under load, and starts it again.
    async fn round(&mut self, server: &Server, client: &Client, round: u32) {
        let readers = readers(client).await;
        let load = Load::start(client, round);
        wait::until("writers to get on", PATIENCE, || async { load.done() > 5 * WRITERS }).await;
        // At another moment of the server's work each time.
        wait::pause(Duration::from_millis(u64::from(round * 37 % 100))).await;
        let begun = Instant::now();
        server.terminate();
        if round % 2 == 1 {
            wait::pause(Duration::from_millis(u64::from(round * 13 % 40))).await;
            server.terminate();
        }
        let status = server.ended().await;
        self.longest = self.longest.max(begun.elapsed());
        let ledger = load.finish().await;
        if !status.success() {
            self.faults.push(format!("round {round}: it ended with {status}"));
        }
        self.faults.extend(ledger.faults);
        self.faults.extend(unfinished_log(server.folder()));
        for reader in readers {
            let (place, end, _) = timeout(PATIENCE, reader).await.expect("an end").expect("no panic");
            if end != Heard::Closed(Some(1012)) || place.is_none() {
                self.faults.push(format!("round {round}: a reader heard {end:?}, and {place:?} as its place"));
            }
        }
        server.start().await;
        self.judge(client, &ledger.fates).await;
    }

    /// Whatever was said to be done is there, and nothing else.
    async fn judge(&mut self, client: &Client, fates: &BTreeMap<String, Fate>) {
        for (id, fate) in fates {
            *self.fates.entry(*fate).or_default() += 1;
            let is_there = match client.read(&format!("/db/{COLLECTION}/{id}")).await.status {
                200 => true,
                404 => false,
                status => panic!("{id}: {status}"),
            };
            if is_there != (*fate == Fate::Done) {
                self.faults.push(format!("{id}: {fate:?}, and it is {}there", if is_there { "" } else { "not " }));
            }
        }
    }

    fn show(mut self, what: &str, server: &Server) {
        println!("{what}: {:?}, the longest stop took {:?}", self.fates, self.longest);
        if let Some(broken) = self.fates.get(&Fate::Broken) {
            self.faults.push(format!("{broken} requests were sent and never answered"));
        }
        self.faults.truncate(20);
        assert!(self.faults.is_empty(), "{}\n--- the server:\n{}", self.faults.join("\n"), server.log());
        assert!(!server.log().contains("panicked"), "{}", server.log());
    }
}

/// SQLite's log that was not brought into the database.
fn unfinished_log(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder.join("data")).into_iter().flatten().flatten();
    let logs = files.filter(|file| file.file_name().to_string_lossy().ends_with("-wal"));
    let full = logs.filter_map(|log| Some((log.path(), log.metadata().ok()?.len()))).filter(|(_, length)| *length > 0);
    full.map(|(path, length)| format!("{} holds {length} bytes", path.display())).collect()
}

async fn stopped_under_writers(server: Server, what: &str) {
    let rounds = Volume::from_environment().pick(3, 100);
    let mut client = server.client().someone().await;
    let mut sum = Sum::default();
    for round in 0..rounds {
        // An access token lives 15 minutes, which a release's volume may outlast.
        let answer = server.client().post("/auth/refresh", json!({ "refresh_token": client.refresh_token() })).await;
        client = client.signed_in(&answer.expect(200));
        sum.round(&server, &client, round).await;
    }
    sum.show(what, &server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_breaks_nothing_that_was_begun_on_sqlite() {
    stopped_under_writers(Server::sqlite().await, "SQLite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_breaks_nothing_that_was_begun_on_postgresql() {
    stopped_under_writers(Server::postgres().await, "PostgreSQL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_while_postgresql_is_away() {
    let postgres = PostgresServer::started().await;
    let server = Server::prepare("server", None)
        .with("DATABASE_URL", postgres.url())
        .with("UNIVERSAL_MASTER_KEY", MASTER_KEY)
        .started()
        .await;
    let client = server.client().someone().await;
    let rounds = Volume::from_environment().pick(1, 10);
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        let readers = readers(&client).await;
        let load = Load::start(&client, round);
        wait::until("writers to get on", PATIENCE, || async { load.done() > WRITERS }).await;
        postgres.kill();
        wait::pause(Duration::from_millis(u64::from(round * 170 % 1000))).await;
        let begun = Instant::now();
        server.terminate();
        let status = server.ended().await;
        longest = longest.max(begun.elapsed());
        load.finish().await;
        assert!(status.success(), "{status}\n{}", server.log());
        for reader in readers {
            let (place, end, _) = timeout(PATIENCE, reader).await.expect("an end").expect("no panic");
            assert!(
                end == Heard::Closed(Some(1012)) && place.is_some(),
                "a reader heard {end:?}, {place:?} as its place"
            );
        }
        postgres.start().await;
        server.start().await;
    }
    println!("PostgreSQL away: {rounds} stops, the longest took {longest:?}");
}
