//! Imports that are all or nothing: the lines are checked and kept in a file as they come, then written in one commit.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

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
        connection::Database,
        feed::SETTINGS_CHANGED,
    },
    error::{Error, ErrorKind, Result},
    transaction::Transaction,
};

/// How long the one transaction may take. Writers of SQLite wait for it.
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
            let (whole, now) = (Whole { import: import.clone(), known, spool: Arc::clone(&spool) }, self.clock.now());
            let database = self.database.clone();
            let outcome = self
                .database
                .transaction_within(LONGEST, move |transaction| {
                    Box::pin(async move { whole.write(&database, transaction, now).await })
                })
                .await;
            match outcome {
                Err(error) if error.code() == SETTINGS_CHANGED && decisions < DECISIONS => decisions += 1,
                outcome => return outcome,
            }
            known = self.configurations.read(import.caller.tenant(), &import.collection).await?;
        }
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
}

impl Whole {
    async fn write(
        &self,
        database: &Database,
        transaction: &mut Transaction<'_>,
        now: Timestamp,
    ) -> Result<ImportReport> {
        let mut lines = self.spool.lock().await.read().await?;
        let mut write = database.join(transaction)?;
        let mut report = ImportReport::default();
        while let Some((number, text)) = lines.next().await? {
            let line = self.import.read(&text)?;
            report.lines += 1;
            match self.import.write(&mut write, (&self.known, now), &line).await {
                Ok(true) => report.created += 1,
                Ok(false) => report.updated += 1,
                Err(error) if error.code() == SETTINGS_CHANGED => return Err(error),
                Err(error) => return Err(aborted(number, error)),
            }
        }
        Ok(report)
    }
}
