//! The rows of a watch, read page by page under the rules that hold for a list.

use crate::{
    collections::{Collections, Document, ListQuery},
    engine::view::View,
    error::{ErrorKind, Result},
    page::Limit,
    realtime::{feed::Present, snapshot::Row},
};

/// How many documents are read at once.
const PAGE: u32 = 200;

/// A page ends with the document that reaches this number of bytes: it is kept until the client has taken it, which may
/// take its time.
const PAGE_BYTES: usize = 256 * 1024;

/// Some rows, and where the next ones begin, if there are more.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Row>,
    pub(crate) next: Option<String>,
}

/// The next rows that the subscriber may see and asked for.
///
/// # Errors
/// What a list is refused with; `Unavailable` and `Busy` from the database.
pub(crate) async fn read(collections: &dyn Collections, view: &View, cursor: Option<String>) -> Result<Page> {
    let (caller, wanted) = (&view.caller, &view.subscribe);
    let Some(collection) = &wanted.collection else { return Ok(Page { rows: Vec::new(), next: None }) };
    if let Some(id) = &wanted.id {
        return one(collections, view, collection, id).await;
    }
    let mut query = ListQuery::new().with_limit(Limit::new(PAGE)?);
    query.filter.clone_from(&wanted.filter);
    query.cursor = cursor;
    query.page_bytes = Some(PAGE_BYTES);
    let page = collections.list(caller, collection, &query).await?.value;
    Ok(Page { rows: page.items.into_iter().map(row).collect(), next: page.next_cursor })
}

/// A document by its id; a filter decides about it as about any other.
async fn one(
    collections: &dyn Collections,
    view: &View,
    collection: &crate::id::CollectionName,
    id: &crate::id::DocumentId,
) -> Result<Page> {
    let rows = match collections.get(&view.caller, collection, id).await {
        Ok(found) if view.matches(&found.value)? => vec![row(found.value)],
        Ok(_) => Vec::new(),
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(Page { rows, next: None })
}

fn row(document: Document) -> Row {
    let present = Present::owned_by(document.owner)
        .with_body(document.body, document.revision.as_str())
        .with_moments(document.created_at, document.updated_at);
    Row::new(document.id, present)
}
