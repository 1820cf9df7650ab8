//! What an expression says before any document is looked at: for planners, and for lists that nobody may see.

use crate::expr::{
    ast::{Comparison, Node, Operand},
    environment::{Environment, Known},
    eval::{Truth, View, evaluate, view, view_literal},
    expression::Expression,
    field::Field,
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
    /// `field <comparison> value`; the value is known and not missing.
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
        let environment = Environment::without_document("").with_known(*known);
        constant(self.root(), &environment)
    }

    #[cfg_attr(not(test), expect(dead_code, reason = "the planner of indexes asks"))]
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
        let answers: Vec<Option<Truth>> = parts.iter().map(|part| constant(part, environment)).collect();
        if answers.contains(&Some(decides)) {
            return Some(decides);
        }
        answers.iter().all(Option::is_some).then(|| evaluate(node, environment))
    };
    match node {
        Node::All(parts) => joined(parts, Truth::False),
        Node::Any(parts) => joined(parts, Truth::True),
        Node::Not(inner) => constant(inner, environment).map(Truth::not),
        Node::Test(operand) | Node::Has(operand) | Node::In { needle: operand, .. } => {
            is_known(operand).then(|| evaluate(node, environment))
        }
        Node::Compare { left, right, .. } => (is_known(left) && is_known(right)).then(|| evaluate(node, environment)),
    }
}

fn is_known(operand: &Operand) -> bool {
    !matches!(operand, Operand::Field(_) | Operand::Input(_) | Operand::After(_))
}

fn part<'e>(node: &'e Node, environment: &Environment<'e>) -> Option<Part<'e>> {
    let compare = |field, comparison, value: &'e Operand| {
        let value = is_known(value).then(|| view(value, environment))?;
        (!matches!(value, View::Missing)).then_some(Part { field, test: Test::Compare(comparison, value) })
    };
    match node {
        Node::Compare { comparison, left: Operand::Field(field), right } => compare(field, *comparison, right),
        Node::Compare { comparison, left, right: Operand::Field(field) } => compare(field, comparison.reversed(), left),
        Node::In { needle: Operand::Field(field), list } => {
            Some(Part { field, test: Test::OneOf(list.iter().map(view_literal).collect()) })
        }
        Node::Test(Operand::Field(field)) => {
            Some(Part { field, test: Test::Compare(Comparison::Equal, View::Bool(true)) })
        }
        Node::Not(inner) => match &**inner {
            Node::Test(Operand::Field(field)) => {
                Some(Part { field, test: Test::Compare(Comparison::Equal, View::Bool(false)) })
            }
            _ => None,
        },
        _ => None,
    }
}
