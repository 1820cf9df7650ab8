//! SQLite's writer, lent for one transaction that runs a host's own SQL.

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, SqlxSqliteConnector, TransactionOptions,
    TransactionTrait as _,
};
use sqlx::SqlitePool;
use tokio::sync::oneshot;

use crate::{drivers::sql::error::from_db, error::Result};

/// A connection of sea-orm, lent while the writer waits.
pub(in crate::drivers::sql) struct Grant {
    transaction: DatabaseTransaction,
    lease: oneshot::Sender<()>,
}

impl Grant {
    /// The open transaction, and the lease to give back when it has ended.
    pub(in crate::drivers::sql) fn into_parts(self) -> (DatabaseTransaction, oneshot::Sender<()>) {
        (self.transaction, self.lease)
    }
}

/// Who has the connection that is lent.
pub(super) struct Lender {
    pool: SqlitePool,
    connection: DatabaseConnection,
}

impl Lender {
    /// Lends from `pool`, which must hold one connection.
    pub(super) fn new(pool: SqlitePool) -> Self {
        let connection = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone());
        Self { pool, connection }
    }

    /// Lends the connection and waits until the borrower has ended its transaction.
    pub(super) async fn lend(&self, grant: oneshot::Sender<Result<Grant>>) {
        if grant.is_closed() {
            return;
        }
        match self.begin().await {
            Err(error) => drop(grant.send(Err(error))),
            Ok(transaction) => {
                let (lease, returned) = oneshot::channel::<()>();
                // The lease is given back after a clean end, or dropped, whatever became of the borrower.
                if grant.send(Ok(Grant { transaction, lease })).is_err() || returned.await.is_err() {
                    self.renew().await;
                }
            }
        }
    }

    async fn begin(&self) -> Result<DatabaseTransaction> {
        let options = TransactionOptions {
            isolation_level: None,
            access_mode: None,
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        };
        self.connection.begin_with_options(options).await.map_err(from_db)
    }

    /// Replaces the connection: after a full disk or an I/O error SQLite has rolled back by itself, and
    /// sqlx's count of open transactions can no longer be trusted.
    async fn renew(&self) {
        if let Ok(connection) = self.pool.acquire().await {
            let _ = connection.close().await;
        }
    }
}
