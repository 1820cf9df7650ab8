//! Whole collections over HTTP: 50 000 documents in and out in constant memory, readers that stop, streams that break.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Method;
use serde_json::{Value, json};
use universal_core::{
    Backend, Caller, CollectionName, ErrorKind, TenantId,
    collections::{ImportOptions, ListQuery, NewDocument, OnError},
    json::Object,
};
use universal_tests::{
    client::{Answer, Client},
    server::Server,
};

/// How many documents go in and out.
const DOCUMENTS: usize = 50_000;
/// How much memory the server may take for it.
const MEMORY: u64 = 64 * 1024 * 1024;
/// How long a large request may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    everything(Server::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    everything(Server::postgres().await).await;
}

/// All writers of SQLite wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_all_or_nothing_has_the_time_of_a_transaction_on_sqlite() {
    let builder = Backend::builder().in_memory().with_transaction_limit(Duration::from_millis(50));
    let backend = builder.build().await.expect("a backend opens");
    let (caller, name) = (Caller::system(TenantId::default_tenant()), CollectionName::new("whole").unwrap());
    let pieces = (0..10_000).map(|n| Ok(Bytes::from(line(n))));
    let whole = ImportOptions::new().with_on_error(OnError::Abort);
    let outcome = backend.collections().import(&caller, &name, stream::iter(pieces).boxed(), whole).await;
    let error = outcome.expect_err("it takes too long");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Timeout, "transaction-timeout"), "{error:?}");
    let left = backend.collections().list(&caller, &name, &ListQuery::new()).await.expect("a list");
    assert!(left.value.items.is_empty(), "something of it is there");
    let document = NewDocument::new(Object::from_value(json!({})).unwrap());
    backend.collections().create(&caller, &name, document).await.expect("writes go on");
    backend.shutdown().await;
}

async fn everything(server: Server) {
    let ada = server.client().someone().await;
    fifty_thousand_in_and_out(&server, &ada).await;
    a_reader_that_stops_holds_nothing_up(&ada).await;
    an_export_that_cannot_go_on_has_no_end(&server, &ada).await;
    a_kill_in_the_middle_leaves_all_or_nothing(&server).await;
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// A document of about 300 bytes.
fn line(n: usize) -> String {
    json!({ "id": format!("d{n:06}"), "n": n, "title": format!("number {n}"), "text": "tea and biscuits ".repeat(14) })
        .to_string()
        + "\n"
}

/// Lines as they are made, some in a piece.
fn lines(count: usize) -> reqwest::Body {
    let pieces = stream::iter((0..count).step_by(100).map(move |from| {
        let piece: String = (from..(from + 100).min(count)).map(line).collect();
        Ok::<_, std::convert::Infallible>(Bytes::from(piece))
    }));
    reqwest::Body::wrap_stream(pieces)
}

async fn import(client: &Client, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = client.request(Method::POST, path).header("content-type", "application/x-ndjson");
    client.send(request.timeout(PATIENCE).body(body)).await
}

/// An export whose lines come as they are asked for.
async fn export(
    client: &Client,
    path: &str,
) -> impl futures_util::Stream<Item = Result<String, reqwest::Error>> + Unpin {
    let response = client.request(Method::GET, path).timeout(PATIENCE).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    assert!(response.headers().contains_key("feed-cursor"));
    let pieces = response.bytes_stream().boxed();
    let lines = stream::unfold((pieces, Vec::new()), |(mut pieces, mut rest)| async move {
        loop {
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=at).collect();
                return Some((Ok(String::from_utf8(line).expect("UTF-8")), (pieces, rest)));
            }
            match pieces.next().await {
                Some(Ok(piece)) => rest.extend_from_slice(&piece),
                Some(Err(error)) => return Some((Err(error), (stream::empty().boxed(), Vec::new()))),
                None => {
                    assert!(rest.is_empty(), "the last line has no end");
                    return None;
                }
            }
        }
    });
    lines.boxed()
}

async fn fifty_thousand_in_and_out(server: &Server, ada: &Client) {
    import(ada, "/db/warm/_import", lines(2_000)).await.expect(200);
    let before = server.memory().present;
    let report = import(ada, "/db/many/_import", lines(DOCUMENTS)).await.expect(200).json();
    assert_eq!(report, json!({ "lines": DOCUMENTS, "created": DOCUMENTS, "updated": 0, "failed": 0, "errors": [] }));
    let mut found = export(ada, "/db/many/_export").await;
    let mut count = 0;
    while let Some(text) = found.next().await {
        let document: Value = serde_json::from_str(&text.expect("the whole of it")).expect("a document");
        assert_eq!(document["id"], format!("d{count:06}"));
        assert_eq!(document["_meta"]["owner"], ada.user_id());
        count += 1;
    }
    assert_eq!(count, DOCUMENTS);
    let grown = server.memory().most.saturating_sub(before);
    assert!(grown < MEMORY, "the server took {} MiB for it", grown / 1024 / 1024);
    // Again, as new documents: each line is refused, and the first thousand say why.
    let report = import(ada, "/db/many/_import", lines(1_500)).await.expect(200).json();
    assert_eq!((&report["created"], &report["failed"]), (&json!(0), &json!(1_500)));
    assert_eq!(report["errors"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(
        (&report["errors"][999]["line"], &report["errors"][999]["code"]),
        (&json!(1_000), &json!("document-exists"))
    );
    // A filter is the list's.
    let narrow = export(ada, "/db/many/_export?filter=n%20%3E%3D%2049990").await;
    assert_eq!(narrow.count().await, 10);
}

async fn a_reader_that_stops_holds_nothing_up(ada: &Client) {
    let mut paused = Vec::new();
    for _ in 0..40 {
        let mut found = export(ada, "/db/many/_export").await;
        found.next().await.expect("a line").expect("a line");
        paused.push(found);
    }
    // More of them than there are connections to the database, and others read and write all the same.
    ada.create("other", json!({ "n": 1 })).await;
    ada.read("/db/many?limit=1").await.expect(200);
    let rest = paused.pop().expect("a paused reader").count().await;
    assert_eq!(rest, DOCUMENTS - 1);
}

async fn an_export_that_cannot_go_on_has_no_end(server: &Server, ada: &Client) {
    let mut found = export(ada, "/db/many/_export").await;
    found.next().await.expect("a line").expect("a line");
    let admin = server.admin().await;
    admin.put("/admin/collections/many", json!({ "rules": { "list": "false" } })).await.expect(200);
    let rest: Vec<_> = found.collect().await;
    assert!(rest.len() < DOCUMENTS - 1, "it went on under a rule that forbids it");
    assert!(rest.last().is_some_and(Result::is_err), "it ended as if it were whole");
    admin.put("/admin/collections/many", json!({})).await.expect(200);
}

async fn a_kill_in_the_middle_leaves_all_or_nothing(server: &Server) {
    let mut ada = server.client().someone().await;
    // All of it must fit in the time of one transaction, also where a build without optimisation shares its processors.
    let count = 1_500;
    let text: Arc<str> = (0..count).map(line).collect::<String>().into();
    let mut unanswered = 0;
    for round in 0..6_u64 {
        let path = format!("/db/whole{round}/_import?on_error=abort");
        let request = ada.request(Method::POST, &path).header("content-type", "application/x-ndjson");
        let sent = tokio::spawn(request.body(text.to_string()).send());
        // At another moment of the work each time.
        universal_tests::wait::pause(Duration::from_millis(60 * (round + 1))).await;
        server.kill();
        let answered = sent.await.expect("a task").is_ok_and(|response| response.status() == 200);
        unanswered += u32::from(!answered);
        server.start().await;
        ada = server.client().with_token(ada.token());
        let stored = export(&ada, &format!("/db/whole{round}/_export")).await.count().await;
        assert!(stored == count || (stored == 0 && !answered), "{stored} of {count}, answered: {answered}");
    }
    assert!(unanswered > 0, "no import was killed");
    let report = import(&ada, "/db/whole/_import?on_error=abort", text.to_string()).await.expect(200).json();
    assert_eq!(report["created"], count);
    let last = format!("{text}{{\"id\":\"d000000\"}}\n");
    let refused = import(&ada, "/db/other/_import?on_error=abort", last).await.expect(409).json();
    assert_eq!(refused["errors"][0]["pointer"], format!("/lines/{}/id", count + 1));
    assert_eq!(export(&ada, "/db/other/_export").await.count().await, 0, "something of the import is there");
}
