//! Documents as values of a Rust type.

use std::{fmt, marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        aggregate::{AggregateQuery, Aggregates},
        distinct::{Distinct, DistinctQuery},
        document::{Document, Expanded, Revision},
        matching::{Affected, Matching, MatchingWrite},
        query::{GetQuery, ListQuery},
        service::Collections,
        write::{DocumentWrite, NewDocument, Precondition, Written},
    },
    error::{Error, Result},
    expr::Expression,
    id::{CollectionName, DocumentId, UserId},
    json::Object,
    page::{Limit, Page, Snapshot},
    transaction::Transaction,
};

/// A collection whose documents are `T`. It comes from `Backend::collection`; the documents are the
/// same ones that HTTP and [`Collections`] show, under the same rules.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use serde_json::json;
/// use universal_core::{Backend, Caller, TenantId, collections::ListQuery, expr::build::field, json::Object};
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// struct Book { title: String, pages: u32 }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> universal_core::Result<()> {
/// let backend = Backend::in_memory().await?;
/// let caller = Caller::system(TenantId::default_tenant());
/// let books = backend.collection::<Book>("books")?;
///
/// let emma = books.create(&caller, &Book { title: "Emma".into(), pages: 474 }).await?;
/// let longer = Book { pages: 512, ..emma.value.clone() };
/// let emma = books.replace(&caller, &emma.id, &emma.revision, &longer).await?;
/// let emma = books.patch(&caller, &emma.id, Object::patch_from_value(json!({"pages": {"$inc": 1}}))?).await?;
/// assert_eq!(emma.value.pages, 513);
///
/// let thick = ListQuery::new().filter_by(field("pages").gt(500))?.with_sort("-pages")?;
/// let page = books.find(&caller, &thick).await?;
/// assert_eq!(page.value.items[0].value, emma.value);
/// assert_eq!(books.count(&caller, Some(field("pages").gt(500).filter()?)).await?, 1);
///
/// books.delete(&caller, &emma.id).await?;
/// assert!(books.find_one(&caller, &thick).await?.is_none());
/// # backend.shutdown().await;
/// # Ok(()) }
/// ```
///
/// A `T` with a member `id` may carry the document's id for its own use: the backend leaves it out of what it stores. The
/// members of a `T` that are not in the document must have a default (`#[serde(default)]`), or reading is
/// `document-does-not-fit`.
pub struct Collection<T> {
    name: CollectionName,
    collections: Arc<dyn Collections>,
    documents: PhantomData<fn() -> T>,
}

/// A document as a `T`, with what the backend knows about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Typed<T> {
    /// The id.
    pub id: DocumentId,
    /// The version.
    pub revision: Revision,
    /// The user who created it, unless the program itself did.
    pub owner: Option<UserId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The members.
    pub value: T,
    /// The documents that it refers to, if they were asked for.
    pub expanded: Vec<(String, Expanded)>,
}

impl<T> Typed<T> {
    /// The documents that the reference `member` led to, as values of their type: one, several, or none.
    ///
    /// # Errors
    /// `Invalid` if the members of one do not fit `E`.
    pub fn expanded<E: DeserializeOwned>(&self, member: &str) -> Result<Vec<Typed<E>>> {
        let found = self.expanded.iter().filter(|(name, _)| name == member);
        found.flat_map(|(_, expanded)| expanded.documents()).map(|document| typed(document.clone())).collect()
    }
}

/// What a typed write did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Upserted<T> {
    /// The document after the write.
    pub document: Typed<T>,
    /// Whether it is new.
    pub is_created: bool,
}

impl<T: Serialize + DeserializeOwned + Send + Sync> Collection<T> {
    /// The collection `name` of `collections`.
    #[must_use]
    pub fn new(name: CollectionName, collections: Arc<dyn Collections>) -> Self {
        Self { name, collections, documents: PhantomData }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &CollectionName {
        &self.name
    }

    /// Creates a document with an id of the backend's making.
    ///
    /// # Errors
    /// As [`Collections::create`]; `Invalid` if `value` is no JSON object.
    pub async fn create(&self, caller: &Caller, value: &T) -> Result<Typed<T>> {
        self.write(caller, self.creation(NewDocument::new(object(value)?))).await
    }

    /// Creates a document as part of `transaction`.
    ///
    /// # Errors
    /// As [`Collections::write_in`]; `Invalid` if `value` is no JSON object.
    pub async fn create_in(&self, transaction: &mut Transaction<'_>, caller: &Caller, value: &T) -> Result<Typed<T>> {
        self.write_in(transaction, caller, self.creation(NewDocument::new(object(value)?))).await
    }

    /// Creates a document with this id.
    ///
    /// # Errors
    /// As [`Collections::create`]; `Conflict` `document-exists` if the id is taken.
    pub async fn create_with_id(&self, caller: &Caller, id: &DocumentId, value: &T) -> Result<Typed<T>> {
        self.write(caller, self.creation(NewDocument::new(object(value)?).with_id(id.clone()))).await
    }

    /// Creates a document with this id as part of `transaction`.
    ///
    /// # Errors
    /// As [`create_with_id`](Self::create_with_id) and [`Collections::write_in`].
    pub async fn create_with_id_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        id: &DocumentId,
        value: &T,
    ) -> Result<Typed<T>> {
        let document = NewDocument::new(object(value)?).with_id(id.clone());
        self.write_in(transaction, caller, self.creation(document)).await
    }

    /// Reads a document.
    ///
    /// # Errors
    /// As [`Collections::get`]; `Invalid` if its members do not fit `T`.
    pub async fn get(&self, caller: &Caller, id: &DocumentId) -> Result<Typed<T>> {
        typed(self.collections.get(caller, &self.name, id).await?.value)
    }

    /// Reads a document inside `transaction` and locks it until the transaction ends.
    ///
    /// # Errors
    /// As [`Collections::get_in`]; `Invalid` if its members do not fit `T`.
    pub async fn get_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        id: &DocumentId,
    ) -> Result<Typed<T>> {
        typed(self.collections.get_in(transaction, caller, &self.name, id).await?)
    }

    /// Reads the documents of a page.
    ///
    /// # Errors
    /// As [`Collections::list`]; `Invalid` if the members of one do not fit `T`.
    pub async fn list(&self, caller: &Caller, query: &ListQuery) -> Result<Vec<Typed<T>>> {
        Ok(self.find(caller, query).await?.value.items)
    }

    /// Reads a page of documents, with the cursors of the pages beside it and the place in the feed from which a
    /// subscription misses nothing.
    ///
    /// # Errors
    /// As [`Collections::list`]; `Invalid` if the members of one do not fit `T`.
    pub async fn find(&self, caller: &Caller, query: &ListQuery) -> Result<Snapshot<Page<Typed<T>>>> {
        let Snapshot { value: page, cursor } = self.collections.list(caller, &self.name, query).await?;
        Ok(Snapshot { value: page.try_map(typed)?, cursor })
    }

    /// Reads a document and those that it refers to.
    ///
    /// # Errors
    /// As [`Collections::get_with`]; `Invalid` if its members do not fit `T`.
    pub async fn get_with(&self, caller: &Caller, id: &DocumentId, query: &GetQuery) -> Result<Typed<T>> {
        typed(self.collections.get_with(caller, &self.name, id, query).await?.value)
    }

    /// Reads a page of documents of which only some members were selected, as values of a type that has those.
    ///
    /// # Errors
    /// As [`list`](Self::list); `Invalid` if the members of one do not fit `P`.
    pub async fn list_as<P: DeserializeOwned>(&self, caller: &Caller, query: &ListQuery) -> Result<Vec<Typed<P>>> {
        let page = self.collections.list(caller, &self.name, query).await?.value;
        page.items.into_iter().map(typed).collect()
    }

    /// Counts, adds up and compares documents by groups.
    ///
    /// # Errors
    /// As [`Collections::aggregate`].
    pub async fn aggregate(&self, caller: &Caller, query: &AggregateQuery) -> Result<Aggregates> {
        Ok(self.collections.aggregate(caller, &self.name, query).await?.value)
    }

    /// The different values of a field.
    ///
    /// # Errors
    /// As [`Collections::distinct`].
    pub async fn distinct(&self, caller: &Caller, query: &DistinctQuery) -> Result<Distinct> {
        Ok(self.collections.distinct(caller, &self.name, query).await?.value)
    }

    /// The first document that matches.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn find_one(&self, caller: &Caller, query: &ListQuery) -> Result<Option<Typed<T>>> {
        let query = query.clone().with_limit(Limit::new(1)?);
        Ok(self.list(caller, &query).await?.into_iter().next())
    }

    /// How many documents the caller may list that match, exactly.
    ///
    /// # Errors
    /// As [`Collections::aggregate`].
    pub async fn count(&self, caller: &Caller, filter: Option<Expression>) -> Result<u64> {
        let query = match filter {
            Some(filter) => AggregateQuery::new().with_expression(filter),
            None => AggregateQuery::new(),
        };
        let answer: Aggregates = self.collections.aggregate(caller, &self.name, &query).await?.value;
        Ok(answer.groups.first().map_or(0, |group| group.count))
    }

    /// Replaces a document that still has `revision`.
    ///
    /// # Errors
    /// As [`Collections::replace`]; `PreconditionFailed` if somebody wrote it since.
    pub async fn replace(&self, caller: &Caller, id: &DocumentId, revision: &Revision, value: &T) -> Result<Typed<T>> {
        self.write(caller, self.replacement(id, value, exactly(revision))?).await
    }

    /// Replaces a document that still has `revision` as part of `transaction`.
    ///
    /// # Errors
    /// As [`replace`](Self::replace) and [`Collections::write_in`].
    pub async fn replace_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        id: &DocumentId,
        revision: &Revision,
        value: &T,
    ) -> Result<Typed<T>> {
        self.write_in(transaction, caller, self.replacement(id, value, exactly(revision))?).await
    }

    /// Replaces a document whatever its revision, or creates it with this id.
    ///
    /// # Errors
    /// As [`Collections::replace`].
    pub async fn upsert(&self, caller: &Caller, id: &DocumentId, value: &T) -> Result<Upserted<T>> {
        upserted(self.collections.write(caller, self.replacement(id, value, Precondition::None)?).await?)
    }

    /// Replaces a document whatever its revision, or creates it, as part of `transaction`.
    ///
    /// # Errors
    /// As [`Collections::write_in`].
    pub async fn upsert_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        id: &DocumentId,
        value: &T,
    ) -> Result<Upserted<T>> {
        let write = self.replacement(id, value, Precondition::None)?;
        upserted(self.collections.write_in(transaction, caller, write).await?)
    }

    /// Changes members of a document: RFC 7396 and [field operations](crate::collections::operation).
    ///
    /// # Errors
    /// As [`Collections::patch`].
    pub async fn patch(&self, caller: &Caller, id: &DocumentId, patch: Object) -> Result<Typed<T>> {
        self.write(caller, self.change(id, patch)).await
    }

    /// Changes members of a document as part of `transaction`.
    ///
    /// # Errors
    /// As [`Collections::write_in`].
    pub async fn patch_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        id: &DocumentId,
        patch: Object,
    ) -> Result<Typed<T>> {
        self.write_in(transaction, caller, self.change(id, patch)).await
    }

    /// Changes members of every document that matches and that the caller may list, at most 500 a call.
    ///
    /// # Errors
    /// As [`Collections::write_where`].
    pub async fn update_where(&self, caller: &Caller, filter: Expression, patch: Object) -> Result<Affected> {
        let matching = Matching::of(self.name.clone(), filter)?;
        self.collections.write_where(caller, matching, MatchingWrite::Patch(patch)).await
    }

    /// Deletes every document that matches and that the caller may list, at most 500 a call.
    ///
    /// # Errors
    /// As [`Collections::write_where`].
    pub async fn delete_where(&self, caller: &Caller, filter: Expression) -> Result<Affected> {
        let matching = Matching::of(self.name.clone(), filter)?;
        self.collections.write_where(caller, matching, MatchingWrite::Delete).await
    }

    /// Deletes a document.
    ///
    /// # Errors
    /// As [`Collections::delete`].
    pub async fn delete(&self, caller: &Caller, id: &DocumentId) -> Result<()> {
        self.collections.delete(caller, &self.name, id, Precondition::None).await
    }

    /// Deletes a document as part of `transaction`.
    ///
    /// # Errors
    /// As [`Collections::write_in`].
    pub async fn delete_in(&self, transaction: &mut Transaction<'_>, caller: &Caller, id: &DocumentId) -> Result<()> {
        let (collection, id) = (self.name.clone(), id.clone());
        let write = DocumentWrite::Delete { collection, id, precondition: Precondition::None };
        self.collections.write_in(transaction, caller, write).await.map(|_| ())
    }

    async fn write(&self, caller: &Caller, write: DocumentWrite) -> Result<Typed<T>> {
        typed(self.collections.write(caller, write).await?.into_document())
    }

    async fn write_in(&self, tx: &mut Transaction<'_>, caller: &Caller, write: DocumentWrite) -> Result<Typed<T>> {
        typed(self.collections.write_in(tx, caller, write).await?.into_document())
    }

    fn creation(&self, document: NewDocument) -> DocumentWrite {
        DocumentWrite::Create { collection: self.name.clone(), document }
    }

    fn replacement(&self, id: &DocumentId, value: &T, precondition: Precondition) -> Result<DocumentWrite> {
        let (collection, id, body) = (self.name.clone(), id.clone(), object(value)?);
        Ok(DocumentWrite::Replace { collection, id, body, precondition })
    }

    fn change(&self, id: &DocumentId, patch: Object) -> DocumentWrite {
        let (collection, id) = (self.name.clone(), id.clone());
        DocumentWrite::Patch { collection, id, patch, precondition: Precondition::None }
    }
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), collections: Arc::clone(&self.collections), documents: PhantomData }
    }
}

impl<T> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection").field("name", &self.name).finish_non_exhaustive()
    }
}

fn typed<T: DeserializeOwned>(document: Document) -> Result<Typed<T>> {
    let value = document.to()?;
    let Document { id, revision, owner, created_at, updated_at, expanded, .. } = document;
    Ok(Typed { id, revision, owner, created_at, updated_at, value, expanded })
}

fn upserted<T: DeserializeOwned>(written: Written) -> Result<Upserted<T>> {
    let is_created = written.is_created();
    Ok(Upserted { document: typed(written.into_document())?, is_created })
}

fn exactly(revision: &Revision) -> Precondition {
    Precondition::Revision(vec![revision.as_str().to_owned()])
}

fn object<T: Serialize>(value: &T) -> Result<Object> {
    let value = serde_json::to_value(value)
        .map_err(|error| Error::invalid("not-json", format!("the value does not serialize to JSON: {error}")))?;
    let mut object = Object::from_value(value)?;
    // A type may carry the id for its own use; it is not a member of the document.
    object.take_id()?;
    Ok(object)
}
