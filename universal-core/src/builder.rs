//! From settings and lent parts to a backend. The one place that names drivers.

mod mail;
mod nodes;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use secrecy::ExposeSecret as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{AuthKeys, AuthOptions},
    backend::{Backend, Parts, Summary},
    clock::{SharedClock, SystemClock},
    collections::{CollectionMatch, Maintenance, PendingWrite, idempotency::KeptAnswers, list_cursor::CursorKey},
    drivers::{
        blob::{BlobStorage, BlobStore},
        sql::{
            auth::SqlAuth,
            catalog::SqlCatalog,
            channels::SqlChannelRules,
            collections::{Hooks, SqlCollections, SqlConfigurations},
            connection::{Database, Signals},
            consumers::SqlPositions,
            dialect::Dialect,
            feed::SqlFeed,
            jobs::SqlQueue,
            open::OpenOptions,
        },
    },
    engine::{
        channels::{ChannelHub, ChannelOptions},
        consumer,
        hub::Hub,
        indexer, relay, upkeep,
        worker::{WorkerOptions, Workers},
    },
    error::{Error, Result},
    hooks::{AfterHook, BeforeHook, HostHooks, Lender},
    jobs::{Functions, Mailer, Queue, QueuedJobs},
    realtime::{ChannelRules, Committed, Feed, Positions},
    secret::MasterKey,
    settings::{Settings, Synchronous, Undeclared},
    storage::{Signer, Storage, Sweep},
    transaction::Transaction,
};

/// Puts a [`Backend`] together. Whatever is not given is the embedded default.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    settings: Settings,
    in_memory: bool,
    clock: SharedClock,
    auth: Option<AuthOptions>,
    #[cfg(feature = "postgres")]
    connection: Option<sea_orm::DatabaseConnection>,
    #[cfg(feature = "redis")]
    redis_client: Option<fred::clients::Client>,
    master_key: Option<MasterKey>,
    transaction_limit: Duration,
    functions: Functions,
    mailer: Option<Arc<dyn Mailer>>,
    store: Option<BlobStore>,
    workers: Option<WorkerOptions>,
    hooks: HostHooks,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::default(),
            in_memory: false,
            clock: Arc::new(SystemClock),
            auth: None,
            #[cfg(feature = "postgres")]
            connection: None,
            #[cfg(feature = "redis")]
            redis_client: None,
            master_key: None,
            transaction_limit: Duration::from_secs(5),
            functions: Functions::default(),
            mailer: None,
            store: None,
            workers: None,
            hooks: HostHooks::default(),
        }
    }

    /// With these settings.
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// With a temporary SQLite file and files in memory, for tests.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// With a clock of the host's.
    pub fn with_clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// With other limits and lifetimes of sign-in.
    pub fn with_auth_options(mut self, options: AuthOptions) -> Self {
        self.auth = Some(options);
        self
    }

    /// With a master key of the host's.
    pub fn with_master_key(mut self, key: MasterKey) -> Self {
        self.master_key = Some(key);
        self
    }

    /// How long [`Backend::transaction`] may take; 5 s.
    pub fn with_transaction_limit(mut self, limit: Duration) -> Self {
        self.transaction_limit = limit;
        self
    }

    /// With functions of the host's, which callers may run by name and jobs name.
    pub fn with_functions(mut self, functions: Functions) -> Self {
        self.functions = functions;
        self
    }

    /// With a mailer of the host's; it also brings the function `send_email`.
    pub fn with_mailer(mut self, mailer: Arc<dyn Mailer>) -> Self {
        self.mailer = Some(mailer);
        self
    }

    /// With an object store of the host's for the bytes of files.
    pub fn with_object_store(mut self, store: Arc<dyn object_store::ObjectStore>) -> Self {
        self.store = Some(BlobStore::lent(store));
        self
    }

    /// With other leases and limits of the workers than the settings' number of them.
    pub fn with_worker_options(mut self, options: WorkerOptions) -> Self {
        self.workers = Some(options);
        self
    }

    /// With code that runs inside the transaction of every write of one document in `collections`, over HTTP and in
    /// Rust, for every caller, after the write was decided and before it is stored.
    ///
    /// It may change the members that will be stored, write other documents, enqueue jobs and run SQL of the host's in
    /// the same transaction, or refuse the write with an error, which is the answer. Hooks run in the order in which
    /// they were given; writes of hooks run hooks too. It may run again for one write, so it must do nothing but speak
    /// to the transaction; what shall happen elsewhere is for a job or for [`after_commit`](Self::after_commit).
    /// It must not write the document that it is called for: that is refused with `hook-wrote-its-document`.
    /// Each call may take 2 s ([`with_hook_limit`](Self::with_hook_limit)). On SQLite such a write has the writer alone.
    ///
    /// ```
    /// use universal_core::{Backend, Caller, Error, ErrorKind, TenantId};
    /// use universal_core::collections::{Action, CollectionMatch, DocumentWrite, NewDocument};
    /// use universal_core::json::Object;
    /// # use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> universal_core::Result<()> {
    /// let backend = Backend::builder()
    ///     .in_memory()
    ///     .before_commit(CollectionMatch::Only("orders".parse()?), |backend, tx, write| Box::pin(async move {
    ///         if write.action() == Action::Delete {
    ///             return Err(Error::new(ErrorKind::Conflict, "orders-are-kept", "an order is never deleted"));
    ///         }
    ///         if let Some(members) = write.after_mut() {
    ///             members.insert("checked".into(), true.into());
    ///         }
    ///         let note = Object::from_value(json!({"order": write.id().as_str()}))?;
    ///         let note = DocumentWrite::Create { collection: "journal".parse()?, document: NewDocument::new(note) };
    ///         backend.collections().write_in(tx, write.caller(), note).await.map(|_| ())
    ///     }))
    ///     .build()
    ///     .await?;
    /// let caller = Caller::system(TenantId::default_tenant());
    /// let orders = backend.collection::<serde_json::Value>("orders")?;
    /// let order = orders.create(&caller, &json!({"book": "emma"})).await?;
    /// assert_eq!(order.value, json!({"book": "emma", "checked": true}));
    /// assert_eq!(orders.delete(&caller, &order.id).await.unwrap_err().code(), "orders-are-kept");
    /// # backend.shutdown().await;
    /// # Ok(()) }
    /// ```
    pub fn before_commit<F>(mut self, collections: impl Into<CollectionMatch>, hook: F) -> Self
    where
        F: for<'a> Fn(&'a Backend, &'a mut Transaction<'_>, &'a mut PendingWrite) -> BoxFuture<'a, Result<()>>
            + Send
            + Sync
            + 'static,
    {
        self.hooks.before.push(BeforeHook::new(collections.into(), Arc::new(hook)));
        self
    }

    /// With code that sees every change of the documents in `collections` after its commit: at least once, in the order
    /// of each tenant, also after a crash. One node at a time hands on the changes of a tenant.
    ///
    /// Its place in the feed is kept under `name` (1 to 64 characters of `a-z`, `0-9`, `-`, `_`): the same name goes on
    /// where it was, a new one begins with what is written from now on. A change whose call fails, or takes longer than
    /// 15 s, comes again, after a pause that grows to a minute; later changes of its tenant wait for it. Changes that the
    /// feed no longer keeps (7 days by default) are passed over, with a warning in the log.
    ///
    /// ```
    /// use universal_core::{Backend, collections::CollectionMatch};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> universal_core::Result<()> {
    /// let backend = Backend::builder()
    ///     .in_memory()
    ///     .after_commit(CollectionMatch::All, "search-index", |_backend, committed| Box::pin(async move {
    ///         println!("{} {}", committed.change.operation, committed.change.id);
    ///         Ok(())
    ///     }))
    ///     .build()
    ///     .await?;
    /// # backend.shutdown().await;
    /// # Ok(()) }
    /// ```
    pub fn after_commit<F>(mut self, collections: impl Into<CollectionMatch>, name: impl Into<String>, hook: F) -> Self
    where
        F: for<'a> Fn(&'a Backend, &'a Committed) -> BoxFuture<'a, Result<()>> + Send + Sync + 'static,
    {
        self.hooks.after.push(AfterHook::new(collections.into(), name.into(), Arc::new(hook)));
        self
    }

    /// How long one call of a hook before commit may take; 2 s. The limits of the write hold as well.
    pub fn with_hook_limit(mut self, limit: Duration) -> Self {
        self.hooks.limit = limit;
        self
    }

    /// On a PostgreSQL pool that the host has opened. It stays the host's: nobody else's statements
    /// are changed, but the pool is closed by [`Backend::shutdown`].
    ///
    /// A host on plain sqlx lends its pool and runs its own SQL in [`Backend::transaction`]:
    ///
    /// ```no_run
    /// # use universal_core::{Backend, error::Result, secret::MasterKey};
    /// # async fn run(pool: sqlx::PgPool, key: MasterKey) -> Result<Backend> {
    /// let connection = sea_orm::SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
    /// Backend::builder().with_postgres_connection(connection).with_master_key(key).build().await
    /// # }
    /// ```
    #[cfg(feature = "postgres")]
    pub fn with_postgres_connection(mut self, connection: sea_orm::DatabaseConnection) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Opens the database, brings its tables up to date and starts what runs in the background.
    ///
    /// # Errors
    /// `Invalid` for settings that do not fit together; `Unavailable` if a part cannot be reached.
    pub async fn build(mut self) -> Result<Backend> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        // What has been started ends if something after it fails.
        let started = stop.clone().drop_guard();
        // The way between the nodes outlasts what speaks over it, which says farewell.
        let (way_tasks, way_stop) = (TaskTracker::new(), CancellationToken::new());
        let way_started = way_stop.clone().drop_guard();
        let way = self.way(&way_tasks, &way_stop)?;
        let bus = Arc::clone(&way.nodes.bus);
        let (database, shown) = self.database(Signals::new(Arc::clone(&bus))).await?;
        let master = self.master_key(database.dialect()).await?;
        #[cfg(feature = "postgres")]
        way.start(&database, &way_tasks, &way_stop);

        let options = self.auth.take().unwrap_or_default();
        let keys = Arc::new(AuthKeys::derive(&master)?);
        let auth = Arc::new(SqlAuth::new(database.clone(), keys, Arc::clone(&self.clock), options)?);

        let cursors = CursorKey::new(master.derive("list-cursor-v1"));
        let closed = self.settings.undeclared_collections == Undeclared::Deny;
        let lender = Lender::default();
        let hooks = Hooks::new(self.hooks.before_ports(&lender), self.hooks.limit);
        let configurations = SqlConfigurations::new(database.clone(), closed).with_hooks(hooks);
        let (clock, known) = (Arc::clone(&self.clock), configurations.clone());
        let collections = Arc::new(SqlCollections::new(database.clone(), clock, cursors, known));
        let maintenance = Arc::clone(&collections) as Arc<dyn Maintenance>;
        tasks.spawn(upkeep::run_collections(Arc::clone(&maintenance), stop.clone()));
        tasks.spawn(indexer::run(Arc::new(collections.index_builder()), stop.clone()));

        tasks.spawn(indexer::run(Arc::new(collections.words_builder()), stop.clone()));

        let feed = Arc::new(SqlFeed::new(database.clone()));
        let ports = (Arc::clone(&feed) as Arc<dyn Feed>, Arc::clone(&bus));
        let hub = Hub::configured(
            ports,
            (Arc::new(configurations), Arc::clone(&self.clock)),
            master.derive("watch-basis-v1"),
            stop.clone(),
        )
        .with_collections(Arc::clone(&collections) as _);
        tasks.spawn(hub.clone().run());
        if database.dialect() == Dialect::Postgres {
            tasks.spawn(relay::run(Arc::clone(&feed) as _, Arc::clone(&bus), stop.clone()));
        }

        let channel_rules: Arc<dyn ChannelRules> = Arc::new(SqlChannelRules::new(database.clone()));
        let ways = (Arc::clone(&way.nodes.broadcaster), Arc::clone(&channel_rules));
        let clock = Arc::clone(&self.clock);
        let rates = (self.settings.channel_messages_per_second, self.settings.channel_bytes_per_second);
        let options = ChannelOptions::new().with_rate(rates.0, rates.1);
        let channels = Arc::new(ChannelHub::start(ways, clock, options, &tasks, stop.clone())?);

        let (store, files) = self.blob_store().await?;
        let signer = Signer::new(&master);
        let catalog = Arc::new(SqlCatalog::new(database.clone()));
        let storage = Arc::new(BlobStorage::new(catalog, store, signer, Arc::clone(&self.clock)));
        let sweep = Arc::clone(&storage) as Arc<dyn Sweep>;
        let answers = Arc::clone(&collections) as Arc<dyn KeptAnswers>;
        let kept = (Arc::clone(&sweep), Arc::clone(&feed) as _, Arc::clone(&answers));
        tasks.spawn(upkeep::run(kept, Arc::clone(&self.clock), stop.clone()));

        let (functions, mail) = self.functions()?;
        let queue: Arc<dyn Queue> = Arc::new(SqlQueue::new(database.clone()));
        let workers = self.start_workers(&queue, &functions)?;
        let jobs = Arc::new(QueuedJobs::new(queue, functions));

        let summary = Summary { database: shown, files, mail, bus: way.shown };
        let workers = tokio::sync::Mutex::new(workers);
        let (storage, realtime): (Arc<dyn Storage>, _) = (storage, Arc::new(hub));
        let positions: Arc<dyn Positions> = Arc::new(SqlPositions::new(database.clone()));
        let clock = Arc::clone(&self.clock);
        let ports = consumer::Ports { feed: Arc::clone(&feed) as _, positions, bus, clock };
        let backend = Backend {
            parts: Arc::new(Parts {
                auth,
                collections,
                storage,
                jobs,
                realtime,
                channels,
                channel_rules,
                feed,
                nodes: way.nodes,
                sweep,
                maintenance,
                answers,
                database,
                workers,
                tasks,
                stop,
                way_tasks,
                way_stop,
                summary,
            }),
        };
        started.disarm();
        way_started.disarm();
        lender.lend(&backend);
        self.start_consumers(&backend, &lender, &ports).await?;
        Ok(backend)
    }

    /// Starts what hands on changes after their commit. Every consumer is known before the backend is, so that none
    /// misses what the host writes first.
    async fn start_consumers(&self, backend: &Backend, lender: &Lender, ports: &consumer::Ports) -> Result<()> {
        let consumers = self.hooks.after_ports(lender)?;
        for consumer in &consumers {
            ports.positions.register(consumer.name()).await?;
        }
        let node: Arc<str> = crate::id::random_hex(8)?.into();
        for consumer in consumers {
            let stop = backend.parts.stop.clone();
            backend.parts.tasks.spawn(consumer::run(ports.clone(), consumer, Arc::clone(&node), stop));
        }
        Ok(())
    }

    #[cfg(feature = "fs")]
    async fn blob_store(&mut self) -> Result<(BlobStore, String)> {
        if let Some(store) = self.store.take() {
            return Ok((store, "the host's object store".to_owned()));
        }
        if self.in_memory {
            return Ok((BlobStore::memory(), "memory".to_owned()));
        }
        let folder = self.settings.data.join("files");
        Ok((BlobStore::local(&folder).await?, format!("the folder {}", folder.display())))
    }

    #[cfg(not(feature = "fs"))]
    #[expect(clippy::unused_async, reason = "the same shape as with the feature")]
    async fn blob_store(&mut self) -> Result<(BlobStore, String)> {
        match self.store.take() {
            Some(store) => Ok((store, "the host's object store".to_owned())),
            None => Ok((BlobStore::memory(), "memory".to_owned())),
        }
    }

    fn start_workers(&self, queue: &Arc<dyn Queue>, functions: &Functions) -> Result<Option<Workers>> {
        let options = match &self.workers {
            Some(options) => *options,
            None if self.settings.workers == 0 => return Ok(None),
            None => WorkerOptions::new().with_concurrency(self.settings.workers),
        };
        Workers::start(Arc::clone(queue), functions.clone(), options).map(Some)
    }

    async fn database(&mut self, signals: Signals) -> Result<(Database, String)> {
        let options = OpenOptions {
            transaction_limit: self.transaction_limit,
            connections: self.settings.database_connections,
            full_sync: self.settings.sqlite_synchronous == Synchronous::Full,
        };
        #[cfg(feature = "postgres")]
        if let Some(connection) = self.connection.take() {
            let database = Database::lent_postgres(connection, &options, signals).await?;
            return Ok((database, "PostgreSQL, on the host's pool".to_owned()));
        }
        if self.names_postgres() {
            return self.postgres(&options, signals).await;
        }
        self.sqlite(&options, signals).await
    }

    fn names_postgres(&self) -> bool {
        let url = self.settings.database_url.as_ref().map_or("", |url| url.expose_secret());
        url.starts_with("postgres:") || url.starts_with("postgresql:")
    }

    #[cfg(feature = "postgres")]
    async fn postgres(&self, options: &OpenOptions, signals: Signals) -> Result<(Database, String)> {
        let url = self.settings.database_url.as_ref().map_or("", |url| url.expose_secret());
        Ok((Database::open_postgres(url, options, signals).await?, "PostgreSQL".to_owned()))
    }

    #[cfg(not(feature = "postgres"))]
    #[expect(clippy::unused_async, reason = "the same shape as with the feature")]
    async fn postgres(&self, _: &OpenOptions, _: Signals) -> Result<(Database, String)> {
        Err(invalid("database_url", "this program was built without the feature `postgres`"))
    }

    #[cfg(feature = "sqlite")]
    async fn sqlite(&self, options: &OpenOptions, signals: Signals) -> Result<(Database, String)> {
        if self.in_memory {
            return Ok((Database::open_temporary(options, signals).await?, "SQLite, temporary".to_owned()));
        }
        let url = self.settings.database_url.as_ref().map(|url| url.expose_secret());
        let path = match url {
            None => self.settings.data.join("universal.sqlite"),
            Some(url) => match url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
                Some(path) if !path.is_empty() => path.into(),
                _ => return Err(invalid("database_url", "it is `postgres://…` or `sqlite:path`")),
            },
        };
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(|error| {
                Error::new(
                    crate::error::ErrorKind::Unavailable,
                    "data-folder-unavailable",
                    "the data folder cannot be made; check its place and rights",
                )
                .with_source(error)
            })?;
        }
        let database = Database::open_sqlite(&path, options, signals).await?;
        Ok((database, format!("SQLite in {}", path.display())))
    }

    #[cfg(not(feature = "sqlite"))]
    #[expect(clippy::unused_async, reason = "the same shape as with the feature")]
    async fn sqlite(&self, _: &OpenOptions, _: Signals) -> Result<(Database, String)> {
        Err(invalid("database_url", "this program was built without the feature `sqlite`; give a PostgreSQL URL"))
    }

    async fn master_key(&mut self, dialect: Dialect) -> Result<MasterKey> {
        if let Some(key) = self.master_key.take() {
            return Ok(key);
        }
        if let Some(text) = &self.settings.master_key {
            return MasterKey::from_hex(text.expose_secret());
        }
        match dialect {
            _ if self.in_memory => MasterKey::generate(),
            Dialect::Sqlite => MasterKey::load_or_create(&self.settings.data.join("keys").join("master.key")).await,
            Dialect::Postgres => Err(invalid(
                "master_key",
                "with PostgreSQL every node needs the same master key: set UNIVERSAL_MASTER_KEY to 64 hexadecimal \
                 digits (`openssl rand -hex 32`)",
            )),
        }
    }
}

fn invalid(field: &str, message: &str) -> Error {
    Error::invalid("invalid-settings", message).with_field(field)
}
