//! A list that a client watches: its rows, and then what enters it, changes in it and leaves it, over both transports.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use universal_tests::{
    client::Client,
    server::Server,
    sse::{Event, Sse},
    subscriber::Socket,
    wait,
};

#[tokio::test(flavor = "multi_thread")]
async fn watching_on_sqlite() {
    watching(&Server::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_on_postgres() {
    watching(&Server::postgres().await).await;
}

async fn watching(server: &Server) {
    let ada = server.client().someone().await;
    let milk = ada.create("todos", json!({ "title": "milk", "done": false })).await;
    over_a_socket(&ada, &milk).await;
    over_an_event_stream(&ada).await;
    a_whole_tenant(server, &ada).await;
    too_many(&ada).await;
}

async fn over_a_socket(ada: &Client, milk: &Value) {
    let mut socket = Socket::signed_in(ada).await;
    let filter = "done == false";
    socket.send(json!({ "type": "watch", "ref": "w", "collection": "todos", "filter": filter })).await;
    let subscribed = socket.next_of("subscribed").await;
    assert_eq!((&subscribed["ref"], &subscribed["recovered"]), (&json!("w"), &json!(false)));
    let rows = socket.next_of("snapshot").await;
    assert_eq!(rows["documents"], json!([milk]));
    assert_eq!((&rows["ref"], &rows["first"], &rows["last"]), (&json!("w"), &json!(true), &json!(true)));
    assert_eq!(rows["basis"], subscribed["basis"]);

    let tea = ada.create("todos", json!({ "title": "tea", "done": true })).await;
    let path = |document: &Value| format!("/db/todos/{}", document["id"].as_str().expect("an id"));
    let entered = ada.patch(&path(&tea), json!({ "done": false })).await.expect(200).json();
    ada.patch(&path(milk), json!({ "done": true })).await.expect(200);
    let enter = socket.next_of("change").await;
    assert_eq!((&enter["op"], &enter["document"]), (&json!("enter"), &entered));
    let leave = socket.next_of("change").await;
    assert_eq!((&leave["op"], &leave["id"], leave.get("document")), (&json!("leave"), &milk["id"], None));

    // It is lost, things happen, and it goes on without its rows.
    drop(socket);
    ada.delete(&path(&tea)).await.expect(204);
    let mut again = Socket::signed_in(ada).await;
    let resume = json!({
        "type": "watch", "ref": "w", "collection": "todos", "filter": filter,
        "since": leave["cursor"], "basis": rows["basis"],
    });
    again.send(resume).await;
    assert_eq!(again.next_of("subscribed").await["recovered"], true);
    let gone = again.next().await.expect("a frame");
    assert_eq!((&gone["type"], &gone["op"], &gone["id"]), (&json!("change"), &json!("leave"), &tea["id"]));
}

async fn over_an_event_stream(ada: &Client) {
    ada.put("/db/lists/a", json!({ "n": 1 })).await.expect(201);
    let address = "/realtime/sse?collection=lists&watch=true";
    let mut events = Sse::open(ada, address, None).await;
    let mut list = BTreeMap::new();
    let mut last = String::new();
    for expected in ["subscribed", "snapshot"] {
        let event = events.next_of_interest().await.expect("an event");
        assert_eq!(event.event, expected);
        apply(&mut list, &mut last, &event);
    }
    ada.put("/db/lists/b", json!({ "n": 2 })).await.expect(201);
    let event = events.next_of_interest().await.expect("an event");
    apply(&mut list, &mut last, &event);
    assert_eq!(list, BTreeMap::from([("a".to_owned(), json!(1)), ("b".to_owned(), json!(2))]));

    // The browser comes back with the id of the last event: no rows, only what was missed.
    drop(events);
    ada.delete("/db/lists/a").await.expect(204);
    let mut events = Sse::open(ada, address, Some(&last)).await;
    let hello = events.next_of_interest().await.expect("an event");
    assert_eq!((hello.event.as_str(), &hello.json()["recovered"]), ("subscribed", &json!(true)));
    let event = events.next_of_interest().await.expect("an event");
    apply(&mut list, &mut last, &event);
    assert_eq!(list, BTreeMap::from([("b".to_owned(), json!(2))]));

    for (bad, code) in [("watch=yes", "invalid-parameter"), ("watch=true&id=_x", "invalid-id")] {
        let refused = ada.read(&format!("/realtime/sse?collection=lists&{bad}")).await.expect(400);
        assert_eq!(refused.code(), code);
    }
}

/// What a page does with an event.
fn apply(list: &mut BTreeMap<String, Value>, last: &mut String, event: &Event) {
    let data = event.json();
    if !event.id.is_empty() {
        last.clone_from(&event.id);
    }
    let id = |document: &Value| document["id"].as_str().expect("an id").to_owned();
    match (event.event.as_str(), data["op"].as_str()) {
        ("snapshot", _) => {
            if data["first"] == true {
                list.clear();
            }
            let rows = data["documents"].as_array().expect("rows");
            list.extend(rows.iter().map(|row| (id(row), row["n"].clone())));
        }
        ("change", Some("leave")) => drop(list.remove(&id(&data))),
        ("change", Some(_)) => drop(list.insert(id(&data["document"]), data["document"]["n"].clone())),
        _ => {}
    }
}

async fn a_whole_tenant(server: &Server, ada: &Client) {
    let mut refused = Socket::signed_in(ada).await;
    refused.send(json!({ "type": "subscribe", "ref": "all", "collection": "*" })).await;
    assert_eq!(refused.next_of("error").await["code"], "admin-required");

    let mut all = Socket::signed_in(&server.admin().await).await;
    all.send(json!({ "type": "subscribe", "ref": "all", "collection": "*" })).await;
    all.next_of("subscribed").await;
    ada.put("/db/one/x", json!({})).await.expect(201);
    ada.put("/db/two/y", json!({})).await.expect(201);
    for (collection, id) in [("one", "x"), ("two", "y")] {
        let change = all.next_of("change").await;
        assert_eq!((&change["collection"], &change["id"]), (&json!(collection), &json!(id)));
    }
    all.send(json!({ "type": "watch", "ref": "rows", "collection": "*" })).await;
    assert_eq!(all.next_of("error").await["code"], "missing-parameter");
}

async fn too_many(ada: &Client) {
    let user = ada.someone().await;
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut socket = Socket::signed_in(&user).await;
        socket.send(json!({ "type": "ping" })).await;
        socket.next_of("pong").await;
        open.push(socket);
    }
    let mut one_more = Socket::signed_in(&user).await;
    assert_eq!(one_more.next_of("error").await["code"], "too-many-connections");
    assert_eq!(one_more.closed().await, Some(4429));
    user.read("/realtime/sse?collection=lists").await.expect(429);
    open.pop();
    wait::until("a place to be free again", std::time::Duration::from_secs(20), || async {
        let mut socket = Socket::signed_in(&user).await;
        socket.send(json!({ "type": "ping" })).await;
        socket.next().await.is_some_and(|frame| frame["type"] == "pong")
    })
    .await;
}
