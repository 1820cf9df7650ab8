//! The first groups of an order, of groups that come in any order, in bounded memory.

use std::{cmp::Ordering, sync::Arc};

use serde_json::Value;

use crate::{
    collections::{
        aggregate::{AggregateQuery, Aggregates, Group, GroupKey},
        query::Direction,
    },
    json::order::SortKey,
};

/// How many bytes of groups are kept; beyond it there are fewer than the limit.
const BYTES: usize = 8 * 1024 * 1024;

/// The best groups that have come so far.
#[derive(Debug)]
pub(crate) struct Ranking {
    query: Arc<AggregateQuery>,
    limit: usize,
    held: Vec<Ranked>,
    bytes: usize,
    /// The first of the order that was given up: neither it nor what follows it is answered, whatever comes later.
    end: Option<Ranked>,
}

/// A group that a database found.
#[derive(Clone, Debug)]
pub(crate) struct FoundGroup {
    /// The values of the fields that it is grouped by.
    pub(crate) key: Vec<Option<Value>>,
    /// The smallest id in it, which decides between groups that tie.
    pub(crate) first: String,
    /// What is answered.
    pub(crate) group: Group,
    /// How many bytes it takes, about.
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct Ranked {
    sort: Vec<(SortKey, Direction)>,
    found: FoundGroup,
}

impl Ranking {
    /// No group yet.
    pub(crate) fn new(query: Arc<AggregateQuery>) -> Self {
        let limit = usize::try_from(query.limit.get()).unwrap_or(usize::MAX);
        Self { query, limit, held: Vec::new(), bytes: 0, end: None }
    }

    /// Takes a group in if it is among the first.
    pub(crate) fn offer(&mut self, found: FoundGroup) {
        let ranked = Ranked { sort: self.sort_of(&found), found };
        if self.end.as_ref().is_some_and(|end| end.cmp(&ranked) != Ordering::Greater) {
            return;
        }
        let place = self.held.partition_point(|held| held.cmp(&ranked) == Ordering::Less);
        self.bytes += ranked.found.bytes;
        self.held.insert(place, ranked);
        while self.held.len() > self.limit || (self.bytes > BYTES && self.held.len() > 1) {
            let Some(dropped) = self.held.pop() else { break };
            self.bytes -= dropped.found.bytes;
            self.end = Some(dropped);
        }
    }

    fn sort_of(&self, found: &FoundGroup) -> Vec<(SortKey, Direction)> {
        let of_field = |at: usize| SortKey::of(found.key.get(at).and_then(Option::as_ref));
        let asked = self.query.sort.iter().map(|(key, direction)| {
            let key = match key {
                GroupKey::Metric(metric) => SortKey::of(found.group.metric(metric).as_ref()),
                GroupKey::Field(field) => {
                    let at = self.query.group.iter().position(|known| known == field);
                    at.map_or_else(|| SortKey::of(None), of_field)
                }
            };
            (key, *direction)
        });
        let rest = (0..found.key.len()).map(|at| (of_field(at), Direction::Ascending));
        asked.chain(rest).collect()
    }

    /// The groups in their order.
    pub(crate) fn finish(self) -> (Vec<FoundGroup>, bool) {
        (self.held.into_iter().map(|ranked| ranked.found).collect(), self.end.is_some())
    }

    /// The groups as they are answered.
    pub(crate) fn into_aggregates(self) -> Aggregates {
        let (found, more) = self.finish();
        Aggregates::new(found.into_iter().map(|found| found.group).collect(), more)
    }
}

impl Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let keys = self.sort.iter().zip(&other.sort).map(|((a, direction), (b, _))| match direction {
            Direction::Ascending => a.cmp(b),
            Direction::Descending => b.cmp(a),
        });
        keys.fold(Ordering::Equal, Ordering::then).then_with(|| self.found.first.cmp(&other.found.first))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::collections::aggregate::GroupLimit;

    fn found(key: &Value, count: u64, first: &str, bytes: usize) -> FoundGroup {
        let group = Group::new(serde_json::Map::from_iter([("k".to_owned(), key.clone())]), count, Vec::new());
        FoundGroup { key: vec![Some(key.clone())], first: first.to_owned(), group, bytes }
    }

    fn keys(ranking: Ranking) -> (Vec<Value>, bool) {
        let found = ranking.into_aggregates();
        (found.groups.into_iter().map(|group| group.key["k"].clone()).collect(), found.more)
    }

    #[test]
    fn the_first_of_the_order_remain_whatever_order_they_come_in() {
        let query = AggregateQuery::new().with_group("k").unwrap().with_sort("-count").unwrap();
        let query = query.with_limit(GroupLimit::new(3).unwrap());
        let mut ranking = Ranking::new(Arc::new(query));
        for (key, count, first) in
            [(json!("b"), 1, "4"), (json!([1]), 2, "9"), (json!("a"), 1, "5"), (json!([2]), 2, "8"), (json!(7), 9, "1")]
        {
            ranking.offer(found(&key, count, first, 10));
        }
        assert_eq!(keys(ranking), (vec![json!(7), json!([2]), json!([1])], true));
    }

    #[test]
    fn what_is_too_large_makes_no_hole() {
        let query = AggregateQuery::new().with_group("k").unwrap();
        let mut ranking = Ranking::new(Arc::new(query));
        for n in [5, 1, 3, 2, 4] {
            ranking.offer(found(&json!(n), 1, "x", BYTES / 2));
        }
        ranking.offer(found(&json!(6), 1, "x", 1));
        assert_eq!(keys(ranking), (vec![json!(1), json!(2)], true));
    }

    #[test]
    fn how_much_fits_does_not_depend_on_which_come_first() {
        let large: Vec<_> = (0..3).map(|n| found(&json!(format!("z{n}")), 1, "x", BYTES / 2)).collect();
        let small: Vec<_> = (0..9).map(|n| found(&json!(n), 1, "x", 1)).collect();
        let expected: Vec<_> = (0..9).map(|n| json!(n)).chain([json!("z0")]).collect();
        for groups in [[large.clone(), small.clone()].concat(), [small, large].concat()] {
            let mut ranking = Ranking::new(Arc::new(AggregateQuery::new().with_group("k").unwrap()));
            for group in groups {
                ranking.offer(group);
            }
            assert_eq!(keys(ranking), (expected.clone(), true));
        }
    }
}
