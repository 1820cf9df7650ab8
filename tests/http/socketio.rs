//! Socket.IO with the client of the npm registry, unmodified; and with what no client sends.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};
use universal_tests::{client::Client, server::Server, socketio::SocketIo, subscriber::Socket, wait};

/// A change without what is the subscriber's own.
fn change(mut frame: Value) -> Value {
    assert_eq!(frame["type"], "change", "{frame}");
    frame.as_object_mut().expect("a frame").remove("ref");
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn it_hears_what_a_websocket_hears_over_every_transport() {
    let server = Server::sqlite().await;
    let (ada, eve) = (server.client().someone().await, server.client().someone().await);
    let mut beside = Socket::signed_in(&ada).await;
    beside.send(json!({ "type": "subscribe", "ref": "w", "collection": "todos" })).await;
    beside.next_of("subscribed").await;
    let mut stranger = SocketIo::signed_in(&eve, &["websocket"]).await;
    stranger.ask("subscribe", json!({ "ref": "1", "collection": "todos" })).await;

    for transports in [&["polling"][..], &["websocket"], &["polling", "websocket"]] {
        let mut socket = SocketIo::connect(&ada, transports, json!({ "token": ada.token() })).await;
        let connected = socket.next_of("connect").await;
        if transports.len() > 1 {
            assert_eq!(socket.next_of("upgrade").await["transport"], "websocket");
        } else {
            assert_eq!(connected["transport"], transports[0]);
        }
        let subscribed = socket.ask("subscribe", json!({ "ref": "s", "collection": "todos" })).await;
        assert_eq!((&subscribed["type"], &subscribed["recovered"]), (&json!("subscribed"), &json!(true)));
        socket.emit("subscribe", json!({ "ref": "f", "collection": "todos", "filter": "n >" })).await;
        assert_eq!(socket.event("error").await["ref"], "f");

        let todo = ada.create("todos", json!({ "title": "tea", "ключ \u{1e} \"x\"": "日本\u{2028}" })).await;
        let path = format!("/db/todos/{}", todo["id"].as_str().expect("an id"));
        ada.patch(&path, json!({ "big": "x".repeat(300_000) })).await.expect(200);
        ada.delete(&path).await.expect(204);
        for op in ["create", "update", "delete"] {
            let heard = socket.event("change").await;
            assert_eq!((&heard["op"], &heard["ref"]), (&json!(op), &json!("s")));
            assert_eq!(change(heard), change(beside.next_of("change").await), "{transports:?}");
        }
        assert_eq!(socket.ask("unsubscribe", json!({ "ref": "s" })).await, json!({ "type": "ok" }));
        socket.tell(json!({ "do": "disconnect" })).await;
        assert_eq!(socket.next_of("disconnect").await["reason"], "io client disconnect");
    }
    // What Eve writes herself comes to her, and nothing of Ada's came before it.
    eve.create("todos", json!({ "title": "hers" })).await;
    assert_eq!(stranger.event("change").await["document"]["title"], "hers");
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_resumes_with_its_cursor() {
    let server = Server::sqlite().await;
    let ada = server.client().someone().await;
    for transports in [&["polling"][..], &["websocket"]] {
        let collection = format!("todos-{}", transports[0]);
        let mut socket = SocketIo::signed_in(&ada, transports).await;
        let subscribed = socket.ask("subscribe", json!({ "ref": "1", "collection": collection })).await;
        assert_eq!(subscribed["recovered"], true);
        let mut cursor;
        ada.put(&format!("/db/{collection}/a"), json!({ "n": 0 })).await.expect(201);
        let mut seen = BTreeMap::new();
        // It leaves and comes again; then it loses the connection, and comes back by itself.
        for round in 1..=2 {
            let heard = socket.event("change").await;
            cursor = heard["cursor"].clone();
            seen.insert(heard["document"]["n"].as_i64().expect("a number"), heard);
            if round == 1 {
                socket.tell(json!({ "do": "disconnect" })).await;
                socket.next_of("disconnect").await;
            } else {
                socket.tell(json!({ "do": "drop" })).await;
                assert_eq!(socket.next_of("disconnect").await["active"], true);
            }
            for n in 1..=50 {
                ada.put(&format!("/db/{collection}/a"), json!({ "n": round * 100 + n })).await.expect(200);
            }
            if round == 1 {
                socket.tell(json!({ "do": "reconnect" })).await;
            }
            socket.next_of("connect").await;
            let again = json!({ "ref": "1", "collection": collection, "since": cursor });
            assert_eq!(socket.ask("subscribe", again).await["recovered"], true);
            for n in 1..=50 {
                let heard = socket.event("change").await;
                assert_eq!(heard["document"]["n"], round * 100 + n, "{heard}");
                assert!(heard["cursor"] != cursor, "told twice: {heard}");
                cursor = heard["cursor"].clone();
            }
            ada.put(&format!("/db/{collection}/a"), json!({ "n": round * 100 + 99 })).await.expect(200);
        }
        assert_eq!(seen.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_outlives_a_restart_of_the_server() {
    let server = Server::sqlite().await;
    let ada = server.client().someone().await;
    let mut sockets = Vec::new();
    for transports in [&["polling"][..], &["websocket"]] {
        let mut socket = SocketIo::signed_in(&ada, transports).await;
        let subscribed = socket.ask("subscribe", json!({ "ref": "1", "collection": "todos" })).await;
        sockets.push((socket, subscribed["cursor"].clone()));
    }
    let status = server.stop().await;
    assert!(status.success(), "{status}\n{}", server.log());
    server.start().await;
    ada.create("todos", json!({ "title": "tea" })).await;
    for (mut socket, since) in sockets {
        assert_eq!(socket.event("error").await["code"], "stopping");
        assert_eq!(socket.next_of("disconnect").await["active"], true);
        socket.next_of("connect").await;
        let again = json!({ "ref": "1", "collection": "todos", "since": since });
        assert_eq!(socket.ask("subscribe", again).await["recovered"], true);
        assert_eq!(socket.event("change").await["document"]["title"], "tea");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_checked_when_it_connects_and_later() {
    let server = Server::sqlite().await;
    let (ada, eve) = (server.client().someone().await, server.client().someone().await);
    for transports in [&["polling"][..], &["websocket"]] {
        let mut socket = SocketIo::connect(&ada, transports, json!({ "token": "abc.def.ghi" })).await;
        let refused = socket.next_of("connect_error").await;
        assert_eq!((&refused["code"], &refused["active"]), (&json!("invalid-token"), &json!(false)));
        assert!(refused["message"].as_str().unwrap().contains(' '), "a sentence: {refused}");
        // The same client may try again with another token.
        socket.tell(json!({ "do": "auth", "auth": { "token": ada.token() } })).await;
        socket.tell(json!({ "do": "reconnect" })).await;
        socket.next_of("connect").await;
        assert_eq!(socket.ask("auth", json!({ "token": ada.token() })).await, json!({ "type": "ok" }));
        socket.emit("auth", json!({ "token": eve.token() })).await;
        assert_eq!(socket.event("error").await["code"], "other-user");
        let gone = socket.next_of("disconnect").await;
        assert_eq!((&gone["reason"], &gone["active"]), (&json!("io server disconnect"), &json!(false)));

        // Nobody sees nothing, and may become somebody.
        let mut socket = SocketIo::connect(&ada, transports, json!({})).await;
        socket.next_of("connect").await;
        let wanted = json!({ "ref": "1", "collection": "todos" });
        assert_eq!(socket.ask("subscribe", wanted.clone()).await["code"], "sign-in-required");
        socket.emit("auth", json!({ "token": ada.token() })).await;
        assert_eq!(socket.ask("subscribe", wanted).await["type"], "subscribed");
    }
}

/// A session over a WebSocket, packet by packet.
struct Raw(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Raw {
    async fn connect(client: &Client) -> Self {
        let url = format!("{}/socket.io/?EIO=4&transport=websocket", client.base().replacen("http", "ws", 1));
        let mut raw = Self(connect_async(url).await.expect("a WebSocket").0);
        raw.send(Message::text(format!("40{}", json!({ "token": client.token() })))).await;
        // Only whoever was let in may speak: an event before that ends the session.
        while let Some(Ok(message)) = raw.0.next().await {
            if message.to_text().is_ok_and(|text| text.starts_with("40")) {
                break;
            }
        }
        raw
    }

    async fn send(&mut self, message: Message) -> bool {
        self.0.send(message).await.is_ok()
    }

    /// That the server ends it.
    async fn ended(mut self, what: &str) {
        let rest = async { while let Some(Ok(_)) = self.0.next().await {} };
        timeout(Duration::from_secs(30), rest).await.unwrap_or_else(|_| panic!("still open after {what}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_packets_end_their_session_in_the_same_memory() {
    let server = Server::sqlite().await;
    let ada = server.client().someone().await;
    // The first of everything is bought once.
    Raw::connect(&ada).await.ended_by(Message::text("x")).await;
    let before = server.memory().present;
    for packet in [
        "45999999-[\"x\"]",
        "450-[\"x\"]",
        "451-[\"x\",{\"_placeholder\":true,\"num\":0}]",
        "465-1[]",
        "45-[]",
        "",
        "4",
        "9",
    ] {
        for _ in 0..20 {
            Raw::connect(&ada).await.ended_by(Message::text(packet)).await;
        }
    }
    let flood = [
        (100_000, Message::binary(Vec::new())),
        (100_000, Message::text("")),
        (1_000_000, Message::Ping(Vec::new().into())),
        (1_000_000, Message::text("3")),
        (100_000, Message::text("42[\"ping\"]")),
    ];
    for (count, message) in flood {
        let mut raw = Raw::connect(&ada).await;
        let what = format!("{count} × {message:?}");
        let sent = async {
            for _ in 0..count {
                if !raw.send(message.clone()).await {
                    break;
                }
            }
        };
        timeout(Duration::from_secs(30), sent).await.unwrap_or_else(|_| panic!("{what} are taken"));
        raw.ended(&what).await;
    }
    let grown = server.memory().present.saturating_sub(before);
    assert!(grown < 32 << 20, "the server grew by {grown} bytes");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    SocketIo::signed_in(&ada, &["polling", "websocket"]).await;
}

impl Raw {
    async fn ended_by(mut self, message: Message) {
        let what = format!("{message:?}");
        self.send(message).await;
        self.ended(&what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_cut_off_in_bounded_memory() {
    let server = Server::sqlite().await;
    let ada = server.client().someone().await;
    let mut deaf = Vec::new();
    for _ in 0..8 {
        let mut raw = Raw::connect(&ada).await;
        raw.send(Message::text("42[\"subscribe\",{\"ref\":\"1\",\"collection\":\"todos\"}]")).await;
        deaf.push(raw);
    }
    let connected = r#"realtime_connections{transport="socketio"} 8"#;
    wait::until("eight sessions", Duration::from_secs(20), || async {
        server.client().read("/metrics").await.text().contains(connected)
    })
    .await;
    let text = "x".repeat(500_000);
    ada.put("/db/todos/a", json!({ "text": text })).await.expect(201);
    let before = server.memory().present;
    for n in 0..100 {
        ada.put("/db/todos/a", json!({ "text": text, "n": n })).await.expect(200);
    }
    // 400 MB would wait for them.
    let grown = server.memory().present.saturating_sub(before);
    assert!(grown < 96 << 20, "the server grew by {grown} bytes");
    wait::until("all to be cut off", Duration::from_secs(60), || async {
        server.client().read("/metrics").await.text().contains(r#"realtime_connections{transport="socketio"} 0"#)
    })
    .await;
    drop(deaf);
}
