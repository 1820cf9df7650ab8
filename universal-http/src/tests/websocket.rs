//! `/realtime`

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};
use universal_core::{Caller, TenantId, auth::Registration};

use super::{fixture::Fixture, listener::Running};
use crate::{limits::Limits, serve::ServeOptions};

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn connect(address: SocketAddr, token: Option<&str>) -> Self {
        let mut request = format!("ws://{address}/realtime").into_client_request().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        Self(client_async(request, stream).await.unwrap().0)
    }

    async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn message(&mut self) -> Message {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(10), self.0.next()).await.expect("a message");
            match message.expect("not the end").unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// The next frame that is no heartbeat.
    async fn frame(&mut self) -> Value {
        loop {
            let message = self.message().await;
            let frame: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            if frame["type"] != "heartbeat" {
                return frame;
            }
        }
    }

    async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.message().await {
                return frame.expect("a reason").code.into();
            }
        }
    }
}

#[tokio::test]
async fn frames() {
    let on = Fixture::new().await;
    let running = Running::start(&on, ServeOptions::default()).await;
    let mut client = Client::connect(running.address, None).await;
    client.send(json!({"type": "ping"})).await;
    assert_eq!(client.frame().await, json!({"type": "pong"}));
    client.send(json!({"type": "subscribe", "ref": "1", "collection": "todos"})).await;
    let refused = client.frame().await;
    assert_eq!((&refused["type"], &refused["ref"]), (&json!("error"), &json!("1")), "{refused}");
    client.send(json!({"type": "auth", "token": on.token})).await;
    client.send(json!({"type": "subscribe", "ref": "1", "collection": "todos"})).await;
    client.send(json!({"type": "subscribe", "ref": "1", "collection": "todos"})).await;
    client.send(json!({"type": "subscribe", "ref": "2", "collection": "todos", "id": "b"})).await;
    client.send(json!({"type": "subscribe", "ref": "3", "collection": "todos", "filter": "n =="})).await;
    client.send(json!({"type": "unsubscribe", "ref": "9"})).await;
    client.send(json!("hello")).await;
    let mut said = Vec::new();
    for _ in 0..6 {
        let frame = client.frame().await;
        said.push((frame["type"].clone(), frame["ref"].clone(), frame["code"].clone()));
    }
    assert_eq!(said[0], (json!("subscribed"), json!("1"), Value::Null));
    assert_eq!(said[1], (json!("error"), json!("1"), json!("ref-in-use")));
    assert_eq!(said[2], (json!("subscribed"), json!("2"), Value::Null));
    assert_eq!((&said[3].0, &said[3].1), (&json!("error"), &json!("3")));
    assert_eq!(said[4], (json!("error"), json!("9"), json!("unknown-ref")));
    assert_eq!(said[5], (json!("error"), Value::Null, json!("invalid-frame")));

    on.json("PUT", "/db/todos/b", r#"{"n":1}"#).await;
    let mut refs = Vec::new();
    for _ in 0..2 {
        let change = client.frame().await;
        assert_eq!((&change["op"], &change["document"]["n"]), (&json!("create"), &json!(1)), "{change}");
        refs.push(change["ref"].as_str().unwrap().to_owned());
    }
    refs.sort();
    assert_eq!(refs, ["1", "2"]);
    client.send(json!({"type": "unsubscribe", "ref": "1"})).await;
    client.send(json!({"type": "ping"})).await;
    assert_eq!(client.frame().await["type"], "pong");
    on.json("DELETE", "/db/todos/b", "").await;
    let change = client.frame().await;
    assert_eq!((&change["op"], &change["ref"], &change["document"]), (&json!("delete"), &json!("2"), &Value::Null));
    let metrics = on.get("/metrics").await.text;
    assert!(metrics.contains(r#"realtime_connections{transport="websocket"} 1"#), "{metrics}");

    let running = tokio::spawn(running.stop());
    assert_eq!(client.close_code().await, 1012);
    assert!(running.await.unwrap().drained);
    tokio::time::timeout(Duration::from_secs(5), on.api.closed()).await.expect("no connection is left");
}

/// Large events do not pass through the WebSocket's own buffer; what it says itself must not come into the midst of one.
#[tokio::test]
async fn what_a_client_asks_while_large_events_are_on_their_way_is_answered_between_them() {
    let on = Fixture::new().await;
    let running = Running::start(&on, ServeOptions::default()).await;
    let mut client = Client::connect(running.address, Some(&on.token)).await;
    client.send(json!({"type": "subscribe", "ref": "1", "collection": "todos"})).await;
    assert_eq!(client.frame().await["type"], "subscribed");
    let sizes = [900_000, 10, 20_000, 900_000, 16_000, 10, 900_000, 65_536];
    for (place, size) in sizes.into_iter().enumerate() {
        let document = json!({"text": "x".repeat(size)}).to_string();
        assert_eq!(on.json("PUT", &format!("/db/todos/d{place}"), &document).await.status, 201);
    }
    // Nothing of it has been read, and more is on its way than the kernels take.
    client.0.send(Message::Ping("here".into())).await.unwrap();
    client.send(json!({"type": "ping"})).await;
    let (mut arrived, mut answers) = (Vec::new(), 0);
    while arrived.len() < sizes.len() || answers < 2 {
        let message = tokio::time::timeout(Duration::from_secs(10), client.0.next()).await.expect("a message");
        let frame: Value = match message.expect("not the end").unwrap() {
            Message::Pong(said) => {
                assert_eq!(said, "here");
                answers += 1;
                continue;
            }
            Message::Ping(_) => continue,
            message => serde_json::from_str(message.to_text().unwrap()).unwrap(),
        };
        match frame["type"].as_str() {
            Some("pong") => answers += 1,
            Some("change") => arrived.push(frame["document"]["text"].as_str().unwrap().len()),
            _ => assert_eq!(frame["type"], "heartbeat"),
        }
    }
    assert_eq!(arrived, sizes);
    let running = tokio::spawn(running.stop());
    assert_eq!(client.close_code().await, 1012);
    assert!(running.await.unwrap().drained);
}

#[tokio::test]
async fn credentials_end() {
    let mut limits = Limits::default().with_token_check(Duration::from_millis(100));
    limits.first_subscription = Duration::from_millis(300);
    let on = Fixture::with(limits).await;
    let running = Running::start(&on, ServeOptions::default()).await;

    let mut idle = Client::connect(running.address, None).await;
    let mut client = Client::connect(running.address, Some(&on.token)).await;
    client.send(json!({"type": "subscribe", "ref": "1", "collection": "todos"})).await;
    assert_eq!(client.frame().await["type"], "subscribed");
    assert_eq!(idle.close_code().await, 4408);

    let mut other = Client::connect(running.address, Some(&on.token)).await;
    let nobody = Caller::anonymous(TenantId::default_tenant());
    let bob = on.backend.auth().register(&nobody, Registration::new("bob@example.org", "correct horse battery")).await;
    let token = secrecy::ExposeSecret::expose_secret(&bob.unwrap().access_token).to_owned();
    other.send(json!({"type": "auth", "token": token})).await;
    assert_eq!(other.frame().await["code"], "other-user");
    assert_eq!(other.close_code().await, 4401);

    on.backend.auth().logout(&on.session, None).await.unwrap();
    assert_eq!(client.frame().await["code"], "session-ended");
    assert_eq!(client.close_code().await, 4401);
    running.stop().await;
}

#[tokio::test]
async fn floods_are_cut() {
    let on = Fixture::new().await;
    let running = Running::start(&on, ServeOptions::default()).await;
    let mut client = Client::connect(running.address, Some(&on.token)).await;
    for _ in 0..70 {
        let _ = client.0.send(Message::text(r#"{"type":"ping"}"#)).await;
    }
    assert_eq!(client.close_code().await, 4429);
    let mut client = Client::connect(running.address, Some(&on.token)).await;
    let _ = client.0.send(Message::text("x".repeat(70 * 1024))).await;
    assert_eq!(client.close_code().await, 1009);
    let mut client = Client::connect(running.address, Some(&on.token)).await;
    client.0.send(Message::binary(vec![1, 2])).await.unwrap();
    assert_eq!(client.close_code().await, 1003);
    running.stop().await;
}
