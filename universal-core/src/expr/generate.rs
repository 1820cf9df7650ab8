//! Documents and expressions at random, for the tests that hold the evaluators together.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::{
    clock::Timestamp,
    expr::{CallerFacts, Environment, Known},
    json,
};

/// A row of documents.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) document: Map<String, Value>,
    pub(crate) owner: Option<String>,
    pub(crate) revision: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

impl Row {
    pub(crate) fn environment<'a>(&'a self, known: &Known<'a>) -> Environment<'a> {
        Environment::new(&self.id, &self.document)
            .with_owner(self.owner.as_deref())
            .with_revision(&self.revision)
            .with_moments(Timestamp::from_micros(self.created_at), Timestamp::from_micros(self.updated_at))
            .with_known(*known)
    }
}

/// The caller of all of them.
#[derive(Debug)]
pub(crate) struct Asker {
    roles: Vec<String>,
    claims: Map<String, Value>,
}

impl Asker {
    pub(crate) fn new() -> Self {
        let claims = json!({
            "x": 1, "t": "a", "l": [1, "a", null, 2.5, [1]], "o": {"x": "b", "a": 3}, "f": true, "d": 0.1, "n": null,
        });
        let Value::Object(claims) = claims else { unreachable!() };
        Self { roles: vec!["admin".to_owned(), "a".to_owned(), "é".to_owned()], claims }
    }

    pub(crate) fn known(&self) -> Known<'_> {
        let caller = CallerFacts::nobody()
            .with_id(Some("ann"))
            .with_roles(&self.roles)
            .with_claims(Some(&self.claims))
            .with_tenant("acme");
        Known::new(caller, Timestamp::from_micros(1_767_323_045_680_123))
    }
}

pub(crate) const FIELDS: [&str; 16] = [
    "a",
    "b",
    "n",
    "m",
    "t",
    "l",
    "o",
    "doc.c",
    "doc[\"a-b\"]",
    "doc.a.x",
    "doc.b[\"0\"]",
    "doc.c.x.y",
    "doc[\"é'%$1\"]",
    "doc[\"\"]",
    "id",
    "meta.owner",
];
const ITEMS: [&str; 6] = ["doc.l[0]", "l[1]", "doc.a[0]", "doc.b[1].x", "doc.o.x[0]", "l[0][0]"];
const FACTS: [&str; 12] = [
    "caller.id",
    "caller.tenant",
    "caller.claims.x",
    "caller.claims.t",
    "caller.claims.gone",
    "caller.claims.o.x",
    "caller.claims.l[1]",
    "caller.claims.d",
    "caller.claims.n",
    "caller.claims.l",
    "caller.claims.f",
    "meta.revision",
];
pub(crate) const TEXTS: [&str; 22] = [
    "",
    "a",
    "A",
    "b",
    "Z",
    "é",
    "z",
    "\u{FFFF}",
    "\u{10FFFF}",
    "a\"b",
    "a\\b",
    "\t",
    "\u{1}",
    "1",
    "true",
    "null",
    "%",
    "'",
    "ann",
    "id-3",
    "r-1",
    "2026-01-02T03:04:05.678Z",
];

fn number() -> impl Strategy<Value = f64> {
    // Neighbours of a few doubles, so that off by one unit shows.
    let bases = [
        1e300,
        1.234_567_890_123_456_7e203,
        4.366_508_223_114_724e-137,
        5e-324,
        1e-6,
        1e-5,
        0.1,
        3.3,
        1e15,
        9e18,
        1e19,
        9e99,
        9_007_199_254_740_991.5,
    ];
    prop_oneof![
        2 => (select(bases.to_vec()), 0..4_u64, any::<bool>()).prop_map(|(base, ulps, negative): (f64, u64, bool)| {
            let value = f64::from_bits(base.to_bits() + ulps);
            if negative { -value } else { value }
        }),
        3 => (-20..20_i32).prop_map(|n| f64::from(n) / 4.0),
        1 => any::<f64>().prop_filter("finite", |value| value.is_finite()),
    ]
}

fn integer() -> impl Strategy<Value = i64> {
    let edges = vec![
        i64::MIN,
        i64::MIN + 1,
        i64::MAX,
        i64::MAX - 1,
        1 << 53,
        (1 << 53) + 1,
        (1 << 53) + 2,
        1 << 62,
        3_037_000_500,
    ];
    prop_oneof![3 => -3..5_i64, 1 => select(edges)]
}

fn numeric() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => integer().prop_map(Value::from),
        1 => number().prop_map(|value| Value::Number(json::from_f64(value).unwrap())),
    ]
}

pub(crate) fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(json!(null)),
        2 => any::<bool>().prop_map(Value::from),
        6 => numeric(),
        3 => select(TEXTS.to_vec()).prop_map(Value::from),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(select(vec!["x", "y", "0", "", "a"]), inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn text_value() -> impl Strategy<Value = Value> {
    let parts = select(vec!["", "a", "b", "ab", "é", "z", "\u{10FFFF}", "1"]);
    prop::collection::vec(parts, 0..4).prop_map(|parts| Value::from(parts.concat()))
}

fn document() -> impl Strategy<Value = Map<String, Value>> {
    let anything = prop::collection::btree_map(select(vec!["a", "b", "c", "a-b", "é'%$1", ""]), any_value(), 0..6);
    let list = prop::collection::vec(prop_oneof![4 => scalar(), 1 => any_value()], 0..4).prop_map(Value::from);
    let object = prop::collection::btree_map(select(vec!["x", "a", "b", "é"]), scalar(), 0..3)
        .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()));
    let typed = (
        prop::option::weighted(0.9, numeric()),
        prop::option::weighted(0.9, numeric()),
        prop::option::weighted(0.9, text_value()),
        prop::option::weighted(0.9, list),
        prop::option::weighted(0.9, object),
    );
    (anything, typed).prop_map(|(anything, (n, m, t, l, o)): (BTreeMap<&str, Value>, _)| {
        let mut members: Map<String, Value> =
            anything.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        for (key, value) in [("n", n), ("m", m), ("t", t), ("l", l), ("o", o)] {
            if let Some(value) = value {
                members.insert(key.to_owned(), value);
            }
        }
        members
    })
}

/// So many rows, each with an id of its own.
pub(crate) fn rows(count: usize) -> impl Strategy<Value = Vec<Row>> {
    let moment = 1_767_323_045_670_000..1_767_323_045_690_000_i64;
    let row = (document(), prop::option::of(select(vec!["ann", "bob", "a", "Z"])), moment.clone(), moment, 0..3_u8);
    prop::collection::vec(row, count..=count).prop_map(|rows| {
        rows.into_iter()
            .enumerate()
            .map(|(index, (document, owner, created_at, updated_at, revision))| Row {
                id: if index == 4 { "é\"\\4".to_owned() } else { format!("id-{index}") },
                document,
                owner: owner.map(str::to_owned),
                revision: format!("r-{revision}"),
                created_at,
                updated_at,
            })
            .collect()
    })
}

fn written(value: &Value) -> String {
    match value {
        // A few controls have no escape in JSON that CEL knows; \u is in both.
        Value::String(_) => value.to_string(),
        _ => json::value_to_text(value),
    }
}

/// Parts of expressions of one depth, by type. The members of a document may be of any type, whatever is expected.
#[derive(Clone, Debug)]
struct Parts {
    any: BoxedStrategy<String>,
    number: BoxedStrategy<String>,
    text: BoxedStrategy<String>,
    moment: BoxedStrategy<String>,
    duration: BoxedStrategy<String>,
    condition: BoxedStrategy<String>,
}

fn words(words: &[&'static str]) -> BoxedStrategy<String> {
    select(words.to_vec()).prop_map(str::to_owned).boxed()
}

fn leaves() -> Parts {
    let literal = scalar().prop_map(|value| written(&value)).boxed();
    let any = prop_oneof![6 => words(&FIELDS), 4 => literal.clone(), 1 => words(&ITEMS), 1 => words(&FACTS)].boxed();
    let numbers = numeric().prop_map(|value| written(&value)).boxed();
    let texts = prop_oneof![select(TEXTS.to_vec()), select(vec!["ab", "bé"])];
    let literal_text = texts.prop_map(|text| written(&Value::from(text))).boxed();
    let milliseconds = 670..690_u32;
    let stamp = milliseconds.clone().prop_map(|ms| format!("timestamp(\"2026-01-02T03:04:05.{ms}Z\")"));
    Parts {
        number: prop_oneof![4 => words(&["n", "m"]), 3 => numbers, 1 => any.clone()].boxed(),
        text: prop_oneof![
            4 => words(&["t", "id", "meta.owner", "caller.id", "meta.revision"]),
            3 => literal_text,
            1 => any.clone(),
        ]
        .boxed(),
        moment: prop_oneof![3 => words(&["meta.created_at", "meta.updated_at", "now"]), 1 => stamp].boxed(),
        duration: words(&["duration(\"1ms\")", "duration(\"-3ms\")", "duration(\"0.01s\")", "duration(\"9999h\")"]),
        condition: prop_oneof![
            // A text that is known to be one is no condition.
            2 => select(FIELDS.to_vec()).prop_filter("no id", |field| *field != "id").prop_map(str::to_owned),
            1 => words(&["true", "false", "has(caller.id)", "caller.claims.f", "has(caller.claims.gone)"]),
            2 => select(FIELDS.to_vec()).prop_map(|field| format!("has({field})")),
        ]
        .boxed(),
        any,
    }
}

fn symbol() -> BoxedStrategy<String> {
    words(&["==", "!=", "<", "<=", ">", ">="])
}

fn deeper(parts: &Parts) -> Parts {
    let Parts { any, number, text, moment, duration, condition } = parts.clone();
    let binary = |left: &BoxedStrategy<String>, operators: &[&'static str], right: &BoxedStrategy<String>| {
        (left.clone(), words(operators), right.clone()).prop_map(|(a, o, b)| format!("({a} {o} {b})")).boxed()
    };
    let choice = |of: &BoxedStrategy<String>| {
        (condition.clone(), of.clone(), of.clone()).prop_map(|(c, a, b)| format!("({c} ? {a} : {b})")).boxed()
    };
    let sized = prop_oneof![any.clone(), text.clone(), words(&["l", "o", "caller.roles", "caller.claims.l"])];
    let size =
        prop_oneof![sized.clone().prop_map(|x| format!("size({x})")), sized.prop_map(|x| format!("({x}).size()"))];
    let new_number = prop_oneof![
        4 => binary(&number, &["+", "-", "*", "/", "%"], &number),
        1 => number.clone().prop_map(|x| format!("(-({x}))")),
        1 => size,
        1 => choice(&number),
    ];
    let new_text = prop_oneof![3 => binary(&text, &["+"], &text), 1 => choice(&text)];
    let sum = binary(&any, &["+"], &any);
    let lists = prop_oneof![
        2 => prop::collection::vec(scalar().prop_map(|value| written(&value)), 0..5)
            .prop_map(|items| format!("[{}]", items.join(", "))),
        2 => prop::collection::vec(any.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
        3 => words(&["l", "o", "a", "b", "caller.roles", "caller.claims.l", "caller.claims.o", "doc.c"]),
    ];
    let stamps = (670..690_u32).prop_map(|ms| format!("\"2026-01-02T03:04:05.{ms}Z\""));
    let times = prop_oneof![
        (moment.clone(), symbol(), moment.clone()).prop_map(|(a, s, b)| format!("({a} {s} {b})")),
        (duration.clone(), symbol(), duration.clone()).prop_map(|(a, s, b)| format!("({a} {s} {b})")),
        (moment.clone(), symbol(), stamps.clone()).prop_map(|(a, s, b)| format!("({a} {s} {b})")),
        (moment.clone(), prop::collection::vec(stamps, 0..3))
            .prop_map(|(a, list)| format!("({a} in [{}])", list.join(", "))),
        (moment.clone(), prop::collection::vec(moment.clone(), 0..3))
            .prop_map(|(a, list)| format!("({a} in [{}])", list.join(", "))),
    ];
    let new_condition = prop_oneof![
        5 => (any.clone(), symbol(), any.clone()).prop_map(|(a, s, b)| format!("({a} {s} {b})")),
        2 => (number.clone(), symbol(), number.clone()).prop_map(|(a, s, b)| format!("({a} {s} {b})")),
        2 => (text.clone(), symbol(), text.clone()).prop_map(|(a, s, b)| format!("({a} {s} {b})")),
        1 => times,
        3 => (any.clone(), lists).prop_map(|(a, list)| format!("({a} in {list})")),
        3 => (text.clone(), words(&["contains", "startsWith", "endsWith"]), text.clone())
            .prop_map(|(a, f, b)| format!("({a}).{f}({b})")),
        2 => prop::collection::vec(condition.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
        2 => prop::collection::vec(condition.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
        1 => condition.clone().prop_map(|part| format!("!({part})")),
        1 => choice(&condition),
        1 => condition.clone(),
    ];
    let new_any = prop_oneof![
        4 => any.clone(),
        2 => new_number.clone(),
        1 => new_text.clone(),
        2 => sum,
        1 => new_condition.clone(),
        1 => choice(&any),
        1 => prop::collection::vec(scalar().prop_map(|value| written(&value)), 0..3)
            .prop_map(|items| format!("[{}]", items.join(", "))),
    ];
    Parts {
        any: new_any.boxed(),
        number: prop_oneof![number, new_number].boxed(),
        text: prop_oneof![text, new_text].boxed(),
        moment: prop_oneof![
            3 => moment.clone(),
            1 => binary(&moment, &["+", "-"], &duration),
            1 => choice(&moment),
        ]
        .boxed(),
        duration: prop_oneof![
            2 => duration.clone(),
            1 => binary(&moment, &["-"], &moment),
            1 => binary(&duration, &["+", "-"], &duration),
        ]
        .boxed(),
        condition: new_condition.boxed(),
    }
}

/// The text of a condition in which a filter may be a few operations deep. Most are ones that a list can have.
pub(crate) fn expression() -> BoxedStrategy<String> {
    let one = deeper(&leaves());
    let two = deeper(&one);
    let three = deeper(&two);
    prop_oneof![2 => one.condition, 3 => two.condition, 2 => three.condition].boxed()
}
