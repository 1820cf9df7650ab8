//! What SQLite itself can do: the same rows through the same driver, with nothing around them.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{documents::document, failure::Result, sample::Sample, usage::Watched};

/// The table of documents with its second index, and that of changes, as the server has them.
const TABLES: &str = "
CREATE TABLE documents (
    tenant_id TEXT NOT NULL, collection TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, revision TEXT NOT NULL,
    owner_id TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (tenant_id, collection, id)
) WITHOUT ROWID;
CREATE INDEX documents_owner ON documents (tenant_id, collection, owner_id, id);
CREATE TABLE changes (
    tenant_id TEXT NOT NULL, seq INTEGER NOT NULL, tx INTEGER NOT NULL, collection TEXT NOT NULL,
    doc_id TEXT NOT NULL, op TEXT NOT NULL, revision TEXT NOT NULL, owner_before TEXT, owner_after TEXT, before TEXT,
    after TEXT, actor TEXT, request_id TEXT, created_at INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, seq)
) WITHOUT ROWID;
";
const DOCUMENT: &str =
    "INSERT INTO documents (tenant_id, collection, id, body, revision, owner_id, created_at, updated_at)
    VALUES ('default', 'raw', $1, $2, '0123456789abcdef-1', '01890a5d-ac96-774b-bcce-b302099a8057', $3, $3)";
const CHANGE: &str =
    "INSERT INTO changes (tenant_id, seq, tx, collection, doc_id, op, revision, owner_after, after, actor,
    request_id, created_at, at) VALUES ('default', $4, $4, 'raw', $1, 'create', '0123456789abcdef-1',
    '01890a5d-ac96-774b-bcce-b302099a8057', $2, '01890a5d-ac96-774b-bcce-b302099a8057',
    '01890a5d-ac96-774b-bcce-b302099a8057', $3, $3)";
/// A moment in microseconds; which one does not matter.
const MOMENT: i64 = 1_770_000_000_000_000;

/// What one transaction holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transactions {
    /// How many documents.
    pub(crate) documents: usize,
    /// Whether the change of each is recorded beside it.
    pub(crate) with_changes: bool,
}

/// Inserts for `time`, at most `rows` documents, into a new file in `folder` with `synchronous=FULL`.
///
/// The processor time is this process's own: nothing else happens in it meanwhile.
///
/// # Errors
/// SQLite refuses.
pub(crate) async fn run(folder: &Path, kind: Transactions, time: Duration, rows: u64) -> Result<Sample> {
    let folder = tempfile::tempdir_in(folder)?;
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("raw.sqlite"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-16384");
    let mut connection = options.connect().await?;
    sqlx::raw_sql(TABLES).execute(&mut connection).await?;
    let mut done = 0_u64;
    transaction(&mut connection, kind, &mut done).await?;
    let first = done;
    let watched = Watched { process: std::process::id(), postmaster: None };
    let before = watched.usage()?;
    let begin = Instant::now();
    while begin.elapsed() < time && done < rows {
        transaction(&mut connection, kind, &mut done).await?;
    }
    let wall = begin.elapsed();
    let (cpu, _) = watched.usage()?.since(&before);
    connection.close().await?;
    Ok(Sample { count: done - first, wall, cpu: Some(cpu), database_cpu: None })
}

async fn transaction(connection: &mut SqliteConnection, kind: Transactions, done: &mut u64) -> Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for _ in 0..kind.documents {
        *done += 1;
        let number = i64::try_from(*done)?;
        // As long as a UUID, and as time-ordered.
        let id = format!("{done:036}");
        let body = document(*done);
        let body = std::str::from_utf8(&body)?;
        sqlx::query(DOCUMENT).bind(&id).bind(body).bind(MOMENT).execute(&mut *transaction).await?;
        if kind.with_changes {
            sqlx::query(CHANGE).bind(&id).bind(body).bind(MOMENT).bind(number).execute(&mut *transaction).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}
