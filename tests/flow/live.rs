//! A document, seen live by its owner over both transports, and by nobody else; on both databases.

use serde_json::json;
use universal_tests::{
    server::Server,
    sse::Sse,
    subscriber::{Received, Socket, Subscriber},
};

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    live(Server::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    live(Server::postgres().await).await;
}

async fn live(server: Server) {
    let client = server.client();
    let (ada, eve) = (client.someone().await, client.someone().await);
    let mut events = Sse::open(&ada, "/realtime/sse?collection=todos", None).await;
    let hello = events.next_of_interest().await.expect("a first event");
    assert_eq!((hello.event.as_str(), &hello.json()["recovered"]), ("subscribed", &json!(true)));
    let socket = Subscriber::follow(&ada, "todos", Some("done == false")).await;
    let stranger = Subscriber::follow(&eve, "todos", None).await;

    let todo = ada.create("todos", json!({ "title": "tea", "done": false })).await;
    let id = todo["id"].as_str().expect("an id");
    let path = format!("/db/todos/{id}");
    ada.patch(&path, json!({ "title": "green tea" })).await.expect(200);
    let done = ada.patch(&path, json!({ "done": true })).await.expect(200).json();
    ada.delete(&path).await.expect(204);

    let mut seen = Vec::new();
    for op in ["create", "update", "update", "delete"] {
        let event = events.next_of_interest().await.expect("a change");
        let data = event.json();
        assert_eq!((event.event.as_str(), &data["op"], &data["id"]), ("change", &json!(op), &json!(id)));
        assert_eq!(data["cursor"], event.id.as_str());
        seen.push(data);
    }
    assert_eq!(seen[0]["document"], todo);
    assert_eq!(seen[2]["document"], done);
    assert!(seen[3].get("document").is_none(), "a deletion shows no document");

    // With the filter, the todo leaves when it is done; its deletion is nothing to this subscriber.
    socket.until("the todo to leave", std::time::Duration::from_secs(20), |changes| changes.len() >= 3).await;
    let ops: Vec<String> = socket.changes().into_iter().map(|change: Received| change.op).collect();
    assert_eq!(ops, ["create", "update", "leave"]);

    // What Eve writes herself comes to her, and nothing of Ada's came before it.
    eve.create("todos", json!({ "title": "hers" })).await;
    stranger.until("her own change", std::time::Duration::from_secs(20), |changes| !changes.is_empty()).await;
    assert_eq!(stranger.changes()[0].document["title"], "hers");

    // Resumed from the middle, over the other transport.
    let since = seen[0]["cursor"].as_str().expect("a cursor");
    let mut resumed = Sse::open(&ada, "/realtime/sse?collection=todos", Some(since)).await;
    let hello = resumed.next_of_interest().await.expect("a first event").json();
    assert_eq!(hello["recovered"], true);
    let mut ops = Vec::new();
    while ops.last() != Some(&json!("delete")) {
        let next = resumed.next_of_interest().await.expect("a change").json();
        assert_eq!(next["id"], id);
        ops.push(next["op"].clone());
    }
    assert_eq!(ops, [json!("update"), json!("update"), json!("delete")]);

    // A cursor of another history is answered plainly.
    let mut socket = Socket::signed_in(&ada).await;
    socket.send(json!({ "type": "subscribe", "ref": "r", "collection": "todos", "since": "otherhistory.3" })).await;
    assert_eq!(socket.next_of("resync").await["reason"], "other-history");

    // A socket of nobody sees nothing; one whose user changes is closed.
    let mut socket = Socket::open(client.base()).await.expect("a socket");
    socket.send(json!({ "type": "subscribe", "ref": "1", "collection": "todos" })).await;
    assert_eq!(socket.next_of("error").await["code"], "sign-in-required");
    socket.send(json!({ "type": "auth", "token": ada.token() })).await;
    socket.send(json!({ "type": "auth", "token": eve.token() })).await;
    assert_eq!(socket.closed().await, Some(4401));
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_none_are_answered_and_nothing_breaks() {
    let server = Server::sqlite().await;
    let ada = server.client().someone().await;
    for bad in [
        "",
        "{",
        "[]",
        "null",
        "{\"type\":\"x\"}",
        "{\"type\":\"subscribe\"}",
        "{\"type\":\"subscribe\",\"ref\":1,\"collection\":\"a\"}",
        "{\"type\":\"subscribe\",\"ref\":\"1\",\"collection\":\"BAD\"}",
        "{\"type\":\"subscribe\",\"ref\":\"1\",\"collection\":\"a\",\"filter\":\"a ==\"}",
        "{\"type\":\"subscribe\",\"ref\":\"1\",\"collection\":\"a\",\"since\":\"x\"}",
        "{\"type\":\"ping\",\"extra\":1}",
    ] {
        let mut socket = Socket::signed_in(&ada).await;
        socket.send_text(bad).await;
        let error = socket.next_of("error").await;
        let code = error["code"].as_str().unwrap_or_default();
        assert!(!code.is_empty() && code != "internal", "{bad}: {error}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{bad}: {error}");
    }
    // Larger than a frame may be: the socket is closed, the server lives.
    let mut socket = Socket::signed_in(&ada).await;
    socket.send_text(&format!("{{\"type\":\"ping\",\"x\":\"{}\"}}", "x".repeat(200_000))).await;
    assert!(matches!(socket.closed().await, Some(1009) | None));
    ada.read("/auth/me").await.expect(200);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
