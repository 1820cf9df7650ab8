//! Waiting for the transactions that are open at a moment.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    drivers::sql::{connection::Database, dialect::Dialect, statement::column},
    error::Result,
};

/// How often it looks.
const EVERY: Duration = Duration::from_millis(20);

impl Database {
    /// Waits until no transaction is open that was open at the call: what such a one decided by what it had read before,
    /// is by then committed or rolled back. Answers `false` if one is open still after `limit`. SQLite's writer is alone:
    /// there is none.
    pub(crate) async fn outlasts_open_transactions(&self, limit: Duration) -> Result<bool> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(true);
        }
        let Some(mark) = self.one(MARK, vec![]).await? else { return Ok(false) };
        let (xid, at): (String, i64) = (column(&mark, 0)?, column(&mark, 1)?);
        let begin = Instant::now();
        loop {
            let row = self.one(OLDER, vec![xid.as_str().into(), at.into()]).await?;
            if row.map(|row| column::<i64>(&row, 0)).transpose()? == Some(0) {
                return Ok(true);
            }
            if begin.elapsed() >= limit {
                return Ok(false);
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// A transaction's number and a moment that come after those of every transaction that is open.
const MARK: &str = "SELECT pg_current_xact_id()::xid::text, (extract(epoch from clock_timestamp()) * 1000000)::bigint";

/// A transaction that wrote is known by its number. A statement that has read what it goes by and not written yet is known
/// by its snapshot, which is as old as the oldest transaction of the whole server: so its beginning counts too.
const OLDER: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        AND (age(backend_xid) > age($1::text::xid)
            OR (age(backend_xmin) > age($1::text::xid)
                AND coalesce(extract(epoch from xact_start) * 1000000 <= $2, true)))";
