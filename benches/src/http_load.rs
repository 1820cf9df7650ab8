//! Many connections, each with one request open at a time, for a while.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::HeaderValue;
use tokio::task::JoinSet;

use crate::{
    client::{Call, Connection},
    failure::Result,
    sample::Sample,
    usage::Watched,
};

/// Requests of each connection before the clock runs: they fill caches and prepare statements.
const WARM_UP: usize = 4;
/// How much longer than asked a measurement may take.
const GRACE: Duration = Duration::from_secs(60);

/// What to ask, of whom, for how long.
pub(crate) struct HttpLoad {
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<HeaderValue>,
    pub(crate) connections: usize,
    pub(crate) time: Duration,
    pub(crate) requests: u64,
    /// The status of every answer; another one is an error, never counted as an answer.
    pub(crate) status: u16,
    /// The request of this number. No number comes twice, those of the warm-up included.
    pub(crate) call: Arc<dyn Fn(u64) -> Call + Send + Sync>,
    pub(crate) watched: Watched,
}

impl HttpLoad {
    /// Measures.
    ///
    /// # Errors
    /// An answer with another status, a closed connection, a server that has ended or hangs.
    pub(crate) async fn run(self) -> Result<Sample> {
        let most = self.time + GRACE;
        let hangs = |_| format!("no end after {} s: the server hangs", most.as_secs());
        tokio::time::timeout(most, self.measure()).await.map_err(hangs)?
    }

    async fn measure(self) -> Result<Sample> {
        let numbers = Arc::new(AtomicU64::new(0));
        let mut opened = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let mut connection = Connection::open(self.address, self.token.clone()).await?;
            for _ in 0..WARM_UP {
                let call = (self.call)(numbers.fetch_add(1, Ordering::Relaxed));
                connection.send(call).await?.expect(self.status)?;
            }
            opened.push(connection);
        }
        let end_number = numbers.load(Ordering::Relaxed).saturating_add(self.requests);
        let before = self.watched.usage()?;
        let begin = Instant::now();
        let end = begin + self.time;
        let mut tasks = JoinSet::new();
        for mut connection in opened {
            let (numbers, call, status) = (Arc::clone(&numbers), Arc::clone(&self.call), self.status);
            tasks.spawn(async move {
                let mut done = 0_u64;
                while Instant::now() < end {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    if number >= end_number {
                        break;
                    }
                    connection.send(call(number)).await?.expect(status)?;
                    done += 1;
                }
                Result::Ok(done)
            });
        }
        let mut count = 0;
        while let Some(done) = tasks.join_next().await {
            count += done??;
        }
        let wall = begin.elapsed();
        let (cpu, database_cpu) = self.watched.usage()?.since(&before);
        Ok(Sample { count, wall, cpu: Some(cpu), database_cpu })
    }
}
