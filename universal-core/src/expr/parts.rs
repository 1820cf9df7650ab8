//! What an expression says before any document is looked at: for planners, and for lists that nobody may see.

use crate::expr::{
    ast::{Comparison, Literal, Node, Place},
    environment::{Environment, Known},
    eval::{Truth, condition, value},
    expression::Expression,
    field::Field,
    listable::is_known,
    value::{View, items},
};

/// A condition on one field with known values, which must hold for the whole to hold.
#[derive(Clone, Debug)]
pub(crate) struct Part<'e> {
    /// The field of the stored document or its row.
    pub(crate) field: &'e Field,
    /// What it must satisfy.
    pub(crate) test: Test<'e>,
}

/// What a field must satisfy.
#[derive(Clone, Debug)]
pub(crate) enum Test<'e> {
    /// `field <comparison> value`; the value is known and no error.
    Compare(Comparison, View<'e>),
    /// `field in [values]`.
    OneOf(Vec<View<'e>>),
}

impl Expression {
    /// Its answer, if it does not depend on the document.
    ///
    /// ```
    /// use universal_core::{Timestamp, expr::{CallerFacts, Expression, Known, Scope, Truth}};
    /// let rule = Expression::parse("caller.tenant == 'acme' && 1 < 2", Scope::ListRule)?;
    /// let known = Known::new(CallerFacts::nobody().with_tenant("acme"), Timestamp::from_micros(0));
    /// assert_eq!(rule.constant(&known), Some(Truth::True));
    /// # Ok::<(), universal_core::Error>(())
    /// ```
    #[must_use]
    pub fn constant(&self, known: &Known<'_>) -> Option<Truth> {
        constant(self.root(), &Environment::without_document("").with_known(*known))
    }

    /// The parts of its outermost `&&`, or itself, that compare a field with what is known. A document that matches
    /// satisfies each of them; a document that satisfies all of them need not match.
    pub(crate) fn parts<'e>(&'e self, known: &Known<'e>) -> Vec<Part<'e>> {
        let environment = Environment::without_document("").with_known(*known);
        match self.root() {
            Node::All(parts) => parts.iter().filter_map(|node| part(node, &environment)).collect(),
            node => part(node, &environment).into_iter().collect(),
        }
    }
}

fn constant(node: &Node, environment: &Environment<'_>) -> Option<Truth> {
    let joined = |parts: &[Node], decides: Truth| {
        let decided = parts.iter().any(|part| constant(part, environment) == Some(decides));
        if decided { Some(decides) } else { None }
    };
    match node {
        _ if is_known(node) => Some(condition(node, environment)),
        Node::All(parts) => joined(parts, Truth::False),
        Node::Any(parts) => joined(parts, Truth::True),
        Node::Not(inner) => constant(inner, environment).map(Truth::not),
        _ => None,
    }
}

fn part<'e>(node: &'e Node, environment: &Environment<'e>) -> Option<Part<'e>> {
    let equals = |field, value: bool| Part { field, test: Test::Compare(Comparison::Equal, View::Bool(value)) };
    match node {
        Node::Compare { comparison, sides } => {
            let [left, right] = &**sides;
            let (field, comparison, other) = match (left, right) {
                (Node::Place(Place::Field(field)), other) => (field, *comparison, other),
                (other, Node::Place(Place::Field(field))) => (field, comparison.reversed(), other),
                _ => return None,
            };
            let value = known_value(other, environment)?;
            Some(Part { field, test: Test::Compare(comparison, value) })
        }
        Node::In(sides) => {
            let [Node::Place(Place::Field(field)), list] = &**sides else { return None };
            let values: Vec<View<'e>> = match list {
                Node::List(nodes) => nodes.iter().map(|node| known_value(node, environment)).collect::<Option<_>>()?,
                Node::Literal(Literal::List(literals)) => literals.iter().map(View::literal).collect(),
                node => items(&known_value(node, environment)?)?.collect(),
            };
            Some(Part { field, test: Test::OneOf(values) })
        }
        Node::Place(Place::Field(field)) => Some(equals(field, true)),
        Node::Not(inner) => match &**inner {
            Node::Place(Place::Field(field)) => Some(equals(field, false)),
            _ => None,
        },
        _ => None,
    }
}

fn known_value<'e>(node: &'e Node, environment: &Environment<'e>) -> Option<View<'e>> {
    if !is_known(node) {
        return None;
    }
    match value(node, environment) {
        View::Error => None,
        known => Some(known),
    }
}
