//! `serve`: what a connection may do.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::fixture::Fixture;
use crate::{
    body::RequestBody,
    serve::{ServeOptions, Served, serve},
};

pub(super) struct Running {
    pub(super) address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Served>,
}

impl Running {
    pub(super) async fn start(on: &Fixture, options: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (service, api) = (on.api.all(), on.api.clone());
        let served = tokio::spawn(serve(listener, service, options, async move {
            let _ = stopped.await;
            api.close();
        }));
        Self { address, stop, served }
    }

    pub(super) async fn stop(self) -> Served {
        let _ = self.stop.send(());
        timeout(Duration::from_secs(10), self.served).await.expect("the drain ends").unwrap()
    }
}

fn options() -> ServeOptions {
    ServeOptions::default()
        .with_header(Duration::from_millis(300))
        .with_idle(Duration::from_millis(900))
        .with_body_idle(Duration::from_millis(300))
        .with_drain(Duration::from_secs(2))
}

/// Sends `text` and reads until the server closes.
async fn until_closed(address: std::net::SocketAddr, text: &str) -> (String, Duration) {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("the server closes");
    (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
}

#[tokio::test]
async fn slow_clients_are_closed() {
    let on = Fixture::new().await;
    let running = Running::start(&on, options()).await;
    let near = |took: Duration, millis: u64| {
        assert!(took >= Duration::from_millis(millis - 50) && took < Duration::from_millis(millis + 1500), "{took:?}");
    };
    let (text, took) = until_closed(running.address, "").await;
    assert_eq!(text, "");
    near(took, 300);
    let (text, took) = until_closed(running.address, "GET /healthz HTTP/1.1\r\nhost: x\r\n").await;
    assert!(text.is_empty(), "{text}");
    near(took, 300);
    // The rest between two requests is longer than a header may take.
    let (text, took) = until_closed(running.address, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    near(took, 900);
    let half = format!(
        "POST /db/todos HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{{",
        on.token
    );
    let (text, _) = until_closed(running.address, &half).await;
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    // A header that comes drop by drop does not begin anew with each drop.
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let begun = Instant::now();
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    while stream.write_all(b"a: b\r\n").await.is_ok() && begun.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    near(begun.elapsed(), 300);
    assert!(running.stop().await.drained);
}

#[tokio::test]
async fn stopping_lets_streams_say_goodbye() {
    let on = Fixture::new().await;
    let running = Running::start(&on, options()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let request =
        format!("GET /realtime/sse?collection=todos HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", on.token);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 1024];
    assert!(stream.read(&mut first).await.unwrap() > 0);
    // Longer than an idle connection may rest: a stream is not idle.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let address = running.address;
    assert!(running.stop().await.drained);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("event: closed"), "{rest}");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_early_refusal_reaches_the_client() {
    let on = Fixture::new().await;
    let running = Running::start(&on, ServeOptions::default()).await;
    for (length, status) in [(3 << 20, "413"), (900 << 10, "401")] {
        let token = if status == "413" { on.token.as_str() } else { "bad" };
        let head = format!(
            "POST /db/todos HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; length]).await.expect("all of it is taken");
        // The connection is good for another request.
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answers = String::new();
        timeout(Duration::from_secs(5), stream.read_to_string(&mut answers)).await.unwrap().unwrap();
        assert!(answers.starts_with(&format!("HTTP/1.1 {status}")), "{answers}");
        assert!(answers.contains("HTTP/1.1 200"), "{answers}");
    }
    running.stop().await;
}

/// A body without end that tells, once nobody wants it any more, how many bytes were taken of it.
struct Endless {
    taken: usize,
    told: Option<oneshot::Sender<usize>>,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        const SOME: &[u8] = &[b'x'; 16 * 1024];
        self.taken += SOME.len();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(SOME)))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        if let Some(told) = self.told.take() {
            let _ = told.send(self.taken);
        }
    }
}

/// How much is taken of an answer that a client does not read.
#[cfg(any(target_os = "linux", target_os = "android"))]
async fn taken_for_nobody(unsent: u32) -> usize {
    let (told, taken) = oneshot::channel();
    let told = Arc::new(Mutex::new(Some(told)));
    let service = tower::service_fn(move |_: http::Request<RequestBody>| {
        let told = told.lock().unwrap().take();
        async move { Ok::<_, Infallible>(http::Response::new(Endless { taken: 0, told })) }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let options = ServeOptions::default().with_write(Duration::from_millis(500)).with_unsent(unsent);
    let serving = tokio::spawn(serve(listener, service, options, std::future::pending()));
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let taken = timeout(Duration::from_secs(20), taken).await.expect("the client is given up").unwrap();
    serving.abort();
    taken
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[tokio::test]
async fn little_waits_in_the_kernel_for_who_reads_nothing() {
    let (bounded, unbounded) = (taken_for_nobody(64 * 1024).await, taken_for_nobody(u32::MAX).await);
    assert!(bounded < 1024 * 1024 && bounded * 2 < unbounded, "{bounded} with a bound, {unbounded} without");
}

/// Those who find no room are told nothing, and try again for as long as this test lasts.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[tokio::test]
async fn many_may_wait_to_be_accepted() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    // As a host may have made it.
    let listener = socket.listen(16).unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(|_: http::Request<RequestBody>| async {
        Ok::<_, Infallible>(http::Response::new(Endless { taken: 0, told: None }))
    });
    let options = ServeOptions::default().with_connections(1).with_header(Duration::from_secs(600)).with_backlog(110);
    let serving = tokio::spawn(serve(listener, service, options, std::future::pending()));
    // It takes one, and no other: the rest finds room in the kernel.
    let first = TcpStream::connect(address).await.unwrap();
    tokio::task::yield_now().await;
    let connecting = futures_util::future::try_join_all((0..100).map(|_| TcpStream::connect(address)));
    let connected = timeout(Duration::from_secs(20), connecting).await.expect("there is room for all").unwrap();
    assert_eq!(connected.len(), 100);
    drop((first, connected));
    serving.abort();
}
