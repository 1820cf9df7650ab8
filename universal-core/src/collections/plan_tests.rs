//! A plan reads what the list without an index answers, and the best index is chosen.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::{
    clock::Timestamp,
    collections::{
        index::{Index, parse_fields},
        plan::{Scan, Verdict, choose, plan, scan},
        query::{Direction, Sort},
    },
    expr::{CallerFacts, Environment, Expression, Known, Scope},
    json::order::SortKey,
};

const FIELDS: [&str; 4] = ["a", "b", "meta.owner", "meta.created_at"];

fn known() -> Known<'static> {
    Known::new(CallerFacts::nobody().with_id(Some("ann")), Timestamp::from_micros(5_000_000))
}

fn index(fields: &[&str], unique: bool) -> Index {
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    Index { id: 1, name: "by".into(), fields: parse_fields(&fields).unwrap(), unique, ready: true, cut: false }
}

fn sort(text: &str) -> Vec<Sort> {
    if text.is_empty() { Vec::new() } else { Sort::parse(text).unwrap() }
}

#[derive(Clone, Debug)]
struct Row {
    id: String,
    members: Map<String, Value>,
    owner: Option<&'static str>,
    created_at: i64,
}

impl Row {
    fn environment(&self) -> Environment<'_> {
        let at = Timestamp::from_micros(self.created_at);
        Environment::new(&self.id, &self.members).with_owner(self.owner).with_moments(at, at).with_known(known())
    }
}

/// What a list answers: the rows that match, in order.
fn expected<'r>(rows: &'r [Row], filter: &Expression, sort: &[Sort]) -> Vec<&'r Row> {
    let mut found: Vec<&Row> = rows.iter().filter(|row| filter.matches(&row.environment())).collect();
    let keys = |row: &Row| -> Vec<SortKey> { sort.iter().map(|key| key.field.sort_key(&row.environment())).collect() };
    found.sort_by(|a, b| {
        let pairs = sort.iter().zip(keys(a).into_iter().zip(keys(b)));
        let by_keys = pairs.fold(std::cmp::Ordering::Equal, |so_far, (key, (a, b))| {
            so_far.then(if key.direction == Direction::Descending { b.cmp(&a) } else { a.cmp(&b) })
        });
        by_keys.then(a.id.cmp(&b.id))
    });
    found
}

/// What the index answers, and each row's place in it.
fn read<'r>(rows: &'r [Row], filter: &Expression, scan: &Scan<'_>) -> Vec<(Vec<u8>, String, &'r Row)> {
    let entry = |row: &'r Row| {
        let entry = scan.index.entry(&row.environment());
        let tie = entry.tie(&row.id).to_owned();
        (entry.key, tie, row)
    };
    let mut entries: Vec<_> = rows.iter().map(entry).collect();
    entries.retain(|(key, _, row)| *key >= scan.low && *key < scan.high && filter.matches(&row.environment()));
    if let Some(order) = scan.order {
        let towards = |direction, ordering: std::cmp::Ordering| match direction {
            Direction::Ascending => ordering,
            Direction::Descending => ordering.reverse(),
        };
        entries.sort_by(|a, b| towards(order.key, a.0.cmp(&b.0)).then(towards(order.id, a.1.cmp(&b.1))));
    }
    entries
}

fn value() -> impl Strategy<Value = Option<Value>> {
    let long = |end: &str| Some(json!(format!("{}{end}", "x".repeat(256))));
    select(vec![
        None,
        Some(json!(null)),
        Some(json!(true)),
        Some(json!(false)),
        Some(json!(-1)),
        Some(json!(0)),
        Some(json!(1)),
        Some(json!(1.5)),
        Some(json!(2)),
        Some(json!("")),
        Some(json!("a")),
        Some(json!("b")),
        Some(json!([1])),
        long(""),
        long("a"),
        long("b"),
    ])
}

fn row() -> impl Strategy<Value = Row> {
    let owner = select(vec![None, Some("ann"), Some("bob")]);
    ("[a-e]{1,3}", value(), value(), owner, 4_998_000_i64..5_002_000).prop_map(|(id, a, b, owner, created_at)| {
        let members = [("a", a), ("b", b)].into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Row { id, members: members.collect(), owner, created_at }
    })
}

fn literal() -> impl Strategy<Value = String> {
    let long = |end: &str| format!("\"{}{end}\"", "x".repeat(256));
    let mut texts: Vec<String> =
        ["null", "true", "false", "-1", "0", "1", "1.5", "2", "\"\"", "\"a\"", "\"b\""].map(str::to_owned).to_vec();
    texts.extend([long(""), long("a"), long("b")]);
    select(texts)
}

fn condition() -> impl Strategy<Value = String> {
    let symbol = select(vec!["==", "==", "!=", "<", "<=", ">", ">="]);
    let field = select(vec!["a", "b"]);
    let list = vec(literal(), 0..4);
    let moment = select(vec!["1970-01-01T00:00:04.999Z", "1970-01-01T00:00:05Z", "1970-01-01T00:00:05.001Z"]);
    prop_oneof![
        4 => (field.clone(), symbol.clone(), literal()).prop_map(|(field, symbol, literal)| format!("{field} {symbol} {literal}")),
        1 => (field, list).prop_map(|(field, list)| format!("{field} in [{}]", list.join(", "))),
        1 => Just("meta.owner == caller.id".to_owned()),
        1 => Just("meta.owner == null".to_owned()),
        1 => (symbol, moment).prop_map(|(symbol, moment)| format!("meta.created_at {symbol} \"{moment}\"")),
        1 => Just("a".to_owned()),
    ]
}

fn keys(most: usize) -> impl Strategy<Value = Vec<String>> {
    let key = (select(FIELDS.to_vec()), any::<bool>());
    vec(key, 0..=most).prop_map(|keys| {
        let mut fields: Vec<String> = Vec::new();
        for (name, descending) in keys {
            if !fields.iter().any(|field| field.trim_start_matches('-') == name) {
                fields.push(format!("{}{name}", if descending { "-" } else { "" }));
            }
        }
        fields
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_answers_what_the_list_answers(
        mut rows in vec(row(), 0..40),
        conditions in vec(condition(), 1..4),
        sorted_by in keys(3),
        fields in keys(3),
        unique in any::<bool>(),
    ) {
        let fields = if fields.is_empty() { vec!["a".to_owned()] } else { fields };
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows.dedup_by(|a, b| a.id == b.id);
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let mut index = index(&fields, unique);
        index.cut = rows.iter().any(|row| index.entry(&row.environment()).cut);
        let filter = Expression::parse(&conditions.join(" && "), Scope::Filter).unwrap();
        let order = sort(&sorted_by.join(","));
        let known = known();
        let indexes = [index];
        if let Some(scan) = scan(&indexes[0], &filter.parts(&known), &order) {
            let (expected, found) = (expected(&rows, &filter, &order), read(&rows, &filter, &scan));
            let ids: Vec<&str> = expected.iter().map(|row| row.id.as_str()).collect();
            let mut read: Vec<&str> = found.iter().map(|(_, _, row)| row.id.as_str()).collect();
            if scan.order.is_none() {
                read.sort_unstable();
                let mut ids = ids;
                ids.sort_unstable();
                prop_assert_eq!(read, ids);
            } else if unique {
                // Documents that no unique index would hold together may stand in any order.
                let mut ids = ids;
                ids.sort_unstable();
                read.sort_unstable();
                prop_assert_eq!(read, ids);
            } else {
                prop_assert_eq!(read, ids);
                for (key, tie, row) in &found {
                    let keys: Vec<SortKey> = order.iter().map(|key| key.field.sort_key(&row.environment())).collect();
                    prop_assert_eq!(scan.place(&keys, &row.id), Some((key.clone(), tie.as_str())));
                }
            }
        }
    }
}

/// The index that is chosen among these for a filter and an order: its position, and whether it gives the order.
fn chosen(fields: &[&[&str]], filter: &str, order: &str) -> Option<(usize, bool)> {
    let indexes: Vec<Index> = fields.iter().zip(1..).map(|(fields, id)| Index { id, ..index(fields, false) }).collect();
    let filter = (!filter.is_empty()).then(|| Expression::parse(filter, Scope::Filter).unwrap());
    let known = known();
    let conditions = filter.as_ref().map(|filter| filter.parts(&known)).unwrap_or_default();
    let scan = choose(&indexes, &conditions, &sort(order))?;
    let position = indexes.iter().position(|index| index.id == scan.index.id).unwrap();
    Some((position, scan.order.is_some()))
}

#[test]
fn equality_comes_before_order_and_order_before_range() {
    let all: [&[&str]; 4] = [&["a"], &["a", "-b"], &["b"], &["meta.owner", "-b"]];
    for (filter, order, expected) in [
        ("a == 1", "", Some((0, true))),
        ("a == 1", "-b", Some((1, true))),
        ("a == 1", "b", Some((1, true))),
        ("a == 1 && b > 2", "-b", Some((1, true))),
        ("a == 1 && b > 2", "", Some((0, true))),
        ("b > 2", "", Some((2, false))),
        ("b > 2", "a", Some((0, true))),
        ("", "b", Some((2, true))),
        ("", "-b", Some((2, true))),
        ("", "", None),
        ("c == 1", "", None),
        ("c == 1", "c", None),
        ("b != 1", "", None),
        ("b == 1 || a == 1", "", None),
        ("a == 1 && id == \"x\"", "", None),
        ("meta.owner == caller.id", "", None),
        ("meta.owner == caller.id", "-b", Some((3, true))),
        ("meta.owner == caller.id && a == 1", "", None),
        ("meta.owner == caller.id && b == 1", "", Some((3, true))),
    ] {
        assert_eq!(chosen(&all, filter, order), expected, "{filter} {order}");
    }
}

#[test]
fn what_is_being_built_and_what_is_out_of_order_is_not_used() {
    let conditions = Expression::parse("a == 1", Scope::Filter).unwrap();
    let (known, building) = (known(), [Index { ready: false, ..index(&["a"], false) }]);
    assert_eq!(plan(&building, &conditions.parts(&known), &[]), [Verdict::Building]);
    let cut = [Index { cut: true, ..index(&["b"], false) }];
    assert_eq!(plan(&cut, &[], &sort("b")), [Verdict::Useless]);
    assert_eq!(chosen(&[&["a", "b"]], "", "a"), None);
}
