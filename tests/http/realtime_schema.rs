//! What stands on the wire is what `docs/realtime.schema.json` says, and every frame of it is seen here.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use universal_tests::{client::Client, server::Server, subscriber::Socket};

const SCHEMA: &str = include_str!("../../docs/realtime.schema.json");

/// A socket whose every frame is held against the schema.
struct Checked {
    socket: Socket,
    client: jsonschema::Validator,
    server: jsonschema::Validator,
    seen: BTreeSet<String>,
}

impl Checked {
    async fn open(client: &Client) -> Self {
        let part = |name: &str| {
            let mut schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
            schema.as_object_mut().expect("an object").remove("oneOf");
            schema["$ref"] = json!(format!("#/$defs/{name}"));
            jsonschema::draft202012::new(&schema).expect("a schema")
        };
        let socket = Socket::open(client.base()).await.expect("a WebSocket");
        Self { socket, client: part("client"), server: part("server"), seen: BTreeSet::new() }
    }

    async fn send(&mut self, frame: Value) {
        assert!(self.client.is_valid(&frame), "the schema knows no such frame of a client: {frame}");
        self.seen.insert(format!("client {}", frame["type"].as_str().expect("a type")));
        self.socket.send(frame).await;
    }

    async fn next(&mut self) -> Value {
        let frame = self.socket.next().await.expect("a frame");
        assert!(self.server.is_valid(&frame), "the schema knows no such frame of the server: {frame}");
        self.seen.insert(format!("server {}", frame["type"].as_str().expect("a type")));
        frame
    }

    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }
}

/// Frames that need more than a short conversation: a queue of 256 KiB that overflows, a node that died.
const RARE: [&str; 2] = ["server lagged", "server sync"];

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_is_what_the_schema_says() {
    let server = Server::sqlite().await;
    let ada = server.client().someone().await;
    let rules = json!({ "rules": { "join": "true", "send": "true", "presence": "true" } });
    server.admin().await.put("/admin/channels/lobby", rules).await.expect(200);
    let mut socket = Checked::open(&ada).await;
    socket.send(json!({ "type": "auth", "token": ada.token() })).await;
    socket.send(json!({ "type": "ping" })).await;
    socket.until("pong").await;

    socket.send(json!({ "type": "subscribe", "ref": "s", "collection": "todos" })).await;
    let begun = socket.until("subscribed").await;
    socket.send(json!({ "type": "watch", "ref": "w", "collection": "todos", "filter": "done == false" })).await;
    socket.until("snapshot").await;
    ada.put("/db/todos/tea", json!({ "done": false })).await.expect(201);
    ada.patch("/db/todos/tea", json!({ "done": true })).await.expect(200);
    ada.delete("/db/todos/tea").await.expect(204);
    let mut ops = BTreeSet::new();
    while ops.len() < 5 {
        ops.insert(socket.until("change").await["op"].as_str().expect("an op").to_owned());
    }
    assert_eq!(ops.into_iter().collect::<Vec<_>>(), ["create", "delete", "enter", "leave", "update"]);
    let basis = begun["cursor"].as_str().and_then(|cursor| cursor.split_once('.')).expect("a cursor").0;
    let ahead = format!("{basis}.999999");
    socket.send(json!({ "type": "subscribe", "ref": "a", "collection": "todos", "since": ahead })).await;
    socket.until("resync").await;
    socket.send(json!({ "type": "unsubscribe", "ref": "nothing" })).await;
    socket.until("error").await;
    socket.send(json!({ "type": "subscribe", "ref": "f", "collection": "todos", "filter": "done ==" })).await;
    assert!(socket.until("error").await["position"].is_u64());

    socket.send(json!({ "type": "join", "ref": "c", "channel": "lobby", "presence": { "n": 1 }, "echo": true })).await;
    socket.until("joined").await;
    socket.send(json!({ "type": "broadcast", "ref": "c", "event": "hello", "payload": [1] })).await;
    assert_eq!(socket.until("message").await["payload"], json!([1]));
    let mut other = Checked::open(&ada).await;
    other.send(json!({ "type": "auth", "token": ada.token() })).await;
    other.send(json!({ "type": "join", "ref": "c", "channel": "lobby", "presence": { "n": 2 } })).await;
    other.until("joined").await;
    assert!(socket.until("presence").await["joined"].is_array());
    other.send(json!({ "type": "presence", "ref": "c", "state": { "n": 3 } })).await;
    other.send(json!({ "type": "leave", "ref": "c" })).await;
    while socket.until("presence").await.get("left").is_none() {}
    socket.until("heartbeat").await;

    let mut seen = socket.seen;
    seen.extend(other.seen);
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let frames = ["client", "server"].into_iter().flat_map(|side| {
        let all = schema["$defs"].as_object().expect("definitions").keys();
        all.filter_map(move |name| Some(format!("{side} {}", name.strip_prefix(&format!("{side}."))?)))
    });
    let missing: Vec<String> = frames.filter(|frame| !seen.contains(frame) && !RARE.contains(&&**frame)).collect();
    assert!(missing.is_empty(), "the schema names frames that did not come: {missing:?}");
}
