//! Imports that are all or nothing: the lines are checked and kept in a file as they come, then written in one commit.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use crate::{
    clock::Timestamp,
    collections::{
        import_line::Lines,
        transfer::{ImportReport, MAX_WHOLE_BYTES, MAX_WHOLE_LINES, NdjsonStream, aborted},
    },
    drivers::sql::{
        collections::{
            configurations::Known,
            import::Import,
            service::{DECISIONS, SqlCollections},
            spool::Spool,
        },
        dialect::Dialect,
        feed::SETTINGS_CHANGED,
        write::Write,
    },
    error::{Error, ErrorKind, Result},
};

/// How long the one transaction may take on PostgreSQL, where nobody waits for it.
const LONGEST: Duration = Duration::from_secs(60);

impl SqlCollections {
    pub(super) async fn take_in_whole(
        &self,
        import: &Import,
        mut known: Known,
        lines: NdjsonStream,
    ) -> Result<ImportReport> {
        let spool = Arc::new(Mutex::new(keep(import, lines).await?));
        let mut decisions = 1;
        loop {
            let whole = Whole { import: import.clone(), known, spool: Arc::clone(&spool), now: self.clock.now() };
            match self.write_whole(whole).await {
                Err(error) if error.code() == SETTINGS_CHANGED && decisions < DECISIONS => decisions += 1,
                outcome => return outcome,
            }
            known = self.configurations.read(import.caller.tenant(), &import.collection).await?;
        }
    }

    /// Writes the lines in one commit. All writers of SQLite wait for it: there it goes the shorter way, on the writer's
    /// own thread, unless hooks of the host's have to run in it, and has no more time than another transaction.
    async fn write_whole(&self, whole: Whole) -> Result<ImportReport> {
        let limit = match self.database.dialect() {
            Dialect::Postgres => LONGEST,
            Dialect::Sqlite => self.database.transaction_limit(),
        };
        let (database, whole) = (self.database.clone(), Arc::new(whole));
        if database.dialect() == Dialect::Sqlite && whole.known.hooks.is_none() {
            let written = database.write_much(move |write| {
                let whole = Arc::clone(&whole);
                Box::pin(async move { whole.write(write, limit).await })
            });
            return written.await;
        }
        self.database
            .transaction_within(limit, move |transaction| {
                Box::pin(async move { whole.write(&mut database.join(transaction)?, limit).await })
            })
            .await
    }
}

/// Checks the lines and keeps them. No connection waits meanwhile for a client that is slow.
async fn keep(import: &Import, lines: NdjsonStream) -> Result<Spool> {
    let limit = import.options.max_bytes.unwrap_or(u64::MAX).min(MAX_WHOLE_BYTES);
    let mut lines = Lines::new(lines, Some(limit));
    let mut spool = Spool::new().await?;
    let mut count = 0;
    while let Some(line) = lines.next().await? {
        count += 1;
        if count > MAX_WHOLE_LINES {
            let message = format!("an import that is all or nothing may have at most {MAX_WHOLE_LINES} lines");
            return Err(Error::new(ErrorKind::TooLarge, "too-many-lines", message));
        }
        let text = line.text.map_err(|error| aborted(line.number, error))?;
        import.read(&text).map_err(|error| aborted(line.number, error))?;
        spool.push(line.number, &text).await?;
    }
    Ok(spool)
}

/// The lines of an import and how they are decided.
struct Whole {
    import: Import,
    known: Known,
    spool: Arc<Mutex<Spool>>,
    now: Timestamp,
}

impl Whole {
    async fn write(&self, write: &mut Write<'_>, limit: Duration) -> Result<ImportReport> {
        let began = Instant::now();
        let mut lines = self.spool.lock().await.read().await?;
        let mut report = ImportReport::default();
        while let Some((number, text)) = lines.next().await? {
            let line = self.import.read(&text)?;
            report.lines += 1;
            let written = self.import.write(write, (&self.known, self.now), &line).await;
            // What is over its time may fail in many ways.
            if began.elapsed() > limit {
                return Err(too_long(number, limit));
            }
            match written {
                Ok(true) => report.created += 1,
                Ok(false) => report.updated += 1,
                Err(error) if error.code() == SETTINGS_CHANGED => return Err(error),
                Err(error) => return Err(aborted(number, error)),
            }
        }
        Ok(report)
    }
}

fn too_long(line: u64, limit: Duration) -> Error {
    let message = format!(
        "the import was at line {line} when its one commit had taken {} s, and nothing was imported; send fewer lines at \
         once, or have each that fails reported",
        limit.as_secs_f64()
    );
    Error::new(ErrorKind::Timeout, "transaction-timeout", message)
}
