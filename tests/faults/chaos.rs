//! The feed on PostgreSQL under everything at once: deadlocks, rollbacks, savepoints, transactions that
//! hosts hold open, readers that hop, and two sequencers whose connections are killed again and again.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use tokio::{task::JoinSet, time::Instant};
use universal_core::{Backend, Caller, TenantId, id::CollectionName, realtime::Change, secret::MasterKey};
use universal_tests::{environment::Volume, postgres::TestDatabase, wait};

use super::{
    chaos_chain::{Acknowledged, Dice, faults_of_acknowledged, faults_of_chain, faults_of_documents, tag, whole_feed},
    chaos_readers::{self, Seen},
    chaos_writers,
};

pub(super) const DOCUMENTS: u64 = 12;

/// Where everything meets.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) backends: Vec<Backend>,
    /// The pools that the backends use too: a host's own transactions begin here.
    pub(super) pools: Vec<DatabaseConnection>,
    pub(super) caller: Caller,
    pub(super) name: CollectionName,
    pub(super) stop: AtomicBool,
    next_tag: AtomicU64,
    book: Mutex<Book>,
}

/// What became of what was tried.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) acknowledged: Vec<Acknowledged>,
    /// Tags whose write certainly did not happen.
    pub(super) undone: HashSet<u64>,
    pub(super) unknown: u64,
    pub(super) faults: Vec<String>,
    pub(super) counts: HashMap<&'static str, u64>,
}

impl Field {
    pub(super) fn tag(&self) -> u64 {
        self.next_tag.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn note(&self, note: impl FnOnce(&mut Book)) {
        note(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn count(&self, what: &'static str) {
        self.note(|book| *book.counts.entry(what).or_default() += 1);
    }

    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_feed_on_postgresql_loses_nothing_invents_nothing_and_keeps_the_order() {
    let seconds = Volume::from_environment().pick(15, 90);
    let database = TestDatabase::migrated().await;
    let killer = database.connect().await;
    for setting in ["deadlock_timeout = '30ms'", "lock_timeout = '5s'", "max_parallel_workers_per_gather = 0"] {
        let sql = format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {}', current_database()); END $$",
            setting.replace('\'', "''")
        );
        killer.execute_unprepared(&sql).await.expect("the test server's superuser may set this");
    }
    let (mut backends, mut pools) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let mut options = ConnectOptions::new(database.url());
        options.max_connections(24).sqlx_logging(false);
        let pool = Database::connect(options).await.expect("the database answers");
        let key = MasterKey::from_hex(universal_tests::postgres::MASTER_KEY).unwrap();
        let builder = Backend::builder().in_memory().with_postgres_connection(pool.clone()).with_master_key(key);
        backends.push(builder.build().await.expect("a backend opens"));
        pools.push(pool);
    }
    let field = Arc::new(Field {
        backends,
        pools,
        caller: Caller::system(TenantId::default_tenant()),
        name: CollectionName::new("chaos").unwrap(),
        stop: AtomicBool::new(false),
        next_tag: AtomicU64::new(1),
        book: Mutex::default(),
    });
    let start = field.backends[0].realtime().head(&field.caller).await.expect("a head");
    assert_eq!(start.seq(), 0, "a new database has an empty feed");

    let readers: Vec<_> =
        (0..3).map(|n| tokio::spawn(chaos_readers::run(Arc::clone(&field), start.clone(), 100 + n))).collect();
    let mut writers = JoinSet::new();
    for n in 0..6 {
        writers.spawn(chaos_writers::single(Arc::clone(&field), n));
        writers.spawn(chaos_writers::several(Arc::clone(&field), 10 + n));
    }
    for n in 0..4 {
        writers.spawn(chaos_writers::lent(Arc::clone(&field), 20 + n));
    }
    let kills = kill_for(&killer, Duration::from_secs(seconds)).await;
    field.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer does not panic");
    }
    let last = chaos_writers::last(&field).await;
    let mut seen = Vec::new();
    for reader in readers {
        let reader = tokio::time::timeout(Duration::from_secs(60), reader).await;
        seen.push(reader.expect("a reader gets to the last change").expect("a reader does not panic"));
    }
    wait::until("the outbox to be empty", Duration::from_secs(20), || async {
        count(&killer, "SELECT count(*) FROM universal_outbox").await == 0
    })
    .await;
    let changes = whole_feed(&field.backends[1]).await.expect("the feed can be read");
    judge(&field, &changes, &seen, &last, kills).await;
    for backend in &field.backends {
        tokio::time::timeout(Duration::from_secs(20), backend.shutdown()).await.expect("a shutdown ends");
    }
}

async fn judge(field: &Field, changes: &[Change], readers: &[Vec<Seen>], last: &str, kills: u64) {
    let mut faults = faults_of_chain(changes);
    faults.extend(faults_of_documents(&field.backends[0], &field.name, changes).await);
    let book = std::mem::take(&mut *field.book.lock().unwrap_or_else(PoisonError::into_inner));
    faults.extend(book.faults);
    faults.extend(faults_of_acknowledged(changes, &book.acknowledged));
    for change in changes {
        let tag = change.after.as_ref().and_then(|image| tag(&image.body));
        if tag.is_none_or(|tag| book.undone.contains(&tag)) && change.after.is_some() {
            faults.push(format!("{} {} {} was undone and is in the feed", change.seq, change.id, change.revision));
        }
    }
    let expected: Vec<Seen> = changes.iter().map(Seen::of_change).collect();
    for (reader, seen) in readers.iter().enumerate() {
        if let Some(at) = (0..expected.len().max(seen.len())).find(|at| expected.get(*at) != seen.get(*at)) {
            faults.push(format!(
                "reader {reader} saw {:?} where the feed has {:?} ({} of {})",
                seen.get(at),
                expected.get(at),
                seen.len(),
                expected.len()
            ));
        }
    }
    if changes.last().is_none_or(|change| change.id.as_str() != last) {
        faults.push("the last change is not the last".to_owned());
    }
    println!(
        "{} changes, {} writes acknowledged, {} undone, {} transactions of unknown outcome, {kills} connections killed; {:?}",
        changes.len(),
        book.acknowledged.len(),
        book.undone.len(),
        book.unknown,
        book.counts
    );
    let count = faults.len();
    faults.truncate(15);
    assert!(faults.is_empty(), "{count} faults:\n{}", faults.join("\n"));
    assert!(kills > 10 && changes.len() > 500, "too little happened: {kills} kills, {} changes", changes.len());
}

/// Kills whoever sequences at the moment it looks, and now and then anybody.
async fn kill_for(killer: &DatabaseConnection, time: Duration) -> u64 {
    const SEQUENCERS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IN ('active', 'idle in transaction')
          AND (query LIKE '%FROM universal_feeds%FOR UPDATE%' OR query LIKE 'WITH due AS%')";
    const ANYBODY: &str = "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' ORDER BY random() LIMIT 2) AS unlucky";
    let (mut dice, mut kills) = (Dice::new(7), 0);
    let end = Instant::now() + time;
    while Instant::now() < end {
        let sql = if dice.happens(25) { ANYBODY } else { SEQUENCERS };
        kills += count(killer, sql).await;
        wait::pause(Duration::from_millis(5 + dice.below(60))).await;
    }
    kills
}

async fn count(connection: &DatabaseConnection, sql: &str) -> u64 {
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let row = connection.query_one_raw(statement).await.expect("the database answers").expect("a row");
    u64::try_from(row.try_get_by_index::<i64>(0).expect("a number")).expect("a count")
}
