//! Lists and their cursors, counts, groups and distinct values, writes by filter and how they go on.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeSet,
};

use serde_json::{Value, json};

use super::{
    drawn::{Change, List, Place},
    filter::{Filter, field},
    value,
    world::{Asker, Condition, Document, Refusal, World, refusal},
};

/// Documents by the value that they share.
type Groups = Vec<(Option<Value>, Vec<Document>)>;

/// A place in a list: behind the document that had these values, or before it.
#[derive(Clone, Debug)]
pub(super) struct Position {
    backwards: bool,
    keys: Vec<Option<Value>>,
    id: String,
}

/// A page of a list, and where its neighbours begin.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) shown: Value,
    pub(super) next: Option<Position>,
    pub(super) previous: Option<Position>,
    /// The documents on it, with their revisions.
    pub(super) items: Vec<(String, String)>,
}

fn keys(sort: &str) -> Vec<(&str, bool)> {
    let keys = sort.split(',').filter(|key| !key.is_empty());
    keys.map(|key| key.strip_prefix('-').map_or((key, false), |path| (path, true))).collect()
}

/// Whether a place comes before another in a list.
fn compare(sort: &str, a: (&[Option<Value>], &str), b: (&[Option<Value>], &str)) -> Ordering {
    let keys = keys(sort);
    let terms = keys.iter().zip(a.0.iter().zip(b.0)).map(|((_, down), (a, b))| {
        let order = value::order(a.as_ref(), b.as_ref());
        if *down { order.reverse() } else { order }
    });
    terms.fold(Ordering::Equal, Ordering::then).then_with(|| a.1.as_bytes().cmp(b.1.as_bytes()))
}

impl World {
    /// The documents that a caller may list and that match, in the order of their ids.
    pub(super) fn found(&self, by: &Asker, place: Place, filter: &Filter) -> Result<Vec<(String, Document)>, Refusal> {
        by.admitted(place)?;
        let there = self.documents.iter().filter(|((tenant, at, _), _)| (*tenant, *at) == (by.tenant, place));
        let shown = there
            .filter(|((_, _, id), document)| by.may_list(place, document) && filter.matches(id, document, self.now));
        Ok(shown.map(|((_, _, id), document)| (id.clone(), document.clone())).collect())
    }

    /// One page.
    pub(super) fn page(
        &mut self,
        by: &Asker,
        place: Place,
        list: &List,
        start: Option<&Position>,
    ) -> Result<Page, Refusal> {
        let found = self.found(by, place, &list.filter)?;
        let count = list.counted.map(|cap| match u64::try_from(found.len()).unwrap() {
            count if count > cap => format!("at-least {cap}"),
            count => format!("exact {count}"),
        });
        let at = |backwards: bool, (id, document): &(String, Document)| Position {
            backwards,
            keys: keys(list.sort).iter().map(|(path, _)| field(id, document, path)).collect(),
            id: id.clone(),
        };
        let mut placed: Vec<_> = found.into_iter().map(|found| (at(false, &found), found)).collect();
        let order = |a: &Position, b: &Position| compare(list.sort, (&a.keys, &a.id), (&b.keys, &b.id));
        placed.sort_by(|a, b| order(&a.0, &b.0));
        let backwards = start.is_some_and(|start| start.backwards);
        let wanted = if backwards { Ordering::Less } else { Ordering::Greater };
        placed.retain(|(position, _)| start.is_none_or(|start| order(position, start) == wanted));
        let limit = list.limit as usize;
        let more = placed.len() > limit;
        if backwards {
            placed.drain(..placed.len().saturating_sub(limit));
        } else {
            placed.truncate(limit);
        }
        let (has_next, has_previous) = if backwards { (true, more) } else { (more, start.is_some()) };
        let next = placed.last().filter(|_| has_next).map(|(_, found)| at(false, found));
        let previous = placed.first().filter(|_| has_previous).map(|(_, found)| at(true, found));
        let items = placed.iter().map(|(_, (id, document))| (id.clone(), document.revision())).collect();
        let told = placed.into_iter().map(|(_, (id, document))| self.tell(&(by.tenant, place, id), &document));
        let told: Vec<_> = told.collect();
        let shown = json!({"items": told, "next": next.is_some(), "previous": previous.is_some(), "count": count});
        Ok(Page { shown, next, previous, items })
    }

    /// The different values of a field.
    pub(super) fn distinct(
        &self,
        by: &Asker,
        place: Place,
        filter: &Filter,
        path: &str,
        limit: u32,
    ) -> Result<Value, Refusal> {
        let groups = self.groups(by, place, filter, path)?;
        let mut values: Vec<_> = groups.into_iter().filter_map(|(value, _)| value).collect();
        let more = values.len() > limit as usize;
        values.truncate(limit as usize);
        Ok(json!({"values": values, "more": more}))
    }

    /// The documents by the values of a field, in the total order; arrays and objects by the smallest id in them.
    fn groups(&self, by: &Asker, place: Place, filter: &Filter, path: &str) -> Result<Groups, Refusal> {
        let mut groups = Groups::new();
        for (id, document) in self.found(by, place, filter)? {
            let value = field(&id, &document, path);
            match groups.iter_mut().find(|(known, _)| *known == value) {
                Some((_, documents)) => documents.push(document),
                None => groups.push((value, vec![document])),
            }
        }
        // They were found in the order of ids, which those that tie keep.
        groups.sort_by(|a, b| value::order(a.0.as_ref(), b.0.as_ref()));
        Ok(groups)
    }

    /// How many documents there are by the values of a field, and the smallest and largest `n` among them.
    pub(super) fn aggregate(&self, by: &Asker, place: Place, filter: &Filter, path: &str) -> Result<Value, Refusal> {
        let groups = self.groups(by, place, filter, path)?;
        let shown = groups.into_iter().map(|(value, documents)| {
            let kept = |value: &Value| value.is_boolean() || value.is_number() || value.is_string();
            let mut numbers: Vec<_> =
                documents.iter().filter_map(|document| document.body.get("n")).filter(|value| kept(value)).collect();
            numbers.sort_by(|a, b| value::order(Some(a), Some(b)));
            let mut key = serde_json::Map::new();
            if let Some(value) = value {
                key.insert(path.to_owned(), value);
            }
            json!({"key": key, "count": documents.len(), "min": {"n": numbers.first()}, "max": {"n": numbers.last()}})
        });
        Ok(json!({"groups": shown.collect::<Vec<_>>(), "more": false}))
    }

    /// A write by filter, after the document with the id `after`. Answers too where it would go on.
    pub(super) fn matching(
        &mut self,
        by: &Asker,
        place: Place,
        (filter, change, limit): (&Filter, &Change, u32),
        after: Option<&str>,
    ) -> Result<(Value, Option<String>), Refusal> {
        let mut found = self.found(by, place, filter)?;
        found.retain(|(id, _)| after.is_none_or(|after| id.as_bytes() > after.as_bytes()));
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        for (id, _) in &found {
            let key = (by.tenant, place, id.clone());
            let done = match change {
                Change::Patch(patch) => self.patch(by, &key, patch, &Condition::None),
                Change::Delete => self.delete(by, &key, &Condition::None),
            };
            done.map_err(Refusal::of_listed)?;
        }
        let next = found.last().filter(|_| more).map(|(id, _)| id.clone());
        Ok((json!({"matched": found.len(), "changed": found.len(), "next": next.is_some()}), next))
    }
}

/// What one list showed over all its pages: a document that stayed as it was from the first page to the last is shown
/// once, and none twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    at_first: BTreeSet<(String, String)>,
    shown: Vec<(String, String)>,
}

impl Shown {
    pub(super) fn begin(world: &World, by: &Asker, place: Place, filter: &Filter) -> Self {
        let found = world.found(by, place, filter).unwrap_or_default();
        let at_first = found.into_iter().map(|(id, document)| (id, document.revision())).collect();
        Self { at_first, shown: Vec::new() }
    }

    pub(super) fn add(&mut self, items: &[(String, String)]) {
        self.shown.extend_from_slice(items);
    }

    /// What is wrong with the pages, now that there are no more.
    pub(super) fn judge(mut self, world: &World, by: &Asker, place: Place, filter: &Filter) -> Result<(), String> {
        let now = Self::begin(world, by, place, filter).at_first;
        self.shown.sort_by_key(|item| Reverse(item.clone()));
        for item in self.at_first.intersection(&now) {
            let times = self.shown.iter().filter(|shown| *shown == item).count();
            if times != 1 {
                return Err(format!("{item:?} stayed as it was and was shown {times} times"));
            }
        }
        Ok(())
    }
}

/// A cursor that belongs to another list.
pub(super) fn bad_cursor() -> Refusal {
    refusal("Invalid", "invalid-cursor")
}
