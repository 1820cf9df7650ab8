//! The `cel` crate as an oracle: within the subset it reads what we read, and says what we say, but for the differences
//! that are named here.

use std::{collections::HashMap, sync::Arc};

use cel::{Context, Program, Value as CelValue};
use chrono::{DateTime, FixedOffset};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value};

use crate::{
    expr::{
        Environment, Expression, Field, Literal, Node, Operator, Place, Scope, Truth, View,
        generate::{Asker, Row, expression, rows},
        value,
    },
    json::{number::has_exponent, order::Number},
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

/// Whether an expression is one that `cel` cannot read or reads otherwise: a name in brackets within `has`, and a text that
/// stands for a moment beside one.
fn is_ours_alone(node: &Node) -> bool {
    let own = match node {
        Node::Has(Place::Field(Field::Document(path))) => {
            path.last().is_some_and(|name| name.is_empty() || !name.chars().all(|c| c.is_ascii_alphabetic()))
        }
        Node::Literal(literal) => is_short_moment(literal),
        _ => false,
    };
    own || node.children().iter().any(is_ours_alone)
}

fn is_short_moment(literal: &Literal) -> bool {
    match literal {
        Literal::Moment { named, .. } => !named,
        Literal::List(items) => items.iter().any(is_short_moment),
        _ => false,
    }
}

/// Whether a part of the expression is one of the known differences for these values.
fn differs<'a>(node: &'a Node, environment: &Environment<'a>) -> bool {
    let sides = |sides: &'a [Node; 2]| {
        let [left, right] = sides;
        (value(left, environment), value(right, environment))
    };
    let own = match node {
        // Here numbers are of one kind, and `/` gives a double; lists cannot be joined.
        Node::Calculate { operator, sides: nodes } => {
            let (left, right) = sides(nodes);
            let double = |view: &View<'_>| matches!(view, View::Number(Number::Double(_)));
            let edge =
                matches!((&left, &right), (View::Number(Number::Integer(i64::MIN)), View::Number(Number::Integer(-1))));
            double(&left) || double(&right) || edge || *operator == Operator::Divide || is_list(&left)
        }
        // `cel` takes two signs for none, whatever stands behind them.
        Node::Not(inner) => matches!(**inner, Node::Not(_)),
        Node::Negate(inner) => {
            matches!(**inner, Node::Negate(_)) || matches!(value(inner, environment), View::Number(Number::Double(_)))
        }
        // `cel` compares integers with doubles as doubles.
        Node::Compare { sides: nodes, .. } => {
            let (left, right) = sides(nodes);
            large(&left) && large(&right)
        }
        Node::In(nodes) => {
            let (needle, list) = sides(nodes);
            let items: Vec<View<'_>> = match nodes.last() {
                Some(Node::List(nodes)) => nodes.iter().map(|node| value(node, environment)).collect(),
                _ => vec![list.clone()],
            };
            // A number out of bounds is not looked for in an array, and a member has a text as its name.
            let number = matches!(needle, View::Number(Number::Double(number)) if has_exponent(number));
            let object = matches!(list, View::Container(Value::Object(_))) && !matches!(needle, View::Text(_));
            number || object || large(&needle) && items.iter().any(large)
        }
        _ => false,
    };
    own || node.children().iter().any(|child| differs(child, environment))
}

fn is_list(view: &View<'_>) -> bool {
    matches!(view, View::Texts(_) | View::Literals(_) | View::Container(Value::Array(_)))
}

/// Whether there is a number in it that a double does not hold, or may be taken for one.
fn large(view: &View<'_>) -> bool {
    fn value_is_large(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() >= 9_007_199_254_740_992.0),
            Value::Array(items) => items.iter().any(value_is_large),
            Value::Object(members) => members.values().any(value_is_large),
            _ => false,
        }
    }
    view.to_json().is_some_and(|json| value_is_large(&json))
}

#[test]
fn the_cel_crate_agrees() {
    let drawn = *uuid::Uuid::new_v4().as_bytes();
    let seed: [u8; 32] = std::array::from_fn(|index| drawn[index % 16]);
    let config = Config { cases: 600, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let asker = Asker::new();
    let compared = std::cell::Cell::new(0);
    let inputs = (rows(10), prop::collection::vec(expression(), 10));
    let check = |(rows, texts): (Vec<Row>, Vec<String>)| {
        for text in texts {
            let ours = match Expression::parse(&text, Scope::Filter) {
                Err(error) if error.message().starts_with("expected at most") => continue,
                ours => ours.map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?,
            };
            let text = ours.to_text();
            if is_ours_alone(ours.root()) {
                continue;
            }
            let program = Program::compile(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            for row in &rows {
                let known = asker.known();
                let environment = row.environment(&known);
                if differs(ours.root(), &environment) {
                    continue;
                }
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
