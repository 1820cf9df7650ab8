//! The `cel` crate as an oracle: within the subset it reads what we read, and says what we say, but for the differences
//! that are named here.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use cel::{Context, Program, Value as CelValue};
use chrono::{DateTime, FixedOffset};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value};

use crate::{
    expr::{
        Environment, Expression, Scope, Truth,
        generate::{Asker, Row, expression, rows},
    },
    json::order::Number,
};

fn cel(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(value) => CelValue::Bool(*value),
        Value::Number(number) => match Number::of(number) {
            Number::Integer(value) => CelValue::Int(value),
            Number::Double(value) => CelValue::Float(value),
        },
        Value::String(text) => CelValue::String(Arc::new(text.clone())),
        Value::Array(items) => CelValue::List(Arc::new(items.iter().map(cel).collect())),
        Value::Object(members) => object(members),
    }
}

fn object(members: &Map<String, Value>) -> CelValue {
    members.iter().map(|(key, value)| (key.clone(), cel(value))).collect::<HashMap<String, CelValue>>().into()
}

fn moment(micros: i64) -> CelValue {
    let moment = DateTime::from_timestamp_micros(micros / 1000 * 1000).unwrap();
    CelValue::Timestamp(DateTime::<FixedOffset>::from(moment))
}

/// What `cel` says about a row.
fn ask(program: &Program, row: &Row, environment: &Environment<'_>) -> Truth {
    let mut context = Context::default();
    let mut document = row.document.clone();
    document.insert("id".to_owned(), row.id.clone().into());
    context.add_variable_from_value("doc", object(&document));
    let caller = environment.known.caller;
    let mut members: HashMap<String, CelValue> = HashMap::new();
    members.insert("id".to_owned(), caller.id.unwrap().into());
    members.insert("tenant".to_owned(), caller.tenant.into());
    members.insert("roles".to_owned(), caller.roles.to_vec().into());
    members.insert("claims".to_owned(), object(caller.claims.unwrap()));
    context.add_variable_from_value("caller", members);
    let mut meta: HashMap<String, CelValue> = HashMap::new();
    meta.insert("owner".to_owned(), row.owner.clone().map_or(CelValue::Null, Into::into));
    meta.insert("revision".to_owned(), row.revision.clone().into());
    meta.insert("created_at".to_owned(), moment(row.created_at));
    meta.insert("updated_at".to_owned(), moment(row.updated_at));
    context.add_variable_from_value("meta", meta);
    context.add_variable_from_value("now", moment(environment.known.now.as_micros()));
    match program.execute(&context) {
        Ok(CelValue::Bool(value)) => value.into(),
        _ => Truth::Error,
    }
}

#[test]
fn the_cel_crate_agrees() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().to_le_bytes();
    let seed: [u8; 32] = std::array::from_fn(|index| seed[index % 16]);
    let config = Config { cases: 400, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let asker = Asker::new();
    let compared = std::cell::Cell::new(0);
    let inputs = (rows(10), prop::collection::vec(expression(), 10));
    let check = |(rows, texts): (Vec<Row>, Vec<String>)| {
        for text in texts {
            let ours = Expression::parse(&text, Scope::Filter)
                .map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            let text = ours.to_text();
            let program = Program::compile(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            for row in &rows {
                let known = asker.known();
                let environment = row.environment(&known);
                let (we, they) = (ours.evaluate(&environment), ask(&program, row, &environment));
                prop_assert_eq!(we, they, "{} about {:?}", text, row);
                compared.set(compared.get() + 1);
            }
        }
        Ok(())
    };
    runner.run(&inputs, check).unwrap_or_else(|error| panic!("{error}"));
    assert!(compared.get() >= 20_000, "{}", compared.get());
}
