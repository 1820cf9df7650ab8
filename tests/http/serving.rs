//! The bundled server as a process: what it prints, what it answers when told to stop, half-sent headers.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use universal_tests::{server::Server, sse::Sse, subscriber::Socket};

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_it_uses_and_keeps_its_data() {
    let server = Server::sqlite().await;
    let log = server.log();
    assert!(log.contains(&server.url()) && log.contains("SQLite"), "{log}");
    let ada = server.client().register("ada@example.test", "correct horse battery staple").await;
    ada.create("todos", json!({ "title": "tea" })).await;
    let status = server.stop().await;
    assert!(status.success(), "{status}\n{}", server.log());

    server.start().await;
    let ada = server.client().login("ada@example.test", "correct horse battery staple").await;
    assert_eq!(ada.read("/db/todos").await.expect(200).json()["items"].as_array().map(Vec::len), Some(1));
    // Its keys are for the owner of the process alone.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let keys = server.folder().join("data/keys");
        for key in std::fs::read_dir(keys).expect("data/keys").filter_map(Result::ok) {
            assert_eq!(key.metadata().expect("a key").permissions().mode() & 0o777, 0o600, "{:?}", key.path());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_ends_streams_and_answers_what_it_was_asked() {
    let server = Server::sqlite().await;
    let ada = server.client().someone().await;
    let mut events = Sse::open(&ada, "/realtime/sse?collection=todos", None).await;
    events.next_of_interest().await.expect("a first event");
    let mut socket = Socket::signed_in(&ada).await;
    socket.send(json!({ "type": "subscribe", "ref": "1", "collection": "todos" })).await;
    socket.next_of("subscribed").await;
    // A request that is half sent when the stop comes is answered.
    let body = "{\"title\":\"late\"}";
    let head = format!(
        "POST /db/todos HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        ada.token(),
        body.len()
    );
    let mut late = TcpStream::connect(("127.0.0.1", server.port())).await.expect("a connection");
    late.write_all(head.as_bytes()).await.expect("the head is sent");
    late.flush().await.expect("the head is sent");
    // The server has the head when it answers another request that was sent later.
    ada.read("/auth/me").await.expect(200);

    let (status, answer, closed) = tokio::join!(
        server.stop(),
        async {
            late.write_all(body.as_bytes()).await.expect("the body is sent");
            let mut answer = Vec::new();
            late.read_to_end(&mut answer).await.expect("an answer");
            String::from_utf8_lossy(&answer).into_owned()
        },
        socket.closed()
    );
    assert!(status.success(), "{status}\n{}", server.log());
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(matches!(closed, Some(1001 | 1012)), "closed with {closed:?}: going away, or a restart");
    while events.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_never_ends_is_not_waited_for() {
    let server = Server::sqlite().await;
    let mut slow = TcpStream::connect(("127.0.0.1", server.port())).await.expect("a connection");
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").await.expect("half a header");
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(20), slow.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the server still waits after 20 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_health_and_numbers() {
    let server = Server::sqlite().await;
    let client = server.client();
    client.read("/healthz").await.expect(200);
    client.read("/readyz").await.expect(200);
    client.someone().await.create("todos", json!({ "title": "tea" })).await;
    let metrics = client.read("/metrics").await.expect(200).text();
    assert!(metrics.contains("/db/{collection}"), "{metrics}");
    assert!(!metrics.contains("example.test"), "a number says who:\n{metrics}");
}
