//! The bus over PostgreSQL's LISTEN and NOTIFY, where no Redis is.
//!
//! A node listens on a connection of its own beside the pool, and notifies through the pool, in statements of their own:
//! a transaction that notifies takes a lock of the whole database at its commit, so no write ever does.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    drivers::sql::{
        connection::Database,
        notice::{Unfinished, pieces},
        patience::Patience,
    },
    error::{Error, ErrorKind, Result},
    id::TenantId,
    realtime::{
        carried::{Carrier, NearEnd},
        wire,
    },
};

/// How many messages wait to be carried.
const WAITING: usize = 256;
/// How many messages go in one statement.
const BATCH: usize = 32;
/// How long a statement that notifies may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a sender waits: a connection hears nothing meanwhile.
const SENDER: Duration = Duration::from_millis(500);
/// How long the listening connection may be silent before it is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(5);
/// How long connecting, and the answer to that question, may take.
const ANSWER: Duration = Duration::from_secs(5);

/// One statement, and so one transaction: what it carries arrives together and in this order. Nothing of it must survive
/// a crash, so it does not wait for the disk.
const NOTIFY: &str = "WITH quick AS (SELECT set_config('synchronous_commit', 'off', true))
    SELECT pg_notify($1, piece) FROM quick, unnest($2::text[]) WITH ORDINALITY AS pieces (piece, n) ORDER BY n";

/// Installations in different schemas of one database do not hear each other.
const SCHEMA: &str = "SELECT coalesce(current_schema(), '')";

/// Carries between the nodes on one PostgreSQL database.
pub(crate) struct PgBus {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Outgoing>,
    /// Taken by the task that empties it.
    waiting: Mutex<Option<mpsc::Receiver<Outgoing>>>,
}

#[derive(Default)]
struct Shared {
    near: NearEnd,
    /// Whether what is sent can come back.
    listening: AtomicBool,
}

/// A message that waits, and who waits for it.
struct Outgoing {
    text: String,
    carried: oneshot::Sender<bool>,
}

impl PgBus {
    /// What rings is heard in this process only until it is [started](Self::start): the database that carries it is
    /// opened with it.
    ///
    /// # Errors
    /// `Internal` if the system has no randomness.
    pub(crate) fn new() -> Result<Self> {
        let (queue, waiting) = mpsc::channel(WAITING);
        let shared = Arc::new(Shared { near: NearEnd::new()?, ..Shared::default() });
        Ok(Self { shared, queue, waiting: Mutex::new(Some(waiting)) })
    }

    /// Carries what is said through `database`, until `stop`. Nobody waits for the connection that listens.
    pub(crate) fn start(&self, database: &Database, tasks: &TaskTracker, stop: &CancellationToken) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(waiting) = waiting else { return };
        let pool = database.connection().get_postgres_connection_pool().clone();
        tasks.spawn(Arc::clone(&self.shared).hear(pool.clone(), stop.clone()));
        tasks.spawn(Arc::clone(&self.shared).speak(pool, waiting, stop.clone()));
    }
}

#[async_trait]
impl Carrier for PgBus {
    fn near(&self) -> &NearEnd {
        &self.shared.near
    }

    async fn carry(&self, _: &TenantId, text: String) -> Result<()> {
        if text.contains('\0') {
            return Err(Error::invalid("invalid-input", "a message and the name of its channel have no NUL character"));
        }
        if !self.shared.listening.load(Ordering::Relaxed) {
            return Err(away());
        }
        let (carried, answer) = oneshot::channel();
        self.queue.try_send(Outgoing { text, carried }).map_err(|_| away())?;
        match timeout(SENDER, answer).await {
            Ok(Ok(true)) => Ok(()),
            _ => Err(away()),
        }
    }
}

impl Shared {
    /// Carries rings and messages to all nodes, one statement after the other, so that messages keep their order.
    async fn speak(self: Arc<Self>, pool: PgPool, mut waiting: mpsc::Receiver<Outgoing>, stop: CancellationToken) {
        let (mut channel, mut number) = (None, 0_u64);
        loop {
            let mut messages = Vec::new();
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.near.rings_wait() => {}
                message = waiting.recv() => match message {
                    Some(message) => messages.push(message),
                    None => return,
                },
            }
            while messages.len() < BATCH
                && let Ok(message) = waiting.try_recv()
            {
                messages.push(message);
            }
            let mut texts: Vec<String> =
                self.near.take_rings().chunks(wire::RINGS).map(|some| wire::rings(self.near.node(), some)).collect();
            for message in &messages {
                number = number.wrapping_add(1);
                texts.extend(pieces(&message.text, self.near.node(), number));
            }
            if texts.is_empty() {
                continue;
            }
            let carried = tokio::select! {
                () = stop.cancelled() => return,
                carried = notify(&pool, &mut channel, texts) => carried,
            };
            if let Err(error) = &carried {
                tracing::debug!(error, "rings are not carried; the other nodes poll");
            }
            for message in messages {
                // A sender that went away is not told.
                let _ = message.carried.send(carried.is_ok());
            }
        }
    }

    /// Tells this process what the nodes say.
    async fn hear(self: Arc<Self>, pool: PgPool, stop: CancellationToken) {
        let (mut patience, mut warned) = (Patience::new(), false);
        loop {
            // A pool of one connection: only there does sqlx hand out what is notified.
            let options = pool.connect_options().as_ref().clone().application_name("universal-backend bus");
            let own = PgPoolOptions::new()
                .max_connections(1)
                .acquire_timeout(ANSWER)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_lazy_with(options);
            let mut since = None;
            let heard = tokio::select! {
                () = stop.cancelled() => None,
                heard = self.listen(&pool, &own, &mut since, &mut warned) => Some(heard),
            };
            self.listening.store(false, Ordering::Relaxed);
            let _ = timeout(ANSWER, own.close()).await;
            let Some(error) = heard else { return };
            let lived = since.map(|since: Instant| since.elapsed());
            if !std::mem::replace(&mut warned, true) {
                tracing::warn!(
                    error,
                    "nodes cannot be listened to at the moment; events between them come by polling until they can"
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(patience.pause(lived)) => {}
            }
        }
    }

    /// Listens until the connection ends; answers why it did. `since` becomes when it began to.
    async fn listen(&self, pool: &PgPool, own: &PgPool, since: &mut Option<Instant>, warned: &mut bool) -> String {
        let connected = timeout(ANSWER, async {
            let channel = channel(pool).await?;
            let mut listener = PgListener::connect_with(own).await?;
            listener.eager_reconnect(false);
            listener.ignore_pool_close_event(true);
            listener.listen(&channel).await?;
            Ok::<_, sqlx::Error>(listener)
        });
        let mut listener = match connected.await {
            Ok(Ok(listener)) => listener,
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return "connecting takes too long".to_owned(),
        };
        *since = Some(Instant::now());
        if std::mem::take(warned) {
            tracing::info!("nodes are listened to again");
        }
        self.listening.store(true, Ordering::Relaxed);
        // What was said until now was not heard.
        self.near.missed(None);
        let mut unfinished = Unfinished::default();
        loop {
            match timeout(SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(notice))) => self.heard(notice.payload(), &mut unfinished),
                Ok(Ok(None)) => return "the connection ended".to_owned(),
                Ok(Err(error)) => return error.to_string(),
                // A connection that is cut somewhere on its way says nothing, for ever.
                Err(_) => match timeout(ANSWER, sqlx::query("SELECT 1").execute(&mut listener)).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return error.to_string(),
                    Err(_) => return "the connection does not answer".to_owned(),
                },
            }
        }
    }

    fn heard(&self, text: &str, unfinished: &mut Unfinished) {
        if unfinished.whole(text).is_some_and(|whole| !self.near.heard(&whole)) {
            tracing::debug!("a notice in the database is none of ours");
        }
    }
}

async fn channel(pool: &PgPool) -> Result<String, sqlx::Error> {
    let schema: String = sqlx::query_scalar(SCHEMA).fetch_one(pool).await?;
    // A channel's name has 63 bytes at most.
    Ok(format!("universal_{:016x}", wire::hash(&schema)))
}

async fn notify(pool: &PgPool, known: &mut Option<String>, texts: Vec<String>) -> Result<(), String> {
    let work = async {
        let channel = match known.take() {
            Some(channel) => channel,
            None => channel(pool).await?,
        };
        let channel = known.insert(channel);
        sqlx::query(NOTIFY).bind(channel.as_str()).bind(texts).execute(pool).await.map(|_| ())
    };
    match timeout(PATIENCE, work).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err("the database takes too long".to_owned()),
    }
}

fn away() -> Error {
    let message =
        "messages between nodes cannot be carried at the moment; try again, and check the database if this lasts";
    Error::new(ErrorKind::Unavailable, "bus-unavailable", message)
}

impl fmt::Debug for PgBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgBus").finish_non_exhaustive()
    }
}
