//! Frames that no client sends, to a server in a process of its own: each ends its socket, and costs nothing.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use universal_tests::{
    bare::{Bare, CONTINUATION, Heard, PING, PONG, TEXT, frame},
    client::Client,
    environment::Volume,
    server::Server,
};

const PATIENCE: Duration = Duration::from_secs(90);
/// What all attacks together may cost.
const SLACK: u64 = 32 << 20;
/// The largest frame that is taken.
const LARGEST: usize = 64 * 1024;

async fn signed_in(client: &Client) -> Bare {
    let mut socket = Bare::open(client.base(), "/realtime").await.expect("a WebSocket");
    socket.say(&json!({ "type": "auth", "token": client.token() }).to_string()).await.expect("an open socket");
    socket.say(r#"{"type":"subscribe","ref":"1","collection":"todos"}"#).await.expect("an open socket");
    socket.hear_of("subscribed").await.expect("an answer");
    socket
}

/// Its name, what is sent so many times, and with which codes its socket may be closed.
type Attack = (&'static str, Vec<u8>, usize, &'static [Option<u16>]);

/// Many packed into one write.
fn packed(frame: &[u8], count: usize) -> Vec<u8> {
    frame.repeat(count)
}

/// Sends `bytes` so many times, or until it is cut off; answers how many were taken.
async fn flood(socket: &mut Bare, bytes: &[u8], times: usize) -> usize {
    for time in 0..times {
        if socket.send(bytes).await.is_err() {
            return time;
        }
    }
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_no_client_sends_end_their_socket_in_the_same_memory() {
    let server = Server::sqlite().await;
    let client = server.client().someone().await;
    let (empty, pings, sockets) = Volume::from_environment().pick((20_000, 50_000, 4), (100_000, 1_000_000, 100));
    // The first of everything is bought once.
    signed_in(&client).await.send(&frame(true, TEXT, b"x")).await.expect("an open socket");
    let before = server.memory().present;

    let long = [packed(&frame(false, TEXT, &[b'x'; 1000]), 1), packed(&frame(false, CONTINUATION, &[b'x'; 1000]), 70)];
    let begun = [frame(false, TEXT, b"{"), packed(&frame(false, CONTINUATION, b""), empty)].concat();
    let mut announced = frame(true, TEXT, &vec![b'x'; LARGEST]);
    announced[2..10].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    let attacks: [Attack; 12] = [
        ("empty messages", packed(&frame(true, TEXT, b""), 100), empty / 100, &[Some(4429)]),
        ("pings", packed(&frame(true, PING, b""), 100), pings / 100, &[Some(4429)]),
        ("pings that carry much", packed(&frame(true, PING, &[b'x'; 125]), 100), pings / 100, &[Some(4429)]),
        ("pongs that nobody asked for", packed(&frame(true, PONG, b""), 100), pings / 100, &[Some(4429)]),
        ("a message of empty fragments that never ends", begun, 1, &[Some(4429)]),
        ("fragments that are too long together", long.concat(), 1, &[Some(1009), Some(4429)]),
        ("a frame that announces 2^63 bytes", announced, 1, &[Some(1009), Some(1002)]),
        ("a fragment of nothing", frame(true, CONTINUATION, b"x"), 1, &[Some(1002)]),
        ("a message within a message", frame(false, TEXT, b"x").repeat(2), 1, &[Some(1002)]),
        ("a long ping", frame(true, PING, &[b'x'; 126]), 1, &[Some(1002)]),
        ("a fragmented ping", frame(false, PING, b""), 1, &[Some(1002)]),
        ("an opcode that is none", frame(true, 5, b""), 1, &[Some(1002)]),
    ];
    for (what, bytes, times, codes) in attacks {
        for _ in 0..sockets {
            let mut socket = signed_in(&client).await;
            let taken = timeout(PATIENCE, flood(&mut socket, &bytes, times)).await;
            taken.unwrap_or_else(|_| panic!("{what}: neither taken nor cut off"));
            let (_, end) = socket.rest(PATIENCE, what).await;
            // A close frame may be lost to whoever goes on sending.
            let is_known = matches!(&end, Heard::Closed(code) if codes.contains(code));
            assert!(is_known || (end == Heard::Lost && bytes.len() * times > 10_000), "{what}: {end:?}");
        }
    }
    let grown = server.memory().present.saturating_sub(before);
    println!(
        "after attacks by {sockets} sockets each the server holds {grown} bytes more, at most {} in all",
        server.memory().most
    );
    assert!(grown < SLACK, "the server grew by {grown} bytes");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    signed_in(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_never_end_are_not_waited_for() {
    let server = Server::sqlite().await;
    let client = server.client().someone().await;
    let sockets = Volume::from_environment().pick(8, 100);
    signed_in(&client).await;
    let before = server.memory().present;
    let whole = frame(true, TEXT, &vec![b'x'; LARGEST]);
    let mut open = Vec::new();
    for number in 0..sockets {
        let mut socket = Bare::open(client.base(), "/realtime").await.expect("a WebSocket");
        socket.say(r#"{"type":"ping"}"#).await.expect("an open socket");
        // All of a frame but its last byte; or all of a message but its last frame.
        let bytes = match number % 2 {
            0 => whole[..whole.len() - 1].to_vec(),
            _ => frame(false, TEXT, &vec![b'x'; LARGEST - 1]),
        };
        socket.send(&bytes).await.expect("an open socket");
        open.push(socket);
    }
    for mut socket in open {
        let (_, end) = socket.rest(PATIENCE, "half a frame").await;
        assert!(matches!(end, Heard::Closed(Some(4408)) | Heard::Lost), "{end:?}");
    }
    let grown = server.memory().most.saturating_sub(before);
    println!("{sockets} halves of the longest frame cost {} bytes each", grown / sockets);
    assert!(grown < SLACK + sockets * 3 * LARGEST as u64, "the server grew by {grown} bytes");
}
