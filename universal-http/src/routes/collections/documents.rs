//! The handlers.

use std::sync::Arc;

use http::StatusCode;
use universal_core::{
    collections::{Collections, Command, Counting, DocumentWrite, GetQuery, ListQuery, NewDocument, Written},
    error::{Error, Result},
    id::{CollectionName, DocumentId},
    json::Object,
};

use super::{answer, condition, perform::perform};
use crate::{
    context::Context,
    extract::page,
    response::{self, Response},
};

/// `GET /db/{collection}?filter=&search=&sort=&limit=&cursor=&fields=&expand=&count=`
pub(crate) async fn list(service: Arc<dyn Collections>, cx: Context) -> Result<Response> {
    let collection = collection(&cx)?;
    let mut query = cx.query()?;
    let mut list = ListQuery::new().with_limit(page::limit(&mut query)?);
    if let Some(filter) = query.take_text("filter") {
        list = list.with_filter(&filter)?;
    }
    if let Some(sort) = query.take_text("sort") {
        list = list.with_sort(&sort)?;
    }
    if let Some(search) = query.take_text("search") {
        list = list.with_search(search);
    }
    if let Some(cursor) = query.take_text("cursor") {
        list = list.with_cursor(cursor);
    }
    if let Some(fields) = query.take_text("fields") {
        list = list.with_fields(&fields)?;
    }
    if let Some(expand) = query.take_text("expand") {
        list = list.with_expand(&expand)?;
    }
    if let Some(count) = query.take("count") {
        list = list.with_count(Counting::parse(&count)?);
    }
    query.finish()?;
    let found = service.list(cx.caller(), &collection, &list).await?;
    answer::page(&found.value, &found.cursor)
}

/// `POST /db/{collection}`: an `id` in the body is the new document's.
pub(crate) async fn create(service: Arc<dyn Collections>, mut cx: Context) -> Result<Response> {
    let collection = collection(&cx)?;
    cx.no_query()?;
    condition::none(&cx, "a new document has no revision to compare; use PUT with an id")?;
    let mut body = Object::parse(&cx.json_bytes().await?)?;
    let id = body.take_id()?.map(|id| DocumentId::new(id).map_err(|error| error.with_field("/id"))).transpose()?;
    let document = NewDocument::new(body);
    let document = match id {
        Some(id) => document.with_id(id),
        None => document,
    };
    write(&service, &cx, DocumentWrite::Create { collection, document }).await
}

/// `GET /db/{collection}/{id}?fields=&expand=`, 304 if the caller has this revision. With `expand` it is always sent:
/// the revision says nothing of the documents that it refers to.
pub(crate) async fn get(service: Arc<dyn Collections>, cx: Context) -> Result<Response> {
    let (collection, id) = (collection(&cx)?, id(&cx)?);
    let (mut query, mut asked) = (cx.query()?, GetQuery::new());
    if let Some(fields) = query.take_text("fields") {
        asked = asked.with_fields(&fields)?;
    }
    if let Some(expand) = query.take_text("expand") {
        asked = asked.with_expand(&expand)?;
    }
    query.finish()?;
    let known = cx.if_none_match()?.filter(|_| asked.expand.is_none());
    let found = service.get_with(cx.caller(), &collection, &id, &asked).await?;
    if known.is_some_and(|tags| tags.matches(found.value.revision.as_str())) {
        return answer::not_modified(&found.value, &found.cursor);
    }
    answer::document(StatusCode::OK, &found.value, Some(&found.cursor))
}

/// `PUT /db/{collection}/{id}`: replaces or creates.
pub(crate) async fn replace(service: Arc<dyn Collections>, mut cx: Context) -> Result<Response> {
    let (collection, id) = (collection(&cx)?, id(&cx)?);
    cx.no_query()?;
    let precondition = condition::of_write(&cx)?;
    let body = without_id(Object::parse(&cx.json_bytes().await?)?, &id)?;
    write(&service, &cx, DocumentWrite::Replace { collection, id, body, precondition }).await
}

/// `PATCH /db/{collection}/{id}`: RFC 7396 and field operations.
pub(crate) async fn patch(service: Arc<dyn Collections>, mut cx: Context) -> Result<Response> {
    let (collection, id) = (collection(&cx)?, id(&cx)?);
    cx.no_query()?;
    let precondition = condition::of_write(&cx)?;
    let patch = without_id(Object::parse_patch(&cx.json_bytes().await?)?, &id)?;
    write(&service, &cx, DocumentWrite::Patch { collection, id, patch, precondition }).await
}

/// `DELETE /db/{collection}/{id}`
pub(crate) async fn delete(service: Arc<dyn Collections>, cx: Context) -> Result<Response> {
    let (collection, id) = (collection(&cx)?, id(&cx)?);
    cx.no_query()?;
    let precondition = condition::of_write(&cx)?;
    write(&service, &cx, DocumentWrite::Delete { collection, id, precondition }).await
}

/// Does one write, and answers what it did.
async fn write(service: &Arc<dyn Collections>, cx: &Context, write: DocumentWrite) -> Result<Response> {
    let done = perform(service, cx, Command::Write(write)).await?;
    done.answer(|outcome| match outcome.into_written()? {
        Written::Created(document) => answer::created(cx, &document),
        Written::Deleted(_) => Ok(response::no_content()),
        written => answer::document(StatusCode::OK, written.document(), None),
    })
}

pub(super) fn collection(cx: &Context) -> Result<CollectionName> {
    CollectionName::new(cx.param("collection")?)
}

fn id(cx: &Context) -> Result<DocumentId> {
    DocumentId::new(cx.param("id")?)
}

/// A body may repeat the id of its path, so that what was read can be sent back; another id is a mistake.
fn without_id(mut body: Object, id: &DocumentId) -> Result<Object> {
    match body.take_id()? {
        Some(other) if other != id.as_str() => {
            Err(Error::invalid("id-mismatch", "the id in the body is not the id in the path").with_field("/id"))
        }
        _ => Ok(body),
    }
}
