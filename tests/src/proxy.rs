//! A way over TCP that a test can cut, as a network does: nothing arrives any more, and nobody is told.

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
    task: JoinHandle<()>,
}

impl Proxy {
    /// A way to `target`, open.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("a bound listener");
        let (open, way) = watch::channel(true);
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(carry(client, target, way.clone()));
            }
        });
        Self { address, open, taken, task }
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

async fn carry(client: TcpStream, target: SocketAddr, mut way: watch::Receiver<bool>) {
    if way.wait_for(|open| *open).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = copy(from_client, to_server, way.clone()) => {}
        () = copy(from_server, to_client, way) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<bool>) {
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
        // What was read while the way is cut waits, and so does all that follows.
        if way.wait_for(|open| *open).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
