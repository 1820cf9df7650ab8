//! Every call that writes, as data: what an idempotency key stands for.

use sha2::{Digest as _, Sha256};

use crate::{
    collections::{
        batch::{Batch, BatchOperation, BatchResult},
        matching::{Affected, Matching, MatchingWrite},
        write::{DocumentWrite, Precondition, Written},
    },
    error::{Error, Result},
    id::{CollectionName, DocumentId},
};

/// A call that writes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// One write of one document.
    Write(DocumentWrite),
    /// Several operations in one commit.
    Batch(Batch),
    /// One write of every document that a filter matches.
    Matching(Matching, MatchingWrite),
}

/// What a call that writes answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Of [`Command::Write`].
    Written(Written),
    /// Of [`Command::Batch`]: one result for each operation, in their order.
    Batch(Vec<BatchResult>),
    /// Of [`Command::Matching`].
    Affected(Affected),
}

impl Command {
    /// The collections that it is about; one may come several times.
    #[must_use]
    pub fn collections(&self) -> Vec<&CollectionName> {
        match self {
            Self::Write(write) => vec![write.collection()],
            Self::Batch(batch) => batch.operations().iter().map(BatchOperation::collection).collect(),
            Self::Matching(matching, _) => vec![&matching.collection],
        }
    }

    /// SHA-256 over everything that the call says: what it does, where, to which documents, under which
    /// conditions, with which content. White space and the order of members do not count.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut print = Print(Sha256::new());
        match self {
            Self::Write(write) => print.write(write),
            Self::Batch(batch) => print.batch(batch),
            Self::Matching(matching, write) => print.matching(matching, write),
        }
        print.0.finalize().into()
    }
}

impl Outcome {
    /// The outcome of a write of one document.
    ///
    /// # Errors
    /// `Internal` if it is another's.
    pub fn into_written(self) -> Result<Written> {
        match self {
            Self::Written(written) => Ok(written),
            _ => Err(mixed_up()),
        }
    }

    /// The outcome of a batch.
    ///
    /// # Errors
    /// `Internal` if it is another's.
    pub fn into_batch(self) -> Result<Vec<BatchResult>> {
        match self {
            Self::Batch(results) => Ok(results),
            _ => Err(mixed_up()),
        }
    }

    /// The outcome of a write by filter.
    ///
    /// # Errors
    /// `Internal` if it is another's.
    pub fn into_affected(self) -> Result<Affected> {
        match self {
            Self::Affected(affected) => Ok(affected),
            _ => Err(mixed_up()),
        }
    }
}

fn mixed_up() -> Error {
    Error::internal("an outcome of another kind of command")
}

/// A hash of parts that cannot run into one another: each is hashed with its length.
struct Print(Sha256);

impl Print {
    fn part(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => {
                self.part("some");
                self.part(text);
            }
            None => self.part("none"),
        }
    }

    fn key(&mut self, verb: &str, collection: &CollectionName, id: Option<&DocumentId>) {
        self.part(verb);
        self.part(collection.as_str());
        self.optional(id.map(DocumentId::as_str));
    }

    fn precondition(&mut self, precondition: &Precondition) {
        match precondition {
            Precondition::None => self.part("none"),
            Precondition::Exists => self.part("exists"),
            Precondition::Absent => self.part("absent"),
            Precondition::Revision(revisions) => {
                self.part("revision");
                self.part(&revisions.len().to_string());
                revisions.iter().for_each(|revision| self.part(revision));
            }
        }
    }

    fn write(&mut self, write: &DocumentWrite) {
        match write {
            DocumentWrite::Create { collection, document } => {
                self.key("create", collection, document.id.as_ref());
                self.part(&document.body.to_text());
            }
            DocumentWrite::Replace { collection, id, body, precondition } => {
                self.key("replace", collection, Some(id));
                self.precondition(precondition);
                self.part(&body.to_text());
            }
            DocumentWrite::Patch { collection, id, patch, precondition } => {
                self.key("patch", collection, Some(id));
                self.precondition(precondition);
                self.part(&patch.to_text());
            }
            DocumentWrite::Delete { collection, id, precondition } => {
                self.key("delete", collection, Some(id));
                self.precondition(precondition);
            }
        }
    }

    fn batch(&mut self, batch: &Batch) {
        self.part("batch");
        self.part(&batch.operations().len().to_string());
        for operation in batch.operations() {
            match operation {
                BatchOperation::Write(write) => self.write(write),
                BatchOperation::Get { collection, id, precondition } => {
                    self.key("get", collection, Some(id));
                    self.precondition(precondition);
                }
                BatchOperation::Check { collection, id, precondition } => {
                    self.key("check", collection, Some(id));
                    self.precondition(precondition);
                }
            }
        }
    }

    fn matching(&mut self, matching: &Matching, write: &MatchingWrite) {
        self.key("matching", &matching.collection, None);
        self.part(&matching.filter.to_text());
        self.part(&matching.limit.get().to_string());
        self.optional(matching.cursor.as_deref());
        match write {
            MatchingWrite::Delete => self.part("delete"),
            MatchingWrite::Patch(patch) => {
                self.part("patch");
                self.part(&patch.to_text());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{collections::write::NewDocument, json::Object};

    fn replace(id: &str, body: &str, precondition: Precondition) -> Command {
        Command::Write(DocumentWrite::Replace {
            collection: CollectionName::new("todos").unwrap(),
            id: DocumentId::new(id).unwrap(),
            body: Object::parse(body.as_bytes()).unwrap(),
            precondition,
        })
    }

    #[test]
    fn equal_calls_have_equal_fingerprints_and_others_do_not() {
        let one = replace("a", r#"{"x":1,"y":2}"#, Precondition::None).fingerprint();
        assert_eq!(one, replace("a", r#"{ "y": 2.0, "x": 1 }"#, Precondition::None).fingerprint());
        let revision = |texts: &[&str]| Precondition::Revision(texts.iter().map(|&text| text.to_owned()).collect());
        let name = CollectionName::new("todos").unwrap();
        let body = Object::from_value(json!({"x": 1, "y": 2})).unwrap();
        let id = DocumentId::new("a").unwrap();
        let patch = Batch::new().patch(&name, &id, body.clone(), Precondition::None);
        let chosen = NewDocument::new(body.clone()).with_id(id.clone());
        let all = [
            one,
            replace("b", r#"{"x":1,"y":2}"#, Precondition::None).fingerprint(),
            replace("a", r#"{"x":1,"y":3}"#, Precondition::None).fingerprint(),
            replace("a", r#"{"x":1,"y":2}"#, Precondition::Exists).fingerprint(),
            replace("a", r#"{"x":1,"y":2}"#, revision(&["1", "2"])).fingerprint(),
            replace("a", r#"{"x":1,"y":2}"#, revision(&["12"])).fingerprint(),
            Command::Batch(patch.clone()).fingerprint(),
            Command::Batch(patch.get(&name, &id)).fingerprint(),
            Command::Batch(Batch::new().get(&name, &id)).fingerprint(),
            Command::Batch(Batch::new()).fingerprint(),
            Command::Write(DocumentWrite::Create { collection: name.clone(), document: chosen }).fingerprint(),
            Command::Write(DocumentWrite::Create { collection: name.clone(), document: NewDocument::new(body) })
                .fingerprint(),
            Command::Matching(Matching::new(name.clone(), "x == 1").unwrap(), MatchingWrite::Delete).fingerprint(),
            Command::Matching(Matching::new(name, "x == 2").unwrap(), MatchingWrite::Delete).fingerprint(),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
