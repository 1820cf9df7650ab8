//! Steps drawn by chance: two tenants, two collections, few documents, so that they meet.

use proptest::{
    collection::vec,
    option, prop_oneof,
    sample::select,
    strategy::{BoxedStrategy, Just, Strategy as _},
};
use serde_json::{Map, Value, json};

use super::{
    filter::Filter,
    lines::{Import, import},
};

/// Who asks. The three users are the same in both tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    User(usize),
    Nobody,
    Admin,
    System,
}

/// Which collection of the tenant: one that nobody has configured, or one with rules and indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Plain,
    Ruled,
}

/// A document: by its name, or one whose id the backend made, whichever that is by then.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Named(&'static str),
    Made(usize),
}

/// When a write may happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Always,
    Exists,
    Absent,
    /// The revision that the last answer about the document told.
    Known,
    /// The first revision that was ever told of it.
    Old,
}

/// An operation about one document.
#[derive(Clone, Debug)]
pub(super) enum One {
    Create(Option<&'static str>, Value),
    Replace(Target, Value, When),
    Patch(Target, Value, When),
    Delete(Target, When),
    Get(Target),
    Check(Target, When),
}

/// What is done to the documents that match.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Patch(Value),
    Delete,
}

/// A list.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) filter: Filter,
    pub(super) sort: &'static str,
    pub(super) limit: u32,
    pub(super) counted: Option<u64>,
}

/// One call.
#[derive(Clone, Debug)]
pub(super) enum Call {
    One(Place, One),
    Batch(Vec<(Place, One)>),
    /// All pages, forwards and back again.
    Pages(Place, List),
    /// The first page of a list whose other pages are asked for by later steps.
    Open(usize, Place, List),
    Forwards(usize),
    Backwards(usize),
    Distinct(Place, Filter, &'static str, u32),
    Groups(Place, Filter, &'static str),
    Matching(usize, Place, Filter, Change, u32),
    /// Where a write by filter stopped, it goes on.
    GoOn(usize),
    Import(Place, Import),
}

/// One call by somebody in a tenant.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// By how many microseconds the clock is turned before.
    pub(super) later: u32,
    pub(super) tenant: usize,
    pub(super) who: Who,
    pub(super) call: Call,
}

/// Somebody who watches during the whole sequence.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) tenant: usize,
    pub(super) who: Who,
    pub(super) place: Place,
    pub(super) id: Option<&'static str>,
    pub(super) filter: Option<Filter>,
}

/// How many lists, and how many writes by filter, are under way at once.
pub(super) const SLOTS: usize = 3;
pub(super) const IDS: [&str; 6] = ["a", "b", "B", "c", "é", "z-1"];
const PATHS: [&str; 6] = ["n", "code", "tags", "public", "nested.x", "text"];
const SORTS: [&str; 11] = [
    "",
    "n",
    "-n,code",
    "tags",
    "-nested.x",
    "public,-n",
    "meta.owner,-id",
    "-code",
    "text,-tags",
    "meta.created_at",
    "-meta.updated_at,n",
];

/// Who watches, and a sequence of at most `most` steps.
pub(super) fn sequence(most: usize) -> BoxedStrategy<(Vec<Watch>, Vec<Step>)> {
    let tenant = || prop_oneof![4 => Just(0), 1 => Just(1)];
    let watch = (tenant(), who(), place(), option::weighted(0.2, select(&IDS[..])), option::weighted(0.5, filter()))
        .prop_map(|(tenant, who, place, id, filter)| Watch { tenant, who, place, id, filter });
    let later = prop_oneof![1 => Just(0), 1 => 1_u32..5_000, 1 => 1_u32..2_000_000];
    let step =
        (later, tenant(), who(), call()).prop_map(|(later, tenant, who, call)| Step { later, tenant, who, call });
    (vec(watch, 0..4), vec(step, 1..=most)).boxed()
}

fn who() -> BoxedStrategy<Who> {
    prop_oneof![
        6 => Just(Who::User(0)), 3 => Just(Who::User(1)), 1 => Just(Who::User(2)), 1 => Just(Who::Nobody),
        1 => Just(Who::Admin), 2 => Just(Who::System),
    ]
    .boxed()
}

fn place() -> BoxedStrategy<Place> {
    prop_oneof![1 => Just(Place::Plain), 2 => Just(Place::Ruled)].boxed()
}

fn call() -> BoxedStrategy<Call> {
    let change = || prop_oneof![3 => patch().prop_map(Change::Patch), 1 => Just(Change::Delete)];
    prop_oneof![
        16 => (place(), one()).prop_map(|(place, one)| Call::One(place, one)),
        3 => vec((place(), one()), 1..6).prop_map(Call::Batch),
        3 => (place(), list()).prop_map(|(place, list)| Call::Pages(place, list)),
        2 => (0..SLOTS, place(), list()).prop_map(|(slot, place, list)| Call::Open(slot, place, list)),
        4 => (0..SLOTS).prop_map(Call::Forwards),
        1 => (0..SLOTS).prop_map(Call::Backwards),
        1 => (place(), timed(), select(&PATHS[..]), 1_u32..6)
            .prop_map(|(place, filter, path, limit)| Call::Distinct(place, filter, path, limit)),
        1 => (place(), timed(), select(&PATHS[..])).prop_map(|(place, filter, path)| Call::Groups(place, filter, path)),
        2 => (0..SLOTS, place(), timed(), change(), 1_u32..4)
            .prop_map(|(slot, place, filter, change, limit)| Call::Matching(slot, place, filter, change, limit)),
        2 => (0..SLOTS).prop_map(Call::GoOn),
        2 => (place(), import()).prop_map(|(place, import)| Call::Import(place, import)),
    ]
    .boxed()
}

fn list() -> BoxedStrategy<List> {
    let counted = option::weighted(0.5, select(vec![u64::MAX, 1, 3]));
    (timed(), select(&SORTS[..]), 1_u32..4, counted)
        .prop_map(|(filter, sort, limit, counted)| List { filter, sort, limit, counted })
        .boxed()
}

fn one() -> BoxedStrategy<One> {
    prop_oneof![
        6 => (option::weighted(0.7, select(&IDS[..])), body()).prop_map(|(id, body)| One::Create(id, body)),
        3 => (target(), body(), when()).prop_map(|(id, body, when)| One::Replace(id, body, when)),
        5 => (target(), patch(), when()).prop_map(|(id, patch, when)| One::Patch(id, patch, when)),
        2 => (target(), when()).prop_map(|(id, when)| One::Delete(id, when)),
        2 => target().prop_map(One::Get),
        1 => (target(), when()).prop_map(|(id, when)| One::Check(id, when)),
    ]
    .boxed()
}

fn target() -> BoxedStrategy<Target> {
    prop_oneof![3 => select(&IDS[..]).prop_map(Target::Named), 2 => (0_usize..64).prop_map(Target::Made)].boxed()
}

fn when() -> BoxedStrategy<When> {
    select(vec![When::Always, When::Always, When::Always, When::Exists, When::Absent, When::Known, When::Old]).boxed()
}

fn value() -> BoxedStrategy<Value> {
    select(vec![
        json!(0),
        json!(1),
        json!(2),
        json!(1.5),
        json!(2.0),
        json!(-3),
        json!(-0.5),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(9_007_199_254_740_993_i64),
        json!(9_007_199_254_740_992_i64),
        json!(1e300),
        json!(1e-7),
        json!(null),
        json!(true),
        json!("2"),
        json!(["a"]),
        json!({"x": 1}),
    ])
    .boxed()
}

fn tags() -> BoxedStrategy<Value> {
    select(vec![
        json!([]),
        json!(["a"]),
        json!(["a", "b"]),
        json!(["b", 1, 1.0, null]),
        json!([["a"], {"k": [1]}]),
        json!("a"),
        json!({"a": 1}),
    ])
    .boxed()
}

fn code() -> BoxedStrategy<Value> {
    select(vec![
        json!("c1"),
        json!("c2"),
        json!("C1"),
        json!("d"),
        json!(1),
        json!(null),
        json!("é"),
        json!("e\u{301}"),
    ])
    .boxed()
}

fn text() -> BoxedStrategy<Value> {
    select(vec![
        json!("abc"),
        json!("ABC"),
        json!("ß"),
        json!(""),
        json!("a\u{10FFFF}"),
        json!("a\u{FFFD}"),
        json!("100%_"),
    ])
    .boxed()
}

pub(super) fn body() -> BoxedStrategy<Value> {
    let members = (
        option::weighted(0.8, value()),
        option::weighted(0.4, code()),
        option::weighted(0.5, tags()),
        option::weighted(0.5, prop_oneof![8 => Just(json!(true)), 4 => Just(json!(false)), 1 => Just(json!("true"))]),
        option::weighted(0.3, prop_oneof![5 => value().prop_map(|x| json!({"x": x, "y": {"z": [1]}})), 1 => value()]),
        option::weighted(0.3, text()),
    );
    members
        .prop_map(|(n, code, tags, public, nested, text)| {
            let members =
                [("n", n), ("code", code), ("tags", tags), ("public", public), ("nested", nested), ("text", text)];
            let there = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            Value::Object(there.collect::<Map<_, _>>())
        })
        .boxed()
}

fn patch() -> BoxedStrategy<Value> {
    prop_oneof![
        3 => body(),
        3 => select(vec![json!(1), json!(-2.5), json!(0.5), json!(i64::MAX), json!(1e308), json!("x")])
            .prop_map(|by| json!({"n": {"$inc": by}})),
        1 => tags().prop_map(|tags| json!({"tags": {"$append": tags}})),
        1 => value().prop_map(|tag| json!({"tags": {"$add_unique": tag}})),
        1 => value().prop_map(|tag| json!({"tags": {"$remove": tag}})),
        1 => value().prop_map(|n| json!({"n": {"$set_if_absent": n}})),
        1 => code().prop_map(|code| json!({"code": code})),
        1 => value().prop_map(|x| json!({"nested": {"x": x, "y": null}, "text": null})),
        1 => Just(json!({"nested": {"x": {"$inc": 1}, "w": {"v": {"$append": 1}}}})),
        1 => Just(json!({"n": {"$push": 1}})),
        1 => select(vec![json!(true), json!(true), json!(true), json!(false), json!(1)])
            .prop_map(|operand| json!({"text": {"$now": operand}})),
        1 => Just(json!({"nested": {"x": {"$now": true}}, "code": {"$now": true}})),
        1 => Just(json!({"nested": {"x": {"$inc": 1, "y": 2}}})),
        1 => Just(json!({})),
    ]
    .boxed()
}

/// A filter that may ask for the age of documents too, which no subscription knows: there the clock goes on.
fn timed() -> BoxedStrategy<Filter> {
    let moments = vec!["meta.created_at", "meta.updated_at"];
    let age = (select(moments), select(vec!["<", "<=", ">", ">="]), prop_oneof![Just(0), 0_u32..4_000, Just(u32::MAX)])
        .prop_map(|(moment, operator, millis)| Filter::Age(moment, operator, millis));
    let and = (filter(), age.clone()).prop_map(|(a, b)| Filter::And(Box::new(a), Box::new(b)));
    prop_oneof![8 => filter(), 1 => age, 1 => and].boxed()
}

fn filter() -> BoxedStrategy<Filter> {
    let operator = || select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let scalar = || {
        prop_oneof![
            4 => value().prop_filter("arrays are no literals of a comparison", |value| !value.is_array() && !value.is_object()),
            1 => code(), 1 => text(), 1 => Just(json!(false)),
        ]
    };
    let leaf = prop_oneof![
        1 => Just(Filter::True),
        6 => (select(&PATHS[..]), operator(), scalar()).prop_map(|(path, operator, value)| Filter::Compare(path, operator, value)),
        1 => (operator(), select(&IDS[..])).prop_map(|(operator, id)| Filter::Compare("id", operator, json!(id))),
        1 => operator().prop_map(|operator| Filter::Compare("meta.owner", operator, json!(null))),
        2 => select(&PATHS[..]).prop_map(Filter::Has),
        1 => (select(&PATHS[..]), vec(scalar(), 1..4)).prop_map(|(path, values)| Filter::In(path, values)),
        1 => (select(vec![json!("a"), json!(1), json!(null)]), select(vec!["tags", "nested"]))
            .prop_map(|(value, path)| Filter::Holds(value, path)),
        1 => (select(vec!["tags", "text", "nested", "code"]), operator(), 0_i64..4)
            .prop_map(|(path, operator, number)| Filter::Size(path, operator, number)),
        1 => (select(vec!["text", "code"]), select(vec!["contains", "startsWith", "endsWith"]), select(vec!["", "a", "c", "%", "ß", "C1"]))
            .prop_map(|(path, function, argument)| Filter::Text(path, function, argument)),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Filter::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Filter::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|a| Filter::Not(Box::new(a))),
        ]
    })
    .boxed()
}
