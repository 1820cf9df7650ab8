//! Lists of what a search finds, those that fit best first.

use std::time::Duration;

use serde_json::Value as Json;

use crate::{
    caller::Caller,
    collections::{
        configured::Configured,
        document::Document,
        list_cursor::{CursorKey, Position},
        query::ListQuery,
        search::Search,
    },
    drivers::sql::{
        collections::{
            list::{Asked, scope},
            rows,
            search::{RANK, found},
            selection::Selection,
            service::{PAGE_BYTES, SqlCollections},
        },
        lower::Lowered,
        reach::Reach,
        statement::{Row, column, text_length},
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, TenantId},
    page::Page,
};

const BUILDING: &str = "SELECT 1 FROM universal_search_builds WHERE tenant_id = $1 AND collection = $2";

/// How many columns stand before the rank.
const COLUMNS: usize = 6;

impl SqlCollections {
    /// Reads the search of a query, if it has one.
    ///
    /// # Errors
    /// `Invalid` where nothing can be searched and for a search without a word; `Busy` `search-not-ready` while the words
    /// of the documents are being collected.
    pub(super) async fn searched(
        &self,
        caller: &Caller,
        (collection, configured): (&CollectionName, &Configured),
        query: &ListQuery,
    ) -> Result<Option<Search>> {
        let Some(text) = &query.search else { return Ok(None) };
        let search = configured.search(text)?;
        let values = vec![caller.tenant().as_str().into(), collection.as_str().into()];
        if self.database.one(BUILDING, values).await?.is_some() {
            let message = "the words of the documents are being collected since the settings were changed; try again";
            let error = Error::new(ErrorKind::Busy, "search-not-ready", message).with_field("search");
            return Err(error.with_retry_after(Duration::from_secs(1)));
        }
        Ok(Some(search))
    }

    /// A page of what a search finds, by rank.
    pub(super) async fn ranked(&self, asked: Asked<'_>, search: &Search) -> Result<Page<Document>> {
        let rows = Asked { search: None, ..asked }.rows(self.database.dialect())?;
        let Asked { caller, collection, query, .. } = asked;
        let place = (query.limit.get() as usize, query.cursor.as_deref(), scope(caller, collection, query));
        let ranked = Ranked::build(rows, (caller.tenant(), collection), search, place, &self.cursors)?;
        let body = |row: &Row| text_length(row, 1);
        let (found, cut) = self.database.some(Reach::Scan, ranked.sql(), ranked.values(), PAGE_BYTES, body).await?;
        ranked.page(&found, cut, &self.cursors)
    }
}

/// The statement of a list by rank, and how to make a page of its rows.
#[derive(Debug)]
pub(super) struct Ranked<'a> {
    selection: Selection,
    collection: &'a CollectionName,
    limit: usize,
    start: Option<Position>,
    scope: String,
    sql: String,
}

impl<'a> Ranked<'a> {
    /// The documents of `selection` that `search` finds, from the place that a cursor of `scope` names.
    ///
    /// # Errors
    /// `Invalid` for a cursor of another list.
    pub(super) fn build(
        mut selection: Selection,
        (tenant, collection): (&TenantId, &'a CollectionName),
        search: &Search,
        (limit, cursor, scope): (usize, Option<&str>, String),
        cursors: &CursorKey,
    ) -> Result<Self> {
        let start = cursor.map(|cursor| cursors.open(&scope, cursor)).transpose()?;
        let backwards = start.as_ref().is_some_and(|start| start.backwards);
        let dialect = selection.dialect();
        let Lowered { sql: found, values } = found(dialect, (tenant, collection), search, selection.next());
        // The words are looked up first, then the documents that they name, each by its key.
        let mut sql = format!(
            "SELECT {}, {RANK} FROM {found} AS found CROSS JOIN (SELECT *{}) AS searched WHERE id = found_id",
            rows::columns(dialect),
            selection.rows()
        );
        selection.bind_all(values);
        let (falls, rises) = if backwards { (">", "<") } else { ("<", ">") };
        if let Some(start) = &start {
            let (rank, id) = read_position(start).ok_or_else(bad_cursor)?;
            let (rank, id) = (selection.bind(rank), selection.bind(id));
            sql.push_str(&format!(" AND ({RANK} {falls} ${rank} OR ({RANK} = ${rank} AND id {rises} ${id}))"));
        }
        let (down, up) = if backwards { ("ASC", "DESC") } else { ("DESC", "ASC") };
        let most = selection.bind(i64::try_from(limit + 1).map_err(Error::internal)?);
        sql.push_str(&format!(" ORDER BY {RANK} {down}, id {up} LIMIT ${most}"));
        Ok(Self { selection, collection, limit, start, scope, sql })
    }

    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    pub(super) fn values(&self) -> Vec<sea_orm::Value> {
        self.selection.values()
    }

    /// The page that the rows make, as with any other list.
    pub(super) fn page(&self, found: &[Row], cut: bool, cursors: &CursorKey) -> Result<Page<Document>> {
        let more = cut || found.len() > self.limit;
        let backwards = self.start.as_ref().is_some_and(|start| start.backwards);
        let mut items = Vec::with_capacity(found.len());
        for row in found.iter().take(self.limit) {
            let document = rows::document(self.selection.dialect(), self.collection, row)?;
            items.push((column::<i64>(row, COLUMNS)?, document));
        }
        if backwards {
            items.reverse();
        }
        let seal = |place: Option<&(i64, Document)>, backwards: bool| {
            let (rank, document) = place?;
            let values = vec![Json::from(*rank), document.id.as_str().into()];
            Some(cursors.seal(&self.scope, &Position { backwards, values }))
        };
        let has_next = if backwards { self.start.is_some() } else { more };
        let has_previous = if backwards { more } else { self.start.is_some() };
        let next = seal(items.last().filter(|_| has_next), false);
        let previous = seal(items.first().filter(|_| has_previous), true);
        Ok(Page::new(items.into_iter().map(|(_, document)| document).collect(), next, previous))
    }
}

fn read_position(position: &Position) -> Option<(i64, String)> {
    match position.values.as_slice() {
        [rank, id] => Some((rank.as_i64()?, id.as_str()?.to_owned())),
        _ => None,
    }
}

fn bad_cursor() -> Error {
    Error::invalid("invalid-cursor", "a cursor goes with the list that gave it, unchanged").with_field("cursor")
}
