//! `kill -9` of the server under 64 concurrent writers, again and again.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use universal_tests::{client::Client, environment::Volume, server::Server, subscriber::Subscriber, wait};

use super::{
    book::{Book, faults_of_feed, faults_of_store},
    writers::Writers,
};

const WRITERS: usize = 64;
const COLLECTION: &str = "steps";

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_what_it_acknowledged() {
    killed_under_writers(Server::sqlite().await, Volume::from_environment().pick(10, 200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_it_acknowledged() {
    killed_under_writers(Server::postgres().await, Volume::from_environment().pick(5, 100)).await;
}

async fn killed_under_writers(server: Server, kills: u32) {
    let client = server.client().someone().await;
    let first = client.read(&format!("/db/{COLLECTION}")).await.expect(200).header("feed-cursor").to_owned();
    let subscriber = Subscriber::follow(&client, COLLECTION, None).await;
    let book = Arc::new(Book::default());
    let writers = Writers::start(WRITERS, &client, COLLECTION, &book);
    for kill in 0..kills {
        let before = book.acknowledged();
        wait::until("writers to get on", Duration::from_secs(60), || async { book.acknowledged() > before + WRITERS })
            .await;
        wait::until("the subscriber to come back", Duration::from_secs(60), || async {
            subscriber.connections() > kill
        })
        .await;
        // At another moment of the server's work each time.
        wait::pause(Duration::from_millis(u64::from(kill * 37 % 200))).await;
        server.kill();
        server.start().await;
    }
    writers.finish().await;
    // Whatever was in flight when the writers stopped has been answered; this is the last change of all.
    let client = still_signed_in(&server, client).await;
    client.put(&format!("/db/{COLLECTION}/last"), json!({ "step": 0 })).await.expect(201);

    let mut lives = book.copy();
    let stored = everything(&client).await;
    let mut faults = book.refusals();
    faults.extend(faults_of_store(&lives, &without_last(&stored)));

    subscriber
        .until("the last change", Duration::from_secs(60), |seen| seen.last().is_some_and(|change| change.id == "last"))
        .await;
    let seen = subscriber.distinct();
    lives.insert("last".to_owned(), super::book::Life::default());
    lives.get_mut("last").expect("just put in").unknown = Some(super::book::Step::Is(0));
    faults.extend(faults_of_feed(&lives, &stored, &seen).into_iter().map(|fault| format!("live: {fault}")));
    faults.extend(subscriber.trouble().into_iter().map(|frame| format!("live: {frame}")));
    assert!(subscriber.connections() > kills, "{} connections, {kills} kills", subscriber.connections());

    // From the beginning, by somebody who was never there.
    let late = Subscriber::follow_from(&client, COLLECTION, None, Some(&first)).await;
    late.until("the last change", Duration::from_secs(60), |seen| {
        seen.last().is_some_and(|change| change.id == "last")
    })
    .await;
    faults
        .extend(faults_of_feed(&lives, &stored, &late.distinct()).into_iter().map(|fault| format!("replay: {fault}")));
    faults.extend(late.trouble().into_iter().map(|frame| format!("replay: {frame}")));

    println!(
        "{kills} kills, {} writes acknowledged, {} without an answer, {} changes seen ({} with repeats), {} connections",
        book.acknowledged(),
        book.unknown(),
        seen.len(),
        subscriber.changes().len(),
        subscriber.connections()
    );
    faults.truncate(20);
    assert!(faults.is_empty(), "{}\n--- the server:\n{}", faults.join("\n"), server.log());
}

/// The same user; an access token lives 15 minutes, which a release's volume may outlast.
async fn still_signed_in(server: &Server, client: Client) -> Client {
    if client.read("/auth/me").await.status == 200 {
        return client;
    }
    let answer = server.client().post("/auth/refresh", json!({ "refresh_token": client.refresh_token() })).await;
    client.signed_in(&answer.expect(200))
}

async fn everything(client: &Client) -> HashMap<String, Value> {
    let mut stored = HashMap::new();
    let mut cursor = String::new();
    loop {
        let page = client.read(&format!("/db/{COLLECTION}?limit=500{cursor}")).await.expect(200).json();
        for document in page["items"].as_array().expect("items") {
            let id = document["id"].as_str().expect("an id").to_owned();
            assert!(stored.insert(id.clone(), document.clone()).is_none(), "{id} is on two pages");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return stored,
        }
    }
}

fn without_last(stored: &HashMap<String, Value>) -> HashMap<String, Value> {
    stored.iter().filter(|(id, _)| *id != "last").map(|(id, document)| (id.clone(), document.clone())).collect()
}
