//! What a caller can ask of documents.

use std::fmt;

use async_trait::async_trait;

use crate::{
    caller::Caller,
    collections::{
        aggregate::{AggregateQuery, Aggregates},
        batch::{Batch, BatchResult},
        command::{Command, Outcome},
        distinct::{Distinct, DistinctQuery},
        document::Document,
        explain::Explanation,
        explain_rule::{ExplainRule, RuleExplanation},
        idempotency::{IdempotencyKey, Once},
        matching::{Affected, Matching, MatchingWrite},
        query::{GetQuery, ListQuery},
        settings::{CollectionInfo, CollectionSettings},
        state::Progress,
        transfer::{DocumentPages, ExportQuery, ImportOptions, ImportReport, NdjsonStream},
        write::{DocumentWrite, NewDocument, Precondition, Written},
    },
    error::Result,
    id::{CollectionName, DocumentId},
    json::Object,
    page::{Page, Snapshot},
    transaction::Transaction,
};

/// Documents in collections that need no declaration.
///
/// An implementation writes [`write`](Self::write), [`write_in`](Self::write_in) and the reads; the
/// methods with a default are the same writes by name.
///
/// Every write is durable, and its change is in the feed, when it answers. Dropping the future of a
/// write either prevents it or lets it happen whole.
#[async_trait]
pub trait Collections: Send + Sync + fmt::Debug {
    /// Does one write in a commit of its own.
    ///
    /// # Errors
    /// In this order: `Unauthenticated`; `NotFound` where the caller may not read the document;
    /// `PreconditionFailed`; `Conflict` for an id that is taken; `Invalid` for an operation that does
    /// not fit; `TooLarge`. `Busy`, `Unavailable` and `OutcomeUnknown` come from the database.
    async fn write(&self, caller: &Caller, write: DocumentWrite) -> Result<Written>;

    /// Does one write as part of `transaction`.
    ///
    /// # Errors
    /// As [`write`](Self::write), and `Invalid` for a transaction of another backend. After an error
    /// of the database the transaction can only be rolled back.
    async fn write_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        write: DocumentWrite,
    ) -> Result<Written>;

    /// Reads a document, with a place in the feed that is not later than what was read.
    ///
    /// # Errors
    /// `Unauthenticated`; `NotFound` if there is none that the caller may read.
    async fn get(&self, caller: &Caller, collection: &CollectionName, id: &DocumentId) -> Result<Snapshot<Document>>;

    /// Reads a document, or members of it, and the documents that it refers to.
    ///
    /// # Errors
    /// As [`get`](Self::get); `Invalid` for a selection of what is hidden, for what is no reference, and where references
    /// lead to too much.
    async fn get_with(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        id: &DocumentId,
        query: &GetQuery,
    ) -> Result<Snapshot<Document>>;

    /// Reads a document inside `transaction` and locks it until the transaction ends.
    ///
    /// # Errors
    /// As [`get`](Self::get), and `Invalid` for a transaction of another backend.
    async fn get_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        collection: &CollectionName,
        id: &DocumentId,
    ) -> Result<Document>;

    /// Lists documents that the caller may read.
    ///
    /// # Errors
    /// `Unauthenticated`; `Invalid` for a filter, a sort key or a cursor that is not valid.
    async fn list(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &ListQuery,
    ) -> Result<Snapshot<Page<Document>>>;

    /// Counts, adds up and compares the documents that the caller may list, by groups.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    async fn aggregate(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &AggregateQuery,
    ) -> Result<Snapshot<Aggregates>>;

    /// The different values of a field in the documents that the caller may list.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    async fn distinct(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &DistinctQuery,
    ) -> Result<Snapshot<Distinct>>;
    /// Does the operations of a batch in one commit, or none of them. The results are in their order.
    ///
    /// # Errors
    /// That of the first operation that fails; its field is a JSON pointer that begins with
    /// `/operations/<index>`. `TooLarge` above the limits of a [`Batch`].
    async fn batch(&self, caller: &Caller, batch: Batch) -> Result<Vec<BatchResult>>;

    /// Does the operations of a batch as part of `transaction`. After an error none of them is in it.
    ///
    /// # Errors
    /// As [`batch`](Self::batch), and `Invalid` for a transaction of another backend.
    async fn batch_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        batch: Batch,
    ) -> Result<Vec<BatchResult>>;

    /// Writes every document that matches and that the caller may list, in one commit, up to the limit of
    /// [`Matching`]; each has its own revision and its own change. Documents that the caller may not list
    /// are not touched. Which they are is looked for before anything is locked, and each is asked again under its lock.
    ///
    /// # Errors
    /// `Forbidden`, and nothing is written, if the caller may list one of them and not write it; `Invalid`
    /// for a cursor that is not valid; else as [`write`](Self::write), for the first that fails.
    async fn write_where(&self, caller: &Caller, matching: Matching, write: MatchingWrite) -> Result<Affected>;

    /// Writes the documents that match as part of `transaction`. After an error none of them is written in it.
    ///
    /// # Errors
    /// As [`write_where`](Self::write_where), and `Invalid` for a transaction of another backend.
    async fn write_where_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        matching: Matching,
        write: MatchingWrite,
    ) -> Result<Affected>;

    /// Does what `command` says unless the caller has done so under this key in the last 24 hours; then the
    /// answer is the one it had. The answer is kept in the commit of the write. A command that failed has
    /// written nothing and is not kept: repeated, it is tried again.
    ///
    /// # Errors
    /// `Unauthenticated` for an anonymous caller; `Unprocessable` `idempotency-key-reused` for another command
    /// under a key; `Conflict` `idempotency-in-flight` while the first is not done; else those of the command.
    async fn once(&self, caller: &Caller, key: &IdempotencyKey, command: Command) -> Result<Once>;

    /// Does what `command` says.
    ///
    /// # Errors
    /// As [`write`](Self::write), [`batch`](Self::batch) and [`write_where`](Self::write_where).
    async fn perform(&self, caller: &Caller, command: Command) -> Result<Outcome> {
        match command {
            Command::Write(write) => self.write(caller, write).await.map(Outcome::Written),
            Command::Batch(batch) => self.batch(caller, batch).await.map(Outcome::Batch),
            Command::Matching(matching, write) => {
                self.write_where(caller, matching, write).await.map(Outcome::Affected)
            }
        }
    }

    /// Changes members of every document that matches.
    ///
    /// # Errors
    /// As [`write_where`](Self::write_where).
    async fn update_where(&self, caller: &Caller, matching: Matching, patch: Object) -> Result<Affected> {
        self.write_where(caller, matching, MatchingWrite::Patch(patch)).await
    }

    /// Deletes every document that matches.
    ///
    /// # Errors
    /// As [`write_where`](Self::write_where).
    async fn delete_where(&self, caller: &Caller, matching: Matching) -> Result<Affected> {
        self.write_where(caller, matching, MatchingWrite::Delete).await
    }

    /// Gives all documents that match and that the caller may list, in the order of their ids, as they are when their
    /// page is read, with a place in the feed that is not later than the first: what is written meanwhile may be in it
    /// or not, and is in the feed after that place. The caller's rights are asked again with every page.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden`; `Invalid` for a filter that is not valid. What fails later fails in the stream.
    async fn export(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &ExportQuery,
    ) -> Result<Snapshot<DocumentPages>>;

    /// Writes the documents that come as lines of JSON, in their order, each as [`create`](Self::create) or
    /// [`replace`](Self::replace) does. Lines are read as they are written, so that a large import needs no memory.
    ///
    /// A line that is refused is in the report, or is the error with [`OnError::Abort`](super::transfer::OnError); the
    /// error's field is then `/lines/<number>`, with the pointer of the member behind it.
    ///
    /// # Errors
    /// `Unauthenticated`; `Forbidden` for a caller who may not keep `_meta`; those of the stream and of the database. What
    /// was committed before stays, but for an import that is all or nothing.
    async fn import(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        lines: NdjsonStream,
        options: ImportOptions,
    ) -> Result<ImportReport>;

    /// How a list finds its rows, for administrators: which index it uses, for what, and why not the others. The list is
    /// that of `asking`, or of `caller` itself.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden` for a caller who is no administrator; what the list itself would refuse.
    async fn explain(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &ListQuery,
        asking: Option<&Caller>,
    ) -> Result<Explanation>;

    /// The settings of a collection, for administrators; the default ones if nobody has configured it.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden` for a caller who is no administrator.
    async fn settings(&self, caller: &Caller, collection: &CollectionName) -> Result<CollectionInfo>;

    /// All collections that were configured or hold documents, for administrators, in the order of their names.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden` for a caller who is no administrator.
    async fn collections(&self, caller: &Caller) -> Result<Vec<CollectionInfo>>;

    /// Gives a collection settings in place of those it has, for administrators. They hold for every write that
    /// commits after the answer, on every node, for reads at once, and for open subscriptions within a second.
    /// `expected` is the version that must not have changed; 0 for a collection that nobody has configured.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden`; `PreconditionFailed` `stale-settings`; `Invalid` with the place for a setting
    /// that is not valid.
    async fn configure(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        settings: CollectionSettings,
        expected: Option<i64>,
    ) -> Result<CollectionInfo>;

    /// Deletes all documents of a collection, each with its change in the feed, and then its settings, for
    /// administrators. From the beginning it takes no writes. Documents elsewhere that refer to those with `cascade` go
    /// too; those that refer with `refuse` stop it, and what was deleted by then stays deleted. A large collection is
    /// dropped in the background; calling again goes on with it.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden`; `NotFound` `collection-not-found`; `Conflict` `collection-is-referenced`, or
    /// `collection-closed` while it is renamed.
    async fn drop_collection(&self, caller: &Caller, collection: &CollectionName) -> Result<Progress>;

    /// Moves all documents and the settings of a collection to another name, for administrators: references that other
    /// settings declare follow, revisions stay, and the feed has for each document a deletion from the one collection and
    /// a creation in the other, in one transaction. Meanwhile neither takes writes, and a document is found under one of
    /// the names. A large collection is renamed in the background; calling again goes on with it.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden`; `NotFound` `collection-not-found`; `Conflict` `collection-exists` if the new name
    /// has settings or documents, `collection-closed` while either is dropped or renamed otherwise; `Busy`
    /// `references-building` while documents are looked through for their references.
    async fn rename_collection(&self, caller: &Caller, from: &CollectionName, to: &CollectionName) -> Result<Progress>;

    /// Says why a rule allows or refuses what somebody would do, for administrators. Nothing is done.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden`; `NotFound` for a document that is not there; `Invalid` for an action without the
    /// document that it is about, and for input that no document can be made of.
    async fn explain_rule(&self, caller: &Caller, explain: ExplainRule) -> Result<RuleExplanation>;

    /// Creates a document.
    ///
    /// # Errors
    /// As [`write`](Self::write); `Conflict` if the id is taken.
    async fn create(&self, caller: &Caller, collection: &CollectionName, document: NewDocument) -> Result<Document> {
        let write = DocumentWrite::Create { collection: collection.clone(), document };
        self.write(caller, write).await.map(Written::into_document)
    }

    /// Replaces a document, or creates it if it is not there and the precondition allows that.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    async fn replace(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        id: &DocumentId,
        body: Object,
        precondition: Precondition,
    ) -> Result<Written> {
        let (collection, id) = (collection.clone(), id.clone());
        self.write(caller, DocumentWrite::Replace { collection, id, body, precondition }).await
    }

    /// Changes members of a document: RFC 7396 and [field operations](crate::collections::operation).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    async fn patch(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        id: &DocumentId,
        patch: Object,
        precondition: Precondition,
    ) -> Result<Document> {
        let (collection, id) = (collection.clone(), id.clone());
        let write = DocumentWrite::Patch { collection, id, patch, precondition };
        self.write(caller, write).await.map(Written::into_document)
    }

    /// Deletes a document.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    async fn delete(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        id: &DocumentId,
        precondition: Precondition,
    ) -> Result<()> {
        let (collection, id) = (collection.clone(), id.clone());
        self.write(caller, DocumentWrite::Delete { collection, id, precondition }).await.map(|_| ())
    }
}
