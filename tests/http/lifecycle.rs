//! References, dropped and renamed collections, and documents whose time is over, over the wire.

use std::time::Duration;

use serde_json::{Value, json};
use universal_tests::{client::Client, server::Server, wait};

#[tokio::test(flavor = "multi_thread")]
async fn collections_live_on_sqlite() {
    tour(&Server::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_live_on_postgres() {
    tour(&Server::postgres().await).await;
}

async fn tour(server: &Server) {
    let (admin, user) = (server.admin().await, server.client().someone().await);
    references(&admin, &user).await;
    renaming(&admin, &user).await;
    dropping(&admin, &user).await;
    settings(&admin).await;
    expiry(&admin, &user).await;
}

async fn configure(admin: &Client, name: &str, settings: Value) -> Value {
    admin.put(&format!("/admin/collections/{name}"), settings).await.expect(200).json()
}

async fn references(admin: &Client, user: &Client) {
    let settings = json!({ "references": {
        "by": { "collection": "people", "on_delete": "refuse" },
        "on": { "collection": "shelves", "on_delete": "cascade" },
    } });
    let shown = configure(admin, "books", settings.clone()).await;
    assert_eq!((&shown["state"], &shown["settings"]["references"]), (&json!("active"), &settings["references"]));
    user.put("/db/people/ada", json!({})).await.expect(201);
    user.put("/db/shelves/s", json!({})).await.expect(201);
    user.put("/db/books/a", json!({ "by": "ada", "on": ["s"] })).await.expect(201);

    for (body, code, pointer) in [
        (json!({ "by": "eve" }), "reference-not-found", "/by"),
        (json!({ "on": ["s", "t"] }), "reference-not-found", "/on/1"),
        (json!({ "by": 1 }), "invalid-reference", "/by"),
        (json!({ "on": [["s"]] }), "invalid-reference", "/on/0"),
    ] {
        for answer in [user.post("/db/books", body.clone()).await, user.patch("/db/books/a", body.clone()).await] {
            let problem = answer.expect(422).json();
            assert_eq!((&problem["code"], &problem["errors"][0]["pointer"]), (&json!(code), &json!(pointer)));
        }
    }
    // Who may delete is asked first, and whoever may not know of the document learns nothing.
    let other = user.someone().await;
    other.delete("/db/people/ada").await.expect(404);
    let refused = user.delete("/db/people/ada").await.expect(409);
    assert_eq!(refused.code(), "document-is-referenced");
    assert!(refused.text().contains("`books`") && !refused.text().contains("\"a\""), "{}", refused.text());
    user.delete("/db/shelves/s").await.expect(204);
    user.read("/db/books/a").await.expect(404);
    user.delete("/db/people/ada").await.expect(204);
}

async fn renaming(admin: &Client, user: &Client) {
    let made = user.create("drafts", json!({ "n": 1 })).await;
    let id = made["id"].as_str().expect("an id");
    let path = "/admin/collections/drafts/rename";
    user.post(path, json!({ "to": "notes" })).await.expect(403);
    Client::new(user.base()).post(path, json!({ "to": "notes" })).await.expect(401);
    for (body, status, code) in [
        (json!({}), 400, "invalid-body"),
        (json!({ "to": "notes", "force": true }), 400, "invalid-body"),
        (json!({ "to": "No Name" }), 400, "invalid-collection"),
        (json!({ "to": "books" }), 409, "collection-exists"),
        (json!({ "to": "drafts" }), 409, "collection-exists"),
    ] {
        assert_eq!(admin.post(path, body).await.expect(status).code(), code);
    }
    let nothing = admin.post("/admin/collections/nothing/rename", json!({ "to": "notes" })).await.expect(404);
    assert_eq!(nothing.code(), "collection-not-found");
    assert_eq!(admin.post(path, json!({ "to": "notes" })).await.expect(200).json(), json!({ "name": "notes" }));
    assert_eq!(user.read(&format!("/db/notes/{id}")).await.expect(200).json(), made);
    user.read(&format!("/db/drafts/{id}")).await.expect(404);
}

async fn dropping(admin: &Client, user: &Client) {
    user.put("/db/people/bob", json!({})).await.expect(201);
    user.put("/db/books/b", json!({ "by": "bob" })).await.expect(201);
    user.delete("/admin/collections/people").await.expect(403);
    let refused = admin.delete("/admin/collections/people").await.expect(409);
    assert_eq!(refused.code(), "collection-is-referenced");
    user.read("/db/people/bob").await.expect(200);
    admin.delete("/admin/collections/books").await.expect(204);
    admin.delete("/admin/collections/people").await.expect(204);
    user.read("/db/people/bob").await.expect(404);
    assert_eq!(admin.delete("/admin/collections/people").await.expect(404).code(), "collection-not-found");
    assert_eq!(admin.read("/admin/collections/books").await.expect(200).json()["version"], 0);
    // The name is free, without the references of before.
    user.put("/db/books/b", json!({ "by": "nobody" })).await.expect(201);
}

async fn settings(admin: &Client) {
    for (settings, pointer) in [
        (json!({ "time_to_live": { "field": "a..b" } }), "/time_to_live/field"),
        (json!({ "time_to_live": { "field": "id" } }), "/time_to_live/field"),
        (json!({ "time_to_live": { "field": "a", "seconds": -1 } }), "/time_to_live/seconds"),
        (json!({ "time_to_live": { "member": "a" } }), "/time_to_live/member"),
        (json!({ "references": { "by": { "collection": "No Name" } } }), "/references/by/collection"),
        (json!({ "references": { "by": { "collection": "a", "on_delete": "explode" } } }), "/references/by/on_delete"),
    ] {
        let problem = admin.put("/admin/collections/wrong", settings).await.expect(400).json();
        assert_eq!(problem["errors"][0]["pointer"], json!(pointer), "{problem}");
    }
}

async fn expiry(admin: &Client, user: &Client) {
    configure(admin, "codes", json!({ "time_to_live": { "field": "until" } })).await;
    user.put("/db/codes/old", json!({ "until": "2001-02-03T04:05:06Z" })).await.expect(201);
    user.put("/db/codes/new", json!({ "until": "2901-02-03T04:05:06Z" })).await.expect(201);
    let problem = user.post("/db/codes", json!({ "until": 5 })).await.expect(422).json();
    assert_eq!((&problem["code"], &problem["errors"][0]["pointer"]), (&json!("invalid-moment"), &json!("/until")));
    wait::until("the old code to go", Duration::from_secs(60), || async {
        user.read("/db/codes/old").await.status == 404
    })
    .await;
    user.read("/db/codes/new").await.expect(200);
}
