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
    sync::broadcast::{self, error::RecvError},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    drivers::redis::connection::Connections,
    error::{Error, ErrorKind, Result},
    id::{TenantId, random_hex},
    realtime::{
        broadcast::{Broadcast, Broadcaster},
        bus::{Bus, Ring},
        listeners::Listeners,
        pending::PendingRings,
        wire::{self, Said},
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
/// After how many beats that were sent and not heard the connection that listens is opened anew.
const UNHEARD: u32 = 3;
/// How long it waits before it asks for its channels again.
const AGAIN: Duration = Duration::from_millis(200);
/// How long a connection has to say goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// A bus between the nodes that share a Redis and a prefix.
pub(crate) struct RedisBus {
    shared: Arc<Shared>,
}

struct Shared {
    publisher: Client,
    subscriber: Client,
    prefix: Arc<str>,
    node: String,
    listeners: Listeners,
    pending: PendingRings,
    /// Whether the channels were asked for since the last connect.
    subscribed: AtomicBool,
    /// Beats that Redis took since something was heard.
    unheard: AtomicU32,
    stop: CancellationToken,
}

impl RedisBus {
    /// A bus whose tasks end with `stop`. It waits for nobody: a Redis that is away is connected to when it comes.
    ///
    /// # Errors
    /// `Internal` if the system has no randomness.
    pub(crate) fn start(
        connections: Connections,
        prefix: &str,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self> {
        let Connections { publisher, subscriber, owned } = connections;
        let shared = Arc::new(Shared {
            publisher,
            subscriber,
            prefix: prefix.into(),
            node: random_hex(8)?,
            listeners: Listeners::default(),
            pending: PendingRings::default(),
            subscribed: AtomicBool::new(false),
            unheard: AtomicU32::new(0),
            stop,
        });
        tasks.spawn(Arc::clone(&shared).hear());
        tasks.spawn(Arc::clone(&shared).speak(owned));
        Ok(Self { shared })
    }
}

impl Bus for RedisBus {
    fn ring(&self, tenant: &TenantId, seq: i64) {
        // Here at once: who listens in this process does not wait for Redis, or need it.
        self.shared.listeners.rung(tenant.clone(), seq);
        self.shared.pending.add(tenant, seq);
    }

    fn listen(&self) -> broadcast::Receiver<Ring> {
        self.shared.listeners.rings()
    }
}

#[async_trait]
impl Broadcaster for RedisBus {
    /// It arrives in this process too by way of Redis alone, so that every node hears the same order.
    async fn send(&self, message: Broadcast) -> Result<()> {
        message.check()?;
        let shared = &self.shared;
        if !shared.is_open() {
            return Err(away());
        }
        let channel = shared.channel('m', &message.tenant);
        let sent = shared.publish(channel, wire::message(&message), PATIENCE).await;
        sent.map_err(|error| away().with_source(error))
    }

    fn arrivals(&self) -> broadcast::Receiver<Arc<Broadcast>> {
        self.shared.listeners.messages()
    }
}

impl Shared {
    /// Whether what is sent can come back.
    fn is_open(&self) -> bool {
        self.publisher.is_connected() && self.subscriber.is_connected() && self.subscribed.load(Ordering::Relaxed)
    }

    fn channel(&self, kind: char, tenant: &TenantId) -> String {
        format!("{}:{kind}:{}", self.prefix, shard(tenant))
    }

    /// Heard by this node only.
    fn own_channel(&self) -> String {
        format!("{}:n:{}", self.prefix, self.node)
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
                () = self.pending.some() => self.carry_rings().await,
                _ = beat.tick() => self.beat().await,
            }
        }
        if let Some(connection) = connection {
            close(&self.publisher, connection).await;
        }
    }

    /// Rings that cannot be carried are dropped: the other nodes poll, and look at everything when they connect again.
    async fn carry_rings(&self) {
        let mut shards: BTreeMap<u64, Vec<(TenantId, i64)>> = BTreeMap::new();
        for (tenant, seq) in self.pending.take() {
            shards.entry(shard(&tenant)).or_default().push((tenant, seq));
        }
        if !self.publisher.is_connected() {
            return;
        }
        for (shard, rings) in shards {
            for some in rings.chunks(wire::RINGS) {
                let channel = format!("{}:r:{shard}", self.prefix);
                if let Err(error) = self.publish(channel, wire::rings(&self.node, some), RINGING).await {
                    tracing::debug!(error = ?error, "rings are not carried; the other nodes poll");
                    return;
                }
            }
        }
    }

    async fn beat(&self) {
        if self.is_open() && self.publish(self.own_channel(), String::new(), RINGING).await.is_ok() {
            self.unheard.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells this process what the nodes say.
    async fn hear(self: Arc<Self>) {
        let (mut messages, mut connects) = (self.subscriber.message_rx(), self.subscriber.reconnect_rx());
        let mut errors = self.subscriber.error_rx();
        let connection = self.subscriber.connect();
        let mut warned = false;
        let mut ask: Option<Instant> = None;
        let mut look = interval(BEAT);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                message = messages.recv() => match message {
                    Ok(message) => self.heard(&message),
                    // Rings may have been among them.
                    Err(RecvError::Lagged(_)) => self.listeners.missed(),
                    Err(RecvError::Closed) => break,
                },
                Ok(_) = connects.recv() => {
                    self.subscribed.store(false, Ordering::Relaxed);
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
                            self.unheard.store(0, Ordering::Relaxed);
                            self.subscribed.store(true, Ordering::Relaxed);
                            if std::mem::take(&mut warned) {
                                tracing::info!("Redis is connected");
                            }
                            // What rang until now was not heard.
                            self.listeners.missed();
                        }
                        // A new connection asks by itself.
                        Some(Err(_)) => ask = self.subscriber.is_connected().then(|| Instant::now() + AGAIN),
                    }
                }
                _ = look.tick() => if self.unheard.load(Ordering::Relaxed) >= UNHEARD {
                    tracing::warn!("nothing is heard from Redis any more; connecting again");
                    self.unheard.store(0, Ordering::Relaxed);
                    self.subscribed.store(false, Ordering::Relaxed);
                    let _ = timeout(GOODBYE, self.subscriber.force_reconnection()).await;
                },
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
        let said = message.value.as_str().and_then(|text| wire::read(&text));
        match said {
            // Its own rang here when they were sent.
            Some(Said::Rings { node, .. }) if node == self.node => {}
            Some(Said::Rings { rings, .. }) => {
                for (tenant, seq) in rings {
                    self.listeners.rung(tenant, seq);
                }
            }
            Some(Said::Message(message)) => self.listeners.arrived(message),
            None => tracing::debug!(channel = %message.channel, "a message in Redis is none of ours"),
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
        f.debug_struct("RedisBus").field("prefix", &self.shared.prefix).finish_non_exhaustive()
    }
}
