//! Evaluation in memory: the meaning that the SQL of both databases must have.

use serde_json::{Map, Value};

use crate::{
    clock::Timestamp,
    expr::{
        ast::{Comparison, Literal, Node, Operand},
        environment::Environment,
        field::Field,
    },
    json::order::{Number, equal},
};

/// The answer of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// A field is missing or values of different types were ordered; counts as not matching.
    Error,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl Truth {
    /// `true`, `false`, or `None` for an error, as SQL says it.
    #[must_use]
    pub fn to_option(self) -> Option<bool> {
        match self {
            Self::True => Some(true),
            Self::False => Some(false),
            Self::Error => None,
        }
    }

    pub(super) fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Error => Self::Error,
        }
    }
}

/// A value as it is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View<'a> {
    Missing,
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
    /// An array or an object.
    Container(&'a Value),
    /// Microseconds since 1970.
    Moment(i64),
}

/// Evaluates a tree; the recursion is as deep as the tree, at most 32.
pub(super) fn evaluate(node: &Node, environment: &Environment<'_>) -> Truth {
    match node {
        Node::All(parts) => join(parts, environment, Truth::False),
        Node::Any(parts) => join(parts, environment, Truth::True),
        Node::Not(inner) => evaluate(inner, environment).not(),
        Node::Test(operand) => match view(operand, environment) {
            View::Bool(value) => value.into(),
            _ => Truth::Error,
        },
        Node::Compare { comparison, left, right } => {
            compare(*comparison, view(left, environment), view(right, environment))
        }
        Node::In { needle, list } => match view(needle, environment) {
            View::Missing => Truth::Error,
            needle => list.iter().any(|literal| same(needle, view_literal(literal))).into(),
        },
        Node::Has(operand) => has(operand, environment),
    }
}

/// `&&` is decided by the first false, `||` by the first true; an error remains only if nothing decides.
fn join(parts: &[Node], environment: &Environment<'_>, decides: Truth) -> Truth {
    let mut answer = decides.not();
    for part in parts {
        match evaluate(part, environment) {
            truth if truth == decides => return decides,
            Truth::Error => answer = Truth::Error,
            _ => {}
        }
    }
    answer
}

/// Compares two values.
pub(crate) fn compare(comparison: Comparison, left: View<'_>, right: View<'_>) -> Truth {
    if matches!(left, View::Missing) || matches!(right, View::Missing) {
        return Truth::Error;
    }
    match comparison {
        Comparison::Equal => return same(left, right).into(),
        Comparison::NotEqual => return (!same(left, right)).into(),
        Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => {}
    }
    let ordering = match (left, right) {
        (View::Number(a), View::Number(b)) => a.cmp(&b),
        (View::Text(a), View::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (View::Bool(a), View::Bool(b)) => a.cmp(&b),
        (View::Moment(a), View::Moment(b)) => a.cmp(&b),
        _ => return Truth::Error,
    };
    comparison.holds(ordering).into()
}

/// Whether two values are the same; values of different types are not.
fn same(a: View<'_>, b: View<'_>) -> bool {
    match (a, b) {
        (View::Null, View::Null) => true,
        (View::Bool(a), View::Bool(b)) => a == b,
        (View::Number(a), View::Number(b)) => a == b,
        (View::Text(a), View::Text(b)) => a == b,
        (View::Container(a), View::Container(b)) => equal(a, b),
        (View::Moment(a), View::Moment(b)) => a == b,
        _ => false,
    }
}

/// As CEL's macro: an error unless what holds the field is an object.
fn has(operand: &Operand, environment: &Environment<'_>) -> Truth {
    match operand {
        Operand::Caller => environment.known.caller.id.is_some().into(),
        Operand::Field(Field::Document(path)) => holds(environment.document, path),
        Operand::Input(path) => holds(environment.input, path),
        Operand::After(path) => holds(environment.after, path),
        Operand::Claim(path) => holds(environment.known.caller.claims, path),
        Operand::Field(_) | Operand::Literal(_) | Operand::Tenant | Operand::Now => Truth::True,
    }
}

fn holds(document: Option<&Map<String, Value>>, path: &[std::sync::Arc<str>]) -> Truth {
    let found = path.split_last().and_then(|(last, holder)| Some(walk(document?, holder)?.contains_key(&**last)));
    found.map_or(Truth::Error, Truth::from)
}

/// The value of a member.
fn member<'a>(document: Option<&'a Map<String, Value>>, path: &[std::sync::Arc<str>]) -> View<'a> {
    match path.split_last().and_then(|(last, holder)| walk(document?, holder)?.get(&**last)) {
        None => View::Missing,
        Some(Value::Null) => View::Null,
        Some(Value::Bool(value)) => View::Bool(*value),
        Some(Value::Number(number)) => View::Number(Number::of(number)),
        Some(Value::String(text)) => View::Text(text),
        Some(container) => View::Container(container),
    }
}

/// The object at the end of a path.
fn walk<'d>(document: &'d Map<String, Value>, path: &[std::sync::Arc<str>]) -> Option<&'d Map<String, Value>> {
    path.iter().try_fold(document, |members, name| members.get(&**name)?.as_object())
}

/// The value of one side of a comparison.
pub(crate) fn view<'a>(operand: &'a Operand, environment: &Environment<'a>) -> View<'a> {
    match operand {
        Operand::Field(field) => view_field(field, environment),
        Operand::Input(path) => member(environment.input, path),
        Operand::After(path) => member(environment.after, path),
        Operand::Caller => environment.known.caller.id.map_or(View::Missing, View::Text),
        Operand::Tenant => View::Text(environment.known.caller.tenant),
        Operand::Claim(path) => member(environment.known.caller.claims, path),
        Operand::Now => moment(environment.known.now),
        Operand::Literal(literal) => view_literal(literal),
    }
}

/// The value of a literal.
pub(crate) fn view_literal(literal: &Literal) -> View<'_> {
    match literal {
        Literal::Null => View::Null,
        Literal::Bool(value) => View::Bool(*value),
        Literal::Number(number) => View::Number(*number),
        Literal::Text(text) => View::Text(text),
        Literal::Moment { micros, .. } => View::Moment(*micros),
    }
}

/// The value of a field.
pub(super) fn view_field<'a>(field: &Field, environment: &Environment<'a>) -> View<'a> {
    match field {
        Field::Id => View::Text(environment.id),
        Field::Owner => environment.owner.map_or(View::Null, View::Text),
        Field::Revision => View::Text(environment.revision),
        Field::CreatedAt => moment(environment.created_at),
        Field::UpdatedAt => moment(environment.updated_at),
        Field::Document(path) => member(environment.document, path),
    }
}

/// Whole milliseconds, as answers show moments.
fn moment(timestamp: Timestamp) -> View<'static> {
    View::Moment(timestamp.as_micros() / 1000 * 1000)
}
