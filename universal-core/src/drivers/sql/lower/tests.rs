//! Memory, SQLite and PostgreSQL give the same answers and the same order.
#![cfg(all(feature = "sqlite", feature = "postgres"))]

use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, Statement};
use serde_json::{Map, Value as Json, json};
use tokio::runtime::Runtime;

use crate::{
    clock::Timestamp,
    drivers::sql::{
        dialect::Dialect,
        lower::{lower, sort_bounds, sort_terms},
    },
    expr::{CallerFacts, Environment, Expression, Field, Known, Scope},
    json::{Object, order::SortKey, restore},
};

const TABLE: &str = "CREATE TEMPORARY TABLE rows (id TEXT PRIMARY KEY, body {json} NOT NULL, revision TEXT NOT NULL, \
                     owner_id TEXT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)";
const CALLER: &str = "ann";

fn nobody() -> Known<'static> {
    Known::new(CallerFacts::nobody(), Timestamp::from_micros(0))
}

fn known() -> Known<'static> {
    Known::new(CallerFacts::nobody().with_id(Some(CALLER)), Timestamp::from_micros(1_767_323_045_680_123))
}

/// One row of documents.
#[derive(Clone, Debug)]
struct Row {
    id: String,
    document: Map<String, Json>,
    owner: Option<String>,
    revision: String,
    created_at: i64,
    updated_at: i64,
}

impl Row {
    fn environment(&self) -> Environment<'_> {
        Environment::new(&self.id, &self.document)
            .with_owner(self.owner.as_deref())
            .with_revision(&self.revision)
            .with_moments(Timestamp::from_micros(self.created_at), Timestamp::from_micros(self.updated_at))
            .with_known(known())
    }
}

struct Store {
    dialect: Dialect,
    connection: DatabaseConnection,
}

impl Store {
    async fn open(url: &str, dialect: Dialect) -> Self {
        let mut options = ConnectOptions::new(url);
        // One connection: the temporary table is its own.
        options.max_connections(1).min_connections(1).sqlx_logging(false);
        let connection = Database::connect(options).await.unwrap();
        let json = if dialect == Dialect::Postgres { "JSONB" } else { "TEXT" };
        connection.execute_unprepared(&TABLE.replace("{json}", json)).await.unwrap();
        Self { dialect, connection }
    }

    fn statement(&self, sql: &str, values: Vec<sea_orm::Value>) -> Statement {
        Statement::from_sql_and_values(self.dialect.backend(), sql, values)
    }

    async fn fill(&self, rows: &[Row]) {
        self.connection.execute_unprepared("DELETE FROM rows").await.unwrap();
        let mut values: Vec<sea_orm::Value> = Vec::new();
        let mut tuples = Vec::new();
        for row in rows {
            let n = values.len();
            let body = self.dialect.json_in(&format!("${}", n + 2));
            tuples.push(format!("(${}, {body}, ${}, ${}, ${}, ${})", n + 1, n + 3, n + 4, n + 5, n + 6));
            let text = Object::from_value(Json::Object(row.document.clone())).unwrap().to_text();
            values.push(row.id.as_str().into());
            values.push(text.into());
            values.push(row.revision.as_str().into());
            values.push(row.owner.clone().into());
            values.push(row.created_at.into());
            values.push(row.updated_at.into());
        }
        let sql = format!(
            "INSERT INTO rows (id, body, revision, owner_id, created_at, updated_at) VALUES {}",
            tuples.join(", ")
        );
        self.connection.execute_raw(self.statement(&sql, values)).await.unwrap();
        // What comes back is what went in.
        let sql = format!("SELECT id, {} FROM rows", self.dialect.json_out("body"));
        for found in self.connection.query_all_raw(self.statement(&sql, vec![])).await.unwrap() {
            let (id, body): (String, String) = (found.try_get_by_index(0).unwrap(), found.try_get_by_index(1).unwrap());
            let row = rows.iter().find(|row| row.id == id).unwrap();
            let expected = Object::from_value(Json::Object(row.document.clone())).unwrap();
            assert_eq!(Object::from_stored(&body).unwrap(), expected);
            let restored = Object::from_stored(&restore(body)).unwrap().to_text();
            assert_eq!(restored, expected.to_text());
        }
    }

    /// The answer of an expression about each row, by id.
    async fn answers(&self, expression: &Expression) -> Vec<(String, Option<bool>)> {
        let lowered = lower(expression, self.dialect, &known(), 2).unwrap();
        let sql = format!(
            "SELECT id, CASE WHEN answer THEN 't' WHEN NOT answer THEN 'f' ELSE 'e' END \
             FROM (SELECT id, {} AS answer FROM rows WHERE id <> $1) answers",
            lowered.sql
        );
        let mut values = vec!["".into()];
        values.extend(lowered.values);
        let rows = match self.connection.query_all_raw(self.statement(&sql, values)).await {
            Ok(rows) => rows,
            Err(error) => panic!("{:?}: {expression}: {sql}: {error}", self.dialect),
        };
        let answer = |row: sea_orm::QueryResult| {
            let answer: String = row.try_get_by_index(1).unwrap();
            let answer = match answer.as_str() {
                "t" => Some(true),
                "f" => Some(false),
                _ => None,
            };
            (row.try_get_by_index(0).unwrap(), answer)
        };
        let mut answers: Vec<_> = rows.into_iter().map(answer).collect();
        answers.sort();
        answers
    }

    /// The ids in the order of a field, optionally only those after a row's place in it.
    async fn sorted(&self, field: &Field, after: Option<(&SortKey, &str)>) -> Vec<String> {
        let mut values: Vec<sea_orm::Value> = Vec::new();
        let mut condition = "TRUE".to_owned();
        let bytewise = self.dialect.bytewise();
        if let Some((key, id)) = after {
            let bounds = sort_bounds(field, key, self.dialect, 1);
            values.extend(bounds.iter().flat_map(|bound| bound.values.clone()));
            values.push(id.into());
            let mut left: Vec<String> = bounds.iter().map(|bound| bound.term.clone()).collect();
            let mut right: Vec<String> = bounds.iter().map(|bound| bound.bound.clone()).collect();
            left.push(format!("id{bytewise}"));
            right.push(format!("${}", values.len()));
            condition = format!("({}) > ({})", left.join(", "), right.join(", "));
        }
        let terms = sort_terms(field, self.dialect, values.len() + 1);
        values.extend(terms.values);
        let sql = format!("SELECT id FROM rows WHERE {condition} ORDER BY {}, id{bytewise}", terms.terms.join(", "));
        let rows = match self.connection.query_all_raw(self.statement(&sql, values)).await {
            Ok(rows) => rows,
            Err(error) => panic!("{:?}: {sql}: {error}", self.dialect),
        };
        rows.into_iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }
}

/// Both databases and the runtime they run on.
struct Stores {
    runtime: Runtime,
    stores: [Store; 2],
}

impl Stores {
    fn open() -> Self {
        let url = std::env::var("UNIVERSAL_TEST_POSTGRES_URL").unwrap_or_else(|_| {
            panic!("set UNIVERSAL_TEST_POSTGRES_URL to a PostgreSQL server, or run `tests/run`, which starts one")
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stores = runtime.block_on(async {
            [Store::open("sqlite::memory:", Dialect::Sqlite).await, Store::open(&url, Dialect::Postgres).await]
        });
        Self { runtime, stores }
    }

    fn check(&self, rows: &[Row], expressions: &[String]) -> Result<(), TestCaseError> {
        self.runtime.block_on(async {
            for store in &self.stores {
                store.fill(rows).await;
            }
            for text in expressions {
                let expression = match Expression::parse(text, Scope::Filter) {
                    Ok(expression) => expression,
                    Err(error) => return Err(TestCaseError::fail(format!("{text}: {error}"))),
                };
                let mut expected: Vec<_> = rows
                    .iter()
                    .map(|row| (row.id.clone(), expression.evaluate(&row.environment()).to_option()))
                    .collect();
                expected.sort();
                for store in &self.stores {
                    let answers = store.answers(&expression).await;
                    for (found, expected) in answers.iter().zip(&expected) {
                        let row = rows.iter().find(|row| row.id == expected.0);
                        prop_assert_eq!(found, expected, "{:?}: {} about {:?}", store.dialect, expression, row);
                    }
                    prop_assert_eq!(answers.len(), expected.len());
                }
            }
            Ok(())
        })
    }

    fn check_order(&self, rows: &[Row], fields: &[Field]) -> Result<(), TestCaseError> {
        self.runtime.block_on(async {
            for store in &self.stores {
                store.fill(rows).await;
            }
            for field in fields {
                let mut keyed: Vec<_> =
                    rows.iter().map(|row| (field.sort_key(&row.environment()), row.id.clone())).collect();
                keyed.sort();
                let ids = |rows: &[(SortKey, String)]| rows.iter().map(|row| row.1.clone()).collect::<Vec<_>>();
                for store in &self.stores {
                    let found = store.sorted(field, None).await;
                    prop_assert_eq!(found, ids(&keyed), "{:?}: {} of {:?}", store.dialect, field, &keyed);
                    for (index, (key, id)) in keyed.iter().enumerate().step_by(7) {
                        let key = SortKey::from_value(&key.to_value()).unwrap();
                        let found = store.sorted(field, Some((&key, id))).await;
                        prop_assert_eq!(
                            found,
                            ids(&keyed[index + 1..]),
                            "{:?}: {} after {:?}",
                            store.dialect,
                            field,
                            key
                        );
                    }
                }
            }
            Ok(())
        })
    }
}

const FIELDS: [&str; 14] = [
    "a",
    "b",
    "doc.c",
    "doc[\"a-b\"]",
    "doc.a.x",
    "doc.b[\"0\"]",
    "doc.c.x.y",
    "doc[\"é'%$1\"]",
    "doc[\"\"]",
    "id",
    "meta.owner",
    "meta.revision",
    "meta.created_at",
    "meta.updated_at",
];
const TEXTS: [&str; 22] = [
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
    ];
    prop_oneof![
        (select(bases.to_vec()), 0..4_u64, any::<bool>()).prop_map(|(base, ulps, negative): (f64, u64, bool)| {
            let value = f64::from_bits(base.to_bits() + ulps);
            if negative { -value } else { value }
        }),
        (-20..20_i32).prop_map(|n| f64::from(n) / 4.0),
        any::<f64>().prop_filter("finite", |value| value.is_finite()),
    ]
}

fn scalar() -> impl Strategy<Value = Json> {
    let integers =
        vec![0, 1, -1, 2, 3, i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, 1 << 53, (1 << 53) + 1, (1 << 53) + 2];
    prop_oneof![
        1 => Just(json!(null)),
        2 => any::<bool>().prop_map(Json::from),
        3 => select(integers).prop_map(Json::from),
        3 => number().prop_map(|value| Json::Number(crate::json::from_f64(value).unwrap())),
        3 => select(TEXTS.to_vec()).prop_map(Json::from),
    ]
}

fn any_value() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map(select(vec!["x", "y", "0", ""]), inner, 0..3)
                .prop_map(|members| Json::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn rows(count: usize) -> impl Strategy<Value = Vec<Row>> {
    let document = prop::collection::btree_map(select(vec!["a", "b", "c", "a-b", "é'%$1", ""]), any_value(), 0..6);
    let moment = 1_767_323_045_670_000..1_767_323_045_690_000_i64;
    let row = (document, prop::option::of(select(vec!["ann", "bob", "a", "Z"])), moment.clone(), moment, 0..3_u8);
    prop::collection::vec(row, count..=count).prop_map(|rows| {
        let row = |(index, (document, owner, created_at, updated_at, revision)): (
            usize,
            (std::collections::BTreeMap<&str, Json>, _, _, _, _),
        )| Row {
            id: if index == 4 { "é\"\\4".to_owned() } else { format!("id-{index}") },
            document: document.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            owner: Option::<&str>::map(owner, str::to_owned),
            revision: format!("r-{revision}"),
            created_at,
            updated_at,
        };
        rows.into_iter().enumerate().map(row).collect()
    })
}

fn literal() -> impl Strategy<Value = String> {
    scalar().prop_map(|value| match &value {
        // A few controls have no escape in JSON that CEL knows; \u is in both.
        Json::String(_) => value.to_string(),
        _ => crate::json::value_to_text(&value),
    })
}

fn comparison() -> impl Strategy<Value = String> {
    let plain = FIELDS[..12].to_vec();
    let symbol = || select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let side = move || prop_oneof![4 => select(plain.clone()).prop_map(str::to_owned), 3 => literal(), 1 => Just("caller.id".to_owned())];
    let moment = || select(vec!["meta.created_at", "meta.updated_at"]);
    let moments = (670..690_u32).prop_map(|milliseconds| format!("\"2026-01-02T03:04:05.{milliseconds}Z\""));
    prop_oneof![
        8 => (side(), symbol(), side()).prop_map(|(a, symbol, b)| format!("{a} {symbol} {b}")),
        1 => (moment(), symbol(), moments.clone()).prop_map(|(a, symbol, b)| format!("{a} {symbol} {b}")),
        1 => (moments.clone(), symbol(), moment()).prop_map(|(a, symbol, b)| format!("{a} {symbol} {b}")),
        1 => (moment(), symbol(), moment()).prop_map(|(a, symbol, b)| format!("{a} {symbol} {b}")),
        1 => (moment(), prop::collection::vec(moments, 0..4)).prop_map(|(a, list)| format!("{a} in [{}]", list.join(", "))),
        3 => (side(), prop::collection::vec(literal(), 0..5)).prop_map(|(a, list)| format!("{a} in [{}]", list.join(", "))),
        2 => select(FIELDS.to_vec()).prop_map(|field| format!("has({field})")),
        1 => select(FIELDS.to_vec()).prop_map(str::to_owned),
        1 => select(vec!["true", "false", "has(caller.id)", "caller.id"]).prop_map(str::to_owned),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    comparison().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.prop_map(|part| format!("!({part})")),
        ]
    })
}

/// A runner that draws anew each time; a failure prints its input.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let seed: [u8; 32] = std::array::from_fn(|_| 0).map(|_: u8| uuid::Uuid::new_v4().as_bytes()[0]);
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

#[test]
fn memory_and_both_databases_agree_on_expressions() {
    let stores = Stores::open();
    // 50 × 20 documents × 20 expressions = 20 000 pairs.
    let inputs = (rows(20), prop::collection::vec(expression(), 20));
    runner(50)
        .run(&inputs, |(rows, expressions)| stores.check(&rows, &expressions))
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn memory_and_both_databases_agree_on_the_order() {
    let stores = Stores::open();
    let fields: Vec<Field> = FIELDS.iter().map(|field| Field::parse(field).unwrap()).collect();
    let inputs = (rows(40), prop::sample::subsequence(fields, 5));
    runner(40)
        .run(&inputs, |(rows, fields)| stores.check_order(&rows, &fields))
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Doubles of every size: the documents hold them, the literals are their neighbours.
#[test]
fn memory_and_both_databases_agree_on_doubles() {
    let stores = Stores::open();
    let doubles = prop::collection::vec(any::<f64>().prop_filter("finite", |value| value.is_finite()), 40);
    let check = |doubles: Vec<f64>| {
        let row = |(index, value): (usize, &f64)| {
            let next = f64::from_bits(value.to_bits() + 1);
            let next = if next.is_finite() { next } else { *value };
            let document =
                json!({"a": crate::json::from_f64(*value).unwrap(), "b": crate::json::from_f64(next).unwrap()});
            Row {
                id: format!("{index}"),
                document: document.as_object().unwrap().clone(),
                owner: None,
                revision: String::new(),
                created_at: 0,
                updated_at: 0,
            }
        };
        let rows: Vec<Row> = doubles.iter().enumerate().map(row).collect();
        let mut expressions = vec!["a < b".to_owned(), "a == b".to_owned(), "a >= b".to_owned()];
        for value in doubles.iter().take(8) {
            let text = crate::json::number_to_text(&crate::json::from_f64(*value).unwrap());
            expressions.extend([
                format!("a <= {text}"),
                format!("b > {text}"),
                format!("a == {text}"),
                format!("a < {text}"),
            ]);
        }
        stores.check(&rows, &expressions)?;
        stores.check_order(&rows, &[Field::parse("a").unwrap(), Field::parse("b").unwrap()])
    };
    runner(15).run(&doubles, check).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn values_are_bound_and_never_in_the_text() {
    let text = "doc[\"x'; DROP TABLE rows; --\"] == \"'; DROP TABLE rows; --\" && a in ['secret', 12345, 1.5e300]";
    let expression = Expression::parse(text, Scope::Filter).unwrap();
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        let lowered = lower(&expression, dialect, &nobody(), 1).unwrap();
        for part in ["DROP", "secret", "12345", "e300"] {
            assert!(!lowered.sql.contains(part), "{}", lowered.sql);
        }
        assert_eq!(lowered.values.len(), 6);
    }
    // Without a user, caller.id is missing, which is an error and not a match with a document that has no owner.
    let expression = Expression::parse("meta.owner == caller.id", Scope::Filter).unwrap();
    assert_eq!(lower(&expression, Dialect::Sqlite, &nobody(), 1).unwrap().sql, "(NULL)");
}
