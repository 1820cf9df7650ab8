//! Readers that read nothing, beside readers that do: they cost little, are cut off, and come back to everything.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
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
const SUBSCRIBE: &str = r#"{"type":"subscribe","ref":"1","collection":"bulk"}"#;
/// The body of a document; 16 of them are a mebibyte.
const BODY: usize = 64 * 1024;
/// Between two documents: 1 MiB a second to each reader.
const PACE: Duration = Duration::from_micros(62_500);
/// How long a reader that takes nothing may last: ten seconds after what the kernel keeps for it is full.
const PATIENCE: Duration = Duration::from_secs(180);
/// How many of each kind come back.
const RETURNING: usize = 20;
/// How many open, or come back, at once.
const AT_ONCE: usize = 16;
/// By when the kernel keeps for each reader as much as it keeps; until then every document is copied for each of them.
const FILLED: Duration = Duration::from_secs(1);
/// What a reader that takes nothing may cost: a frame on its way, and a page of changes that it read for itself because it
/// is behind what memory holds.
const EACH: u64 = 256 * 1024;
/// What the rest may cost meanwhile.
const SLACK: u64 = 64 << 20;

/// A WebSocket that was told its place, and reads no more.
async fn socket(server: &Server) -> (Bare, String) {
    let mut socket = Bare::open(&server.url(), "/realtime").await.expect("a WebSocket");
    socket.say(SUBSCRIBE).await.expect("an open socket");
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
    begun: Option<String>,
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

    /// A chunk's length is no line of an event, and an event is a chunk.
    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if let Some(place) = line.strip_prefix("id: ") {
            self.begun = Some(place.to_owned());
        } else if let Some(data) = line.strip_prefix("data: ") {
            self.ids.extend(id(data));
        } else if line.is_empty() && self.begun.is_some() {
            self.place = self.begun.take();
        }
    }
}

/// The document that a frame is of.
fn id(frame: &str) -> Option<String> {
    let (_, rest) = frame.split_once("\"id\":\"")?;
    rest.split_once('"').map(|(id, _)| id.to_owned())
}

/// What came late, and how late.
#[derive(Debug, Default)]
struct Clock {
    begun: HashMap<String, Instant>,
    took: Vec<Duration>,
}

impl Clock {
    /// How long each took since this was last asked.
    fn take(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.took)
    }
}

/// A reader that reads, and says how long each document took from the request to here.
async fn timed(server: &Server) -> (Arc<Mutex<Clock>>, JoinHandle<()>) {
    let (mut socket, _) = socket(server).await;
    let clock = Arc::new(Mutex::new(Clock::default()));
    let shared = Arc::clone(&clock);
    let task = tokio::spawn(async move {
        while let Heard::Text(frame) = socket.hear().await {
            let mut clock = shared.lock().expect("no panic");
            if let Some(begun) = id(&frame).and_then(|id| clock.begun.remove(&id)) {
                clock.took.push(begun.elapsed());
            }
        }
    });
    (clock, task)
}

fn spread(took: &mut [Duration]) -> String {
    took.sort_unstable();
    let part = |of_thousand: usize| took.get((took.len() * of_thousand / 1_000).min(took.len().saturating_sub(1)));
    let [median, p98, p99, longest] = [500, 980, 990, 1_000].map(|of_thousand| part(of_thousand).copied());
    format!("{} in median {median:?}, p98 {p98:?}, p99 {p99:?}, at most {longest:?}", took.len())
}

/// Writes documents at a pace until `enough` of them; answers how many.
async fn write(
    client: &Client,
    clock: &Mutex<Clock>,
    (from, pace): (usize, Duration),
    mut enough: impl AsyncFnMut(usize) -> bool,
) -> usize {
    let text = "x".repeat(BODY);
    let mut ticks = tokio::time::interval(pace);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for number in from.. {
        ticks.tick().await;
        let id = format!("d{number}");
        clock.lock().expect("no panic").begun.insert(id.clone(), Instant::now());
        client.put(&format!("/db/{COLLECTION}/{id}"), json!({ "text": text })).await.expect(201);
        if enough(number).await {
            return number + 1;
        }
    }
    from
}

/// How many of a kind are open.
async fn open(server: &Server, transport: &str) -> usize {
    let metrics = server.client().read("/metrics").await.text();
    let name = format!("realtime_connections{{transport=\"{transport}\"}} ");
    let count =
        metrics.lines().find_map(|line| line.split_once(&name)).and_then(|(_, count)| count.trim().parse().ok());
    count.unwrap_or(0)
}

#[expect(clippy::future_not_send, reason = "a test waits for it on its own thread")]
async fn many<T>(count: usize, one: impl AsyncFn() -> T) -> Vec<T> {
    stream::iter(0..count).map(|_| one()).buffered(AT_ONCE).collect().await
}

async fn deaf_beside_good(server: Server) {
    let (sockets, streams) = Volume::from_environment().pick((40, 10), (1000, 200));
    required_files(sockets + streams + 200);
    let rules = json!({ "rules": { "list": "true", "get": "true", "create": "caller.id != null" } });
    server.admin().await.put(&format!("/admin/collections/{COLLECTION}"), rules).await.expect(200);
    let client = server.client().someone().await;
    let good = [
        Subscriber::follow(&client, COLLECTION, None).await,
        Subscriber::follow(&client, COLLECTION, Some("has(doc.text)")).await,
    ];
    let (clock, timing) = timed(&server).await;
    // The recent changes, the database's pages and what the allocator keeps are bought once, for whatever number of readers.
    let warm = write(&client, &clock, (0, Duration::from_millis(2)), async |number| number >= 300).await;
    clock.lock().expect("no panic").take();
    let long = Volume::from_environment().pick(Duration::from_secs(5), Duration::from_secs(60));
    let begun = Instant::now();
    let warm = write(&client, &clock, (warm, PACE), async |_| begun.elapsed() >= long).await;
    let alone = spread(&mut clock.lock().expect("no panic").take());
    let quiet = server.memory().present;
    let deaf_sockets = many(sockets, async || socket(&server).await).await;
    let deaf_streams = many(streams, async || stream_of_events(&server, None).await).await;
    let idle = server.memory().present;
    let before = server.memory().most;

    let begun = Instant::now();
    let (mut cut, mut filling) = ((None, None), None);
    let written = write(&client, &clock, (warm, PACE), async |number| {
        if filling.is_none() && begun.elapsed() >= FILLED {
            filling = Some(spread(&mut clock.lock().expect("no panic").take()));
        }
        if number % 16 == 15 {
            // Those that read stay.
            if cut.0.is_none() && open(&server, "websocket").await == good.len() + 1 {
                cut.0 = Some(begun.elapsed());
            }
            if cut.1.is_none() && open(&server, "sse").await == 0 {
                cut.1 = Some(begun.elapsed());
            }
        }
        assert!(begun.elapsed() < PATIENCE, "some that read nothing are still there: {cut:?}");
        cut.0.is_some() && cut.1.is_some() && begun.elapsed() >= long
    })
    .await;
    let most = server.memory().most;
    let beside = spread(&mut clock.lock().expect("no panic").take());
    let last = write(&client, &clock, (written, PACE), async |number| number >= written + 20).await;
    for reader in &good {
        reader.until("every document", PATIENCE, |seen| seen.len() >= last).await;
        assert_eq!((reader.changes().len(), reader.connections(), reader.trouble()), (last, 1, vec![]));
    }
    timing.abort();
    println!(
        "{sockets} WebSockets and {streams} streams cost {} bytes each while idle, and at most {} each with {} documents of \
         {BODY} bytes that they did not take; WebSockets were cut after {:?}, streams after {:?}; delivery to one who reads: {alone} \
         alone, {} in the first {FILLED:?} beside them, {beside} from then on",
        idle.saturating_sub(quiet) / (sockets + streams) as u64,
        most.saturating_sub(before) / (sockets + streams) as u64,
        written - warm,
        cut.0,
        cut.1,
        filling.unwrap_or_default(),
    );
    let grown = most.saturating_sub(before);
    let allowed = EACH * (sockets + streams) as u64 + SLACK;
    assert!(grown <= allowed, "the server grew by {grown} bytes, of which {allowed} are allowed");

    let everything: BTreeSet<String> = (warm..last).map(|number| format!("d{number}")).collect();
    let back = deaf_sockets.into_iter().take(RETURNING).map(|deaf| socket_comes_back(&server, deaf, &everything));
    stream::iter(back).buffered(AT_ONCE).collect::<Vec<()>>().await;
    let back = deaf_streams.into_iter().take(RETURNING).map(|deaf| stream_comes_back(&server, deaf, &everything));
    stream::iter(back).buffered(AT_ONCE).collect::<Vec<()>>().await;
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
    events.begun = None;
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
