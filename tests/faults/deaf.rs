//! Readers that read nothing, beside readers that do: they cost little, are cut off, and come back to everything.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::{JoinHandle, block_in_place},
    time::{Instant, timeout},
};
use universal_tests::{
    bare::{Bare, Heard, cursor},
    client::Client,
    environment::{Volume, required_files},
    server::Server,
    subscriber::Subscriber,
};

const COLLECTION: &str = "bulk";
/// What those who read it share with nobody.
const OTHER: &str = "small";
/// The body of a document; 16 of them are a mebibyte.
const BODY: usize = 64 * 1024;
/// Between two documents: 1 MiB a second to each reader.
const PACE: Duration = Duration::from_micros(62_500);
/// Between two documents of the other collection.
const SMALL_PACE: Duration = Duration::from_millis(10);
/// The body of one.
const SMALL_BODY: usize = 100;
/// From when on it is looked whether they are cut off. They are given 8 s by default.
const NOT_BEFORE: Duration = Duration::from_secs(7);
/// How long readers that take nothing may last on a machine that is busy; an answer that is no stream is given 30 s.
const LONGEST: Duration = Duration::from_secs(25);
/// How long everything else may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// How many of each kind come back.
const RETURNING: usize = 20;
/// How many open, or come back, at once.
const AT_ONCE: usize = 16;
/// What a reader that takes nothing may cost: a frame on its way, and a page of changes that it read for itself because it
/// is behind what memory holds.
const EACH: u64 = 256 * 1024;
/// What the rest may cost meanwhile.
const SLACK: u64 = 64 << 20;

/// A WebSocket that was told its place, and reads no more.
async fn socket(server: &Server, collection: &str) -> (Bare, String) {
    let mut socket = Bare::open(&server.url(), "/realtime").await.expect("a WebSocket");
    let subscribe = json!({ "type": "subscribe", "ref": "1", "collection": collection });
    socket.say(&subscribe.to_string()).await.expect("an open socket");
    let subscribed = socket.hear_of("subscribed").await.expect("an answer");
    let place = cursor(&subscribed).expect("a cursor").to_owned();
    (socket, place)
}

/// The same as a stream of events: its bytes so far, none of which are read any more.
async fn stream_of_events(server: &Server, since: Option<&str>) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.expect("a connection");
    let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
    let head = format!("GET /realtime/sse?collection={COLLECTION}{since} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("an open connection");
    let mut arrived = Vec::new();
    while !String::from_utf8_lossy(&arrived).contains("event: subscribed") || !arrived.ends_with(b"\n\r\n") {
        assert!(stream.read_buf(&mut arrived).await.expect("an open connection") > 0, "no stream of events");
    }
    (stream, String::from_utf8(arrived).expect("text"))
}

/// The ids and places of whole events.
#[derive(Debug, Default)]
struct Events {
    ids: BTreeSet<String>,
    place: Option<String>,
    line: Vec<u8>,
    /// The place and the document of an event whose end has not come.
    begun: (Option<String>, Option<String>),
}

impl Events {
    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\r' => {}
                b'\n' => self.end_line(),
                // Of a document only the begin matters.
                _ if self.line.len() < 400 => self.line.push(*byte),
                _ => {}
            }
        }
    }

    /// A chunk's length is a line of no event, and what stands in the midst of a document divides its line.
    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if let Some(place) = line.strip_prefix("id: ") {
            self.begun.0 = Some(place.to_owned());
        } else if let Some(data) = line.strip_prefix("data: ") {
            self.begun.1 = id(data);
        } else if line.is_empty() && self.begun.0.is_some() {
            let (place, id) = std::mem::take(&mut self.begun);
            self.place = place;
            self.ids.extend(id);
        }
    }
}

/// The document that a frame is of.
fn id(frame: &str) -> Option<String> {
    let (_, rest) = frame.split_once("\"id\":\"")?;
    rest.split_once('"').map(|(id, _)| id.to_owned())
}

/// When a document was asked for, and how long it took until a reader had it.
#[derive(Debug, Default)]
struct Clock {
    begun: HashMap<String, Instant>,
    /// When each was due, and how long it took.
    took: Vec<(Instant, Duration)>,
}

/// Documents of one kind, one after another, and a reader that reads them.
struct Flow {
    client: Client,
    collection: &'static str,
    text: String,
    next: AtomicUsize,
    clock: Arc<Mutex<Clock>>,
    reader: JoinHandle<()>,
}

impl Flow {
    async fn of(server: &Server, client: &Client, collection: &'static str, bytes: usize) -> Self {
        let (mut socket, _) = socket(server, collection).await;
        let clock = Arc::new(Mutex::new(Clock::default()));
        let shared = Arc::clone(&clock);
        let reader = tokio::spawn(async move {
            while let Heard::Text(frame) = socket.hear().await {
                let mut clock = shared.lock().expect("no panic");
                if let Some(begun) = id(&frame).and_then(|id| clock.begun.remove(&id)) {
                    clock.took.push((begun, begun.elapsed()));
                }
            }
        });
        let client = client.clone();
        Self { client, collection, text: "x".repeat(bytes), next: AtomicUsize::new(0), clock, reader }
    }

    /// How many there are.
    fn written(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// Writes documents at a pace until there are enough. One that is late because the last was late counts from when it was
    /// due.
    async fn write(&self, pace: Duration, mut enough: impl FnMut(usize) -> bool) {
        let mut ticks = tokio::time::interval(pace);
        while !enough(self.written()) {
            let due = ticks.tick().await;
            let id = format!("d{}", self.next.fetch_add(1, Ordering::Relaxed));
            self.clock.lock().expect("no panic").begun.insert(id.clone(), due);
            self.client.put(&format!("/db/{}/{id}", self.collection), json!({ "text": self.text })).await.expect(201);
        }
    }

    /// How long they took since this was last asked.
    fn took(&self) -> Took {
        Took(std::mem::take(&mut self.clock.lock().expect("no panic").took))
    }
}

/// How long documents took.
struct Took(Vec<(Instant, Duration)>);

impl Took {
    /// As long as so many of a thousand, or shorter.
    fn part(&self, of_thousand: usize) -> Duration {
        let mut took: Vec<_> = self.0.iter().map(|(_, took)| *took).collect();
        took.sort_unstable();
        took.get((took.len() * of_thousand / 1_000).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// How many took longer than `limit`, in each second since `begun`.
    fn later(&self, limit: Duration, begun: Instant) -> Vec<usize> {
        let seconds = |due: Instant| usize::try_from(due.saturating_duration_since(begun).as_secs()).unwrap_or(0);
        let last = self.0.iter().map(|(due, _)| seconds(*due)).max().unwrap_or(0);
        let mut later = vec![0; last + 1];
        for (due, _) in self.0.iter().filter(|(_, took)| *took > limit) {
            later[seconds(*due)] += 1;
        }
        later
    }
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [median, p98, p99, longest] = [500, 980, 990, 1_000].map(|of_thousand| self.part(of_thousand));
        write!(f, "{} in median {median:?}, p98 {p98:?}, p99 {p99:?}, at most {longest:?}", self.0.len())
    }
}

/// Both kinds at once, until there are enough of the first.
async fn both(bulk: &Flow, small: &Flow, enough: impl FnMut(usize) -> bool) {
    tokio::select! {
        () = bulk.write(PACE, enough) => {}
        () = small.write(SMALL_PACE, |_| false) => {}
    }
}

#[expect(clippy::future_not_send, reason = "a test waits for it on its own thread")]
async fn many<T>(count: usize, one: impl AsyncFn() -> T) -> Vec<T> {
    stream::iter(0..count).map(|_| one()).buffered(AT_ONCE).collect().await
}

async fn deaf_beside_good(server: Server) {
    let (sockets, streams) = Volume::from_environment().pick((40, 10), (1000, 200));
    required_files(sockets + streams + 200);
    let rules = json!({ "rules": { "list": "true", "get": "true", "create": "caller.id != null" } });
    for collection in [COLLECTION, OTHER] {
        server.admin().await.put(&format!("/admin/collections/{collection}"), rules.clone()).await.expect(200);
    }
    let client = server.client().someone().await;
    let good = [
        Subscriber::follow(&client, COLLECTION, None).await,
        Subscriber::follow(&client, COLLECTION, Some("has(doc.text)")).await,
    ];
    let bulk = Flow::of(&server, &client, COLLECTION, BODY).await;
    let small = Flow::of(&server, &client, OTHER, SMALL_BODY).await;
    // The recent changes, the database's pages and what the allocator keeps are bought once, for whatever number of readers.
    bulk.write(Duration::from_millis(2), |written| written >= 300).await;
    bulk.took();
    let long = Volume::from_environment().pick(Duration::from_secs(5), Duration::from_secs(60));
    let begun = Instant::now();
    both(&bulk, &small, |_| begun.elapsed() >= long).await;
    let mut alone = [bulk.took(), small.took()];
    let quiet = server.memory().present;
    let deaf_sockets = many(sockets, async || socket(&server, COLLECTION).await).await;
    let deaf_streams = many(streams, async || stream_of_events(&server, None).await).await;
    let ports = (
        deaf_sockets.iter().map(|(socket, _)| socket.port()).collect::<BTreeSet<_>>(),
        deaf_streams.iter().map(|(stream, _)| stream.local_addr().expect("a socket").port()).collect::<BTreeSet<_>>(),
    );
    let idle = server.memory().present;
    let before = server.memory().most;

    let warm = bulk.written();
    let begun = Instant::now();
    let mut cut = (None, None);
    both(&bulk, &small, |number| {
        // Not before the time: to read the thousands of lines makes the documents late that are measured.
        if number % 16 == 0 && begun.elapsed() >= NOT_BEFORE && (cut.0.is_none() || cut.1.is_none()) {
            // The readers have the other threads meanwhile.
            let connected = block_in_place(|| server.connected());
            let gone = |ports: &BTreeSet<u16>| connected.is_disjoint(ports).then(|| begun.elapsed());
            cut = (cut.0.or_else(|| gone(&ports.0)), cut.1.or_else(|| gone(&ports.1)));
        }
        let all_cut = cut.0.is_some() && cut.1.is_some();
        assert!(all_cut || begun.elapsed() < LONGEST, "some that read nothing are still there: {cut:?}");
        all_cut && begun.elapsed() >= long
    })
    .await;
    let most = server.memory().most;
    let beside = [bulk.took(), small.took()];
    let written = bulk.written();
    bulk.write(PACE, |number| number >= written + 20).await;
    let last = bulk.written();
    for reader in &good {
        reader.until("every document", PATIENCE, |seen| seen.len() >= last).await;
        assert_eq!((reader.changes().len(), reader.connections(), reader.trouble()), (last, 1, vec![]));
    }
    println!(
        "{sockets} WebSockets and {streams} streams cost {} bytes each while idle, and at most {} each with {} documents of \
         {BODY} bytes that they did not take; connections of WebSockets were cut after {:?}, of streams after {:?}",
        idle.saturating_sub(quiet) / (sockets + streams) as u64,
        most.saturating_sub(before) / (sockets + streams) as u64,
        written - warm,
        cut.0,
        cut.1,
    );
    let grown = most.saturating_sub(before);
    let allowed = EACH * (sockets + streams) as u64 + SLACK;
    assert!(grown <= allowed, "the server grew by {grown} bytes, of which {allowed} are allowed");

    let everything: BTreeSet<String> = (warm..last).map(|number| format!("d{number}")).collect();
    let back = deaf_sockets.into_iter().take(RETURNING).map(|deaf| socket_comes_back(&server, deaf, &everything));
    stream::iter(back).buffered(AT_ONCE).collect::<Vec<()>>().await;
    let back = deaf_streams.into_iter().take(RETURNING).map(|deaf| stream_comes_back(&server, deaf, &everything));
    stream::iter(back).buffered(AT_ONCE).collect::<Vec<()>>().await;

    // Two minutes of a machine differ by themselves: there is one alone before and one after.
    for flow in [&bulk, &small] {
        flow.took();
    }
    let again = Instant::now();
    both(&bulk, &small, |_| again.elapsed() >= long).await;
    for ((alone, flow), beside) in alone.iter_mut().zip([&bulk, &small]).zip(&beside) {
        let after = flow.took();
        println!("delivery to one who reads: {alone} before; {beside} beside them; {after} after");
        alone.0.extend(after.0);
        let limit = alone.part(990);
        let later = beside.later(limit, begun);
        println!("p99 {limit:?} before and after; later than that beside them, by second: {later:?}");
        flow.reader.abort();
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// What lies in the way is read to its end; the rest comes from the place that was reached.
async fn socket_comes_back(server: &Server, (mut deaf, mut place): (Bare, String), everything: &BTreeSet<String>) {
    let (said, _) = deaf.rest(PATIENCE, "it took nothing").await;
    let mut ids = BTreeSet::new();
    for frame in said {
        place = cursor(&frame).map_or(place, str::to_owned);
        ids.extend(id(&frame));
    }
    let mut again = Bare::open(&server.url(), "/realtime").await.expect("a WebSocket");
    let subscribe = json!({ "type": "subscribe", "ref": "1", "collection": COLLECTION, "since": place });
    again.say(&subscribe.to_string()).await.expect("an open socket");
    let subscribed = again.hear_of("subscribed").await.expect("an answer");
    assert!(subscribed.contains("\"recovered\":true"), "{subscribed}");
    while ids.len() < everything.len() {
        let change =
            timeout(PATIENCE, again.hear_of("change")).await.expect("what was missed").expect("an open socket");
        ids.extend(id(&change));
    }
    assert_eq!(ids, *everything);
}

/// The same of a stream.
async fn stream_comes_back(server: &Server, (mut deaf, begin): (TcpStream, String), everything: &BTreeSet<String>) {
    let mut events = Events { place: cursor(&begin).map(str::to_owned), ..Events::default() };
    let mut bytes = vec![0; 64 * 1024];
    let rest = async {
        while let Ok(length @ 1..) = deaf.read(&mut bytes).await {
            events.read(&bytes[..length]);
        }
    };
    timeout(PATIENCE, rest).await.expect("an end, after it took nothing");
    // What came without its end came not at all.
    events.line.clear();
    events.begun = (None, None);
    let (mut again, begin) = stream_of_events(server, events.place.as_deref()).await;
    assert!(begin.contains("\"recovered\":true"), "{begin}");
    let (_, behind) = begin.split_once("event: subscribed").expect("it was waited for");
    events.read(behind.as_bytes());
    while !events.ids.is_superset(everything) {
        let length = timeout(PATIENCE, again.read(&mut bytes)).await.expect("what was missed").expect("an open stream");
        assert!(length > 0, "the stream ended; {} of {} came", events.ids.len(), everything.len());
        events.read(&bytes[..length]);
    }
    assert_eq!(events.ids, *everything);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_take_nothing_are_cut_off_and_those_that_read_lose_nothing() {
    deaf_beside_good(Server::sqlite().await).await;
}
