//! Opening a database: pools, pragmas, migrations.

#[cfg(feature = "sqlite")]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "sqlite")]
use sea_orm::SqlxSqliteConnector;
#[cfg(feature = "postgres")]
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
#[cfg(feature = "postgres")]
use sea_orm::{DatabaseConnection, DatabaseConnectionType, SqlxPostgresConnector};
use sea_orm_migration::MigratorTrait as _;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[cfg(feature = "postgres")]
use crate::drivers::sql::reach::Turns;
#[cfg(feature = "sqlite")]
use crate::drivers::sql::sqlite::{
    connection::{CHECKPOINT, Place},
    readers::Readers,
    writer::Writer,
};
use crate::{
    drivers::sql::{
        connection::{Database, Inner, Signals},
        dialect::Dialect,
        error::from_db,
        migration::Migrator,
    },
    error::{Error, ErrorKind, Result},
    realtime::bus::Bus,
};

/// How a database is opened.
#[derive(Clone, Debug)]
pub(crate) struct OpenOptions {
    /// How long `Backend::transaction` may take.
    pub(crate) transaction_limit: Duration,
    /// How many connections read (SQLite) or read and write (PostgreSQL).
    pub(crate) connections: u32,
    /// Whether an acknowledged write survives a loss of power on SQLite (`synchronous=FULL`).
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "PostgreSQL decides by itself how it waits"))]
    pub(crate) full_sync: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { transaction_limit: Duration::from_secs(5), connections: 16, full_sync: true }
    }
}

impl Signals {
    /// Signals that ring `bus`.
    pub(crate) fn new(bus: Arc<dyn Bus>) -> Self {
        Self { bus, jobs: Arc::new(Notify::new()), outbox: Arc::new(Notify::new()) }
    }
}

#[cfg(feature = "sqlite")]
impl Database {
    /// Opens the SQLite file at `path`, made if it is not there.
    pub(crate) async fn open_sqlite(path: &Path, options: &OpenOptions, signals: Signals) -> Result<Self> {
        use sqlx::sqlite::SqliteSynchronous;
        let synchronous =
            if options.full_sync { (SqliteSynchronous::Full, "FULL") } else { (SqliteSynchronous::Normal, "NORMAL") };
        Self::open_sqlite_with(path, options, signals, synchronous, None).await
    }

    /// A SQLite file in a temporary folder that goes away with the database; nothing waits for the disk.
    pub(crate) async fn open_temporary(options: &OpenOptions, signals: Signals) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| unavailable(error.to_string()))?;
        let path = folder.path().join("universal.sqlite");
        let synchronous = (sqlx::sqlite::SqliteSynchronous::Off, "OFF");
        Self::open_sqlite_with(&path, options, signals, synchronous, Some(folder)).await
    }

    async fn open_sqlite_with(
        path: &Path,
        options: &OpenOptions,
        signals: Signals,
        synchronous: (sqlx::sqlite::SqliteSynchronous, &'static str),
        folder: Option<tempfile::TempDir>,
    ) -> Result<Self> {
        use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
        let file = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous.0)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true)
            .pragma("journal_size_limit", "67108864")
            .pragma("cache_size", "-16384")
            .pragma("wal_autocheckpoint", CHECKPOINT.to_string())
            .statement_cache_capacity(200);
        let writing = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        // Not among the reader's options: SQLite writes the file's header for it, even with what is there.
        let writable = file.clone().auto_vacuum(SqliteAutoVacuum::Incremental);
        let writing = writing.connect_with(writable).await.map_err(|error| unavailable(error.to_string()))?;
        let migrating = SqlxSqliteConnector::from_sqlx_sqlite_pool(writing.clone());
        Migrator::up(&migrating, None).await.map_err(from_db)?;
        let reading = SqlitePoolOptions::new()
            .max_connections(options.connections.clamp(1, 16))
            .acquire_timeout(Duration::from_secs(2))
            .connect_lazy_with(file.create_if_missing(false).read_only(true));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let place = Place { path: path.to_owned(), synchronous: synchronous.1 };
        let writer = Writer::start(place.clone(), writing, signals.clone(), &tasks, stop.clone())?;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) * 2;
        let threads = threads.min(options.connections.clamp(1, 16) as usize);
        let readers = Readers::start(place, threads).map_err(|error| unavailable(error.to_string()))?;
        Ok(Self(Arc::new(Inner {
            dialect: Dialect::Sqlite,
            connection: SqlxSqliteConnector::from_sqlx_sqlite_pool(reading),
            writer: Some(writer),
            readers: Some(readers),
            #[cfg(feature = "postgres")]
            turns: None,
            signals,
            tasks,
            stop,
            transaction_limit: options.transaction_limit,
            _folder: folder,
        })))
    }
}

#[cfg(feature = "postgres")]
impl Database {
    /// Opens a PostgreSQL database by its URL.
    pub(crate) async fn open_postgres(url: &str, options: &OpenOptions, signals: Signals) -> Result<Self> {
        use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
        let connect: PgConnectOptions = url.parse().map_err(|_| {
            Error::invalid("invalid-database-url", "a PostgreSQL URL is postgres://user:password@host:port/database")
        })?;
        let connect = connect.application_name("universal-backend").statement_cache_capacity(200).options([
            ("idle_in_transaction_session_timeout", "15s"),
            ("lock_timeout", "5s"),
            ("statement_timeout", "10s"),
            // A long filter takes a second or more to compile, and a list looks at some thousand documents.
            ("jit", "off"),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(options.connections)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(connect)
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        Self::lent_postgres(SqlxPostgresConnector::from_sqlx_postgres_pool(pool), options, signals).await
    }

    /// Uses a PostgreSQL connection pool that the host opened.
    pub(crate) async fn lent_postgres(
        connection: DatabaseConnection,
        options: &OpenOptions,
        signals: Signals,
    ) -> Result<Self> {
        migrate_postgres(&connection).await?;
        // A host may lend something that is no pool.
        let connections = match &connection.inner {
            DatabaseConnectionType::SqlxPostgresPoolConnection(_) => {
                connection.get_postgres_connection_pool().options().get_max_connections()
            }
            _ => options.connections,
        };
        Ok(Self(Arc::new(Inner {
            dialect: Dialect::Postgres,
            connection,
            #[cfg(feature = "sqlite")]
            writer: None,
            #[cfg(feature = "sqlite")]
            readers: None,
            turns: Some(Turns::on(connections as usize)),
            signals,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            transaction_limit: options.transaction_limit,
            #[cfg(feature = "sqlite")]
            _folder: None,
        })))
    }
}

/// Nodes that start together take turns: the lock goes with the transaction that holds it.
#[cfg(feature = "postgres")]
async fn migrate_postgres(connection: &DatabaseConnection) -> Result<()> {
    let transaction = connection.begin().await.map_err(from_db)?;
    let lock = "SELECT pg_advisory_xact_lock(7305804402566816869)";
    transaction.execute_unprepared(lock).await.map_err(from_db)?;
    Migrator::up(&transaction, None).await.map_err(from_db)?;
    transaction.commit().await.map_err(from_db)
}

fn unavailable(cause: String) -> Error {
    Error::new(ErrorKind::Unavailable, "database-unavailable", "the database cannot be opened").with_source(cause)
}
