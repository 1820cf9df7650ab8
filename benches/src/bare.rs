//! The limits that are processes of their own: hidden subcommands of this program.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    sync::broadcast,
};
use tokio_tungstenite::{
    WebSocketStream, accept_async,
    tungstenite::{Message, Utf8Bytes},
};

use crate::failure::Result;

/// The subcommand of the bare hyper service.
pub(crate) const HTTP: &str = "bare-http";
/// The subcommand of the bare WebSocket broadcast.
pub(crate) const BROADCAST: &str = "bare-broadcast";
/// What a client of the broadcast says to be the one who sends.
pub(crate) const PUBLISH: &str = "publish";
/// What a client of the broadcast says to be sent to.
pub(crate) const SUBSCRIBE: &str = "subscribe";
/// What it is answered.
pub(crate) const READY: &str = "ready";

/// The largest answer that the bare service gives.
const LARGEST: usize = 1024 * 1024;
/// How many messages a socket may be behind.
const BACKLOG: usize = 1024;
/// How many messages share one flush at most.
const BATCH: usize = 32;

/// Runs a subcommand until its input ends.
///
/// # Errors
/// No port is free.
pub(crate) async fn serve(subcommand: &str) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    println!("{}", listener.local_addr()?);
    let serving = async { if subcommand == HTTP { http(&listener).await } else { sockets(&listener).await } };
    let mut nothing = Vec::new();
    let mut input = tokio::io::stdin();
    tokio::select! {
        () = serving => {}
        _ = input.read_to_end(&mut nothing) => {}
    }
    Ok(())
}

/// `GET` and `POST` of `/<n>` are answered with `n` bytes; a body is read to its end.
async fn http(listener: &TcpListener) {
    let answers = Bytes::from(vec![b'x'; LARGEST]);
    loop {
        let Some(stream) = accept(listener).await else { continue };
        let answers = answers.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, answers.clone()));
            // A client that goes away is no concern.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, answers: Bytes) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let length = request.uri().path().trim_start_matches('/').parse().unwrap_or(0_usize).min(answers.len());
    let status = if request.method() == Method::POST { StatusCode::CREATED } else { StatusCode::OK };
    if request.into_body().collect().await.is_err() {
        return Ok(Response::new(Full::default()));
    }
    let mut response = Response::new(Full::new(answers.slice(..length)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// What one socket sends goes to all that subscribed.
async fn sockets(listener: &TcpListener) {
    let (sender, _) = broadcast::channel::<Utf8Bytes>(BACKLOG);
    loop {
        let Some(stream) = accept(listener).await else { continue };
        let sender = sender.clone();
        tokio::spawn(async move {
            // A socket that fails is closed; its client says so.
            let _ = socket(stream, sender).await;
        });
    }
}

async fn socket(stream: TcpStream, sender: broadcast::Sender<Utf8Bytes>) -> Result<()> {
    let mut socket = accept_async(stream).await?;
    let role = socket.next().await.ok_or("closed")??;
    if role.to_text()? == PUBLISH {
        socket.send(Message::text(READY)).await?;
        while let Some(message) = socket.next().await {
            if let Message::Text(text) = message? {
                // Nobody may have subscribed.
                let _ = sender.send(text);
            }
        }
        return Ok(());
    }
    let mut messages = sender.subscribe();
    socket.send(Message::text(READY)).await?;
    deliver(&mut socket, &mut messages).await
}

async fn deliver(socket: &mut WebSocketStream<TcpStream>, messages: &mut broadcast::Receiver<Utf8Bytes>) -> Result<()> {
    loop {
        tokio::select! {
            message = messages.recv() => {
                socket.feed(Message::Text(message?)).await?;
                for _ in 1..BATCH {
                    match messages.recv().now_or_never() {
                        Some(message) => socket.feed(Message::Text(message?)).await?,
                        None => break,
                    }
                }
                socket.flush().await?;
            }
            message = socket.next() => match message {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(()),
            }
        }
    }
}

async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => stream.set_nodelay(true).ok().map(|()| stream),
        Err(_) => {
            // Too many open files, most likely: some will be closed.
            tokio::time::sleep(Duration::from_millis(20)).await;
            None
        }
    }
}
