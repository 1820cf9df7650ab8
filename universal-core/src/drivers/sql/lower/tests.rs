//! Memory, SQLite and PostgreSQL give the same answers and the same order.
#![cfg(all(feature = "sqlite", feature = "postgres"))]

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, Statement};
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

use crate::{
    clock::Timestamp,
    drivers::sql::{
        dialect::Dialect,
        lower::{fuzz::translate, lower, sort_bounds, sort_terms},
    },
    expr::{
        CallerFacts, Expression, Field, Known, Scope,
        generate::{Asker, FIELDS, Row, expression, rows},
    },
    json::{Object, order::SortKey, restore},
};

const TABLE: &str = "CREATE TEMPORARY TABLE rows (id TEXT PRIMARY KEY, body {json} NOT NULL, revision TEXT NOT NULL, \
                     owner_id TEXT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)";

fn nobody() -> Known<'static> {
    Known::new(CallerFacts::nobody(), Timestamp::from_micros(0))
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
    async fn answers(&self, expression: &Expression, known: &Known<'_>) -> Vec<(String, Option<bool>)> {
        let lowered = lower(expression, self.dialect, known, 2).unwrap();
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
    compared: AtomicUsize,
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
        Self { runtime, stores, compared: AtomicUsize::new(0) }
    }

    fn check(&self, rows: &[Row], expressions: &[String]) -> Result<(), TestCaseError> {
        let asker = Asker::new();
        let known = asker.known();
        self.runtime.block_on(async {
            for store in &self.stores {
                store.fill(rows).await;
            }
            for text in expressions {
                let expression = match Expression::parse(text, Scope::Filter) {
                    Ok(expression) => expression,
                    Err(error) if error.message().starts_with("expected at most") => continue,
                    Err(error) => return Err(TestCaseError::fail(format!("{text}: {error}"))),
                };
                if expression.listable().is_err() {
                    prop_assert!(lower(&expression, Dialect::Postgres, &known, 1).is_err());
                    continue;
                }
                self.compared.fetch_add(rows.len(), Ordering::Relaxed);
                let mut expected: Vec<_> = rows
                    .iter()
                    .map(|row| (row.id.clone(), expression.evaluate(&row.environment(&known)).to_option()))
                    .collect();
                expected.sort();
                for store in &self.stores {
                    let answers = store.answers(&expression, &known).await;
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
                    rows.iter().map(|row| (field.sort_key(&row.environment(&nobody())), row.id.clone())).collect();
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

/// A runner that draws anew each time; a failure prints its input.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let seed: [u8; 32] = std::array::from_fn(|_| 0).map(|_: u8| uuid::Uuid::new_v4().as_bytes()[0]);
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

#[test]
fn memory_and_both_databases_agree_on_expressions() {
    let stores = Stores::open();
    // 130 × 20 documents × 20 expressions, but for those that a list cannot have, or that cost too much.
    let inputs = (rows(20), prop::collection::vec(expression(), 20));
    runner(130)
        .run(&inputs, |(rows, expressions)| stores.check(&rows, &expressions))
        .unwrap_or_else(|error| panic!("{error}"));
    let compared = stores.compared.load(Ordering::Relaxed);
    assert!(compared >= 20_000, "{compared}");
}

#[test]
fn memory_and_both_databases_agree_on_the_order() {
    let stores = Stores::open();
    let fields = FIELDS.iter().chain(&["meta.revision", "meta.created_at", "meta.updated_at"]);
    let fields: Vec<Field> = fields.map(|field| Field::parse(field).unwrap()).collect();
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

/// The limits of the language are within those of the databases.
#[test]
fn the_deepest_and_the_widest_expressions_can_be_asked() {
    let stores = Stores::open();
    let nest = |seed: &str, levels: usize, wrap: fn(String) -> String| {
        (0..levels).fold(seed.to_owned(), |inner, _| wrap(inner))
    };
    let sum = nest("n", 15, |inner| format!("({inner} + 1)"));
    // Within what they may cost.
    let joined = nest("t", 12, |inner| format!("({inner} + t)"));
    let dynamic = nest("a", 12, |inner| format!("({inner} + b)"));
    // The other branch of a choice and its parentheses are a level each.
    let choice = nest("n == 1", 14, |inner| format!("(t == 'a' ? n == 2 : {inner})"));
    let test = nest("n == 1", 29, |inner| format!("({inner} ? n == 2 : n == 3)"));
    let equal = nest("(n == 1)", 29, |inner| format!("({inner} == (t == 'a'))"));
    let value = nest("n", 14, |inner| format!("(t == 'a' ? m : {inner})"));
    let member = nest("(n == 1)", 7, |inner| format!("({inner} in l)"));
    let wide = |part: &str, count: usize, join: &str| vec![part; count].join(join);
    let expressions = vec![
        format!("{sum} == 3"),
        format!("{joined} == 'a'"),
        format!("{dynamic} == 'a'"),
        choice,
        test,
        equal,
        format!("{value} == 1"),
        member,
        wide("n + 1 > m", 11, " || "),
        wide("t.contains('a')", 42, " && "),
        wide("n in l", 8, " || "),
        wide("a in l || m in l || 'x' in o || l in l", 2, " || "),
        wide("n + 1 > m && id > 'a' && has(t)", 9, " && "),
        wide("a + b == t + 'x'", 5, " || "),
        wide("a[0] * a[0] / n - m % n == -b", 2, " || "),
        format!("n in [{}]", wide("m", 42, ", ")),
    ];
    for text in &expressions {
        Expression::parse(text, Scope::Filter).unwrap();
    }
    runner(1).run(&rows(5), |rows| stores.check(&rows, &expressions)).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_sql_depends_on_the_shape_alone() {
    let texts = prop_oneof![3 => expression(), 1 => any::<String>()];
    runner(4_000)
        .run(&texts, |text| {
            translate(text.as_bytes());
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
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

#[test]
fn a_choice_within_a_choice_of_what_is_made_is_one_of_its_values() {
    let stores = Stores::open();
    let expressions: Vec<String> = [
        "(n >= n ? (has(doc.a.x) ? 'bé' : meta.revision) : id + 'bé') != id + 'ab'",
        "id.startsWith(n == 1 ? t + 'x' : has(doc.a) ? 'id' : 'é')",
        "(n == 1 ? (has(doc.a) ? 1 : 2) : 1 + 1) == 2",
        "(n == 1 ? 1 + 1 : (has(doc.a) ? 1 : 2)) > 1",
        "(has(n) ? (has(t) ? id : meta.revision) : id + 'x') < 'id-3'",
    ]
    .map(str::to_owned)
    .into();
    for text in &expressions {
        assert!(Expression::parse(text, Scope::Filter).unwrap().listable().is_ok(), "{text}");
    }
    runner(20).run(&rows(10), |rows| stores.check(&rows, &expressions)).unwrap_or_else(|error| panic!("{error}"));
}
