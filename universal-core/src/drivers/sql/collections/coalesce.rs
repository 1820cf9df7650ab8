//! Creations on PostgreSQL that wait at the same moment, in one statement.
//!
//! A creation needs no lock before it is decided: `ON CONFLICT DO NOTHING` decides whether the id is free. So all that
//! wait at this moment go to the database together, as one statement in a commit of its own, and each is answered after
//! it. There is no timer: a lone creation goes at once, and groups form by themselves while earlier ones are under way.
//! A row that the statement did not store (its id is taken, or the settings changed) goes the ordinary way, alone, which
//! says why. What a caller sees is as if each creation had had a commit of its own.

use std::{collections::HashSet, fmt, sync::Arc};

use sqlx::Row as _;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{
    caller::Caller,
    collections::{
        decide::{self, Writing},
        document::Document,
        write::{DocumentWrite, Written},
    },
    drivers::sql::{
        collections::{configurations::Known, service::SqlCollections},
        connection::Database,
        error::{from_commit, from_db, shutting_down},
        transaction::inside_transaction,
    },
    error::{Error, ErrorKind, Result},
};

/// How many creations wait before a caller is told that the database is busy.
const QUEUE: usize = 4096;
/// How many go in one statement at most.
const GROUP: usize = 128;
/// How many bytes of bodies go in one statement, but for its last one.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// How many statements are under way at once.
const UNDER_WAY: usize = 4;

/// A creation that has been decided.
#[derive(Debug)]
struct Creation {
    tenant: String,
    document: Document,
    actor: Option<String>,
    request_id: Option<String>,
    /// The tenant's version of the settings by which it was decided.
    settings_version: i64,
}

/// What became of a creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is committed.
    Stored,
    /// It was not stored; the ordinary way says why, or stores it.
    NotStored,
}

impl SqlCollections {
    /// Creates a document together with others that wait; `None` if this write must go the ordinary way.
    pub(super) async fn create_together(&self, caller: &Caller, write: &DocumentWrite) -> Result<Option<Written>> {
        let (Some(coalescer), DocumentWrite::Create { collection, document }) = (&self.coalescer, write) else {
            return Ok(None);
        };
        let Known { configured, tenant_version, hooks, .. } =
            self.configurations.recent(caller.tenant(), collection).await?;
        if inside_transaction(&self.database) || !configured.creates_alone() || hooks.is_some() {
            return Ok(None);
        }
        let writing = Writing { caller, configured: &configured, now: self.clock.now(), wants_before: false };
        let document = decide::create(&writing, collection, document)?.document;
        let creation = Creation {
            tenant: caller.tenant().as_str().to_owned(),
            document: document.clone(),
            actor: caller.actor().map(str::to_owned),
            request_id: caller.request_id().map(str::to_owned),
            settings_version: tenant_version,
        };
        match coalescer.create(creation).await? {
            Outcome::Stored => Ok(Some(Written::Created(configured.shown(caller, document)?))),
            Outcome::NotStored => Ok(None),
        }
    }
}

struct Waiting {
    creation: Creation,
    answer: oneshot::Sender<Result<Outcome>>,
}

/// The sending end of the group.
#[derive(Clone)]
pub(super) struct Coalescer {
    queue: mpsc::Sender<Waiting>,
}

impl Coalescer {
    /// Starts the task that sends groups to `database`; it ends with the database.
    pub(super) fn start(database: Database) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        database.0.tasks.spawn(run(database.clone(), waiting));
        Self { queue }
    }

    /// Stores a document whose creation has been decided, together with others, and answers after the commit.
    async fn create(&self, creation: Creation) -> Result<Outcome> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { creation, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => shutting_down(),
            mpsc::error::TrySendError::Full(_) => {
                Error::new(ErrorKind::Busy, "too-many-writes", "too many writes wait for the database; try again")
                    .with_retry_after(std::time::Duration::from_secs(1))
            }
        })?;
        answered.await.map_err(|_| shutting_down())?
    }
}

impl fmt::Debug for Coalescer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalescer").finish_non_exhaustive()
    }
}

/// Takes what waits whenever a statement may go, until the database stops and nothing waits any more.
async fn run(database: Database, mut waiting: mpsc::Receiver<Waiting>) {
    let slots = Arc::new(Semaphore::new(UNDER_WAY));
    let stop = database.0.stop.clone();
    let mut stopping = false;
    let mut taken = Vec::with_capacity(GROUP);
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        tokio::select! {
            biased;
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                waiting.close();
                continue;
            }
            received = waiting.recv_many(&mut taken, GROUP) => if received == 0 { break },
        }
        // A creation whose caller has left before it was sent does not happen.
        taken.retain(|waiting| !waiting.answer.is_closed());
        while !taken.is_empty() {
            let mut bytes = 0;
            let fits = |waiting: &Waiting| {
                let fits = bytes < GROUP_BYTES;
                bytes += waiting.creation.document.body.len();
                fits
            };
            let count = taken.iter().map(fits).take_while(|fits| *fits).count().max(1);
            let group: Vec<Waiting> = taken.drain(..count).collect();
            if taken.is_empty() {
                let database = database.clone();
                let tasks = database.0.tasks.clone();
                tasks.spawn(async move {
                    send(&database, group).await;
                    drop(slot);
                });
                break;
            }
            send(&database, group).await;
        }
    }
    // Whoever waits for the database's tasks waits for the last statements too.
    let _ = slots.acquire_many(u32::try_from(UNDER_WAY).unwrap_or(u32::MAX)).await;
}

/// Sends one group and answers its members.
async fn send(database: &Database, mut group: Vec<Waiting>) {
    // In one order everywhere, so that two groups which share ids never wait for each other in a circle.
    group.sort_by(|a, b| key(&a.creation).cmp(&key(&b.creation)));
    match store(database, &group).await {
        Ok(stored) => {
            if stored.iter().any(|stored| *stored) {
                database.0.signals.outbox.notify_one();
            }
            for (waiting, stored) in group.into_iter().zip(stored.into_iter().chain(std::iter::repeat(false))) {
                let outcome = if stored { Outcome::Stored } else { Outcome::NotStored };
                // A caller that has gone gets no answer; its document stands all the same.
                let _ = waiting.answer.send(Ok(outcome));
            }
        }
        Err(error) => {
            // The database said so itself: it is known that nothing was committed.
            let refused = !matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::Unavailable)
                && error.code() != "no-connection";
            for waiting in group {
                let outcome = if refused {
                    // The database refused the statement as a whole, perhaps for one row of it.
                    Ok(Outcome::NotStored)
                } else {
                    Err(Error::new(error.kind(), error.code(), error.message()))
                };
                let _ = waiting.answer.send(outcome);
            }
            tracing::debug!(error = ?error, "a group of creations failed");
        }
    }
}

fn key(creation: &Creation) -> (&str, &str, &str) {
    (&creation.tenant, creation.document.collection.as_str(), creation.document.id.as_str())
}

/// Whether each member was stored.
async fn store(database: &Database, group: &[Waiting]) -> Result<Vec<bool>> {
    let column = |of: fn(&Creation) -> &str| group.iter().map(|w| of(&w.creation).to_owned()).collect::<Vec<_>>();
    let number = |of: fn(&Creation) -> i64| group.iter().map(|w| of(&w.creation)).collect::<Vec<_>>();
    let optional = |of: fn(&Creation) -> Option<&str>| {
        group.iter().map(|w| of(&w.creation).map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut transactions = Vec::with_capacity(group.len());
    for _ in group {
        let mut bytes = [0_u8; 8];
        getrandom::fill(&mut bytes).map_err(|error| Error::internal(error.to_string()))?;
        transactions.push(i64::from_le_bytes(bytes) & i64::MAX);
    }
    let query = sqlx::query(CREATE)
        .bind(column(|c| &c.tenant))
        .bind(column(|c| c.document.collection.as_str()))
        .bind(column(|c| c.document.id.as_str()))
        .bind(column(|c| &c.document.body))
        .bind(column(|c| c.document.revision.as_str()))
        .bind(optional(|c| c.document.owner.as_ref().map(|owner| owner.as_str())))
        .bind(number(|c| c.document.created_at.as_micros()))
        .bind(optional(|c| c.actor.as_deref()))
        .bind(optional(|c| c.request_id.as_deref()))
        .bind(number(|c| c.settings_version))
        .bind(&transactions);
    let pool = database.connection().get_postgres_connection_pool();
    // A connection that is had is one on which nothing was lost yet.
    let mut connection = pool.acquire().await.map_err(|error| from_db(sea_orm::DbErr::Conn(runtime(error))))?;
    let rows = query.fetch_all(&mut *connection).await.map_err(|error| {
        // What the server answers it has rolled back, unless it went away itself (classes 57P and 08).
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let refused = code.is_some_and(|code| !code.starts_with("57P") && !code.starts_with("08"));
        let error = sea_orm::DbErr::Exec(runtime(error));
        if refused { from_db(error) } else { from_commit(error) }
    })?;
    let numbers: Result<HashSet<i64>> = rows.iter().map(|row| row.try_get(0).map_err(Error::internal)).collect();
    let numbers = numbers?;
    Ok(transactions.iter().map(|number| numbers.contains(number)).collect())
}

fn runtime(error: sqlx::Error) -> sea_orm::RuntimeErr {
    sea_orm::RuntimeErr::SqlxError(error.into())
}

/// An id that an open transaction has taken is not waited for long, or all others would wait with it.
/// The documents are inserted before their changes: the outbox takes its numbers while the rows are held. Rows that
/// were decided by other settings than those of today are left out.
const CREATE: &str = "WITH wanted AS (
        SELECT w.* FROM (SELECT set_config('lock_timeout', '200ms', TRUE) AS patience) AS settings, unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
            $7::bigint[], $8::text[], $9::text[], $10::bigint[], $11::bigint[]) WITH ORDINALITY
            AS w (tenant_id, collection, id, body, revision, owner_id, at, actor, request_id, settings_version, tx, position)
        JOIN universal_tenants t ON t.id = w.tenant_id AND t.settings_version = w.settings_version
        WHERE settings.patience IS NOT NULL),
    stored AS (
        INSERT INTO universal_documents (tenant_id, collection, id, body, revision, owner_id, created_at, updated_at)
        SELECT tenant_id, collection, id, body::jsonb, revision, owner_id, at, at FROM wanted ORDER BY position
        ON CONFLICT DO NOTHING
        RETURNING tenant_id, collection, id, revision)
    INSERT INTO universal_outbox (tenant_id, tx, collection, doc_id, op, revision, owner_after, after, actor, request_id,
        created_at, at)
    SELECT w.tenant_id, w.tx, w.collection, w.id, 'create', w.revision, w.owner_id, w.body, w.actor, w.request_id, w.at, w.at
    FROM wanted w JOIN stored s ON s.tenant_id = w.tenant_id AND s.collection = w.collection AND s.id = w.id
        AND s.revision = w.revision
    ORDER BY w.position
    RETURNING tx";
