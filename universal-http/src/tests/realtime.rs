//! `/realtime/sse`

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

use super::fixture::Fixture;
use crate::{body::ResponseBody, limits::Limits};

/// An open stream.
struct Events {
    body: ResponseBody,
    rest: String,
}

impl Events {
    /// The name, the id and the data of the next event, or nothing at the end.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").to_owned();
                let found = (field("event: "), field("id: "), serde_json::from_str(&field("data: ")).unwrap());
                self.rest = rest.to_owned();
                return Some(found);
            }
            let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame()).await.expect("an event")?;
            self.rest.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
    }
}

async fn listen(on: &Fixture, query: &str, last: Option<&str>) -> Events {
    let mut request = on.request("GET", &format!("/realtime/sse?{query}"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = on.open(request.body(Full::<Bytes>::default()).unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Events { body: response.into_body(), rest: String::new() }
}

#[tokio::test]
async fn changes_come_and_can_be_resumed() {
    let on = Fixture::with(Limits::default().with_heartbeat(Duration::from_millis(200))).await;
    let mut events = listen(&on, "collection=todos&filter=n+%3E+0", None).await;
    let (name, _, data) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &data["recovered"]), ("subscribed", &Value::Bool(true)));
    on.json("PUT", "/db/todos/a", r#"{"n":1}"#).await;
    on.json("PUT", "/db/other/a", r#"{"n":1}"#).await;
    on.json("PUT", "/db/todos/a", r#"{"n":2}"#).await;
    on.json("PUT", "/db/todos/a", r#"{"n":0}"#).await;
    let mut ids = Vec::new();
    for (op, n) in [("create", Some(1)), ("update", Some(2)), ("leave", None)] {
        let (_, id, data) = loop {
            let event = events.next().await.unwrap();
            if event.0 != "heartbeat" {
                break event;
            }
        };
        assert_eq!((data["op"].as_str().unwrap(), data["document"]["n"].as_i64()), (op, n), "{data}");
        assert_eq!((data["id"].as_str().unwrap(), data["collection"].as_str().unwrap()), ("a", "todos"));
        assert_eq!(data["cursor"], id);
        ids.push(id);
    }
    let (name, id, _) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &id), ("heartbeat", &ids[2]));

    let mut again = listen(&on, "collection=todos&since=zzz.999", Some(&ids[0])).await;
    assert_eq!(again.next().await.unwrap().0, "subscribed");
    let (_, id, data) = again.next().await.unwrap();
    assert_eq!((&id, &data["op"]), (&ids[1], &Value::from("update")));
    let mut foreign = listen(&on, "collection=todos&since=zzz.999", None).await;
    assert_eq!(foreign.next().await.unwrap().2["recovered"], false);
    let (name, _, data) = foreign.next().await.unwrap();
    assert_eq!((name.as_str(), &data["reason"]), ("resync", &Value::from("other-history")));

    on.api.close();
    let (name, _, data) = loop {
        let event = events.next().await.unwrap();
        if event.0 != "heartbeat" {
            break event;
        }
    };
    assert_eq!((name.as_str(), &data["code"]), ("closed", &Value::from("stopping")));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn changes_of_before_anybody_listened_are_replayed() {
    let on = Fixture::new().await;
    on.json("PUT", "/db/todos/a", r#"{"n":1}"#).await;
    let listed = on.get("/db/todos").await;
    let since = listed.header("feed-cursor");
    on.json("PUT", "/db/todos/a", r#"{"n":2}"#).await;
    // No memory reaches back to there: they are read from the feed.
    let mut events = listen(&on, &format!("collection=todos&since={since}"), None).await;
    assert_eq!(events.next().await.unwrap().2["recovered"], true);
    let (name, _, data) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &data["document"]["n"]), ("change", &Value::from(2)));
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up_and_its_place_is_free() {
    let limits = Limits::default().with_connections_per_user(1).with_reading(Duration::from_millis(100));
    let on = Fixture::with(limits).await;
    let mut slow = listen(&on, "collection=todos", None).await;
    for n in 0..4 {
        on.json("PUT", "/db/todos/a", &format!("{{\"n\":{n}}}")).await;
    }
    // Nobody looks at the stream meanwhile.
    let again = async {
        let request = || on.request("GET", "/realtime/sse?collection=todos").body(Full::<Bytes>::default()).unwrap();
        while on.open(request()).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("its place becomes free");
    // What waited is kept no longer, and the stream breaks off, so that a client comes back.
    assert!(slow.body.frame().await.expect("not an end").is_err());
    assert!(slow.body.frame().await.is_none());
}

#[tokio::test]
async fn a_session_s_end_ends_the_stream() {
    let on = Fixture::with(Limits::default().with_token_check(Duration::from_millis(100))).await;
    let mut events = listen(&on, "collection=todos", None).await;
    assert_eq!(events.next().await.unwrap().0, "subscribed");
    on.backend.auth().logout(&on.session, None).await.unwrap();
    let (name, _, data) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &data["code"]), ("closed", &Value::from("session-ended")));
}

#[tokio::test]
async fn a_ticket_stands_for_a_token() {
    let on = Fixture::new().await;
    let made = on.json("POST", "/realtime/ticket", "").await;
    assert_eq!(made.status, 201, "{}", made.text);
    let ticket = made.json()["ticket"].as_str().unwrap().to_owned();
    let open = |query: String| {
        let request = http::Request::get(format!("/realtime/sse?{query}")).body(Full::<Bytes>::default()).unwrap();
        on.open(request)
    };
    for _ in 0..2 {
        assert_eq!(open(format!("collection=todos&ticket={ticket}")).await.status(), 200);
    }
    assert_eq!(open(format!("collection=other&ticket={ticket}")).await.status(), 401);
    assert_eq!(open("collection=todos&ticket=abc".into()).await.status(), 401);
    assert_eq!(open("collection=todos".into()).await.status(), 401);
    let nobody = http::Request::post("/realtime/ticket").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(on.send(nobody).await.problem(), (401, "unauthenticated".into()));
}

#[tokio::test]
async fn bad_subscriptions_are_told() {
    let on = Fixture::new().await;
    for (query, code) in [
        ("", "missing-parameter"),
        ("collection=BAD", "invalid-collection"),
        ("collection=todos&id=_x", "invalid-id"),
        ("collection=todos&since=x", "invalid-cursor"),
        ("collection=todos&x=1", "unknown-parameter"),
    ] {
        assert_eq!(on.get(&format!("/realtime/sse?{query}")).await.problem(), (400, code.into()), "{query}");
    }
    #[cfg(feature = "websocket")]
    assert_eq!(on.get("/realtime").await.problem(), (426, "upgrade-required".into()));
}
