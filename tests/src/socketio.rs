//! The npm package `socket.io-client`, run by Node.js and driven line by line.

use std::{collections::VecDeque, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::{
    client::Client,
    environment::{repository, required},
};

/// A Socket.IO client in a process of its own, which ends with this value.
#[derive(Debug)]
pub struct SocketIo {
    commands: ChildStdin,
    events: Lines<BufReader<ChildStdout>>,
    /// What was passed over while something else was waited for.
    passed: VecDeque<Value>,
    _child: Child,
}

impl SocketIo {
    /// Starts Node.js with the client.
    #[must_use]
    pub fn start() -> Self {
        let mut child = Command::new(required("UNIVERSAL_TEST_NODE"))
            .arg(repository().join("tests/socketio/client.cjs"))
            .env("NODE_PATH", required("UNIVERSAL_TEST_SOCKETIO"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js starts");
        let commands = child.stdin.take().expect("a pipe");
        let events = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { commands, events, passed: VecDeque::new(), _child: child }
    }

    /// Starts it and connects to the server (or mount point) at the client's base, with these transports; not yet waited for.
    pub async fn connect(client: &Client, transports: &[&str], auth: Value) -> Self {
        let mut socket = Self::start();
        let url: http::Uri = client.base().parse().expect("an address");
        let host = format!("http://{}", url.authority().expect("a host"));
        let path = format!("{}/socket.io", url.path().trim_end_matches('/'));
        let options = json!({ "path": path, "transports": transports, "auth": auth });
        socket.tell(json!({ "do": "connect", "url": host, "options": options })).await;
        socket
    }

    /// Connects with the credentials of `client` and waits until it is connected.
    pub async fn signed_in(client: &Client, transports: &[&str]) -> Self {
        let mut socket = Self::connect(client, transports, json!({ "token": client.token() })).await;
        socket.next_of("connect").await;
        socket
    }

    /// Gives a command.
    pub async fn tell(&mut self, command: Value) {
        self.commands.write_all(format!("{command}\n").as_bytes()).await.expect("the client runs");
        self.commands.flush().await.expect("the client runs");
    }

    /// Emits an event.
    pub async fn emit(&mut self, name: &str, data: Value) {
        self.tell(json!({ "do": "emit", "name": name, "data": data })).await;
    }

    /// Emits an event and waits for its acknowledgement.
    pub async fn ask(&mut self, name: &str, data: Value) -> Value {
        self.tell(json!({ "do": "emit", "name": name, "data": data, "ack": true })).await;
        let mut answer = self.next_of("ack").await;
        assert_eq!(answer["name"], name);
        assert_eq!(answer["data"].as_array().map(Vec::len), Some(1), "{answer}");
        answer["data"][0].take()
    }

    /// What happened next, from now on: `connect`, `connect_error`, `disconnect`, `upgrade`, `ack`, `event`. Heartbeats are
    /// passed over.
    pub async fn next(&mut self) -> Value {
        match self.passed.pop_front() {
            Some(passed) => passed,
            None => self.read().await,
        }
    }

    /// The next that happened of this kind; what else happens is kept for later.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        if let Some(at) = self.passed.iter().position(|event| event["event"] == kind) {
            return self.passed.remove(at).expect("it is there");
        }
        loop {
            let event = self.read().await;
            if event["event"] == kind {
                return event;
            }
            self.passed.push_back(event);
        }
    }

    /// The argument of the next event of the server's, whose name is `name`.
    pub async fn event(&mut self, name: &str) -> Value {
        let mut event = self.next_of("event").await;
        assert_eq!(event["name"], name, "{event}");
        assert_eq!(event["data"].as_array().map(Vec::len), Some(1), "{event}");
        event["data"][0].take()
    }

    async fn read(&mut self) -> Value {
        loop {
            let line = timeout(Duration::from_secs(40), self.events.next_line()).await;
            let line = line.expect("something happens").expect("a pipe").expect("the client runs");
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
            if event["name"] != "heartbeat" {
                return event;
            }
        }
    }
}
