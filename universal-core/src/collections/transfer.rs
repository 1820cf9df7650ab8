//! Whole collections in and out: what is asked for, and what came of it.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::Serialize;

use crate::{
    collections::{document::Document, query::parse_filter},
    error::{Error, Result},
    expr::Expression,
};

/// Bytes of NDJSON as they come, in pieces of any size.
pub type NdjsonStream = BoxStream<'static, Result<Bytes>>;

/// The documents of an export, page by page and in the order of their ids. A page is read when it is asked for. After an
/// error there is nothing more.
pub type DocumentPages = BoxStream<'static, Result<Vec<Document>>>;

/// How many lines an import that is all or nothing may have.
pub const MAX_WHOLE_LINES: u64 = 100_000;
/// How many bytes an import that is all or nothing may have.
pub const MAX_WHOLE_BYTES: u64 = 64 * 1024 * 1024;
/// How many errors a report lists; it counts the others too.
pub const MAX_REPORTED: usize = 1_000;

/// Which documents an export holds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ExportQuery {
    /// Only documents that match.
    pub filter: Option<Expression>,
}

impl ExportQuery {
    /// All documents that the caller may list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only documents that match the filter's text.
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn with_filter(mut self, filter: &str) -> Result<Self> {
        self.filter = Some(parse_filter(filter)?);
        Ok(self)
    }
}

/// What happens to a line whose id is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportMode {
    /// The line fails with `document-exists`.
    #[default]
    Insert,
    /// The document is replaced.
    Upsert,
}

/// What happens to the others when a line fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnError {
    /// They are written, some hundred in a commit, and the report names those that failed.
    #[default]
    Report,
    /// None is written: all are in one commit, or there is no commit. At most [`MAX_WHOLE_LINES`] lines and
    /// [`MAX_WHOLE_BYTES`] bytes.
    Abort,
}

/// What becomes of the `_meta` of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportMeta {
    /// It is left out: the caller owns what is new, and it was created now.
    #[default]
    Ignore,
    /// Owner and moments are those of the line, for administrators and the program. The revision is a new one in any
    /// case, because a revision never repeats.
    Keep,
}

/// How an import is done.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// What happens to a line whose id is taken.
    pub mode: ImportMode,
    /// What happens to the others when a line fails.
    pub on_error: OnError,
    /// What becomes of the `_meta` of a line.
    pub meta: ImportMeta,
    /// How many bytes may come; without it there is no limit but that of [`OnError::Abort`].
    pub max_bytes: Option<u64>,
}

impl ImportOptions {
    /// New documents, with a report of the lines that failed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same in another mode.
    #[must_use]
    pub fn with_mode(mut self, mode: ImportMode) -> Self {
        self.mode = mode;
        self
    }

    /// The same with another answer to a line that fails.
    #[must_use]
    pub fn with_on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// The same with another use of `_meta`.
    #[must_use]
    pub fn with_meta(mut self, meta: ImportMeta) -> Self {
        self.meta = meta;
        self
    }

    /// The same with a limit of bytes.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }
}

/// What became of the lines of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// How many lines there were, without blank ones.
    pub lines: u64,
    /// How many made a new document.
    pub created: u64,
    /// How many replaced a document.
    pub updated: u64,
    /// How many were refused.
    pub failed: u64,
    /// Why, for the first [`MAX_REPORTED`] of them, in the order of the lines.
    pub errors: Vec<LineError>,
}

impl ImportReport {
    /// Counts a line that was refused.
    pub(crate) fn fail(&mut self, line: u64, error: &Error) {
        self.failed += 1;
        if self.errors.len() < MAX_REPORTED {
            // A batch is read before it is written: what is refused on reading is noted first.
            let at = self.errors.partition_point(|known| known.line < line);
            self.errors.insert(at, LineError::new(line, error));
        }
    }
}

/// Why a line was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LineError {
    /// The number of the line, from 1; blank ones count.
    pub line: u64,
    /// The code of the [`Error`].
    pub code: &'static str,
    /// The sentence for people.
    pub detail: String,
    /// Which member is wrong, as a JSON pointer into the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Which byte of the line is wrong, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
}

impl LineError {
    fn new(line: u64, error: &Error) -> Self {
        let pointer = error.field().map(pointer);
        Self { line, code: error.code(), detail: error.message().to_owned(), pointer, position: error.position() }
    }
}

/// The error of an import that is all or nothing, for the line that fails.
pub(crate) fn aborted(line: u64, error: Error) -> Error {
    let message = format!("line {line}: {}; nothing was imported", error.message());
    let place = format!("/lines/{line}{}", error.field().map(pointer).unwrap_or_default());
    let mut ours = Error::new(error.kind(), error.code(), message).with_field(place);
    if let Some(position) = error.position() {
        ours = ours.with_position(position);
    }
    match error.retry_after() {
        Some(after) => ours.with_retry_after(after).with_source(error),
        None => ours.with_source(error),
    }
}

/// Errors of documents name a member by its pointer, and the id, which comes from a path elsewhere, by its name.
fn pointer(field: &str) -> String {
    if field.is_empty() || field.starts_with('/') { field.to_owned() } else { format!("/{field}") }
}
