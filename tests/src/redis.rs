//! A Redis of a test's own, which it may kill, freeze and start again.

use std::{
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{environment::program, process::signal, server::free_port, wait};

/// A Redis on a port of its own; ended when dropped.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    folder: TempDir,
    child: Mutex<Option<Child>>,
}

impl Redis {
    /// One that is not started yet.
    #[must_use]
    pub fn absent() -> Self {
        Self { port: free_port(), folder: tempfile::tempdir().expect("a temporary folder"), child: Mutex::new(None) }
    }

    /// One that answers.
    pub async fn started() -> Self {
        let redis = Self::absent();
        redis.start().await;
        redis
    }

    /// Starts it (again) on the same port, empty, and waits until it answers.
    pub async fn start(&self) {
        let program = program("UNIVERSAL_TEST_REDIS_SERVER", &["redis-server", "valkey-server"]);
        let child = Command::new(&program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let before = self.slot().replace(child);
        assert!(before.is_none(), "Redis runs already");
        wait::until("Redis to answer", Duration::from_secs(20), || async {
            self.ask(&["PING"]).await.is_some_and(|answer| answer.starts_with("+PONG"))
        })
        .await;
    }

    /// `redis://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// `kill -9`.
    pub fn kill(&self) {
        let mut child = self.slot().take().expect("a running Redis");
        child.kill().expect("a process of ours");
        child.wait().expect("a process of ours");
    }

    /// Stops it without ending it: its connections stay open, and nothing answers.
    pub fn freeze(&self) {
        signal(self.slot().as_ref().expect("a running Redis").id(), "STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal(self.slot().as_ref().expect("a running Redis").id(), "CONT");
    }

    /// The raw answer to a command.
    pub async fn command(&self, words: &[&str]) -> String {
        self.ask(words).await.expect("Redis answers")
    }

    async fn ask(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(self.address()).await.ok()?;
        let mut text = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            text.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        stream.write_all(&text).await.ok()?;
        let mut answer = vec![0; 64 * 1024];
        let length = timeout(Duration::from_secs(2), stream.read(&mut answer)).await.ok()?.ok()?;
        Some(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    fn slot(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.slot().take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
