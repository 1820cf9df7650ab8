//! Imports: lines are read as they come and written some hundred in a commit.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        import_line::{ImportLine, Lines},
        rule::{Action, administers},
        transfer::{ImportMeta, ImportOptions, ImportReport, NdjsonStream, OnError},
    },
    drivers::sql::{
        collections::{
            configurations::Known,
            restore,
            service::{DECISIONS, SqlCollections},
            write::Author,
        },
        feed::SETTINGS_CHANGED,
        write::Write,
    },
    error::{Error, ErrorKind, Result},
    id::CollectionName,
};

/// How many lines share a commit at most.
const BATCH_LINES: usize = 200;
/// How many bytes of lines share a commit, but for the last one.
const BATCH_BYTES: usize = 1024 * 1024;
/// How often a commit that a busy database refused is tried.
const ATTEMPTS: u32 = 5;
/// No line.
const NONE: usize = usize::MAX;

/// What all lines of an import have in common.
#[derive(Clone, Debug)]
pub(super) struct Import {
    pub(super) caller: Caller,
    pub(super) collection: CollectionName,
    pub(super) options: ImportOptions,
}

impl Import {
    /// Reads a line.
    pub(super) fn read(&self, text: &[u8]) -> Result<ImportLine> {
        ImportLine::read(text, &self.collection, (self.options.mode, self.options.meta))
    }

    /// Writes a line; says whether the document is new.
    pub(super) async fn write(
        &self,
        write: &mut Write<'_>,
        (known, now): (&Known, Timestamp),
        line: &ImportLine,
    ) -> Result<bool> {
        let author = Author { caller: &self.caller, known, now };
        restore::apply(write, author, &line.write, line.kept.as_ref()).await
    }
}

/// A line that was read, by its number.
type Numbered = (u64, ImportLine);

/// Some lines in one commit, and where it stopped.
struct Commit {
    import: Import,
    known: Known,
    now: Timestamp,
    lines: Arc<Vec<Numbered>>,
    range: Range<usize>,
    /// The line that failed after it had changed something; nothing of the commit stands then.
    failed_at: AtomicUsize,
}

impl SqlCollections {
    pub(super) async fn take_in(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        lines: NdjsonStream,
        options: ImportOptions,
    ) -> Result<ImportReport> {
        if options.meta == ImportMeta::Keep {
            administers(caller)?;
        }
        let known = self.configurations.recent(caller.tenant(), collection).await?;
        // Refused here already, so that strangers send no more than a head.
        known.configured.rule(Action::Create).admits(caller)?;
        let import = Import { caller: caller.clone(), collection: collection.clone(), options };
        match options.on_error {
            OnError::Report => self.take_in_batches(&import, known, lines).await,
            OnError::Abort => self.take_in_whole(&import, known, lines).await,
        }
    }

    async fn take_in_batches(&self, import: &Import, mut known: Known, lines: NdjsonStream) -> Result<ImportReport> {
        let mut lines = Lines::new(lines, import.options.max_bytes);
        let mut report = ImportReport::default();
        loop {
            let batch = gather(import, &mut lines, &mut report).await?;
            let Some((last, _)) = batch.last() else { break };
            let last = *last;
            let written = self.write_batch(import, &mut known, batch, &mut report).await;
            written.map_err(|error| stopped(error, last))?;
        }
        Ok(report)
    }

    /// Writes some lines. Where one fails after it has changed something, its commit is given up; the lines before it
    /// are written again in one of their own, and those behind it follow.
    async fn write_batch(
        &self,
        import: &Import,
        known: &mut Known,
        lines: Vec<Numbered>,
        report: &mut ImportReport,
    ) -> Result<()> {
        let lines = Arc::new(lines);
        let mut range = 0..lines.len();
        let (mut decisions, mut attempts) = (1, 1);
        while !range.is_empty() {
            let (commit, outcome) = self.write_range(import, known, &lines, range.clone()).await;
            match outcome {
                Ok(created) => {
                    for (found, (number, _)) in created.into_iter().zip(lines.get(range.clone()).unwrap_or_default()) {
                        match found {
                            Ok(true) => report.created += 1,
                            Ok(false) => report.updated += 1,
                            Err(error) => report.fail(*number, &error),
                        }
                    }
                    range = range.end..lines.len();
                    (decisions, attempts) = (1, 1);
                }
                Err(error) if error.code() == SETTINGS_CHANGED && decisions < DECISIONS => {
                    decisions += 1;
                    *known = self.configurations.read(import.caller.tenant(), &import.collection).await?;
                }
                Err(error) if error.kind() == ErrorKind::Busy && attempts < ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(100) * attempts).await;
                    attempts += 1;
                }
                Err(error) => match commit.failed_at.load(Ordering::Acquire) {
                    NONE => return Err(error),
                    at if at == range.start => {
                        report.fail(lines.get(at).map_or(0, |(number, _)| *number), &error);
                        range = at + 1..lines.len();
                    }
                    at => range.end = at,
                },
            }
        }
        Ok(())
    }

    async fn write_range(
        &self,
        import: &Import,
        known: &Known,
        lines: &Arc<Vec<Numbered>>,
        range: Range<usize>,
    ) -> (Arc<Commit>, Result<Vec<Result<bool>>>) {
        let commit = Arc::new(Commit {
            import: import.clone(),
            known: known.clone(),
            now: self.clock.now(),
            lines: Arc::clone(lines),
            range,
            failed_at: AtomicUsize::new(NONE),
        });
        let shared = Arc::clone(&commit);
        let outcome = self
            .commit(known.hooks.is_some(), move |write| {
                let commit = Arc::clone(&shared);
                Box::pin(async move { commit.run(write).await })
            })
            .await;
        (commit, outcome)
    }
}

impl Commit {
    async fn run(&self, write: &mut Write<'_>) -> Result<Vec<Result<bool>>> {
        self.failed_at.store(NONE, Ordering::Release);
        let mut done = Vec::with_capacity(self.range.len());
        for at in self.range.clone() {
            let Some((_, line)) = self.lines.get(at) else { break };
            let before = write.changes();
            match self.import.write(write, (&self.known, self.now), line).await {
                Err(error) if !is_of_the_line(&error) => return Err(error),
                // What a hook of the host's did is not counted.
                Err(error) if write.changes() != before || self.known.hooks.is_some() => {
                    self.failed_at.store(at, Ordering::Release);
                    return Err(error);
                }
                outcome => done.push(outcome),
            }
        }
        Ok(done)
    }
}

/// Reads the lines of the next commit; those that are no documents are noted.
async fn gather(import: &Import, lines: &mut Lines, report: &mut ImportReport) -> Result<Vec<Numbered>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH_LINES && bytes < BATCH_BYTES {
        let Some(line) = lines.next().await? else { break };
        report.lines += 1;
        let read = line.text.and_then(|text| {
            bytes += text.len();
            import.read(&text)
        });
        match read {
            Ok(read) => batch.push((line.number, read)),
            Err(error) => report.fail(line.number, &error),
        }
    }
    Ok(batch)
}

/// Whether another line may succeed all the same.
fn is_of_the_line(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Invalid
            | ErrorKind::Unprocessable
            | ErrorKind::Conflict
            | ErrorKind::PreconditionFailed
            | ErrorKind::NotFound
            | ErrorKind::Forbidden
            | ErrorKind::Unauthenticated
            | ErrorKind::TooLarge
    )
}

/// The error of an import that cannot go on.
fn stopped(error: Error, last: u64) -> Error {
    let message =
        format!("{} (the import stopped within the lines to {last}; what it wrote before stays)", error.message());
    let mut ours = Error::new(error.kind(), error.code(), message);
    if let Some(after) = error.retry_after() {
        ours = ours.with_retry_after(after);
    }
    ours.with_source(error)
}
