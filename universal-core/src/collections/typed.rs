//! Documents as values of a Rust type.

use std::{fmt, marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    caller::Caller,
    collections::{
        aggregate::{AggregateQuery, Aggregates},
        distinct::{Distinct, DistinctQuery},
        document::{Document, Expanded, Revision},
        query::{GetQuery, ListQuery},
        service::Collections,
        write::{DocumentWrite, NewDocument, Precondition, Written},
    },
    error::{Error, Result},
    id::{CollectionName, DocumentId},
    json::Object,
    page::Page,
    transaction::Transaction,
};

/// A collection whose documents are `T`. It comes from `Backend::collection`; the documents are the
/// same ones that HTTP and [`Collections`] show.
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

impl<T: Serialize + DeserializeOwned + Send + Sync> Collection<T> {
    /// The collection `name` of `collections`.
    #[must_use]
    pub fn new(name: CollectionName, collections: Arc<dyn Collections>) -> Self {
        Self { name, collections, documents: PhantomData }
    }

    /// Creates a document with an id of the backend's making.
    ///
    /// # Errors
    /// As [`Collections::create`]; `Invalid` if `value` is no JSON object.
    pub async fn create(&self, caller: &Caller, value: &T) -> Result<Typed<T>> {
        typed(self.collections.create(caller, &self.name, NewDocument::new(object(value)?)).await?)
    }

    /// Creates a document as part of `transaction`.
    ///
    /// # Errors
    /// As [`Collections::write_in`]; `Invalid` if `value` is no JSON object.
    pub async fn create_in(&self, transaction: &mut Transaction<'_>, caller: &Caller, value: &T) -> Result<Typed<T>> {
        let document = NewDocument::new(object(value)?);
        let write = DocumentWrite::Create { collection: self.name.clone(), document };
        typed(self.collections.write_in(transaction, caller, write).await?.into_document())
    }

    /// Reads a document.
    ///
    /// # Errors
    /// As [`Collections::get`]; `Invalid` if its members do not fit `T`.
    pub async fn get(&self, caller: &Caller, id: &DocumentId) -> Result<Typed<T>> {
        typed(self.collections.get(caller, &self.name, id).await?.value)
    }

    /// Reads a document and those that it refers to.
    ///
    /// # Errors
    /// As [`Collections::get_with`]; `Invalid` if its members do not fit `T`.
    pub async fn get_with(&self, caller: &Caller, id: &DocumentId, query: &GetQuery) -> Result<Typed<T>> {
        typed(self.collections.get_with(caller, &self.name, id, query).await?.value)
    }

    /// Reads a page of documents with its cursors and, if asked for, the count of all pages.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn page(&self, caller: &Caller, query: &ListQuery) -> Result<Page<Typed<T>>> {
        let page = self.collections.list(caller, &self.name, query).await?.value;
        let items = page.items.into_iter().map(typed).collect::<Result<_>>()?;
        let mut typed = Page::new(items, page.next_cursor, page.previous_cursor);
        typed.count = page.count;
        Ok(typed)
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

    /// Reads a page of documents.
    ///
    /// # Errors
    /// As [`Collections::list`]; `Invalid` if the members of one do not fit `T`.
    pub async fn list(&self, caller: &Caller, query: &ListQuery) -> Result<Vec<Typed<T>>> {
        let page = self.collections.list(caller, &self.name, query).await?.value;
        page.items.into_iter().map(typed).collect()
    }

    /// Replaces a document that still has `revision`.
    ///
    /// # Errors
    /// As [`Collections::replace`]; `PreconditionFailed` if somebody wrote it since.
    pub async fn replace(&self, caller: &Caller, id: &DocumentId, revision: &Revision, value: &T) -> Result<Typed<T>> {
        let precondition = Precondition::Revision(vec![revision.as_str().to_owned()]);
        let written = self.collections.replace(caller, &self.name, id, object(value)?, precondition).await?;
        typed(written.into_document())
    }

    /// Changes members of a document.
    ///
    /// # Errors
    /// As [`Collections::patch`].
    pub async fn patch(&self, caller: &Caller, id: &DocumentId, patch: Object) -> Result<Typed<T>> {
        typed(self.collections.patch(caller, &self.name, id, patch, Precondition::None).await?)
    }

    /// Replaces a document as part of `transaction`, or creates it.
    ///
    /// # Errors
    /// As [`Collections::write_in`].
    pub async fn replace_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        id: &DocumentId,
        value: &T,
    ) -> Result<Written> {
        let (collection, id, body) = (self.name.clone(), id.clone(), object(value)?);
        let write = DocumentWrite::Replace { collection, id, body, precondition: Precondition::None };
        self.collections.write_in(transaction, caller, write).await
    }

    /// Deletes a document.
    ///
    /// # Errors
    /// As [`Collections::delete`].
    pub async fn delete(&self, caller: &Caller, id: &DocumentId) -> Result<()> {
        self.collections.delete(caller, &self.name, id, Precondition::None).await
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
    Ok(Typed { value: document.to()?, id: document.id, revision: document.revision, expanded: document.expanded })
}

fn object<T: Serialize>(value: &T) -> Result<Object> {
    let value = serde_json::to_value(value)
        .map_err(|error| Error::invalid("not-json", format!("the value does not serialize to JSON: {error}")))?;
    let mut object = Object::from_value(value)?;
    // A type may carry the id for its own use; it is not a member of the document.
    object.take_id()?;
    Ok(object)
}
