//! Exports: the pages of a list by id, each read when it is asked for.

use futures_util::{StreamExt as _, stream};

use crate::{
    caller::Caller,
    collections::{
        document::Document,
        query::ListQuery,
        service::Collections as _,
        transfer::{DocumentPages, ExportQuery},
    },
    drivers::sql::collections::service::SqlCollections,
    error::Result,
    id::CollectionName,
    page::{Limit, MAX_LIMIT, Page, Snapshot},
};

/// Where an export stands.
enum Place {
    /// This page has been read and not been given.
    At(Page<Document>),
    After(String),
    End,
}

impl SqlCollections {
    /// The pages of an export. The first is read here, so that whoever may not have it is told at once. Every page is a
    /// read of its own: no transaction and no connection waits for the reader.
    pub(super) async fn pages(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        query: &ExportQuery,
    ) -> Result<Snapshot<DocumentPages>> {
        let mut list = ListQuery::new().with_limit(Limit::new(MAX_LIMIT)?);
        list.filter = query.filter.clone();
        let first = self.list(caller, collection, &list).await?;
        let (this, caller, collection) = (self.clone(), caller.clone(), collection.clone());
        let pages = stream::try_unfold(Place::At(first.value), move |place| {
            let (this, caller, collection, list) = (this.clone(), caller.clone(), collection.clone(), list.clone());
            async move {
                let page = match place {
                    Place::At(page) => page,
                    Place::After(cursor) => this.list(&caller, &collection, &list.with_cursor(cursor)).await?.value,
                    Place::End => return Ok(None),
                };
                let next = page.next_cursor.map_or(Place::End, Place::After);
                Ok((!page.items.is_empty()).then_some((page.items, next)))
            }
        });
        Ok(Snapshot { value: pages.boxed(), cursor: first.cursor })
    }
}
