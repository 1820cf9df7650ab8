//! Channels over WebSockets, and their rules over `/admin/channels`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use universal_tests::{client::Client, postgres::MASTER_KEY, server::Server, subscriber::Socket, wait};

#[tokio::test(flavor = "multi_thread")]
async fn channels_on_sqlite() {
    channels(&Server::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_on_postgres() {
    channels(&Server::postgres().await).await;
}

async fn channels(server: &Server) {
    let (admin, ann, ben) = (server.admin().await, server.client().someone().await, server.client().someone().await);
    rules(&admin, &ann).await;
    conversation(&ann, &ben).await;
    refusals(&ann).await;
    an_end(&admin, &ann).await;
}

async fn configure(admin: &Client, pattern: &str, rules: Value) -> Value {
    admin.put(&format!("/admin/channels/{pattern}"), json!({ "rules": rules })).await.expect(200).json()
}

async fn rules(admin: &Client, user: &Client) {
    let open = json!({ "join": "has(caller.id)", "send": "has(caller.id)", "presence": "has(caller.id)" });
    let stored = configure(admin, "room:*", open.clone()).await;
    assert_eq!((&stored["pattern"], &stored["settings"]["rules"]), (&json!("room:*"), &open));
    assert_eq!(admin.read("/admin/channels").await.expect(200).json()["items"], json!([stored]));
    let read = admin.read("/admin/channels/room:*").await.expect(200);
    assert_eq!(read.json(), stored);
    let tag = read.header("etag").to_owned();
    assert_eq!(tag, format!("\"{}\"", stored["version"]));

    let put = |tag: &str| {
        let request = admin.request(Method::PUT, "/admin/channels/room:*").header("if-match", tag);
        request.json(&json!({ "rules": open }))
    };
    let second = admin.send(put(&tag)).await.expect(200).json();
    assert_ne!(second["version"], stored["version"]);
    assert_eq!(admin.send(put(&tag)).await.expect(412).code(), "stale-settings");

    user.read("/admin/channels").await.expect(403);
    user.put("/admin/channels/room:*", json!({})).await.expect(403);
    user.delete("/admin/channels/room:*").await.expect(403);
    for (pattern, settings, code, pointer) in [
        ("a b", json!({}), "invalid-channel-pattern", None),
        ("*a", json!({}), "invalid-channel-pattern", None),
        ("x:*", json!({ "rules": { "join": "doc.a == 1" } }), "invalid-rule", Some("/rules/join")),
        ("x:*", json!({ "rules": { "speak": "true" } }), "invalid-body", Some("/rules/speak")),
    ] {
        let problem = admin.put(&format!("/admin/channels/{pattern}"), settings).await.expect(400).json();
        assert_eq!(problem["code"], code, "{problem}");
        if let Some(pointer) = pointer {
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        }
    }
    assert_eq!(admin.read("/admin/channels/x:*").await.expect(404).code(), "channel-rules-not-found");
    assert_eq!(admin.delete("/admin/channels/x:*").await.expect(404).code(), "channel-rules-not-found");
    // A slash of the pattern is written as the path wants it.
    configure(admin, "a%2Fb%2F*", json!({ "join": "true" })).await;
    admin.delete("/admin/channels/a%2Fb%2F*").await.expect(204);
}

async fn conversation(ann: &Client, ben: &Client) {
    let (mut hers, mut his) = (Socket::signed_in(ann).await, Socket::signed_in(ben).await);
    hers.send(json!({ "type": "join", "ref": "1", "channel": "room:1", "presence": { "name": "Ann" } })).await;
    let joined = hers.next().await.expect("an answer");
    assert_eq!(
        (&joined["type"], &joined["ref"], &joined["channel"]),
        (&json!("joined"), &json!("1"), &json!("room:1"))
    );
    assert_eq!(joined["members"].as_array().map(Vec::len), Some(1));
    let member = &joined["members"][0];
    assert_eq!((&member["key"], &member["state"]), (&joined["key"], &json!({ "name": "Ann" })));
    assert!(member["since"].is_string() && member["user"].is_string(), "{member}");

    his.send(json!({ "type": "join", "ref": "r", "channel": "room:1", "presence": { "name": "Ben" }, "echo": true }))
        .await;
    let joined = his.next().await.expect("an answer");
    assert_eq!(joined["members"].as_array().map(Vec::len), Some(2), "{joined}");
    let change = hers.next().await.expect("he came");
    assert_eq!((&change["type"], &change["joined"][0]["state"]["name"]), (&json!("presence"), &json!("Ben")));
    let key = change["joined"][0]["key"].clone();
    assert_eq!(key, joined["key"]);

    his.send(
        json!({ "type": "broadcast", "ref": "r", "event": "typing", "payload": { "on": true, "x": [1.0, null] } }),
    )
    .await;
    for socket in [&mut hers, &mut his] {
        let message = socket.next().await.expect("he says something");
        assert_eq!((&message["type"], &message["event"]), (&json!("message"), &json!("typing")), "{message}");
        assert_eq!((&message["payload"], &message["key"]), (&json!({ "on": true, "x": [1, null] }), &key));
        assert_eq!(message["from"], joined["members"][1]["user"]);
    }
    hers.send(json!({ "type": "broadcast", "ref": "1", "event": "mine" })).await;
    let message = his.next().await.expect("she says something");
    assert_eq!((&message["event"], &message["payload"]), (&json!("mine"), &Value::Null), "{message}");

    his.send(json!({ "type": "presence", "ref": "r", "state": { "name": "Ben", "busy": true } })).await;
    let change = hers.next().await.expect("he changed");
    assert_eq!(
        (&change["updated"][0]["state"]["busy"], &change["updated"][0]["key"]),
        (&json!(true), &key),
        "{change}"
    );
    his.send(json!({ "type": "leave", "ref": "r" })).await;
    let change = hers.next().await.expect("he left");
    assert_eq!((&change["left"][0]["key"], &change["joined"]), (&key, &Value::Null), "{change}");
    // His own change and hers, then nothing: he has left.
    his.send(json!({ "type": "broadcast", "ref": "r", "event": "e", "payload": 1 })).await;
    assert_eq!(his.next_of("error").await["code"], "unknown-ref");

    // A socket that goes takes its members along.
    his.send(json!({ "type": "join", "ref": "r", "channel": "room:1", "presence": 1 })).await;
    his.next_of("joined").await;
    assert_eq!(hers.next().await.expect("he came again")["joined"][0]["state"], 1);
    drop(his);
    assert_eq!(hers.next().await.expect("he went")["left"][0]["state"], 1);
}

async fn refusals(user: &Client) {
    let mut socket = Socket::signed_in(user).await;
    let long = "x".repeat(5_000);
    for (frame, code) in [
        (json!({ "type": "join", "ref": "1", "channel": "hall" }), "channel-forbidden"),
        (json!({ "type": "join", "ref": "1", "channel": "a b" }), "invalid-channel"),
        (json!({ "type": "join", "ref": "1", "channel": "room:1", "presence": long }), "presence-too-large"),
        (json!({ "type": "join", "ref": "", "channel": "room:1" }), "invalid-frame"),
        (json!({ "type": "join", "ref": "1", "channel": "room:1", "extra": 1 }), "invalid-frame"),
        (json!({ "type": "leave", "ref": "1" }), "unknown-ref"),
        (json!({ "type": "presence", "ref": "1", "state": 1 }), "unknown-ref"),
        (json!({ "type": "broadcast", "ref": "1", "event": "e", "payload": 1 }), "unknown-ref"),
    ] {
        socket.send(frame.clone()).await;
        let answer = socket.next().await.expect("an answer");
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(code)), "{frame}: {answer}");
    }
    socket.send(json!({ "type": "join", "ref": "1", "channel": "room:1" })).await;
    socket.next_of("joined").await;
    for frame in [
        json!({ "type": "join", "ref": "1", "channel": "room:2" }),
        json!({ "type": "subscribe", "ref": "1", "collection": "todos" }),
    ] {
        socket.send(frame).await;
        assert_eq!(socket.next_of("error").await["code"], "ref-in-use");
    }
    for (frame, code) in [
        (json!({ "type": "broadcast", "ref": "1", "event": "", "payload": 1 }), "invalid-event"),
        (json!({ "type": "broadcast", "ref": "1", "event": "e", "payload": u64::MAX }), "integer-out-of-range"),
        (json!({ "type": "presence", "ref": "1", "state": long }), "presence-too-large"),
    ] {
        socket.send(frame.clone()).await;
        let answer = socket.next().await.expect("an answer");
        assert_eq!((&answer["code"], &answer["ref"]), (&json!(code), &json!("1")), "{frame}: {answer}");
    }
    socket.send(json!({ "type": "unsubscribe", "ref": "1" })).await;
    socket.send(json!({ "type": "leave", "ref": "1" })).await;
    assert_eq!(socket.next_of("error").await["code"], "unknown-ref");

    // A user's own channel is open to the user, and to nobody without a name.
    let id = user.read("/auth/me").await.expect(200).json()["id"].as_str().expect("an id").to_owned();
    let own = json!({ "type": "join", "ref": "own", "channel": format!("user:{id}") });
    socket.send(own.clone()).await;
    assert_eq!(socket.next_of("joined").await["members"], json!([]));
    let mut nobody = Socket::open(user.base()).await.expect("a WebSocket");
    nobody.send(own).await;
    assert_eq!(nobody.next_of("error").await["code"], "sign-in-required");
}

async fn an_end(admin: &Client, user: &Client) {
    configure(admin, "club:*", json!({ "join": "true", "send": "true" })).await;
    let mut socket = Socket::signed_in(user).await;
    let mut guest = Socket::open(user.base()).await.expect("a WebSocket");
    for socket in [&mut socket, &mut guest] {
        socket.send(json!({ "type": "join", "ref": "c", "channel": "club:1" })).await;
        socket.next_of("joined").await;
    }
    configure(admin, "club:*", json!({ "join": "has(caller.id)", "send": "true" })).await;
    let end = guest.next_of("error").await;
    assert_eq!((&end["ref"], &end["code"]), (&json!("c"), &json!("sign-in-required")));
    admin.delete("/admin/channels/club:*").await.expect(204);
    let end = socket.next_of("error").await;
    assert_eq!((&end["ref"], &end["code"]), (&json!("c"), &json!("channel-forbidden")));
    // The socket goes on.
    socket.send(json!({ "type": "join", "ref": "c", "channel": "room:1" })).await;
    socket.next_of("joined").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_database_share_their_channels() {
    let one = Server::postgres().await;
    let database = one.database().expect("a database").url();
    let two = Server::prepare("server", None).with("DATABASE_URL", database).with("UNIVERSAL_MASTER_KEY", MASTER_KEY);
    let two = two.started().await;
    let open = json!({ "join": "true", "send": "true", "presence": "true" });
    configure(&one.admin().await, "room:*", open).await;

    wait::until("the rules to be known there", Duration::from_secs(20), || may_join(&two)).await;
    let mut here = Socket::signed_in(&one.client().someone().await).await;
    let mut there = Socket::signed_in(&two.client().someone().await).await;
    there.send(json!({ "type": "join", "ref": "t", "channel": "room:1", "presence": "there" })).await;
    there.next_of("joined").await;
    here.send(json!({ "type": "join", "ref": "h", "channel": "room:1", "presence": "here" })).await;
    let joined = here.next_of("joined").await;
    // Each gets to know of the other, and hears what the other says.
    assert_eq!(there.next_of("presence").await["joined"][0]["state"], "here");
    // The other node may have said so before this one was told who is there.
    let known = |members: &Value| members.as_array().is_some_and(|all| all.iter().any(|one| one["state"] == "there"));
    if !known(&joined["members"]) {
        let came = here.next_of("presence").await;
        assert!(known(&came["joined"]), "{came}");
    }
    for n in 0..20 {
        here.send(json!({ "type": "broadcast", "ref": "h", "event": "n", "payload": n })).await;
    }
    for n in 0..20 {
        assert_eq!(there.next_of("message").await["payload"], n);
    }
    // Longer than one notice of PostgreSQL's can be.
    let long = "x".repeat(60_000);
    there.send(json!({ "type": "broadcast", "ref": "t", "event": "long", "payload": long })).await;
    assert_eq!(here.next_of("message").await["payload"], long);
    // A server that stops says that its members are gone; one that is killed is found to be silent.
    assert!(two.stop().await.success());
    assert_eq!(here.next_of("presence").await["left"][0]["state"], "there");
}

/// Whether somebody may join there: the rules of another node may be a second old.
async fn may_join(server: &Server) -> bool {
    let mut socket = Socket::open(&server.url()).await.expect("a WebSocket");
    socket.send(json!({ "type": "join", "ref": "t", "channel": "room:0" })).await;
    socket.next().await.expect("an answer")["type"] == "joined"
}
