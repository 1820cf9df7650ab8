//! `/socket.io/`, packet by packet: what the npm client never sends, and what it never sees.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use super::{
    fixture::{Answer, Fixture},
    listener::Running,
};
use crate::{limits::Limits, serve::ServeOptions};

struct Client(WebSocketStream<TcpStream>);

impl Client {
    /// A session that has not said CONNECT.
    async fn open(address: SocketAddr) -> Self {
        Self::open_as(address, None).await
    }

    /// The same, whose first request has credentials.
    async fn open_as(address: SocketAddr, token: Option<&str>) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let mut request = url.into_client_request().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let mut client = Self(client_async(request, stream).await.unwrap().0);
        let open = client.packet().await.unwrap();
        assert!(open.starts_with("0{") && open.contains(r#""maxPayload":65536"#), "{open}");
        client
    }

    async fn connect(address: SocketAddr, auth: Value) -> Self {
        let mut client = Self::open(address).await;
        client.send(&format!("40{auth}")).await;
        let connected = client.packet().await.unwrap();
        assert!(connected.starts_with("40{\"sid\":"), "{connected}");
        client
    }

    async fn send(&mut self, packet: &str) {
        let _ = self.0.send(Message::text(packet)).await;
    }

    /// The next packet, or nothing at the end.
    async fn packet(&mut self) -> Option<String> {
        loop {
            match tokio::time::timeout(Duration::from_secs(10), self.0.next()).await.expect("a packet")? {
                Ok(Message::Text(text)) if text == "2" => self.send("3").await,
                Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next event.
    async fn event(&mut self) -> Value {
        let packet = self.packet().await.expect("an event");
        let event = packet.strip_prefix("42").unwrap_or_else(|| panic!("no event: {packet}"));
        serde_json::from_str(event).unwrap()
    }

    /// Everything until the end.
    async fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(packet) = self.packet().await {
            rest.push(packet);
        }
        rest
    }
}

/// That a packet refuses as the npm package expects it: a sentence, and the code as `data`.
fn is_refused(packet: &str, head: &str, code: &str) {
    let body = packet.strip_prefix(head).unwrap_or_else(|| panic!("no refusal: {packet}"));
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["data"], json!({ "code": code }), "{packet}");
    let message = body["message"].as_str().unwrap();
    assert!(message.contains(' ') && !message.contains(code), "no sentence for people: {packet}");
}

async fn poll(on: &Fixture, method: &str, sid: Option<&str>, body: &str) -> Answer {
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    let request = http::Request::builder().method(method).uri(format!("/socket.io/?EIO=4&transport=polling{sid}"));
    on.send(request.body(Full::<Bytes>::from(body.to_owned())).unwrap()).await
}

async fn open_by_polling(on: &Fixture) -> String {
    let opened = poll(on, "GET", None, "").await;
    assert_eq!(opened.status, 200, "{}", opened.text);
    let packet: Value = serde_json::from_str(opened.text.strip_prefix('0').unwrap()).unwrap();
    packet["sid"].as_str().unwrap().to_owned()
}

/// What the server says on a polling session besides its pings, of which one may come at any time.
async fn heard_by_polling(on: &Fixture, sid: &str) -> String {
    loop {
        let said = poll(on, "GET", Some(sid), "").await.text;
        let said: Vec<&str> = said.split('\u{1e}').filter(|packet| *packet != "2").collect();
        if !said.is_empty() {
            return said.join("\u{1e}");
        }
    }
}

#[tokio::test]
async fn an_event_is_a_frame_and_an_answer_an_event_or_an_ack() {
    let on = Fixture::new().await;
    let running = Running::start(&on, ServeOptions::default()).await;
    let mut client =
        Client::connect(running.address, json!({ "token": on.token, "__proto__": { "polluted": true } })).await;
    client.send(r#"42["ping"]"#).await;
    assert_eq!(client.event().await, json!(["pong", { "type": "pong" }]));
    client.send(r#"427["ping",{}]"#).await;
    assert_eq!(client.packet().await.unwrap(), r#"437[{"type":"pong"}]"#);
    client.send(r#"421["subscribe",{"ref":"1","collection":"todos"}]"#).await;
    let answer = client.packet().await.unwrap();
    assert!(answer.starts_with(r#"431[{"type":"subscribed","ref":"1","cursor":"#), "{answer}");
    client.send(r#"422["unsubscribe",{"ref":"1"}]"#).await;
    assert_eq!(client.packet().await.unwrap(), r#"432[{"type":"ok"}]"#);
    for odd in [
        r#"["subscribe"]"#,
        r#"["subscribe",[]]"#,
        r#"["subscribe",null]"#,
        r#"["subscribe",{"ref":"1","collection":"todos"},{}]"#,
        r#"["subscribe",{"ref":"1","ref":"2","collection":"todos"}]"#,
        r#"["subscribe",{"type":"ping","ref":"1","collection":"todos"}]"#,
        r#"["subscribe",{"ref":"1","collection":"todos","__proto__":{"x":1}}]"#,
        r#"["subscribe",{"ref":"1","collection":"todos","constructor":{"prototype":{}}}]"#,
        r#"["subscribe",{"ref":{"_placeholder":true,"num":0},"collection":"todos"}]"#,
        r#"["ping",{"$where":"1"}]"#,
        r#"["ping",{"":1}]"#,
        r#"["__proto__",{}]"#,
        r#"["no such event",{"x":1}]"#,
    ] {
        client.send(&format!("42{odd}")).await;
        let answer = client.event().await;
        assert_eq!((&answer[0], &answer[1]["code"]), (&json!("error"), &json!("invalid-frame")), "{odd}: {answer}");
    }
    let metrics = on.get("/metrics").await.text;
    assert!(metrics.contains(r#"realtime_connections{transport="socketio"} 1"#), "{metrics}");

    let running = tokio::spawn(running.stop());
    assert_eq!(client.event().await[1]["code"], "stopping");
    // No disconnect of the namespace: its client would stay away.
    assert_eq!(client.rest().await, Vec::<String>::new());
    assert!(running.await.unwrap().drained);
    tokio::time::timeout(Duration::from_secs(10), on.api.closed()).await.expect("no connection is left");
}

#[tokio::test]
async fn whoever_may_not_stay_is_told_why() {
    let mut limits = Limits::default().with_token_check(Duration::from_millis(100));
    limits.first_subscription = Duration::from_millis(300);
    let on = Fixture::with(limits).await;
    let running = Running::start(&on, ServeOptions::default()).await;

    // No CONNECT; CONNECT and nothing more; gone from the namespace and nothing more.
    assert_eq!(Client::open(running.address).await.rest().await, ["1"]);
    let mut idle = Client::connect(running.address, json!({})).await;
    assert_eq!(idle.event().await[1]["code"], "nothing-asked");
    assert_eq!(idle.packet().await.unwrap(), "41");
    assert_eq!(idle.rest().await, Vec::<String>::new());
    let mut left = Client::connect(running.address, json!({ "token": on.token })).await;
    left.send("41").await;
    assert_eq!(left.rest().await, Vec::<String>::new());

    let mut wrong = Client::open(running.address).await;
    for (auth, code) in
        [(r#"{"token":"abc.def.ghi"}"#, "invalid-token"), (r#"{"token":5}"#, "invalid-frame"), ("[]", "invalid-frame")]
    {
        wrong.send(&format!("40{auth}")).await;
        is_refused(&wrong.packet().await.unwrap(), "44", code);
    }
    wrong.send(r#"40/other,{}"#).await;
    is_refused(&wrong.packet().await.unwrap(), "44/other,", "unknown-namespace");
    let sid = open_by_polling(&on).await;
    poll(&on, "POST", Some(&sid), "40{\"token\":\"abc.def.ghi\"}\u{1e}40/other,").await;
    let mut said = Vec::new();
    while said.len() < 2 {
        said.extend(heard_by_polling(&on, &sid).await.split('\u{1e}').map(str::to_owned));
    }
    // The one that asks nothing is refused at once.
    said.sort();
    is_refused(&said[0], "44/other,", "unknown-namespace");
    is_refused(&said[1], "44", "invalid-token");

    let mut client = Client::connect(running.address, json!({ "token": on.token })).await;
    client.send(r#"42["subscribe",{"ref":"1","collection":"todos"}]"#).await;
    assert_eq!(client.event().await[0], "subscribed");
    on.backend.auth().logout(&on.session, None).await.unwrap();
    assert_eq!(client.event().await[1]["code"], "session-ended");
    assert_eq!(client.packet().await.unwrap(), "41");
    assert_eq!(client.rest().await, Vec::<String>::new());
    running.stop().await;
}

#[tokio::test]
async fn whoever_leaves_and_comes_again_is_asked_for_the_session_of_its_first_request() {
    let on = Fixture::new().await;
    let running = Running::start(&on, ServeOptions::default()).await;
    let mut client = Client::open_as(running.address, Some(&on.token)).await;
    for _ in 0..2 {
        client.send("40").await;
        let connected = client.packet().await.unwrap();
        assert!(connected.starts_with("40{\"sid\":"), "{connected}");
        client.send("41").await;
    }
    on.backend.auth().logout(&on.session, None).await.unwrap();
    client.send("40").await;
    is_refused(&client.packet().await.unwrap(), "44", "session-ended");
    running.stop().await;
}

#[tokio::test]
async fn floods_are_cut() {
    let on = Fixture::new().await;
    let running = Running::start(&on, ServeOptions::default()).await;
    for flood in [Message::text(r#"42["ping"]"#), Message::text("3"), Message::Ping(Bytes::from_static(b"42"))] {
        let mut client = Client::connect(running.address, json!({ "token": on.token })).await;
        for _ in 0..70 {
            let _ = client.0.send(flood.clone()).await;
        }
        let rest = client.rest().await;
        let ends = rest.iter().rev().take(2).map(String::as_str).collect::<Vec<_>>();
        assert!(ends[0] == "41" && ends[1].contains("too-many-frames"), "{flood:?}: {rest:?}");
    }
    for binary in [
        Message::binary(vec![1, 2]),
        Message::binary(Vec::new()),
        Message::text(r#"451-["ping",{"_placeholder":true,"num":0}]"#),
        Message::text(r#"450-["ping"]"#),
        Message::text("45"),
        Message::text(r#"46999999-1["ping"]"#),
        Message::text("bAQID"),
    ] {
        let mut client = Client::connect(running.address, json!({ "token": on.token })).await;
        let _ = client.0.send(binary.clone()).await;
        assert_eq!(client.event().await[1]["code"], "binary-packet", "{binary:?}");
        assert_eq!(client.rest().await, ["41"]);
    }
    for broken in ["", "7", "4", "4x", "44", "42", "42{}", "42[]", "42[5]", "42[\"a", "43[]", "2probe", "5", "6", "é"]
    {
        let mut client = Client::connect(running.address, json!({ "token": on.token })).await;
        client.send(broken).await;
        let _ = client.rest().await;
    }
    let mut client = Client::connect(running.address, json!({ "token": on.token })).await;
    client.send(&"4".repeat(70 * 1024)).await;
    let _ = client.rest().await;
    // The server lives.
    Client::connect(running.address, json!({ "token": on.token })).await;
    let metrics = on.get("/metrics").await.text;
    assert!(metrics.contains("panics_total 0"), "{metrics}");
    running.stop().await;
}

#[tokio::test]
async fn polling_has_the_same_limits() {
    let mut limits = Limits::default().with_socketio_sessions(3);
    limits.first_subscription = Duration::from_secs(2);
    let on = Fixture::with(limits).await;
    let sid = open_by_polling(&on).await;
    assert_eq!(poll(&on, "POST", Some(&sid), &format!("40{}", json!({ "token": on.token }))).await.text, "ok");
    assert!(heard_by_polling(&on, &sid).await.starts_with("40{"));
    let flood = vec![r#"42["ping"]"#; 70].join("\u{1e}");
    assert_eq!(poll(&on, "POST", Some(&sid), &flood).await.problem(), (429, "too-many-frames".into()));
    let said = heard_by_polling(&on, &sid).await;
    assert!(said.starts_with("42[\"error\"") && said.contains("too-many-frames"), "{said}");

    // A session on which nobody lives is ended at once.
    let sid = open_by_polling(&on).await;
    assert_eq!(poll(&on, "POST", Some(&sid), "451-[]").await.problem(), (400, "binary-packet".into()));
    assert_eq!(poll(&on, "GET", Some(&sid), "").await.status, 400);
    let sid = open_by_polling(&on).await;
    let long = "4".repeat(70 * 1024);
    assert_eq!(poll(&on, "POST", Some(&sid), &long).await.problem(), (413, "body-too-large".into()));
    assert_eq!(poll(&on, "POST", Some("AAAAAAAAAAAAAAAA"), "3").await.problem(), (400, "unknown-session".into()));
    assert_eq!(on.get("/socket.io/?EIO=3&transport=polling").await.problem(), (400, "unsupported-protocol".into()));
    assert_eq!(on.get("/socket.io/?EIO=4&transport=x").await.problem(), (400, "unsupported-transport".into()));
    assert_eq!(on.get("/socket.io/?EIO=4&transport=websocket").await.problem(), (426, "upgrade-required".into()));

    let mut refused = None;
    for _ in 0..4 {
        let answer = poll(&on, "GET", None, "").await;
        if answer.status != 200 {
            refused = Some(answer.problem());
        }
    }
    assert_eq!(refused, Some((503, "too-many-sessions".into())));
    on.api.close();
    tokio::time::timeout(Duration::from_secs(10), on.api.closed()).await.expect("no session is left");
}

#[tokio::test]
async fn what_waits_to_be_handled_is_bounded_in_bytes_and_in_number() {
    let on = Fixture::with(Limits { frames_per_second: 10_000, ..Limits::default() }).await;
    let large = format!("42[\"ping\",{{\"x\":\"{}\"}}]", "x".repeat(60_000));
    let small = "42[\"ping\"]".to_owned();
    for (packets, fits) in [(vec![large.clone(); 8], true), (vec![large; 9], false), (vec![small; 65], false)] {
        let sid = open_by_polling(&on).await;
        poll(&on, "POST", Some(&sid), &format!("40{}", json!({ "token": on.token }))).await;
        assert!(heard_by_polling(&on, &sid).await.starts_with("40{"));
        // The client takes nothing: when so many answers wait for it, nothing of it is handled.
        for _ in 0..8 {
            assert_eq!(poll(&on, "POST", Some(&sid), &[r#"42["ping"]"#; 8].join("\u{1e}")).await.text, "ok");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        for packet in &packets {
            poll(&on, "POST", Some(&sid), packet).await;
        }
        let (mut heard, mut polls) = (String::new(), 0);
        while polls < 20 && !heard.contains("too many bytes") && heard.matches("invalid-frame").count() < packets.len()
        {
            heard.push_str(&heard_by_polling(&on, &sid).await);
            polls += 1;
        }
        assert_eq!(!heard.contains("too many bytes"), fits, "{}", heard.len());
    }
}
