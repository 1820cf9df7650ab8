//! Transactions that span services, and those that a host lends.

use futures_util::future::BoxFuture;
use sea_orm::{DatabaseTransaction, TransactionTrait as _};

use crate::{
    drivers::sql::{
        connection::Database,
        error::{from_commit, from_db},
        write::{Effects, Write},
    },
    error::{Error, ErrorKind, Result},
    transaction::Transaction,
};

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
            return self.run(transaction, body, Some(lease)).await;
        }
        let transaction = self.0.connection.begin().await.map_err(from_db)?;
        self.run(transaction, body, None).await
    }

    /// `lease` is what keeps SQLite's writer waiting; it must outlive the end of the transaction.
    async fn run<T, F>(
        &self,
        transaction: DatabaseTransaction,
        body: F,
        lease: Option<tokio::sync::oneshot::Sender<()>>,
    ) -> Result<T>
    where
        T: Send,
        F: for<'a> FnOnce(&'a mut Transaction<'_>) -> BoxFuture<'a, Result<T>> + Send,
    {
        // Dropped in the reverse order of this line: the transaction is rolled back before the writer goes on.
        let (lease, transaction) = (lease, transaction);
        let mut handle = self.lend(&transaction);
        let limit = self.0.transaction_limit;
        let bounded = tokio::time::timeout(limit, INSIDE.scope(self.identity(), body(&mut handle)));
        let outcome = bounded.await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Timeout,
                "transaction-timeout",
                format!("the transaction took longer than {} s and was rolled back", limit.as_secs_f64()),
            ))
        });
        let state = handle.into_state::<State>();
        match outcome {
            Ok(value) => {
                let signals = self.0.signals.clone();
                // A caller that goes away now must not tear the commit from its signals.
                let committed = self.0.tasks.spawn(async move {
                    transaction.commit().await.map_err(from_commit)?;
                    if let Some(state) = state {
                        signals.committed(&state.effects);
                    }
                    drop(lease);
                    Ok(())
                });
                committed.await.map_err(Error::internal)??;
                Ok(value)
            }
            Err(error) => {
                let _ = transaction.rollback().await;
                drop(lease);
                Err(error)
            }
        }
    }
}
