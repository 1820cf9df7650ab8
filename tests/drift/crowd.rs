//! A crowd of the dearest filters takes nobody's turn who reads one document.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use http::Method;
use serde_json::json;
use universal_tests::{client::Client, environment::Volume, server::Server};

use super::worst_filters::filter;

const DOCUMENTS: usize = 4_000;
/// How many lists are asked for at once.
const LISTS: usize = 50;
/// How many read one document after the other.
const READERS: usize = 4;

async fn fill(client: &Client) {
    let mut lines = String::new();
    for n in 0..DOCUMENTS {
        let list: Vec<_> = (0..n % 50).map(|item| format!("x{item}")).collect();
        let line = json!({"id": format!("d{n}"), "n": n % 200, "text": "a".repeat(n % 100), "list": list, "number": n});
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    let request = client.request(Method::POST, "/db/targets/_import").header("Content-Type", "application/x-ndjson");
    let report = client.send(request.body(lines)).await.expect(200).json();
    assert_eq!(report["created"], DOCUMENTS, "{report}");
}

/// Asks for the dearest lists until there are no more readers; how many were answered with documents.
async fn ask(client: &Client, first: usize, over: &AtomicBool) -> usize {
    let mut answered = 0;
    for number in (first..).step_by(LISTS) {
        let filter = filter(number % 1_000);
        let escaped: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = client.read(&format!("/db/targets?count=exact&limit=20&filter={escaped}")).await;
        match answer.status {
            200 => answered += 1,
            // Refused, longer than an address may be, or told to come back later.
            400 | 414 => {}
            503 | 504 => assert!(
                ["no-connection", "database-busy", "statement-timeout", "handling-timeout"]
                    .contains(&answer.code().as_str()),
                "{}",
                answer.text()
            ),
            status => panic!("{status} {filter}: {}", answer.text()),
        }
        if over.load(Ordering::Relaxed) {
            break;
        }
    }
    answered
}

/// Reads one document after the other; how long each took.
async fn read(client: &Client, number: usize, times: usize) -> Vec<Duration> {
    let mut took = Vec::with_capacity(times);
    for time in 0..times {
        let n = (number * 7_919 + time * 31) % DOCUMENTS;
        let begun = Instant::now();
        let answer = client.read(&format!("/db/targets/d{n}")).await.expect(200);
        took.push(begun.elapsed());
        assert_eq!(answer.json()["number"], n);
    }
    took
}

async fn crowd(server: Server) {
    let client = server.client().someone().await;
    fill(&client).await;
    let times = Volume::from_environment().pick(100, 2_000);
    let (over, reading) = (AtomicBool::new(false), AtomicUsize::new(READERS));
    let lists = join_all((0..LISTS).map(|number| ask(&client, number, &over)));
    let reads = join_all((0..READERS).map(|number| {
        let (client, reading, over) = (&client, &reading, &over);
        async move {
            let took = read(client, number, times).await;
            over.store(reading.fetch_sub(1, Ordering::Relaxed) == 1, Ordering::Relaxed);
            took
        }
    }));
    let (answered, took) = tokio::join!(lists, reads);
    let answered: usize = answered.iter().sum();
    assert!(answered > 0, "no list was answered beside the reads");
    let mut took = took.concat();
    took.sort_unstable();
    let at = |part: usize| took[took.len() * part / 100];
    println!(
        "{} reads beside {LISTS} lists at once ({answered} answered): median {:?}, p99 {:?}, longest {:?}",
        took.len(),
        at(50),
        at(99),
        took[took.len() - 1]
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_by_id_are_answered_beside_a_crowd_of_dear_lists_on_sqlite() {
    crowd(Server::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_by_id_are_answered_beside_a_crowd_of_dear_lists_on_postgresql() {
    crowd(Server::postgres().await).await;
}
