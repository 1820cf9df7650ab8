//! The lines of an import: cut from the bytes as they come, and read.

use bytes::{Bytes, BytesMut};
use chrono::DateTime;
use futures_util::TryStreamExt as _;
use serde_json::Value;

use crate::{
    clock::Timestamp,
    collections::{
        transfer::{ImportMeta, ImportMode, NdjsonStream},
        write::{DocumentWrite, NewDocument, Precondition},
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId, UserId},
    json::Object,
};

/// How long a line may be: a document of the largest size, and what a read shows beside its members.
const LONGEST: usize = 1024 * 1024 + 8 * 1024;

/// Bytes, cut into lines. It holds one line and one piece at most.
pub(crate) struct Lines {
    source: NdjsonStream,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no end of line.
    searched: usize,
    /// Whether the line that has begun is too long, and its rest is thrown away.
    skipping: bool,
    ended: bool,
    number: u64,
    bytes: u64,
    max_bytes: Option<u64>,
}

/// A line that is not blank.
#[derive(Debug)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: u64,
    /// Without its end; an error for one that is too long.
    pub(crate) text: Result<Bytes>,
}

impl Lines {
    pub(crate) fn new(source: NdjsonStream, max_bytes: Option<u64>) -> Self {
        let buffer = BytesMut::new();
        Self { source, buffer, searched: 0, skipping: false, ended: false, number: 0, bytes: 0, max_bytes }
    }

    /// The next line that is not blank.
    ///
    /// # Errors
    /// Those of the source; `TooLarge` `body-too-large` where it is longer than it may be.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>> {
        loop {
            let Some(text) = self.cut().await? else { return Ok(None) };
            self.number += 1;
            match text {
                Some(text) if text.iter().all(u8::is_ascii_whitespace) => {}
                Some(text) => return Ok(Some(Line { number: self.number, text: Ok(text) })),
                None => return Ok(Some(Line { number: self.number, text: Err(too_long()) })),
            }
        }
    }

    /// The next line; `Some(None)` is one that is too long.
    async fn cut(&mut self) -> Result<Option<Option<Bytes>>> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                let end = self.searched + at;
                self.searched = 0;
                let mut line = self.buffer.split_to(end + 1).freeze();
                line.truncate(end);
                let fits = !std::mem::take(&mut self.skipping) && line.len() <= LONGEST;
                return Ok(Some(fits.then_some(line)));
            }
            self.searched = self.buffer.len();
            if self.searched > LONGEST {
                self.skipping = true;
            }
            if self.skipping {
                self.buffer.clear();
                self.searched = 0;
            }
            if self.ended {
                return Ok(self.last());
            }
            match self.source.try_next().await? {
                Some(piece) => self.take(&piece)?,
                None => self.ended = true,
            }
        }
    }

    /// What stands behind the last end of line.
    fn last(&mut self) -> Option<Option<Bytes>> {
        if std::mem::take(&mut self.skipping) {
            return Some(None);
        }
        let rest = self.buffer.split().freeze();
        self.searched = 0;
        (!rest.is_empty()).then_some(Some(rest))
    }

    fn take(&mut self, piece: &Bytes) -> Result<()> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        if let Some(limit) = self.max_bytes.filter(|limit| self.bytes > *limit) {
            let message = format!("the body may have at most {limit} bytes; lines before this place may be imported");
            return Err(Error::new(ErrorKind::TooLarge, "body-too-large", message));
        }
        self.buffer.extend_from_slice(piece);
        Ok(())
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("number", &self.number).finish_non_exhaustive()
    }
}

fn too_long() -> Error {
    let message = format!("a line may have at most {LONGEST} bytes, and a document 1 MiB");
    Error::new(ErrorKind::TooLarge, "document-too-large", message)
}

/// A line that was read: a document to write.
#[derive(Clone, Debug)]
pub(crate) struct ImportLine {
    pub(crate) write: DocumentWrite,
    /// What is kept of its `_meta`.
    pub(crate) kept: Option<Kept>,
}

/// What an import may keep of a document's `_meta`; what a line does not say is as for a new document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The owner, or that there is none.
    pub(crate) owner: Option<Option<UserId>>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) updated_at: Option<Timestamp>,
}

impl ImportLine {
    /// Reads a line: a document as a read shows it, or as a creation takes it.
    ///
    /// # Errors
    /// Those of [`Object::parse`], `Invalid` for an id or for a `_meta` that is to be kept.
    pub(crate) fn read(
        text: &[u8],
        collection: &CollectionName,
        (mode, meta): (ImportMode, ImportMeta),
    ) -> Result<Self> {
        let (mut body, shown) = Object::parse_shown(text)?;
        let id = body.take_id()?.map(|id| DocumentId::new(id).map_err(|error| error.with_field("/id"))).transpose()?;
        let collection = collection.clone();
        let write = match (mode, id) {
            (ImportMode::Upsert, Some(id)) => {
                DocumentWrite::Replace { collection, id, body, precondition: Precondition::None }
            }
            (_, Some(id)) => DocumentWrite::Create { collection, document: NewDocument::new(body).with_id(id) },
            (_, None) => DocumentWrite::Create { collection, document: NewDocument::new(body) },
        };
        let kept = match meta {
            ImportMeta::Ignore => None,
            ImportMeta::Keep => Some(shown.map_or_else(|| Ok(Kept::default()), |shown| Kept::read(&shown))?),
        };
        Ok(Self { write, kept })
    }
}

impl Kept {
    fn read(meta: &Value) -> Result<Self> {
        let owner = match meta.get("owner") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(Value::String(owner)) => {
                Some(Some(UserId::new(owner).map_err(|error| error.with_field("/_meta/owner"))?))
            }
            Some(_) => return Err(bad_meta("/_meta/owner", "an owner is the id of a user, or null")),
        };
        Ok(Self { owner, created_at: moment(meta, "created_at")?, updated_at: moment(meta, "updated_at")? })
    }
}

fn moment(meta: &Value, name: &str) -> Result<Option<Timestamp>> {
    let Some(value) = meta.get(name) else { return Ok(None) };
    let parsed = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    match parsed {
        Some(moment) => Ok(Some(Timestamp::from_micros(moment.timestamp_micros()))),
        None => Err(bad_meta(&format!("/_meta/{name}"), "a moment is written as 2026-01-02T03:04:05.678Z (RFC 3339)")),
    }
}

fn bad_meta(field: &str, message: &str) -> Error {
    Error::invalid("invalid-meta", message).with_field(field)
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};
    use serde_json::json;

    use super::*;

    async fn cut(pieces: &[&[u8]], max_bytes: Option<u64>) -> Result<Vec<(u64, Result<String, &'static str>)>> {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut lines = Lines::new(stream::iter(pieces).boxed(), max_bytes);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await? {
            let text = line.text.map(|text| String::from_utf8_lossy(&text).into_owned()).map_err(|error| error.code());
            found.push((line.number, text));
        }
        Ok(found)
    }

    #[tokio::test]
    async fn lines_are_cut_wherever_the_pieces_end() {
        let expected = vec![(1, Ok("ab".to_owned())), (4, Ok("c\r".to_owned())), (5, Ok("d".to_owned()))];
        let whole: &[u8] = b"ab\n\n \t\r\nc\r\nd";
        assert_eq!(cut(&[whole], None).await.unwrap(), expected);
        for size in 1..whole.len() {
            let pieces: Vec<_> = whole.chunks(size).collect();
            assert_eq!(cut(&pieces, None).await.unwrap(), expected, "{size}");
        }
        assert_eq!(cut(&[], None).await.unwrap(), vec![]);
        assert_eq!(cut(&[b"\n\n"], None).await.unwrap(), vec![]);
        assert_eq!(cut(&[whole], Some(5)).await.unwrap_err().code(), "body-too-large");
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_fails_alone() {
        let long = vec![b'x'; LONGEST + 1];
        for size in [1000, LONGEST, 3 * LONGEST] {
            let whole = [b"a\n".as_slice(), &long, b"\nb\n", &long].concat();
            let pieces: Vec<_> = whole.chunks(size).collect();
            let found = cut(&pieces, None).await.unwrap();
            let too_long = || Err("document-too-large");
            assert_eq!(found, [(1, Ok("a".into())), (2, too_long()), (3, Ok("b".into())), (4, too_long())], "{size}");
        }
    }

    #[test]
    fn a_line_is_what_a_read_shows() {
        let collection = CollectionName::new("todos").unwrap();
        let line = json!({"id": "a", "n": 1, "_meta": {"owner": "ada", "created_at": "2026-01-02T03:04:05.678Z"}});
        let text = line.to_string();
        let read = |mode, meta| ImportLine::read(text.as_bytes(), &collection, (mode, meta)).unwrap();
        let inserted = read(ImportMode::Insert, ImportMeta::Ignore);
        assert!(
            matches!(inserted.write, DocumentWrite::Create { document, .. } if document.body.to_text() == r#"{"n":1}"#)
        );
        assert_eq!(inserted.kept, None);
        let kept = read(ImportMode::Upsert, ImportMeta::Keep);
        assert!(matches!(kept.write, DocumentWrite::Replace { .. }));
        let kept = kept.kept.unwrap();
        assert_eq!(kept.owner, Some(Some(UserId::new("ada").unwrap())));
        assert_eq!(kept.created_at.unwrap().to_string(), "2026-01-02T03:04:05.678Z");
        assert_eq!(kept.updated_at, None);
        for (text, code) in [
            ("\u{feff}{}", "invalid-json"),
            ("[]", "not-an-object"),
            (r#"{"id":1}"#, "invalid-id"),
            (r#"{"_meta":{"owner":1}}"#, "invalid-meta"),
            (r#"{"_meta":{"created_at":"yesterday"}}"#, "invalid-meta"),
        ] {
            let options = (ImportMode::Insert, ImportMeta::Keep);
            assert_eq!(ImportLine::read(text.as_bytes(), &collection, options).unwrap_err().code(), code, "{text}");
        }
    }
}
