//! A fuzz target of the parser: for `cargo fuzz`, and under proptest in the tests.

use serde_json::{Map, Value};

use crate::{
    clock::Timestamp,
    expr::{
        ast::{Literal, Node, Place, Step},
        environment::{CallerFacts, Environment, Known},
        expression::Expression,
        field::Field,
        scope::Scope,
    },
    json::order::Number,
};

const SCOPES: [Scope; 6] =
    [Scope::Filter, Scope::ListRule, Scope::CreateRule, Scope::UpdateRule, Scope::DeleteRule, Scope::Trigger];

/// Reads any bytes as an expression of each scope. What is read must be read from its normal form again, and must be
/// evaluated without a panic.
///
/// # Panics
/// If that does not hold.
pub fn parse(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let members = Map::from_iter([("a".to_owned(), Value::from(1)), ("t".to_owned(), Value::from("é"))]);
    for scope in SCOPES {
        let expression = match Expression::parse(text, scope) {
            Ok(expression) => expression,
            Err(error) => {
                assert!(error.position().is_some_and(|position| position <= text.len()), "{text}: {error}");
                continue;
            }
        };
        let normal = expression.to_text();
        // The normal form may be longer than what was read (`a` is `doc.a`), and so too long.
        match Expression::parse(&normal, scope) {
            Ok(again) => assert!(again == expression && again.to_text() == normal, "{text}: {normal}"),
            Err(error) => assert!(normal.len() > text.len(), "{normal}: {error}"),
        }
        let environment = Environment::new("id", &members)
            .with_input(&members)
            .with_after(&members)
            .with_known(Known::new(CallerFacts::nobody(), Timestamp::from_micros(0)));
        let _ = expression.evaluate(&environment);
        let _ = expression.listable();
    }
}

/// An expression of the same shape with other texts, numbers and names in it.
pub(crate) fn changed(expression: &Expression) -> Expression {
    expression.with_root(node(expression.root()))
}

fn node(found: &Node) -> Node {
    let nodes = |nodes: &[Node]| nodes.iter().map(node).collect::<Vec<Node>>();
    let one = |inner: &Node| Box::new(node(inner));
    let two = |sides: &[Node; 2]| {
        let [left, right] = sides;
        Box::new([node(left), node(right)])
    };
    match found {
        Node::Literal(found) => Node::Literal(literal(found)),
        Node::Place(found) => Node::Place(place(found)),
        Node::Has(found) => Node::Has(place(found)),
        Node::List(found) => Node::List(nodes(found)),
        Node::All(found) => Node::All(nodes(found)),
        Node::Any(found) => Node::Any(nodes(found)),
        Node::Not(inner) => Node::Not(one(inner)),
        Node::Negate(inner) => Node::Negate(one(inner)),
        Node::Size(inner) => Node::Size(one(inner)),
        Node::Compare { comparison, sides } => Node::Compare { comparison: *comparison, sides: two(sides) },
        Node::In(sides) => Node::In(two(sides)),
        Node::Calculate { operator, sides } => Node::Calculate { operator: *operator, sides: two(sides) },
        Node::Search { search, sides } => Node::Search { search: *search, sides: two(sides) },
        Node::Choose { parts, at } => {
            let [test, then, otherwise] = &**parts;
            Node::Choose { parts: Box::new([node(test), node(then), node(otherwise)]), at: *at }
        }
        Node::Matches { .. } | Node::Moment { .. } | Node::Written { .. } => found.clone(),
    }
}

fn literal(found: &Literal) -> Literal {
    match found {
        Literal::Bool(value) => Literal::Bool(!value),
        Literal::Number(Number::Integer(value)) => Literal::Number(Number::Integer(value.wrapping_add(1))),
        Literal::Text(text) => Literal::Text(format!("{text}x").into()),
        Literal::List(items) => Literal::List(items.iter().map(literal).collect()),
        Literal::Null | Literal::Number(Number::Double(_)) | Literal::Moment { .. } | Literal::Duration { .. } => {
            found.clone()
        }
    }
}

fn place(found: &Place) -> Place {
    match found {
        // Every name gets the same letter, so that those that were the same are the same.
        Place::Field(Field::Document(path)) => {
            Place::Field(Field::Document(path.iter().map(|name| format!("{name}x").into()).collect()))
        }
        Place::Within(root, path) => {
            let step = |step: &Step| match step {
                Step::Name(name) => Step::Name(format!("{name}x").into()),
                Step::Item(index) => Step::Item(index + 1),
            };
            Place::Within(*root, path.iter().map(step).collect())
        }
        other => other.clone(),
    }
}
