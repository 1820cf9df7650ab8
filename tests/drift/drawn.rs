//! Operations drawn by chance, all about a few documents so that they meet.

use proptest::{
    collection::vec,
    option, prop_oneof,
    sample::select,
    strategy::{BoxedStrategy, Just, Strategy as _},
};
use serde_json::{Map, Value, json};

/// Who asks: the owner of most documents, another user, or the program.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    Owner,
    Other,
    System,
}

/// When a write may happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Always,
    Exists,
    Absent,
    /// The revision that the last answer about the document told.
    Known,
    /// A revision that never was.
    Stale,
}

/// A write of one document.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Create(Option<&'static str>, Value),
    Replace(&'static str, Value, When),
    Patch(&'static str, Value, When),
    Delete(&'static str, When),
}

/// One call.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Write(Write),
    Get(&'static str),
    Batch(Vec<Write>),
    List { filter: &'static str, sort: &'static str, limit: u32, fields: &'static str },
    Aggregate { filter: &'static str, group: &'static str },
    Distinct(&'static str, &'static str),
    UpdateWhere(&'static str, Value),
    DeleteWhere(&'static str),
}

/// One call by somebody.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) who: Who,
    pub(super) call: Call,
}

/// Filters of every kind, two of them on what may not be asked for.
pub(super) const FILTERS: [&str; 14] = [
    "n > 1",
    "public == true",
    "n == 1.0 || n == 2",
    "has(doc.tags) && size(doc.tags) > 1",
    "\"a\" in doc.tags",
    "code.startsWith(\"c\")",
    "n + 1 > 2",
    "secret == 1",
    "nested.x == null",
    "!(n < 2)",
    "tags == [\"a\", \"b\"]",
    "code in [\"c1\", \"c2\", null]",
    "meta.owner != \"nobody\" && id < \"d\"",
    "text.matches(\"^[a-c]+$\")",
];
const IDS: [&str; 6] = ["a", "b", "c", "d", "é", "z-1"];
const SORTS: [&str; 7] = ["", "n", "-n,code", "tags", "-nested.x", "secret", "meta.owner,-id"];
const FIELDS: [&str; 4] = ["", "n,code", "nested.x,secret", "tags"];

/// Sequences of `1..most` calls.
pub(super) fn steps(most: usize) -> BoxedStrategy<Vec<Step>> {
    let who = prop_oneof![5 => Just(Who::Owner), 2 => Just(Who::Other), 2 => Just(Who::System)];
    let step = (who, call()).prop_map(|(who, call)| Step { who, call });
    vec(step, 1..most).boxed()
}

fn call() -> BoxedStrategy<Call> {
    let list = (select(&FILTERS[..]), option::weighted(0.8, select(&SORTS[..])), 1_u32..5, select(&FIELDS[..]));
    prop_oneof![
        10 => write().prop_map(Call::Write),
        2 => select(&IDS[..]).prop_map(Call::Get),
        2 => vec(write(), 1..5).prop_map(Call::Batch),
        3 => list.prop_map(|(filter, sort, limit, fields)| Call::List {
            filter, sort: sort.unwrap_or(""), limit, fields,
        }),
        1 => (select(&FILTERS[..]), select(vec!["public", "n", "tags", "secret"]))
            .prop_map(|(filter, group)| Call::Aggregate { filter, group }),
        1 => (select(&FILTERS[..]), select(vec!["n", "code", "tags", "secret"]))
            .prop_map(|(filter, field)| Call::Distinct(filter, field)),
        1 => (select(&FILTERS[..]), patch()).prop_map(|(filter, patch)| Call::UpdateWhere(filter, patch)),
        1 => select(&FILTERS[..]).prop_map(Call::DeleteWhere),
    ]
    .boxed()
}

fn write() -> BoxedStrategy<Write> {
    prop_oneof![
        4 => (option::weighted(0.7, select(&IDS[..])), body()).prop_map(|(id, body)| Write::Create(id, body)),
        2 => (select(&IDS[..]), body(), when()).prop_map(|(id, body, when)| Write::Replace(id, body, when)),
        4 => (select(&IDS[..]), patch(), when()).prop_map(|(id, patch, when)| Write::Patch(id, patch, when)),
        1 => (select(&IDS[..]), when()).prop_map(|(id, when)| Write::Delete(id, when)),
    ]
    .boxed()
}

fn when() -> BoxedStrategy<When> {
    let when = vec![When::Always, When::Always, When::Always, When::Exists, When::Absent, When::Known, When::Stale];
    select(when).boxed()
}

fn number() -> BoxedStrategy<Value> {
    select(vec![
        json!(0),
        json!(1),
        json!(2),
        json!(1.5),
        json!(-3),
        json!(i64::MAX),
        json!(1e-7),
        json!(null),
        json!("2"),
    ])
    .boxed()
}

fn tags() -> BoxedStrategy<Value> {
    select(vec![json!([]), json!(["a"]), json!(["a", "b"]), json!(["b", "a", "a"]), json!("a"), json!({"a": 1})])
        .boxed()
}

fn body() -> BoxedStrategy<Value> {
    let members = (
        option::weighted(0.9, number()),
        option::weighted(0.4, select(vec!["c1", "c2", "c3", "d"])),
        option::weighted(0.5, tags()),
        option::weighted(0.5, select(vec![true, false])),
        option::weighted(0.2, 0..3_i64),
        option::weighted(0.2, 0..3_i64),
        option::weighted(0.3, number()),
        option::weighted(0.3, select(vec!["abc", "ABC", "ß", "", "a\u{10FFFF}"])),
    );
    members
        .prop_map(|(n, code, tags, public, secret, born, x, text)| {
            let mut body = Map::new();
            let mut put = |name: &str, value: Option<Value>| value.map(|value| body.insert(name.to_owned(), value));
            put("n", n);
            put("code", code.map(Value::from));
            put("tags", tags);
            put("public", public.map(Value::from));
            put("secret", secret.map(Value::from));
            put("born", born.map(Value::from));
            put("nested", x.map(|x| json!({"x": x, "y": {"z": [1, {"deep": true}]}})));
            put("text", text.map(Value::from));
            Value::Object(body)
        })
        .boxed()
}

fn patch() -> BoxedStrategy<Value> {
    prop_oneof![
        3 => body(),
        2 => select(vec![json!(1), json!(-2.5), json!(i64::MAX), json!("x")]).prop_map(|by| json!({"n": {"$inc": by}})),
        1 => tags().prop_map(|tags| json!({"tags": {"$append": tags}})),
        1 => tags().prop_map(|tags| json!({"tags": {"$add_unique": tags}})),
        1 => tags().prop_map(|tags| json!({"tags": {"$remove": tags}})),
        1 => number().prop_map(|n| json!({"n": {"$set_if_absent": n}})),
        1 => number().prop_map(|x| json!({"nested": {"x": x, "y": null}, "text": null})),
        1 => Just(json!({"nested": {"x": {"$inc": 1}}, "$unknown": 1})),
        1 => Just(json!({"secret": {"$inc": 1}})),
    ]
    .boxed()
}
