//! Writes over the wire: field operations, batches, writes by filter, idempotency keys.

use http::Method;
use serde_json::{Value, json};
use universal_tests::{
    client::{Answer, Client},
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn writes_on_sqlite() {
    tour(&Server::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_on_postgres() {
    tour(&Server::postgres().await).await;
}

async fn tour(server: &Server) {
    let client = server.client().someone().await;
    operations(&client).await;
    batches(&client).await;
    failing_batches(&client).await;
    by_filter(&client).await;
    idempotency(server, &client).await;
    idempotent_batches(&client).await;
}

async fn operations(client: &Client) {
    client.put("/db/posts/a", json!({ "likes": 1, "tags": ["x"] })).await.expect(201);
    let patch = json!({
        "likes": { "$inc": 2 },
        "tags": { "$add_unique": "y" },
        "log": { "$append": { "by": "me" } },
        "first": { "$set_if_absent": 1 },
        "seen": { "$now": true },
    });
    let shown = client.patch("/db/posts/a", patch.clone()).await.expect(200).json();
    assert_eq!((&shown["likes"], &shown["tags"], &shown["first"]), (&json!(3), &json!(["x", "y"]), &json!(1)));
    assert_eq!((&shown["log"], &shown["seen"]), (&json!([{ "by": "me" }]), &shown["_meta"]["updated_at"]));
    let again = client.patch("/db/posts/a", patch).await.expect(200).json();
    assert_eq!((&again["likes"], &again["tags"]), (&json!(5), &json!(["x", "y"])));
    assert_eq!(again["log"].as_array().map(Vec::len), Some(2));
    let left = client.patch("/db/posts/a", json!({ "tags": { "$remove": "x" } })).await.expect(200).json();
    assert_eq!(left["tags"], json!(["y"]));
}

async fn batches(client: &Client) {
    let stock = client.put("/db/stock/emma", json!({ "left": 3 })).await.expect(201).json();
    let answer = client
        .post(
            "/db",
            json!({ "operations": [
                { "op": "check", "collection": "orders", "id": "1", "if_none_match": "*" },
                { "op": "patch", "collection": "stock", "id": "emma", "patch": { "left": { "$inc": -1 } },
                  "if_match": stock["_meta"]["revision"] },
                { "op": "create", "collection": "orders", "id": "1", "body": { "book": "emma" } },
                { "op": "replace", "collection": "orders", "id": "2", "body": { "book": "emma" } },
                { "op": "get", "collection": "stock", "id": "emma" },
                { "op": "delete", "collection": "orders", "id": "2" },
                { "op": "check", "collection": "orders", "id": "1", "if_match": "*" },
            ] }),
        )
        .await
        .expect(200)
        .json();
    let results = answer["results"].as_array().expect("results");
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap_or_default()).collect();
    assert_eq!(statuses, [204, 200, 201, 201, 200, 204, 204]);
    assert_eq!(results[4]["document"]["left"], 2);
    assert_eq!(results[4]["document"], client.read("/db/stock/emma").await.expect(200).json());
    assert_eq!(results[1]["revision"], results[4]["document"]["_meta"]["revision"]);
    assert_eq!(results[6]["revision"], results[2]["revision"]);
    assert_eq!(results[2]["document"], client.read("/db/orders/1").await.expect(200).json());
    client.read("/db/orders/2").await.expect(404);
}

async fn failing_batches(client: &Client) {
    let before = client.read("/db/stock/emma").await.expect(200).json();
    let answer = client
        .post(
            "/db",
            json!({ "operations": [
                { "op": "patch", "collection": "stock", "id": "emma", "patch": { "left": { "$inc": -1 } } },
                { "op": "create", "collection": "orders", "id": "3", "body": {} },
                { "op": "patch", "collection": "stock", "id": "emma", "patch": { "a": { "left": { "$inc": "x" } } } },
                { "op": "get", "collection": "stock", "id": "emma" },
            ] }),
        )
        .await
        .expect(400);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["code"], "operation-does-not-fit");
    assert_eq!(problem["errors"][0]["pointer"], "/operations/2/patch/a/left");
    let not_done = json!({ "status": 424, "code": "not-done" });
    let failed = json!({ "status": 400, "code": "operation-does-not-fit" });
    assert_eq!(problem["results"], json!([not_done, not_done, failed, not_done]));
    assert_eq!(client.read("/db/stock/emma").await.expect(200).json(), before);
    client.read("/db/orders/3").await.expect(404);
    let stale = json!({ "operations": [
        { "op": "delete", "collection": "stock", "id": "emma", "if_match": ["old-1", "old-2"] } ] });
    let problem = client.post("/db", stale).await.expect(412).json();
    assert_eq!(
        (&problem["code"], &problem["errors"][0]["pointer"]),
        (&json!("stale-revision"), &json!("/operations/0"))
    );
}

async fn by_filter(client: &Client) {
    for n in 0..7 {
        client.put(&format!("/db/tasks/{n}"), json!({ "n": n, "done": n < 5 })).await.expect(201);
    }
    let patch = json!({ "done": null, "closed": { "$now": true } });
    let done = "filter=done%20%3D%3D%20true";
    let first = client.patch(&format!("/db/tasks?{done}&limit=3"), patch.clone()).await.expect(200).json();
    assert_eq!((&first["matched"], &first["changed"], &first["more"]), (&json!(3), &json!(3), &json!(true)));
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let rest = client.patch(&format!("/db/tasks?{done}&limit=3&cursor={cursor}"), patch).await.expect(200).json();
    assert_eq!(rest, json!({ "matched": 2, "changed": 2, "more": false, "next_cursor": null }));
    let gone = client.delete("/db/tasks?filter=has(doc.closed)").await.expect(200).json();
    assert_eq!(gone, json!({ "matched": 5, "changed": 5, "more": false, "next_cursor": null }));
    let left = client.read("/db/tasks").await.expect(200).json();
    let ids: Vec<_> = left["items"].as_array().expect("items").iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids, ["5", "6"]);
}

async fn keyed(client: &Client, method: Method, path: &str, key: &str, body: Value) -> Answer {
    client.send(client.request(method, path).header("idempotency-key", key).json(&body)).await
}

/// What a repeated answer must have in common with the first.
fn told(answer: &Answer) -> (u16, Vec<String>, String) {
    let headers = ["content-type", "etag", "location"].map(|name| answer.header(name).to_owned());
    (answer.status, headers.to_vec(), answer.text())
}

async fn idempotency(server: &Server, client: &Client) {
    let key = || uuid::Uuid::new_v4().to_string();
    let body = json!({ "n": 1 });
    let create = key();
    let first = keyed(client, Method::POST, "/db/paid", &create, body.clone()).await.expect(201);
    assert_eq!(first.header("idempotency-replayed"), "");
    let path = format!("/db/paid/{}", first.json()["id"].as_str().expect("an id"));
    client.patch(&path, json!({ "n": 2 })).await.expect(200);
    let again = keyed(client, Method::POST, "/db/paid", &create, body.clone()).await.expect(201);
    assert_eq!((told(&again), again.header("idempotency-replayed")), (told(&first), "true"));

    let other = keyed(client, Method::POST, "/db/paid", &create, json!({ "n": 3 })).await.expect(422);
    assert_eq!(
        (other.code().as_str(), other.header("content-type")),
        ("idempotency-key-reused", "application/problem+json")
    );
    assert_eq!(
        keyed(client, Method::PUT, &path, &create, body.clone()).await.expect(422).code(),
        "idempotency-key-reused"
    );

    for (method, status) in [(Method::PUT, 200), (Method::PATCH, 200), (Method::DELETE, 204)] {
        let key = key();
        let first = keyed(client, method.clone(), &path, &key, json!({ "n": 5 })).await.expect(status);
        let again = keyed(client, method, &path, &key, json!({ "n": 5 })).await.expect(status);
        assert_eq!((told(&again), again.header("idempotency-replayed")), (told(&first), "true"));
    }

    // A refusal is not kept: the same call may succeed later.
    let late = key();
    keyed(client, Method::PATCH, "/db/paid/late", &late, json!({ "n": { "$inc": 1 } })).await.expect(404);
    client.put("/db/paid/late", json!({ "n": 1 })).await.expect(201);
    keyed(client, Method::PATCH, "/db/paid/late", &late, json!({ "n": { "$inc": 1 } })).await.expect(200);
    let again = keyed(client, Method::PATCH, "/db/paid/late", &late, json!({ "n": { "$inc": 1 } })).await.expect(200);
    assert_eq!((again.json()["n"].clone(), again.header("idempotency-replayed")), (json!(2), "true"));

    // A condition is part of the call.
    let request = client.request(Method::PATCH, "/db/paid/late").header("if-match", "*");
    let request = request.header("idempotency-key", &late).json(&json!({ "n": { "$inc": 1 } }));
    assert_eq!(client.send(request).await.expect(422).code(), "idempotency-key-reused");

    // Somebody else's key is another key, and nobody has none.
    let stranger = server.client().someone().await;
    let own = keyed(&stranger, Method::POST, "/db/paid", &create, body.clone()).await.expect(201);
    assert_ne!(own.json()["id"], first.json()["id"]);
    assert_eq!(own.header("idempotency-replayed"), "");
    keyed(&server.client(), Method::POST, "/db/paid", &create, body).await.expect(401);
}

async fn idempotent_batches(client: &Client) {
    let batch = json!({ "operations": [
        { "op": "create", "collection": "paid", "body": { "n": 10 } },
        { "op": "patch", "collection": "paid", "id": "late", "patch": { "n": { "$inc": 1 } } },
        { "op": "get", "collection": "paid", "id": "late" },
    ] });
    let first = keyed(client, Method::POST, "/db", "a-batch", batch.clone()).await.expect(200);
    let again = keyed(client, Method::POST, "/db", "a-batch", batch).await.expect(200);
    assert_eq!((told(&again), again.header("idempotency-replayed")), (told(&first), "true"));
    let path = "/db/paid?filter=n%20%3E%200";
    let change = json!({ "n": { "$inc": 1 } });
    let first = keyed(client, Method::PATCH, path, "by-filter", change.clone()).await.expect(200);
    let again = keyed(client, Method::PATCH, path, "by-filter", change.clone()).await.expect(200);
    assert_eq!((told(&again), again.header("idempotency-replayed")), (told(&first), "true"));
    keyed(client, Method::PATCH, &format!("{path}&limit=1"), "by-filter", change).await.expect(422);
    let late = client.read("/db/paid/late").await.expect(200).json();
    assert_eq!(late["n"], 4);
}
