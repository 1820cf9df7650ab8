//! A backend: one of each service, and what they share.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{Auth, User},
    builder::Builder,
    caller::Caller,
    collections::{Collection, Collections, Maintenance, idempotency::KeptAnswers},
    drivers::sql::connection::Database,
    engine::worker::Workers,
    error::Result,
    id::{CollectionName, TenantId},
    jobs::Jobs,
    realtime::{Broadcaster, Bus, ChannelRules, Channels, Feed, Realtime},
    settings::Settings,
    storage::{Storage, Sweep},
    transaction::Transaction,
};

/// How long `shutdown` waits for running jobs and tasks.
const DRAIN: Duration = Duration::from_secs(20);

/// Users, documents, files, jobs and realtime behind one handle. Cheap to clone.
///
/// It opens no listener, installs nothing process-wide and keeps no statics: two of them live in one
/// process. Call [`shutdown`](Self::shutdown) before the process ends; without it nothing that was
/// acknowledged is lost, but running jobs are only noticed when their leases end.
///
/// ```
/// use universal_core::{Backend, Caller, TenantId, collections::NewDocument, json::Object};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> universal_core::Result<()> {
/// let backend = Backend::in_memory().await?;
/// let caller = Caller::system(TenantId::default_tenant());
/// let body = Object::parse(br#"{"title": "buy milk"}"#)?;
/// let created = backend.collections().create(&caller, &"todos".parse()?, NewDocument::new(body)).await?;
/// let read = backend.collections().get(&caller, &"todos".parse()?, &created.id).await?;
/// assert_eq!(read.value.revision, created.revision);
/// backend.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Backend {
    pub(crate) parts: Arc<Parts>,
}

pub(crate) struct Parts {
    pub(crate) auth: Arc<dyn Auth>,
    pub(crate) collections: Arc<dyn Collections>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) jobs: Arc<dyn Jobs>,
    pub(crate) realtime: Arc<dyn Realtime>,
    pub(crate) channels: Arc<dyn Channels>,
    pub(crate) channel_rules: Arc<dyn ChannelRules>,
    pub(crate) database: Database,
    pub(crate) feed: Arc<dyn Feed>,
    pub(crate) nodes: Nodes,
    pub(crate) sweep: Arc<dyn Sweep>,
    pub(crate) maintenance: Arc<dyn Maintenance>,
    pub(crate) answers: Arc<dyn KeptAnswers>,
    pub(crate) workers: tokio::sync::Mutex<Option<Workers>>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// Of the way between the nodes, which outlasts the others.
    pub(crate) way_tasks: TaskTracker,
    pub(crate) way_stop: CancellationToken,
    pub(crate) summary: Summary,
}

/// The way between the nodes of an installation, as the two ports that it has.
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) broadcaster: Arc<dyn Broadcaster>,
}

impl Nodes {
    /// Both ports of one implementation.
    pub(crate) fn of<B: Bus + Broadcaster + 'static>(both: Arc<B>) -> Self {
        Self { bus: Arc::clone(&both) as _, broadcaster: both }
    }
}

/// What a backend stands on, in words for a person.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The database.
    pub database: String,
    /// Where files are.
    pub files: String,
    /// How mails go out, if they do.
    pub mail: String,
    /// What carries hints and messages between nodes.
    pub bus: String,
}

impl Backend {
    /// The embedded default in the folder `data`: SQLite, files on the local disk (feature `fs`, else
    /// in memory), signals inside the process. The folder is made if it is not there; keys are in
    /// `keys/` with mode 0600.
    ///
    /// # Errors
    /// `Unavailable` if the folder or the database cannot be opened.
    pub async fn open(data: impl AsRef<Path>) -> Result<Self> {
        let mut settings = Settings::default();
        data.as_ref().clone_into(&mut settings.data);
        Self::builder().with_settings(settings).build().await
    }

    /// A backend for tests: a SQLite file in a temporary folder that nobody waits for to reach the
    /// disk, files in memory. Everything goes away with it.
    ///
    /// # Errors
    /// `Unavailable` if there is no room for temporary files.
    pub async fn in_memory() -> Result<Self> {
        Self::builder().in_memory().build().await
    }

    /// A backend with parts of the host's choice.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Accounts, sessions and tokens.
    #[must_use]
    pub fn auth(&self) -> &Arc<dyn Auth> {
        &self.parts.auth
    }

    /// Documents.
    #[must_use]
    pub fn collections(&self) -> &Arc<dyn Collections> {
        &self.parts.collections
    }

    /// Files.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.parts.storage
    }

    /// Functions and their jobs.
    #[must_use]
    pub fn jobs(&self) -> &Arc<dyn Jobs> {
        &self.parts.jobs
    }

    /// Subscriptions.
    #[must_use]
    pub fn realtime(&self) -> &Arc<dyn Realtime> {
        &self.parts.realtime
    }

    /// Channels: messages to whoever is there, and who that is.
    #[must_use]
    pub fn channels(&self) -> &Arc<dyn Channels> {
        &self.parts.channels
    }

    /// Where the rules of channels are kept: for implementations of [`Channels`] beside this one.
    #[must_use]
    pub fn channel_rules(&self) -> &Arc<dyn ChannelRules> {
        &self.parts.channel_rules
    }

    /// The change feed itself: for retention, and for tools that read every change of a tenant.
    #[must_use]
    pub fn feed(&self) -> &Arc<dyn Feed> {
        &self.parts.feed
    }

    /// What says to every node that a feed grew; the backend rings it by itself.
    #[must_use]
    pub fn bus(&self) -> &Arc<dyn Bus> {
        &self.parts.nodes.bus
    }

    /// What carries short-lived messages to every node.
    #[must_use]
    pub fn broadcaster(&self) -> &Arc<dyn Broadcaster> {
        &self.parts.nodes.broadcaster
    }

    /// What deletes bytes that no file needs; the backend runs it every few minutes by itself.
    #[must_use]
    pub fn sweep(&self) -> &Arc<dyn Sweep> {
        &self.parts.sweep
    }

    /// What deletes documents whose time is over and goes on with dropping and renaming collections; the backend runs it
    /// every few seconds by itself.
    #[must_use]
    pub fn maintenance(&self) -> &Arc<dyn Maintenance> {
        &self.parts.maintenance
    }

    /// What forgets the answers of idempotency keys; the backend runs it every few minutes by itself.
    #[must_use]
    pub fn kept_answers(&self) -> &Arc<dyn KeptAnswers> {
        &self.parts.answers
    }

    /// Makes sure that a tenant exists. The tenant `default` always does.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    pub async fn create_tenant(&self, tenant: &TenantId) -> Result<()> {
        self.parts.database.create_tenant(tenant).await
    }

    /// Keeps the accounts of a tenant out: nobody registers, logs in or refreshes (`tenant-disabled`), and within 5 s on
    /// every node access tokens are refused and the realtime connections that were opened with them end. Its documents,
    /// files, jobs and sessions stay as they are, and what asks no account goes on: callers that the host makes itself,
    /// [`Caller::system`] among them, and their subscriptions; links to files until they expire; jobs; a request that has
    /// begun.
    ///
    /// # Errors
    /// `Invalid` (`default-tenant`) for the tenant `default`, in which callers without a token are; `NotFound`
    /// (`unknown-tenant`); `Unavailable` and `Busy` from the database.
    pub async fn disable_tenant(&self, tenant: &TenantId) -> Result<()> {
        self.parts.database.set_tenant_disabled(tenant, true).await
    }

    /// Lets the accounts of a tenant in again, within 5 s, with those of their sessions whose time is not over.
    ///
    /// # Errors
    /// `NotFound` (`unknown-tenant`); `Unavailable` and `Busy` from the database.
    pub async fn enable_tenant(&self, tenant: &TenantId) -> Result<()> {
        self.parts.database.set_tenant_disabled(tenant, false).await
    }

    /// The documents of a collection as values of a Rust type.
    ///
    /// # Errors
    /// `Invalid` if `name` is no name of a collection.
    pub fn collection<T: serde::Serialize + serde::de::DeserializeOwned + Send + Sync>(
        &self,
        name: &str,
    ) -> Result<Collection<T>> {
        Ok(Collection::new(CollectionName::new(name)?, Arc::clone(&self.parts.collections)))
    }

    /// What the backend stands on, for a start-up message.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.parts.summary
    }

    /// Makes sure that the tenant `default` has an administrator with this address.
    ///
    /// # Errors
    /// As [`Auth::create_admin`].
    pub async fn create_admin(&self, email: &str, password: &SecretString) -> Result<User> {
        self.parts.auth.create_admin(&Caller::system(TenantId::default_tenant()), email, password).await
    }

    /// Runs `body` in one transaction: what the services' `…_in` methods and the host's own
    /// statements do in it happens together or not at all. It may take 5 s; on SQLite nobody else
    /// writes meanwhile, so do nothing slow in it.
    ///
    /// The host's statements go to `tx.connection::<sea_orm::DatabaseTransaction>()`.
    ///
    /// ```
    /// # use universal_core::{Backend, Caller, TenantId};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Todo { title: String }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> universal_core::Result<()> {
    /// # let backend = Backend::in_memory().await?;
    /// let caller = Caller::system(TenantId::default_tenant());
    /// let todos = backend.collection::<Todo>("todos")?;
    /// let (a, b) = backend.transaction(|tx| Box::pin(async move {
    ///     let a = todos.create_in(tx, &caller, &Todo { title: "first".into() }).await?;
    ///     let b = todos.create_in(tx, &caller, &Todo { title: "second".into() }).await?;
    ///     Ok((a.id, b.id))
    /// })).await?;
    /// # assert_ne!(a, b);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What `body` answers; `Timeout` after 5 s; `OutcomeUnknown` if the connection was lost while
    /// committing. Writing from inside `body` beside `tx` is a `Conflict`, not a deadlock.
    pub async fn transaction<T, F>(&self, body: F) -> Result<T>
    where
        T: Send,
        F: for<'a> FnOnce(&'a mut Transaction<'_>) -> BoxFuture<'a, Result<T>> + Send,
    {
        self.parts.database.transaction(body).await
    }

    /// Takes part in a transaction that the host opened on the same database and will end itself. On
    /// SQLite it must be IMMEDIATE. After the commit call [`notify`](Self::notify); without it,
    /// subscribers and workers notice at their next poll.
    ///
    /// ```no_run
    /// # use sea_orm::{DatabaseConnection, TransactionTrait as _};
    /// # use universal_core::{Backend, Caller};
    /// # use serde_json::{Value, json};
    /// # async fn run(backend: Backend, connection: DatabaseConnection, caller: Caller)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// let orders = backend.collection::<Value>("orders")?;
    /// let transaction = connection.begin().await?;
    /// let mut joined = backend.join(&transaction);
    /// orders.create_in(&mut joined, &caller, &json!({"book": "emma"})).await?;
    /// let signalled = backend.signals_of(joined); // the borrow ends here
    /// transaction.commit().await?;
    /// backend.notify(&signalled); // wakes subscribers and workers
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn join<'c>(&self, transaction: &'c sea_orm::DatabaseTransaction) -> Transaction<'c> {
        self.parts.database.lend(transaction)
    }

    /// What a joined transaction must tell others when the host has committed it. Take it before the
    /// commit, which ends the borrow, and give it to [`notify`](Self::notify) after.
    #[must_use]
    pub fn signals_of(&self, transaction: Transaction<'_>) -> crate::drivers::sql::transaction::Signalled {
        self.parts.database.signalled(transaction)
    }

    /// Wakes subscribers and workers after the host has committed a joined transaction.
    pub fn notify(&self, signalled: &crate::drivers::sql::transaction::Signalled) {
        self.parts.database.notify(signalled);
    }

    /// Whether the database answers: what `/readyz` asks.
    ///
    /// # Errors
    /// `Unavailable` or `Busy` if it does not, and when the backend is shutting down.
    pub async fn ready(&self) -> Result<()> {
        self.parts.database.ping().await
    }

    /// Resolves when [`shutdown`](Self::shutdown) has been called.
    pub async fn stopping(&self) {
        self.parts.stop.cancelled().await;
    }

    /// Stops: subscriptions end, no job is claimed any more, running jobs have 20 s to finish and are
    /// then released, writes that wait are answered, connections are closed.
    pub async fn shutdown(&self) {
        self.parts.stop.cancel();
        if let Some(workers) = self.parts.workers.lock().await.take() {
            workers.shutdown().await;
        }
        self.parts.tasks.close();
        let _ = tokio::time::timeout(DRAIN, self.parts.tasks.wait()).await;
        // Last words have been said over it.
        self.parts.way_stop.cancel();
        self.parts.way_tasks.close();
        let _ = tokio::time::timeout(DRAIN, self.parts.way_tasks.wait()).await;
        self.parts.database.shutdown().await;
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // A backend that is dropped without `shutdown` must not leave tasks behind.
        self.stop.cancel();
        self.way_stop.cancel();
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("summary", &self.parts.summary).finish_non_exhaustive()
    }
}
