//! The bus over Redis: rings and messages are published, each tenant's on one of a fixed number of channels.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fred::{
    clients::Client,
    interfaces::{ClientLike as _, EventInterface as _, PubsubInterface as _},
    types::{ConnectHandle, Message, config::Options},
};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    drivers::redis::connection::Connections,
    error::{Error, ErrorKind, Result},
    id::TenantId,
    realtime::{
        carried::{Carrier, NearEnd},
        wire,
    },
};

/// How many channels rings have, and messages.
const SHARDS: u64 = 16;
/// How long a caller waits for Redis.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long rings wait for Redis; nobody waits for them.
const RINGING: Duration = Duration::from_millis(500);
/// How often a node says something to itself through Redis.
const BEAT: Duration = Duration::from_secs(2);
/// After how many beats that were not heard the connections are opened anew.
const UNHEARD: u32 = 3;
/// How long it waits before it asks for its channels again.
const AGAIN: Duration = Duration::from_millis(200);
/// How long a connection has to say goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// Carries between the nodes that share a database of a Redis and a prefix.
pub(crate) struct RedisBus {
    publisher: Client,
    subscriber: Client,
    /// What the names of channels begin with: publishing knows no databases, so their number stands there too.
    prefix: String,
    near: NearEnd,
    /// Whether the channels were asked for since the last connect.
    subscribed: AtomicBool,
    /// Beats since something was heard.
    unheard: AtomicU32,
    stop: CancellationToken,
}

impl RedisBus {
    /// Its tasks end with `stop`. It waits for nobody: a Redis that is away is connected to when it comes.
    ///
    /// # Errors
    /// `Internal` if the system has no randomness.
    pub(crate) fn start(
        connections: Connections,
        prefix: &str,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Arc<Self>> {
        let Connections { publisher, subscriber, database, owned } = connections;
        let bus = Arc::new(Self {
            publisher,
            subscriber,
            prefix: format!("{prefix}:{database}"),
            near: NearEnd::new()?,
            subscribed: AtomicBool::new(false),
            unheard: AtomicU32::new(0),
            stop,
        });
        tasks.spawn(Arc::clone(&bus).hear());
        tasks.spawn(Arc::clone(&bus).speak(owned));
        Ok(bus)
    }
}

#[async_trait]
impl Carrier for RedisBus {
    fn near(&self) -> &NearEnd {
        &self.near
    }

    async fn carry(&self, tenant: &TenantId, text: String) -> Result<()> {
        if !self.is_open() {
            return Err(away());
        }
        let sent = self.publish(self.channel('m', tenant), text, PATIENCE).await;
        sent.map_err(|error| away().with_source(error))
    }
}

impl RedisBus {
    /// Whether what is sent can come back.
    fn is_open(&self) -> bool {
        self.publisher.is_connected() && self.subscriber.is_connected() && self.subscribed.load(Ordering::Relaxed)
    }

    fn channel(&self, kind: char, tenant: &TenantId) -> String {
        format!("{}:{kind}:{}", self.prefix, shard(tenant))
    }

    /// Heard by this node only.
    fn own_channel(&self) -> String {
        format!("{}:n:{}", self.prefix, self.near.node())
    }

    fn channels(&self) -> Vec<String> {
        let shards = |kind| (0..SHARDS).map(move |shard| format!("{}:{kind}:{shard}", self.prefix));
        shards('r').chain(shards('m')).chain([self.own_channel()]).collect()
    }

    async fn publish(&self, channel: String, text: String, patience: Duration) -> Result<(), fred::error::Error> {
        // Never twice: a connection that breaks takes what it carried with it.
        let options = Options { timeout: Some(patience), fail_fast: true, max_attempts: Some(1), ..Options::default() };
        self.publisher.with_options(&options).publish::<i64, _, _>(channel, text).await.map(|_| ())
    }

    /// Carries rings to the other nodes, and beats.
    async fn speak(self: Arc<Self>, owned: bool) {
        let connection = owned.then(|| self.publisher.connect());
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.near.rings_wait() => self.carry_rings().await,
                _ = beat.tick() => self.beat(owned).await,
            }
        }
        if let Some(connection) = connection {
            close(&self.publisher, connection).await;
        }
    }

    /// Rings that cannot be carried are dropped: the other nodes poll, and look at everything when they connect again.
    async fn carry_rings(&self) {
        let mut shards: BTreeMap<u64, Vec<(TenantId, i64)>> = BTreeMap::new();
        for (tenant, seq) in self.near.take_rings() {
            shards.entry(shard(&tenant)).or_default().push((tenant, seq));
        }
        if !self.publisher.is_connected() {
            return;
        }
        for (shard, rings) in shards {
            for some in rings.chunks(wire::RINGS) {
                let channel = format!("{}:r:{shard}", self.prefix);
                if let Err(error) = self.publish(channel, wire::rings(self.near.node(), some), RINGING).await {
                    tracing::debug!(error = ?error, "rings are not carried; the other nodes poll");
                    return;
                }
            }
        }
    }

    /// Says something to itself. A way that is cut somewhere answers neither with this nor with an error, so what is not
    /// heard for long is connected to anew; fred's own watch passes over what is published.
    async fn beat(&self, owned: bool) {
        if !(self.publisher.is_connected() && self.subscriber.is_connected()) {
            return;
        }
        if self.unheard.fetch_add(1, Ordering::Relaxed) >= UNHEARD {
            tracing::warn!("nothing is heard from Redis any more; connecting again");
            self.unheard.store(0, Ordering::Relaxed);
            self.subscribed.store(false, Ordering::Relaxed);
            let clients = [Some(&self.subscriber), owned.then_some(&self.publisher)];
            for client in clients.into_iter().flatten() {
                let _ = timeout(GOODBYE, client.force_reconnection()).await;
            }
            return;
        }
        // What became of it is heard, or not.
        let _ = self.publish(self.own_channel(), String::new(), RINGING).await;
    }

    /// Tells this process what the nodes say.
    async fn hear(self: Arc<Self>) {
        let (mut messages, mut connects) = (self.subscriber.message_rx(), self.subscriber.reconnect_rx());
        let mut errors = self.subscriber.error_rx();
        let connection = self.subscriber.connect();
        let mut warned = false;
        let mut ask: Option<Instant> = None;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                message = messages.recv() => match message {
                    Ok(message) => self.heard(&message),
                    // Rings and messages were among them.
                    Err(RecvError::Lagged(count)) => {
                        tracing::warn!(count, "this node was too slow for what came from Redis; some of it is lost");
                        self.near.missed(Some(count));
                    }
                    Err(RecvError::Closed) => break,
                },
                Ok(_) = connects.recv() => {
                    self.subscribed.store(false, Ordering::Relaxed);
                    self.unheard.store(0, Ordering::Relaxed);
                    ask = Some(Instant::now());
                }
                Ok((error, _)) = errors.recv() => if !warned {
                    warned = true;
                    tracing::warn!(error = ?error, "Redis cannot be reached at the moment; events between nodes come by polling until it can");
                },
                () = sleep_until(ask.unwrap_or_else(Instant::now)), if ask.is_some() => {
                    let asked = self.stop.run_until_cancelled(self.subscriber.subscribe(self.channels())).await;
                    match asked {
                        None => break,
                        Some(Ok(())) => {
                            ask = None;
                            self.subscribed.store(true, Ordering::Relaxed);
                            if std::mem::take(&mut warned) {
                                tracing::info!("Redis is connected");
                            }
                            // What was said until now was not heard.
                            self.near.missed(None);
                        }
                        // A new connection asks by itself.
                        Some(Err(_)) => ask = self.subscriber.is_connected().then(|| Instant::now() + AGAIN),
                    }
                }
            }
        }
        self.subscribed.store(false, Ordering::Relaxed);
        close(&self.subscriber, connection).await;
    }

    fn heard(&self, message: &Message) {
        self.unheard.store(0, Ordering::Relaxed);
        if *message.channel == *self.own_channel() {
            return;
        }
        if !message.value.as_str().is_some_and(|text| self.near.heard(&text)) {
            tracing::debug!(channel = %message.channel, "a message in Redis is none of ours");
        }
    }
}

/// Which channels carry a tenant's.
fn shard(tenant: &TenantId) -> u64 {
    wire::hash(tenant.as_str()) % SHARDS
}

/// Closes a connection of our own; one that does not answer is left.
async fn close(client: &Client, connection: ConnectHandle) {
    if client.is_connected() {
        let _ = timeout(GOODBYE, client.quit()).await;
    }
    connection.abort();
}

fn away() -> Error {
    let message = "messages between nodes cannot be carried at the moment; try again, and check Redis if this lasts";
    Error::new(ErrorKind::Unavailable, "bus-unavailable", message)
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
