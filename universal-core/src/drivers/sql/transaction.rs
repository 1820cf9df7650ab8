//! Transactions that span services, and those that a host lends.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::{DatabaseTransaction, TransactionTrait as _};

use crate::{
    drivers::sql::{
        connection::Database,
        dialect::Dialect,
        error::{broken_transaction, from_commit, from_db, shutting_down},
        statement,
        write::{Effects, Write},
    },
    error::{Error, ErrorKind, Result},
    transaction::Transaction,
};

/// How long a caller whose transaction failed waits for its rollback; it happens in any case.
const ROLLBACK: Duration = Duration::from_secs(1);

/// Given back to SQLite's writer after a clean end of the transaction that it lent.
type Lease = tokio::sync::oneshot::Sender<()>;

tokio::task_local! {
    /// The database whose transaction this task is inside of: a write beside its handle would wait
    /// for the writer that the handle holds.
    static INSIDE: usize;
}

/// What a [`Transaction`] of this driver keeps: whose it is and what it did.
#[derive(Debug)]
pub(crate) struct State {
    database: usize,
    effects: Effects,
}

/// Whom to wake after the commit of a transaction that the host ends itself.
#[derive(Debug)]
pub struct Signalled(Option<Box<State>>);

pub(super) fn inside_transaction(database: &Database) -> bool {
    INSIDE.try_with(|inside| database.same_as(*inside)).unwrap_or(false)
}

/// The transaction of a write in the hands of the host's code. If it is dropped and not given back, the write's
/// transaction can only be rolled back.
#[derive(Debug)]
pub(crate) struct LentWrite<'w> {
    pub(crate) transaction: Transaction<'w>,
    effects: &'w mut Effects,
}

impl LentWrite<'_> {
    /// Ends the loan: what was done in the transaction is the write's.
    pub(crate) fn give_back(self) {
        if let Some(state) = self.transaction.into_state::<State>() {
            *self.effects = state.effects;
            // The host's own statements are not seen here.
            self.effects.touched();
        }
    }
}

/// The code of a write that must be done again in a transaction of its own, because hooks run in it.
pub(crate) const NEEDS_TRANSACTION: &str = "needs-transaction";

fn needs_transaction() -> Error {
    Error::new(ErrorKind::Internal, NEEDS_TRANSACTION, "a write with hooks was begun beside other writes")
}

impl Database {
    /// The statements of a caller's transaction.
    ///
    /// # Errors
    /// `Invalid` if the transaction belongs to another database or another kind of driver.
    pub(crate) fn join<'t>(&self, transaction: &'t mut Transaction<'_>) -> Result<Write<'t>> {
        let foreign = || Error::invalid("foreign-transaction", "this transaction was opened on another backend");
        let (connection, state) = transaction.parts::<DatabaseTransaction, State>().ok_or_else(foreign)?;
        if !self.same_as(state.database) {
            return Err(foreign());
        }
        Ok(Write::new(connection, self.dialect(), &mut state.effects))
    }

    /// A transaction that the host opened, commits and rolls back. After its commit the host calls
    /// `Database::notify`; without it, subscribers and workers notice at their next poll.
    pub(crate) fn lend<'c>(&self, connection: &'c DatabaseTransaction) -> Transaction<'c> {
        let state = State { database: self.identity(), effects: Effects::default() };
        Transaction::new(connection, Box::new(state))
    }

    /// Lends the transaction of a write to code of the host's, within the write.
    ///
    /// # Errors
    /// [`NEEDS_TRANSACTION`] for a write that shares its transaction with others.
    pub(crate) fn lend_write<'w>(&self, write: &'w mut Write<'_>) -> Result<LentWrite<'w>> {
        let (connection, effects) = write.lend().ok_or_else(needs_transaction)?;
        let state = State { database: self.identity(), effects: effects.give_away() };
        Ok(LentWrite { transaction: Transaction::new(connection, Box::new(state)), effects })
    }

    /// Runs code of the host's that holds the handle of a transaction: what it writes beside the handle is refused.
    pub(crate) async fn inside<T>(&self, body: impl Future<Output = T> + Send) -> T {
        INSIDE.scope(self.identity(), body).await
    }

    /// What a lent transaction must tell others once it is committed.
    pub(crate) fn signalled(&self, transaction: Transaction<'_>) -> Signalled {
        Signalled(transaction.into_state::<State>().filter(|state| self.same_as(state.database)))
    }

    /// Wakes whoever waits for what a lent transaction did. Call it after its commit.
    pub(crate) fn notify(&self, signalled: &Signalled) {
        if let Some(state) = &signalled.0 {
            self.0.signals.committed(&state.effects);
        }
    }

    /// Runs `body` in one transaction and commits it if `body` answers `Ok`.
    pub(crate) async fn transaction<T, F>(&self, body: F) -> Result<T>
    where
        T: Send,
        F: for<'a> FnOnce(&'a mut Transaction<'_>) -> BoxFuture<'a, Result<T>> + Send,
    {
        self.transaction_within(self.0.transaction_limit, body).await
    }

    /// The same within another time.
    pub(crate) async fn transaction_within<T, F>(&self, limit: Duration, body: F) -> Result<T>
    where
        T: Send,
        F: for<'a> FnOnce(&'a mut Transaction<'_>) -> BoxFuture<'a, Result<T>> + Send,
    {
        if inside_transaction(self) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "nested-transaction",
                "this task is inside `Backend::transaction` already; pass its handle on instead",
            ));
        }
        #[cfg(feature = "sqlite")]
        if let Some(writer) = &self.0.writer {
            let grant = writer.exclusive().await?;
            let (transaction, lease) = grant.into_parts();
            return self.run(transaction, body, (limit, Some(lease))).await;
        }
        if self.0.stop.is_cancelled() {
            return Err(shutting_down());
        }
        let transaction = self.0.connection.begin().await.map_err(from_db)?;
        self.run(transaction, body, (limit, None)).await
    }

    /// `lease` is what keeps SQLite's writer waiting; it must outlive the end of the transaction.
    async fn run<T, F>(
        &self,
        transaction: DatabaseTransaction,
        body: F,
        (limit, lease): (Duration, Option<Lease>),
    ) -> Result<T>
    where
        T: Send,
        F: for<'a> FnOnce(&'a mut Transaction<'_>) -> BoxFuture<'a, Result<T>> + Send,
    {
        // Dropped in the reverse order of this line: the transaction is rolled back before the writer goes on.
        let (lease, transaction) = (lease, transaction);
        let mut handle = self.lend(&transaction);
        let bounded = tokio::time::timeout(limit, INSIDE.scope(self.identity(), body(&mut handle)));
        let outcome = bounded.await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Timeout,
                "transaction-timeout",
                format!("the transaction took longer than {} s and was rolled back", limit.as_secs_f64()),
            ))
        });
        let state = handle.into_state::<State>();
        // From here on in a task: a caller that goes away must tear neither the commit from its
        // signals nor the rollback from the lease.
        let (database, commits) = (self.clone(), outcome.is_ok());
        let ended = self.0.tasks.spawn(async move {
            let ended = match state {
                Some(state) if commits => database.commit(transaction, &state.effects).await,
                _ => transaction.rollback().await.map_err(from_db),
            };
            // Not given back but dropped, the lease tells the writer not to trust its connection.
            if let (Ok(()), Some(lease)) = (&ended, lease) {
                let _ = lease.send(());
            }
            ended
        });
        let value = match outcome {
            Ok(value) => value,
            Err(error) => {
                // The answer is the body's error. On PostgreSQL a rollback waits for the statement that
                // was cut off, which may wait for a lock: not the caller's time.
                let _ = tokio::time::timeout(ROLLBACK, ended).await;
                return Err(error);
            }
        };
        ended.await.map_err(Error::internal)??;
        Ok(value)
    }

    async fn commit(&self, transaction: DatabaseTransaction, effects: &Effects) -> Result<()> {
        let probed = match effects.broken() {
            true => Err(broken_transaction()),
            // The body's own statements are not seen here, and PostgreSQL answers the COMMIT of a failed
            // transaction with a rollback and no error; any other statement it refuses.
            false if self.dialect() == Dialect::Postgres => {
                statement::execute(&transaction, self.dialect(), "SELECT 1", vec![]).await.map(|_| ())
            }
            false => Ok(()),
        };
        if let Err(error) = probed {
            transaction.rollback().await.map_err(from_db)?;
            return Err(error);
        }
        transaction.commit().await.map_err(from_commit)?;
        self.0.signals.committed(effects);
        Ok(())
    }
}
