//! Which index serves a query, and which part of it.
//!
//! The conditions are parts of rule and filter that every row of the answer satisfies; the whole rule and filter are
//! asked of each document all the same. So a plan can be slow and never wrong, except for the order: an index serves
//! that only where its keys have exactly the order of the list.

use crate::{
    collections::{
        index::Index,
        query::{Direction, Sort},
        rule::Visible,
    },
    expr::{Comparison, Expression, Field, Known, Part, Test, View},
    json::{
        key::{self, Rest, successor},
        order::{Number, RANK_FALSE, RANK_NULL, RANK_NUMBER, RANK_TRUE, SortKey},
    },
};

/// Moments are compared in whole milliseconds and indexed in microseconds.
const MOMENT: i64 = 1000;

static OWNER: Field = Field::Owner;

/// What every row satisfies that the rule shows and the filter matches: the parts that compare a field with what is known.
pub(crate) fn conditions<'e>(visible: &'e Visible, filter: Option<&'e Expression>, known: &Known<'e>) -> Vec<Part<'e>> {
    let mut conditions = match visible {
        Visible::All => Vec::new(),
        Visible::OwnedBy(owner) => {
            vec![Part { field: &OWNER, test: Test::Compare(Comparison::Equal, View::text(owner.as_str())) }]
        }
        Visible::Where(rule) => rule.parts(known),
    };
    conditions.extend(filter.map(|filter| filter.parts(known)).unwrap_or_default());
    conditions
}

/// The part of an index that a query reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scan<'i> {
    /// The index.
    pub(crate) index: &'i Index,
    /// From this key on.
    pub(crate) low: Vec<u8>,
    /// Up to and without this key.
    pub(crate) high: Vec<u8>,
    /// How many of its first fields have one value.
    pub(crate) equal: usize,
    /// Whether the field after them is bounded.
    pub(crate) range: bool,
    /// How to go along it so that the rows come in the list's order.
    pub(crate) order: Option<Order>,
    /// The values of the first fields.
    values: Vec<SortKey>,
    /// Which sort keys the other fields are.
    sorted_by: Vec<usize>,
}

/// How to go along an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// By key.
    pub(crate) key: Direction,
    /// Among equal keys, by the document's id.
    pub(crate) id: Direction,
}

impl Order {
    /// The same the other way.
    pub(crate) fn reversed(self) -> Self {
        Self { key: self.key.reversed(), id: self.id.reversed() }
    }
}

/// What an index is worth for a query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict<'i> {
    /// It is read like this.
    Chosen(Scan<'i>),
    /// It could serve, and another way serves better.
    Second,
    /// It could not: neither are its first fields compared with known values, nor is it in the list's order.
    Useless,
    /// It does not hold all documents yet.
    Building,
}

/// What becomes of each index for a query; at most one is chosen. None is where the documents' own keys serve as well:
/// by id, and by owner and id.
pub(crate) fn plan<'i>(indexes: &'i [Index], conditions: &[Part<'_>], sort: &[Sort]) -> Vec<Verdict<'i>> {
    let scans: Vec<Option<Scan<'i>>> =
        indexes.iter().map(|index| if index.ready { scan(index, conditions, sort) } else { None }).collect();
    let own = own_keys(conditions, sort);
    let mut best: Option<(usize, Worth)> = None;
    for (position, scan) in scans.iter().enumerate() {
        let Some(worth) = scan.as_ref().map(Scan::worth).filter(|worth| *worth > own) else { continue };
        if best.as_ref().is_none_or(|(_, other)| worth > *other) {
            best = Some((position, worth));
        }
    }
    let chosen = best.map(|(position, _)| position);
    let verdict = |(position, scan): (usize, Option<Scan<'i>>)| match scan {
        Some(scan) if Some(position) == chosen => Verdict::Chosen(scan),
        Some(_) => Verdict::Second,
        None if indexes.get(position).is_some_and(|index| !index.ready) => Verdict::Building,
        None => Verdict::Useless,
    };
    scans.into_iter().enumerate().map(verdict).collect()
}

/// The index that serves a query best, if one does.
pub(crate) fn choose<'i>(indexes: &'i [Index], conditions: &[Part<'_>], sort: &[Sort]) -> Option<Scan<'i>> {
    if indexes.is_empty() {
        return None;
    }
    plan(indexes, conditions, sort).into_iter().find_map(|verdict| match verdict {
        Verdict::Chosen(scan) => Some(scan),
        _ => None,
    })
}

/// Compared from the first to the last: fields with one value; the order; a bounded field; no step against the ids;
/// no field that is of no use.
type Worth = (usize, bool, bool, bool, std::cmp::Reverse<usize>);

/// What the documents' own keys are worth: `(collection, id)` and `(collection, owner, id)`.
fn own_keys(conditions: &[Part<'_>], sort: &[Sort]) -> Worth {
    let by_id = |part: &Part<'_>| {
        *part.field == Field::Id && matches!(part.test, Test::Compare(Comparison::Equal, _) | Test::OneOf(_))
    };
    let by_owner =
        |part: &Part<'_>| *part.field == Field::Owner && matches!(part.test, Test::Compare(Comparison::Equal, _));
    let in_order = sort.first().is_none_or(|first| first.field == Field::Id);
    let equal = match conditions {
        parts if parts.iter().any(by_id) => usize::MAX,
        parts => usize::from(parts.iter().any(by_owner)),
    };
    // Without a condition they are the whole collection, in the order of ids: any bounded index is less.
    (equal, in_order && equal > 0, false, true, std::cmp::Reverse(0))
}

impl Scan<'_> {
    fn worth(&self) -> Worth {
        let along = self.order.is_none_or(|order| order.key == order.id);
        let used = if self.order.is_some() { self.index.fields.len() } else { self.equal + usize::from(self.range) };
        let unused = self.index.fields.len().saturating_sub(used);
        (self.equal, self.order.is_some(), self.range, along, std::cmp::Reverse(unused))
    }

    /// The place in the index of a row with these sort keys and this id: its key, and what follows the key.
    /// `None` if the index is not read in the list's order.
    pub(crate) fn place<'d>(&self, sort_keys: &[SortKey], id: &'d str) -> Option<(Vec<u8>, &'d str)> {
        self.order?;
        let mut values = self.values.clone();
        for position in &self.sorted_by {
            values.push(sort_keys.get(*position)?.clone());
        }
        let entry = self.index.entry_of(values);
        let tie = entry.tie(id);
        Some((entry.key, tie))
    }
}

/// The part of an index that holds every row of the answer; `None` if that is no less than all of it and not in order.
pub(super) fn scan<'i>(index: &'i Index, conditions: &[Part<'_>], sort: &[Sort]) -> Option<Scan<'i>> {
    let mut prefix = Vec::new();
    let mut values = Vec::new();
    for part in &index.fields {
        let Some(value) = equal_to(&part.field, conditions) else { break };
        key::write(&mut prefix, &value, part.direction == Direction::Descending, index.rest());
        values.push(value);
    }
    let equal = values.len();
    let next = index.fields.get(equal);
    let interval = next.and_then(|part| interval(&prefix, part, conditions));
    let range = interval.is_some();
    let (low, high) = match interval {
        Some(interval) => interval,
        // No key begins with 255, so that the empty prefix has a successor too.
        None => (prefix.clone(), successor(prefix).unwrap_or_else(|| vec![u8::MAX])),
    };
    let (order, sorted_by) = order(index, equal, sort).unzip();
    let useful = equal > 0 || range || order.is_some();
    let sorted_by = sorted_by.unwrap_or_default();
    useful.then_some(Scan { index, low, high, equal, range, order, values, sorted_by })
}

/// How the rest of an index is the list's order, after fields that have one value, and which sort keys its fields are.
fn order(index: &Index, equal: usize, sort: &[Sort]) -> Option<(Order, Vec<usize>)> {
    let (fixed, rest) = index.fields.split_at_checked(equal)?;
    // Texts that were cut tie in the index and not in the list.
    if index.cut && !rest.is_empty() {
        return None;
    }
    let is_fixed = |key: &Sort| fixed.iter().any(|part| part.field == key.field);
    let (mut by, mut id, mut directions) = (Vec::new(), Direction::Ascending, Vec::new());
    for (position, key) in sort.iter().enumerate().filter(|(_, key)| !is_fixed(key)) {
        // Ids decide: what follows one orders nothing.
        if key.field == Field::Id && rest.get(by.len()).is_none_or(|part| part.field != Field::Id) {
            id = key.direction;
            break;
        }
        let part = rest.get(by.len()).filter(|part| part.field == key.field)?;
        by.push(position);
        directions.push(if part.direction == key.direction { Direction::Ascending } else { Direction::Descending });
    }
    if by.len() < rest.len() {
        return None;
    }
    let key = directions.first().copied().unwrap_or(id);
    directions.iter().all(|direction| *direction == key).then_some((Order { key, id }, by))
}

/// The one value that a field has.
fn equal_to(field: &Field, conditions: &[Part<'_>]) -> Option<SortKey> {
    conditions.iter().filter(|part| part.field == field).find_map(|part| match &part.test {
        Test::Compare(Comparison::Equal, value) => sort_key(value),
        Test::OneOf(values) => match values.as_slice() {
            [value] => sort_key(value),
            _ => None,
        },
        Test::Compare(..) => None,
    })
}

/// A bound of a field: the value, and whether it is within.
type Bound = (SortKey, bool);

/// The keys behind `prefix` that the conditions on the next field leave.
fn interval(prefix: &[u8], part: &Sort, conditions: &[Part<'_>]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut lower, mut upper): (Option<Bound>, Option<Bound>) = (None, None);
    for found in conditions.iter().filter(|found| *found.field == part.field) {
        let (from, to) = bounds(&found.test);
        // The narrower one; that of a bound which is not within, where two are equal, is not worth the trouble.
        lower = lower.into_iter().chain(from).max_by(|a, b| a.0.cmp(&b.0));
        upper = upper.into_iter().chain(to).min_by(|a, b| a.0.cmp(&b.0));
    }
    let rank = lower.as_ref().or(upper.as_ref())?.0.rank;
    let descending = part.direction == Direction::Descending;
    // Values are compared with their own kind only; that of booleans is two.
    let (lowest, highest) = match rank {
        RANK_FALSE | RANK_TRUE => (RANK_FALSE, RANK_TRUE),
        rank => (rank, rank),
    };
    let edge = |bound: Option<&Bound>, end: i64| {
        let mut bytes = prefix.to_vec();
        let within = match bound {
            None => {
                key::write_kind(&mut bytes, end, descending);
                true
            }
            // What is cut at the same place may be on either side.
            Some((value, within)) => key::write(&mut bytes, value, descending, Rest::Dropped) || *within,
        };
        (bytes, within)
    };
    let (first, last) = match descending {
        false => (edge(lower.as_ref(), lowest), edge(upper.as_ref(), highest)),
        true => (edge(upper.as_ref(), highest), edge(lower.as_ref(), lowest)),
    };
    let low = if first.1 { first.0 } else { successor(first.0)? };
    let high = if last.1 { successor(last.0)? } else { last.0 };
    Some((low, high))
}

/// The bounds that a condition sets.
fn bounds(test: &Test<'_>) -> (Option<Bound>, Option<Bound>) {
    match test {
        Test::Compare(comparison, View::Moment(micros)) => {
            // Wide enough for any rounding; the filter itself is exact.
            let (low, high) = (micros.saturating_sub(MOMENT), micros.saturating_add(MOMENT));
            let (low, high) = (Some((SortKey::integer(low), true)), Some((SortKey::integer(high), true)));
            match comparison {
                Comparison::Equal => (low, high),
                Comparison::Less | Comparison::LessOrEqual => (None, high),
                Comparison::Greater | Comparison::GreaterOrEqual => (low, None),
                Comparison::NotEqual => (None, None),
            }
        }
        Test::Compare(comparison, value) => {
            let bound = |within| sort_key(value).filter(|key| key.rank > RANK_NULL).map(|key| (key, within));
            match comparison {
                Comparison::Less => (None, bound(false)),
                Comparison::LessOrEqual => (None, bound(true)),
                Comparison::Greater => (bound(false), None),
                Comparison::GreaterOrEqual => (bound(true), None),
                Comparison::Equal | Comparison::NotEqual => (None, None),
            }
        }
        Test::OneOf(values) => {
            let keys: Option<Vec<SortKey>> = values.iter().map(sort_key).collect();
            let keys = keys.unwrap_or_default();
            let within = |key: Option<&SortKey>| key.map(|key| (key.clone(), true));
            (within(keys.iter().min()), within(keys.iter().max()))
        }
    }
}

/// The place of a known value in the order; `None` for those that no key has.
fn sort_key(value: &View<'_>) -> Option<SortKey> {
    let plain = |rank| SortKey { rank, number: None, text: None };
    Some(match value {
        View::Null => plain(RANK_NULL),
        View::Bool(false) => plain(RANK_FALSE),
        View::Bool(true) => plain(RANK_TRUE),
        View::Number(number) => {
            let number = match number {
                Number::Double(double) => Number::double(*double),
                integer @ Number::Integer(_) => *integer,
            };
            SortKey { rank: RANK_NUMBER, number: Some(number), text: None }
        }
        View::Text(text) if !text.contains('\0') => SortKey::text(text),
        View::Error
        | View::Text(_)
        | View::Container(_)
        | View::Texts(_)
        | View::Literals(_)
        | View::Moment(_)
        | View::Duration(_) => return None,
    })
}
