//! Clients of realtime that take nothing, and clients that take it slowly.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};

use super::{fixture::Fixture, listener::Running};
use crate::{limits::Limits, serve::ServeOptions};

/// A packet of Socket.IO.
const SUBSCRIBE: &str = r#"42["subscribe",{"ref":"1","collection":"todos"}]"#;
/// The text of a document, which no kernel takes whole.
const TEXT: usize = 900 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    WebSocket,
    Stream,
    SocketIo,
}

const TRANSPORTS: [Transport; 3] = [Transport::WebSocket, Transport::Stream, Transport::SocketIo];

/// A connection with little room in its kernel.
async fn connection(running: &Running) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(running.address).await.unwrap()
}

/// A subscriber that has been told so.
async fn subscriber(on: &Fixture, running: &Running, transport: Transport) -> TcpStream {
    let mut stream = connection(running).await;
    let path = match transport {
        Transport::WebSocket => "/realtime",
        Transport::Stream => "/realtime/sse?collection=todos",
        Transport::SocketIo => "/socket.io/?EIO=4&transport=websocket",
    };
    let upgrade = match transport {
        Transport::Stream => "",
        _ => {
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
    };
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{upgrade}\r\n", on.token);
    stream.write_all(head.as_bytes()).await.unwrap();
    match transport {
        Transport::Stream => {}
        Transport::WebSocket => {
            until(&mut stream, "\r\n\r\n").await;
            say(&mut stream, r#"{"type":"subscribe","ref":"1","collection":"todos"}"#).await;
        }
        Transport::SocketIo => {
            until(&mut stream, r#""maxPayload""#).await;
            say(&mut stream, "40").await;
            until(&mut stream, r#"40{"sid""#).await;
            say(&mut stream, SUBSCRIBE).await;
        }
    }
    until(&mut stream, r#""recovered":true"#).await;
    stream
}

/// A frame of a WebSocket, masked with zeros.
async fn say(stream: &mut TcpStream, text: &str) {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    assert!(text.len() < 126);
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame).await.unwrap();
}

async fn until(stream: &mut TcpStream, end: &str) {
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(end) {
        let read = timeout(Duration::from_secs(10), stream.read_buf(&mut heard)).await.expect("it comes").unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&heard));
    }
}

/// Takes so many bytes, little by little.
async fn take(stream: &mut TcpStream, bytes: usize, piece: usize) -> usize {
    let (mut taken, mut buffer) = (0, vec![0; piece]);
    while taken < bytes {
        let read = timeout(Duration::from_secs(10), stream.read(&mut buffer)).await.expect("the rest").unwrap_or(0);
        if read == 0 {
            break;
        }
        taken += read;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    taken
}

async fn write(on: &Fixture, id: &str) {
    let document = format!(r#"{{"text":"{}"}}"#, "x".repeat(TEXT));
    assert_eq!(on.json("PUT", &format!("/db/todos/{id}"), &document).await.status, 201);
}

/// For one connection at a time; an answer that is no stream has more time than these tests.
fn one_at_a_time() -> ServeOptions {
    ServeOptions::default().with_connections(1).with_write(Duration::from_secs(600))
}

/// That the only place is free, at last.
async fn its_place_becomes_free(running: &Running, who: impl std::fmt::Debug) {
    let mut next = TcpStream::connect(running.address).await.unwrap();
    next.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let answered = timeout(Duration::from_secs(20), next.read_to_string(&mut answer)).await;
    answered.unwrap_or_else(|_| panic!("{who:?} keeps its place")).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_connection() {
    for transport in TRANSPORTS {
        let on = Fixture::with(Limits::default().with_reading(Duration::from_millis(300))).await;
        let running = Running::start(&on, one_at_a_time()).await;
        let deaf = subscriber(&on, &running, transport).await;
        for id in ["a", "b", "c"] {
            write(&on, id).await;
        }
        its_place_becomes_free(&running, transport).await;
        drop(deaf);
        assert!(running.stop().await.drained);
    }
}

/// A poll's answer is taken by nobody either.
#[tokio::test]
async fn a_client_that_does_not_take_what_it_polled_for_loses_its_connection() {
    let on = Fixture::with(Limits::default().with_reading(Duration::from_millis(300))).await;
    let running = Running::start(&on, one_at_a_time()).await;
    let mut polling = connection(&running).await;
    let mut sid = String::new();
    for body in [None, Some("40"), Some(SUBSCRIBE)] {
        let method = if body.is_some() { "POST" } else { "GET" };
        let body = body.unwrap_or_default();
        let head = format!(
            "{method} /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
            on.token,
            body.len()
        );
        polling.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") && !answer.ends_with(b"ok") {
            assert!(polling.read_buf(&mut answer).await.unwrap() > 0);
        }
        let answer = String::from_utf8(answer).unwrap();
        if let Some((_, rest)) = answer.split_once(r#""sid":""#) {
            sid = format!("&sid={}", rest.split('"').next().unwrap());
        }
    }
    let poll = format!("GET /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut answers = String::new();
    while !answers.contains("recovered") {
        let mut answer = vec![0; 4 * 1024];
        polling.write_all(poll.as_bytes()).await.unwrap();
        let read = polling.read(&mut answer).await.unwrap();
        answers.push_str(std::str::from_utf8(&answer[..read]).unwrap());
    }
    write(&on, "a").await;
    polling.write_all(poll.as_bytes()).await.unwrap();
    its_place_becomes_free(&running, "a client that polls").await;
    assert!(running.stop().await.drained);
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [.., high, middle, low] = payload.len().to_be_bytes();
    [&[high, middle, low, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The kinds of whole and half frames.
fn kinds(mut heard: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [high, middle, low, kind, _, _, _, _, _, rest @ ..] = heard {
        kinds.push(*kind);
        let length = u32::from_be_bytes([0, *high, *middle, *low]);
        heard = rest.get(length as usize..).unwrap_or_default();
    }
    kinds
}

/// A header without index and without Huffman's code (RFC 7541 §6.2.2), whose name is short.
fn header(name: &str, value: &str) -> Vec<u8> {
    let mut written = vec![0, u8::try_from(name.len()).unwrap()];
    written.extend_from_slice(name.as_bytes());
    match u8::try_from(value.len()) {
        Ok(short @ ..127) => written.push(short),
        _ => {
            let rest = value.len() - 127;
            written.extend([127, u8::try_from(rest % 128).unwrap() | 0x80, u8::try_from(rest / 128).unwrap()]);
        }
    }
    written.extend_from_slice(value.as_bytes());
    written
}

/// Nothing can be written to it, so that no write waits.
#[tokio::test]
async fn a_client_that_gives_a_stream_no_room_loses_its_connection() {
    let on = Fixture::with(Limits::default().with_reading(Duration::from_millis(300))).await;
    let running = Running::start(&on, one_at_a_time()).await;
    let mut deaf = connection(&running).await;
    let no_room = [0, 4, 0, 0, 0, 0];
    let headers = [
        header(":method", "GET"),
        header(":scheme", "http"),
        header(":authority", "x"),
        header(":path", "/realtime/sse?collection=todos"),
        header("authorization", &format!("Bearer {}", on.token)),
    ];
    let begin =
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &no_room), frame(1, 0x5, 1, &headers.concat())];
    deaf.write_all(&begin.concat()).await.unwrap();
    let mut heard = Vec::new();
    let answered = async {
        while !kinds(&heard).contains(&1) {
            assert!(deaf.read_buf(&mut heard).await.unwrap() > 0);
        }
    };
    timeout(Duration::from_secs(10), answered).await.expect("an answer");
    its_place_becomes_free(&running, "a client of HTTP/2").await;
    assert!(running.stop().await.drained);
}

#[tokio::test]
async fn a_client_that_takes_it_slowly_gets_all_of_it() {
    for transport in TRANSPORTS {
        let on = Fixture::with(Limits::default().with_reading(Duration::from_secs(1))).await;
        let running = Running::start(&on, ServeOptions::default()).await;
        let mut slow = subscriber(&on, &running, transport).await;
        for id in ["a", "b"] {
            write(&on, id).await;
        }
        // Each of the two takes longer than a client may take nothing.
        let taken = take(&mut slow, 2 * TEXT, 48 * 1024).await;
        assert!(taken >= 2 * TEXT, "{transport:?}: it was cut off after {taken} bytes");
        drop(slow);
        assert!(running.stop().await.drained);
    }
}

#[tokio::test]
async fn a_client_that_takes_it_slowly_does_not_hold_up_the_stop() {
    for transport in TRANSPORTS {
        let on = Fixture::new().await;
        let running = Running::start(&on, ServeOptions::default()).await;
        let mut slow = subscriber(&on, &running, transport).await;
        for id in ["a", "b", "c"] {
            write(&on, id).await;
        }
        take(&mut slow, 64 * 1024, 16 * 1024).await;
        // All of it would take a minute and a half.
        let slow = tokio::spawn(async move { take(&mut slow, 3 * TEXT, 3 * 1024).await });
        let begun = Instant::now();
        assert!(running.stop().await.drained);
        let closed = timeout(Duration::from_secs(20), on.api.closed()).await;
        assert!(closed.is_ok(), "{transport:?}: it is there {:?} after the stop", begun.elapsed());
        slow.abort();
    }
}
