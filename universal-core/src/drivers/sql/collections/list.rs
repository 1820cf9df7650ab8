//! Lists: filter, order and page as one statement.

use sea_orm::Value;
use serde_json::Value as Json;

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        document::Document,
        list_cursor::{CursorKey, Position},
        plan::{Order, Scan},
        query::{Direction, ListQuery},
        rule::Visible,
        search::Search,
    },
    drivers::sql::{
        collections::{rows, search, selection::Selection},
        dialect::Dialect,
        lower::{Lowered, sort_bounds, sort_terms},
        reach::Reach,
        statement::Row,
    },
    error::{Error, Result},
    expr::{Environment, Field},
    id::CollectionName,
    json::order::SortKey,
    page::Page,
};

/// How many bytes of terms a cursor holds.
const LONGEST_POSITION: usize = 2048;

/// The statement of a list, and how to make a page of its rows.
#[derive(Debug)]
pub(super) struct Statement {
    selection: Selection,
    collection: CollectionName,
    fields: Vec<Field>,
    limit: usize,
    start: Option<Position>,
    scope: String,
    /// What comes after the columns.
    rest: String,
}

/// Who asks for which list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) caller: &'a Caller,
    pub(super) collection: &'a CollectionName,
    pub(super) query: &'a ListQuery,
    /// What the rule shows.
    pub(super) visible: &'a Visible,
    pub(super) now: Timestamp,
    /// What is searched for in the documents.
    pub(super) search: Option<&'a Search>,
    /// The part of an index that serves it.
    pub(super) scan: Option<&'a Scan<'a>>,
    /// Where it begins, if the cursor alone does not say.
    pub(super) start: Option<&'a Position>,
}

impl Asked<'_> {
    /// How far it reaches: without an index it goes through the documents, unless it takes them by their key as they come.
    pub(super) fn reach(&self) -> Reach {
        let is_by_key = self.query.filter.is_none()
            && self.query.sort.is_empty()
            && self.search.is_none()
            && !matches!(self.visible, Visible::Where(_));
        if self.scan.is_some() || is_by_key { Reach::Index } else { Reach::Scan }
    }

    /// The rows that it is about.
    ///
    /// # Errors
    /// `Invalid` for a filter that SQL cannot ask.
    pub(super) fn rows(&self, dialect: Dialect) -> Result<Selection> {
        let filter = self.query.filter.as_ref();
        let mut rows = Selection::new(dialect, self.caller, self.collection, self.visible, filter, self.now)?;
        if let Some(search) = self.search {
            let place = (self.caller.tenant(), self.collection);
            rows.restrict(search::condition(dialect, place, search, rows.next()));
        }
        Ok(rows)
    }
}

impl Statement {
    /// Builds the statement of a list.
    ///
    /// # Errors
    /// `Invalid` for a cursor of another list and for a filter that SQL cannot ask.
    pub(super) fn build(dialect: Dialect, asked: Asked<'_>, cursors: &CursorKey) -> Result<Self> {
        let Asked { caller, collection, query, scan, .. } = asked;
        let scope = scope(caller, collection, query);
        let start = match asked.start {
            Some(start) => Some(start.clone()),
            None => query.cursor.as_deref().map(|cursor| cursors.open(&scope, cursor)).transpose()?,
        };
        let backwards = start.as_ref().is_some_and(|start| start.backwards);
        let mut directions: Vec<_> = query.sort.iter().map(|key| key.direction).collect();
        directions.push(Direction::Ascending);
        if backwards {
            directions = directions.into_iter().map(Direction::reversed).collect();
        }
        let mut statement = Self {
            selection: asked.rows(dialect)?,
            collection: collection.clone(),
            fields: query.sort.iter().map(|key| key.field.clone()).collect(),
            limit: query.limit.get() as usize,
            start,
            scope,
            rest: String::new(),
        };
        let order = match scan {
            Some(scan) => statement.go_through(scan, backwards)?,
            None => None,
        };
        if order.is_none() {
            statement.begin_after(&directions)?;
        }
        statement.rest = statement.selection.rows();
        match order {
            Some(Order { key, id }) => {
                statement.rest.push_str(&format!(" ORDER BY entry.key{}, entry.tie{}", towards(key), towards(id)));
            }
            None => statement.order(&directions),
        }
        let limit = i64::try_from(statement.limit + 1).map_err(Error::internal)?;
        let limit = statement.selection.bind(limit);
        statement.rest.push_str(&format!(" LIMIT ${limit}"));
        Ok(statement)
    }

    /// Finds the rows through an index, and answers in which order it goes, if that is the list's.
    fn go_through(&mut self, scan: &Scan<'_>, backwards: bool) -> Result<Option<Order>> {
        self.selection.through(scan);
        let order = scan.order.map(|order| if backwards { order.reversed() } else { order });
        let place = match (&self.start, order) {
            (Some(start), Some(_)) => {
                let (keys, id) = read_position(start, self.fields.len()).ok_or_else(bad_cursor)?;
                scan.place(&keys, &id).map(|(key, tie)| (key, tie.to_owned()))
            }
            _ => None,
        };
        let (mut low, mut high) = (Some(scan.low.clone()), Some(scan.high.clone()));
        if let (Some((key, tie)), Some(order)) = (place, order) {
            // One bound an end, or a database would pick one of two, perhaps the wider. What was the last row of a page
            // lies within, unless the bounds move with the time.
            if key >= scan.low && key < scan.high {
                match order.key {
                    Direction::Ascending => low = None,
                    Direction::Descending => high = None,
                }
            }
            let (key, tie) = (self.selection.bind(key), self.selection.bind(tie));
            let sign = after(order.key);
            self.selection.restrict_entries(&if order.key == order.id {
                format!("(entry.key, entry.tie) {sign} (${key}, ${tie})")
            } else {
                format!(
                    "entry.key {sign}= ${key} AND (entry.key {sign} ${key} OR entry.tie {} ${tie})",
                    after(order.id)
                )
            });
        }
        self.selection.between(low, high);
        Ok(order)
    }

    pub(super) fn sql(&self) -> String {
        format!("SELECT {}{}", rows::columns(self.selection.dialect()), self.rest)
    }

    /// The ids alone of the same rows.
    pub(super) fn ids(&self) -> String {
        format!("SELECT id{}", self.rest)
    }

    pub(super) fn values(&self) -> Vec<Value> {
        self.selection.values()
    }

    /// The rows after the cursor's row: greater in the first term, or equal in it and greater in the
    /// next, and so on to the id, which decides.
    fn begin_after(&mut self, directions: &[Direction]) -> Result<()> {
        let Some(start) = &self.start else { return Ok(()) };
        let (keys, id) = read_position(start, self.fields.len()).ok_or_else(bad_cursor)?;
        let (dialect, first) = (self.selection.dialect(), self.selection.next());
        let mut equal: Vec<String> = Vec::new();
        let mut choices: Vec<String> = Vec::new();
        let mut values = Vec::new();
        for ((field, key), direction) in self.fields.iter().zip(&keys).zip(directions) {
            for bound in sort_bounds(field, key, dialect, first + values.len()) {
                choices.push(conjunction(&equal, &format!("{} {} {}", bound.term, after(*direction), bound.bound)));
                equal.push(format!("{} = {}", bound.term, bound.bound));
                values.extend(bound.values);
            }
        }
        let last = directions.last().copied().unwrap_or(Direction::Ascending);
        choices.push(conjunction(&equal, &format!("id {} ${}", after(last), first + values.len())));
        values.push(id.into());
        self.selection.restrict(Lowered { sql: choices.join(" OR "), values });
        Ok(())
    }

    fn order(&mut self, directions: &[Direction]) {
        self.rest.push_str(" ORDER BY ");
        for (field, direction) in self.fields.iter().zip(directions) {
            let terms = sort_terms(field, self.selection.dialect(), self.selection.next());
            for term in &terms.terms {
                self.rest.push_str(term);
                self.rest.push_str(towards(*direction));
                self.rest.push_str(", ");
            }
            self.selection.bind_all(terms.values);
        }
        self.rest.push_str("id");
        self.rest.push_str(towards(directions.last().copied().unwrap_or(Direction::Ascending)));
    }

    /// The page that the rows make. That it was `cut`, or one row more than the limit, says that there
    /// is another page.
    pub(super) fn page(&self, found: &[Row], cut: bool, cursors: &CursorKey) -> Result<Page<Document>> {
        let more = cut || found.len() > self.limit;
        let rows = found.iter().take(self.limit);
        let documents: Result<Vec<_>> =
            rows.map(|row| rows::document(self.selection.dialect(), &self.collection, row)).collect();
        let mut items = documents?;
        let backwards = self.start.as_ref().is_some_and(|start| start.backwards);
        if backwards {
            items.reverse();
        }
        let seal = |document: Option<&Document>, backwards: bool| -> Result<Option<String>> {
            let Some(document) = document else { return Ok(None) };
            let mut values = position_of(&self.fields, document)?;
            // A cursor travels in a URL: where the terms are too long for one, it says which document instead.
            if Json::from(values.clone()).to_string().len() > LONGEST_POSITION {
                values = vec![Json::Null, document.id.as_str().into()];
            }
            Ok(Some(cursors.seal(&self.scope, &Position { backwards, values })))
        };
        let has_next = if backwards { self.start.is_some() } else { more };
        let has_previous = if backwards { more } else { self.start.is_some() };
        let next = if has_next { seal(items.last(), false)? } else { None };
        let previous = if has_previous { seal(items.first(), true)? } else { None };
        Ok(Page::new(items, next, previous))
    }
}

/// The terms of a document in the order of these fields, and its id.
pub(super) fn position_of(fields: &[Field], document: &Document) -> Result<Vec<Json>> {
    let members: serde_json::Map<String, Json> = if fields.is_empty() {
        serde_json::Map::new()
    } else {
        serde_json::from_str(&document.body).map_err(Error::internal)?
    };
    let environment = Environment::new(document.id.as_str(), &members)
        .with_owner(document.owner.as_ref().map(|owner| owner.as_str()))
        .with_revision(document.revision.as_str())
        .with_moments(document.created_at, document.updated_at);
    let mut values: Vec<_> = fields.iter().map(|field| field.sort_key(&environment).to_value()).collect();
    values.push(document.id.as_str().into());
    Ok(values)
}

/// The document that a position names, where it does not hold its terms.
pub(super) fn named_document(position: &Position) -> Option<&str> {
    match position.values.as_slice() {
        [Json::Null, id] => id.as_str(),
        _ => None,
    }
}

/// What a cursor belongs to. Its parts cannot run into one another: each is written with its length.
pub(super) fn scope(caller: &Caller, collection: &CollectionName, query: &ListQuery) -> String {
    let filter = query.filter.as_ref().map(crate::expr::Expression::to_text).unwrap_or_default();
    let sort: Vec<_> = query
        .sort
        .iter()
        .map(|key| format!("{}{}", if key.direction == Direction::Descending { "-" } else { "+" }, key.field))
        .collect();
    let sort = sort.join(",");
    let search = query.search.as_deref().unwrap_or_default();
    let parts = [caller.tenant().as_str(), collection.as_str(), &filter, &sort, search];
    parts.iter().map(|part| format!("{}:{part};", part.len())).collect()
}

fn read_position(position: &Position, fields: usize) -> Option<(Vec<SortKey>, String)> {
    let (id, keys) = position.values.split_last()?;
    if keys.len() != fields {
        return None;
    }
    let keys: Option<Vec<_>> = keys.iter().map(SortKey::from_value).collect();
    Some((keys?, id.as_str()?.to_owned()))
}

fn bad_cursor() -> Error {
    Error::invalid("invalid-cursor", "a cursor goes with the list that gave it, unchanged").with_field("cursor")
}

fn conjunction(equal: &[String], last: &str) -> String {
    let mut parts = equal.to_vec();
    parts.push(last.to_owned());
    format!("({})", parts.join(" AND "))
}

fn after(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => ">",
        Direction::Descending => "<",
    }
}

fn towards(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => " ASC",
        Direction::Descending => " DESC",
    }
}
