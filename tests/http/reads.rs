//! What lists, aggregates and distinct values look like on the wire, the same on both databases.

use serde_json::{Value, json};
use universal_tests::{client::Client, server::Server};

use super::case::escaped;

/// Without what differs between any two servers.
fn plain(mut answer: Value) -> Value {
    match &mut answer {
        Value::Object(members) => {
            members.remove("_meta");
            for (name, value) in members.iter_mut() {
                *value = if name.ends_with("_cursor") { json!(value.is_string()) } else { plain(value.take()) };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = plain(item.take())),
        _ => {}
    }
    answer
}

async fn stocked(server: &Server) -> Client {
    let (admin, user) = (server.admin().await, server.client().someone().await);
    let settings = json!({"references": {"author": {"collection": "people"}, "readers": {"collection": "people"}}});
    admin.put("/admin/collections/books", settings).await.expect(200);
    for (id, name) in [("jane", "Jane"), ("mary", "Mary")] {
        user.put(&format!("/db/people/{id}"), json!({"name": name})).await.expect(201);
    }
    for (id, title, author, price) in [
        ("emma", "Emma", json!("jane"), json!(12.5)),
        ("persuasion", "Persuasion", json!("jane"), json!(7)),
        ("lodore", "Lodore", json!("mary"), json!(0.1)),
        ("letters", "Letters", json!("nobody"), json!("gratis")),
    ] {
        let body = json!({"title": title, "author": author, "price": price, "readers": ["mary", "jane"], "size": {"pages": 9}});
        user.put(&format!("/db/books/{id}"), body).await.expect(201);
    }
    user
}

/// The questions and their answers.
fn cases() -> Vec<(String, Value)> {
    let jane = json!({"id": "jane", "name": "Jane"});
    vec![
        (
            "/db/books?fields=title,size.pages&sort=title&limit=1&count=exact".to_owned(),
            json!({
                "items": [{"id": "emma", "title": "Emma", "size": {"pages": 9}}],
                "next_cursor": true, "previous_cursor": false, "count": 4, "count_precision": "exact",
            }),
        ),
        (
            "/db/books?fields=id&count=capped:3&limit=1".to_owned(),
            json!({
                "items": [{"id": "emma"}],
                "next_cursor": true, "previous_cursor": false, "count": 3, "count_precision": "at-least",
            }),
        ),
        (
            format!("/db/books?fields=title&expand=author&filter={}", escaped("price >= 7")),
            json!({
                "items": [
                    {"id": "emma", "title": "Emma", "_expand": {"author": jane}},
                    {"id": "persuasion", "title": "Persuasion", "_expand": {"author": jane}},
                ],
                "next_cursor": false, "previous_cursor": false,
            }),
        ),
        (
            "/db/books/letters?fields=title&expand=author,readers".to_owned(),
            json!({
                "id": "letters", "title": "Letters",
                "_expand": {"readers": [{"id": "mary", "name": "Mary"}, jane]},
            }),
        ),
        (
            "/db/books/_aggregate?group=author&select=sum:price,avg:price,min:price,max:title&sort=-sum:price"
                .to_owned(),
            json!({"more": false, "groups": [
                {
                    "key": {"author": "jane"}, "count": 2,
                    "sum": {"price": 19.5}, "avg": {"price": 9.75}, "min": {"price": 7}, "max": {"title": "Persuasion"},
                },
                {
                    "key": {"author": "mary"}, "count": 1,
                    "sum": {"price": 0.1}, "avg": {"price": 0.1}, "min": {"price": 0.1}, "max": {"title": "Lodore"},
                },
                {
                    "key": {"author": "nobody"}, "count": 1,
                    "sum": {"price": 0}, "avg": {"price": null}, "min": {"price": "gratis"}, "max": {"title": "Letters"},
                },
            ]}),
        ),
        (
            "/db/books/_aggregate?limit=1&group=author".to_owned(),
            json!({"more": true, "groups": [{"key": {"author": "jane"}, "count": 2}]}),
        ),
        (
            format!("/db/books/_distinct?field=price&filter={}", escaped("author != \"mary\"")),
            json!({"more": false, "values": [7, 12.5, "gratis"]}),
        ),
        ("/db/books/_distinct?field=type".to_owned(), json!({"more": false, "values": []})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_answer_alike_on_both_databases() {
    let (sqlite, postgres) = tokio::join!(Server::sqlite(), Server::postgres());
    let mut wrong = Vec::new();
    for (database, server) in [("SQLite", &sqlite), ("PostgreSQL", &postgres)] {
        let user = stocked(server).await;
        for (path, expected) in cases() {
            let answer = user.read(&path).await;
            let found = plain(answer.json());
            if answer.status != 200 || found != expected || answer.header("feed-cursor").is_empty() {
                wrong.push(format!("{database}: {path}\n   is {} {found}\n  not {expected}", answer.status));
            }
        }
        // Somebody else sees, counts and adds up nothing.
        let other = server.client().someone().await;
        let found = other.read("/db/books/_aggregate?select=sum:price").await.expect(200).json();
        assert_eq!(found, json!({"groups": [{"key": {}, "count": 0, "sum": {"price": 0}}], "more": false}));
        let found = other.read("/db/books?count=exact").await.expect(200).json();
        assert_eq!(found["count"], 0);
        // An estimate is a number, whatever it is.
        let found = user.read("/db/books?count=estimated").await.expect(200).json();
        assert!(found["count"].is_u64() && found["count_precision"].is_string(), "{found}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_with_what_it_refers_to_is_always_sent() {
    let server = Server::sqlite().await;
    let user = stocked(&server).await;
    let etag = user.read("/db/books/emma?fields=title").await.expect(200).header("etag").to_owned();
    let asked = |path: &str| user.request(http::Method::GET, path).header("if-none-match", &etag);
    assert_eq!(user.send(asked("/db/books/emma?fields=title")).await.status, 304);
    assert_eq!(user.send(asked("/db/books/emma?expand=author")).await.status, 200);
}
