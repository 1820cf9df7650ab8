//! A way over TCP that a test can cut, as a network does: nothing arrives any more, and nobody is told. Or one to PostgreSQL
//! on which notifications are lost.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// A port whose connections go on to another, unless the way is cut. It ends with this value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    open: watch::Sender<bool>,
    taken: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A way to `target`, open.
    pub async fn to(target: SocketAddr) -> Self {
        Self::losing(target, |_| None).await
    }

    /// A way to the PostgreSQL at `target`, without TLS, on which no notification arrives.
    pub async fn without_notifications(target: SocketAddr) -> Self {
        Self::losing(target, |lost| Some(Messages::losing_notifications(lost))).await
    }

    async fn losing(target: SocketAddr, messages: fn(&Arc<AtomicUsize>) -> Option<Messages>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("a bound listener");
        let (open, way) = watch::channel(true);
        let (taken, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, losing) = (Arc::clone(&taken), Arc::clone(&lost));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(carry(client, target, way.clone(), messages(&losing)));
            }
        });
        Self { address, open, taken, lost, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections have been made to it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many messages were lost on it.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    /// Cuts the way: connections stay as they are, and carry nothing.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Opens it again: what was on its way arrives.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections end with the sender.
        self.task.abort();
    }
}

async fn carry(client: TcpStream, target: SocketAddr, mut way: watch::Receiver<bool>, messages: Option<Messages>) {
    if way.wait_for(|open| *open).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = copy(from_client, to_server, way.clone(), None) => {}
        () = copy(from_server, to_client, way, messages) => {}
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<bool>,
    mut messages: Option<Messages>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(length) if length > 0 => length,
                _ => return,
            },
            gone = way.wait_for(|_| false) => match gone {
                Ok(_) | Err(_) => return,
            },
        };
        let passed = messages.as_mut().map(|messages| messages.pass(&buffer[..length]));
        let bytes = passed.as_deref().unwrap_or(&buffer[..length]);
        // What was read while the way is cut waits, and so does all that follows.
        if way.wait_for(|open| *open).await.is_err() || to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// What a notification begins with, among the messages of a PostgreSQL.
const NOTIFICATION: u8 = b'A';

/// The messages of a PostgreSQL on their way to a client.
#[derive(Debug)]
struct Messages {
    lost: Arc<AtomicUsize>,
    /// A message's kind and length, as far as they have come.
    head: Vec<u8>,
    /// How much of the message is to come.
    rest: usize,
    is_lost: bool,
}

impl Messages {
    fn losing_notifications(lost: &Arc<AtomicUsize>) -> Self {
        Self { lost: Arc::clone(lost), head: Vec::new(), rest: 0, is_lost: false }
    }

    /// What of these bytes arrives.
    fn pass(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(bytes.len());
        while let Some((first, behind)) = bytes.split_first() {
            if self.rest > 0 {
                let (of_this, behind) = bytes.split_at(self.rest.min(bytes.len()));
                self.rest -= of_this.len();
                bytes = behind;
                if !self.is_lost {
                    passed.extend_from_slice(of_this);
                }
                continue;
            }
            self.head.push(*first);
            bytes = behind;
            if let [kind, a, b, c, d] = self.head[..] {
                // The length counts itself, and not the kind.
                self.rest = u32::from_be_bytes([a, b, c, d]) as usize - 4;
                self.is_lost = kind == NOTIFICATION;
                match self.is_lost {
                    true => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
                    false => passed.extend_from_slice(&self.head),
                }
                self.head.clear();
            }
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_are_lost_wherever_the_bytes_are_cut() {
        let stream = b"Z\0\0\0\x05IA\0\0\0\x0c\0\0\0\x01AZ\0\x00C\0\0\0\x04A\0\0\0\x04Z\0\0\0\x05A";
        for cut in 0..=stream.len() {
            let lost = Arc::default();
            let mut messages = Messages::losing_notifications(&lost);
            let (one, other) = stream.split_at(cut);
            let passed = [messages.pass(one), messages.pass(other)].concat();
            assert_eq!(passed, b"Z\0\0\0\x05IC\0\0\0\x04Z\0\0\0\x05A", "cut at {cut}");
            assert_eq!(lost.load(Ordering::Relaxed), 2);
        }
    }
}
