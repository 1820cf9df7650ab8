//! 64 clients, each on a connection of its own, add 1 to one field 1 000 times (for a change: 100 times).

use std::time::Instant;

use serde_json::json;
use universal_tests::{client::Client, environment::Volume, server::Server};

const CLIENTS: u32 = 64;

#[tokio::test(flavor = "multi_thread")]
async fn increments_count_exactly_on_sqlite() {
    count(&Server::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn increments_count_exactly_on_postgres() {
    count(&Server::postgres().await).await;
}

async fn count(server: &Server) {
    let times = Volume::from_environment().pick(100, 1000);
    let user = server.client().someone().await;
    user.put("/db/counters/all", json!({ "n": 0 })).await.expect(201);
    let start = Instant::now();
    let clients = (0..CLIENTS).map(|_| {
        // A client of its own has connections of its own.
        let client = Client::new(&server.url()).with_token(user.token());
        tokio::spawn(async move {
            for _ in 0..times {
                client.patch("/db/counters/all", json!({ "n": { "$inc": 1 } })).await.expect(200);
            }
        })
    });
    for client in futures_util::future::join_all(clients).await {
        client.expect("a client that does not panic");
    }
    println!("{} increments in {:?}", CLIENTS * times, start.elapsed());
    let counter = user.read("/db/counters/all").await.expect(200).json();
    assert_eq!(counter["n"], CLIENTS * times);
    let revision = counter["_meta"]["revision"].as_str().unwrap_or_default();
    assert!(revision.ends_with(&format!("-{}", CLIENTS * times + 1)), "{revision}");
}
