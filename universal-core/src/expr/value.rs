//! Values as expressions see them, and how they compare.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    expr::{
        ast::{Comparison, Literal},
        eval::Truth,
    },
    json::order::{Number, equal},
};

/// A value as it is compared; cheap to copy unless it is a text that was made.
#[derive(Clone, Debug)]
pub(crate) enum View<'a> {
    /// A member is missing, or something could not be done with values of these types.
    Error,
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    /// An array or an object.
    Container(&'a Value),
    /// The roles of the caller.
    Texts(&'a [String]),
    /// A list of literals.
    Literals(&'a [Literal]),
    /// Microseconds since 1970.
    Moment(i64),
    /// Microseconds.
    Duration(i64),
}

impl<'a> View<'a> {
    /// A text as it is.
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// A JSON value; its absence is an error.
    pub(crate) fn of(value: Option<&'a Value>) -> Self {
        match value {
            None => Self::Error,
            Some(Value::Null) => Self::Null,
            Some(Value::Bool(value)) => Self::Bool(*value),
            Some(Value::Number(number)) => Self::Number(Number::of(number)),
            Some(Value::String(text)) => Self::text(text),
            Some(container) => Self::Container(container),
        }
    }

    /// A literal.
    pub(crate) fn literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Number(number) => Self::Number(*number),
            Literal::Text(text) => Self::text(text),
            Literal::Moment { micros, .. } => Self::Moment(*micros),
            Literal::Duration { micros, .. } => Self::Duration(*micros),
            Literal::List(items) => Self::Literals(items),
        }
    }

    /// As something that is true or false.
    pub(crate) fn truth(&self) -> Truth {
        match self {
            Self::Bool(value) => (*value).into(),
            _ => Truth::Error,
        }
    }

    /// The JSON value, if it is one; moments are none.
    pub(crate) fn to_json(&self) -> Option<Value> {
        Some(match self {
            Self::Error | Self::Moment(_) | Self::Duration(_) => return None,
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(Number::Integer(value)) => Value::from(*value),
            Self::Number(Number::Double(value)) => Value::Number(serde_json::Number::from_f64(*value)?),
            Self::Text(text) => Value::from(&**text),
            Self::Container(value) => (*value).clone(),
            Self::Texts(texts) => Value::from(texts.to_vec()),
            Self::Literals(items) => {
                Value::Array(items.iter().map(|item| View::literal(item).to_json()).collect::<Option<_>>()?)
            }
        })
    }
}

/// Compares two values.
pub(crate) fn compare(comparison: Comparison, left: &View<'_>, right: &View<'_>) -> Truth {
    if matches!(left, View::Error) || matches!(right, View::Error) {
        return Truth::Error;
    }
    match comparison {
        Comparison::Equal => return same(left, right).into(),
        Comparison::NotEqual => return (!same(left, right)).into(),
        Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => {}
    }
    let ordering = match (left, right) {
        (View::Number(a), View::Number(b)) => a.cmp(b),
        (View::Text(a), View::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (View::Bool(a), View::Bool(b)) => a.cmp(b),
        (View::Moment(a), View::Moment(b)) | (View::Duration(a), View::Duration(b)) => a.cmp(b),
        _ => return Truth::Error,
    };
    comparison.holds(ordering).into()
}

/// Whether two values are the same; values of different types are not.
pub(crate) fn same(a: &View<'_>, b: &View<'_>) -> bool {
    match (a, b) {
        (View::Null, View::Null) => true,
        (View::Bool(a), View::Bool(b)) => a == b,
        (View::Number(a), View::Number(b)) => a == b,
        (View::Text(a), View::Text(b)) => a == b,
        (View::Moment(a), View::Moment(b)) | (View::Duration(a), View::Duration(b)) => a == b,
        (View::Container(a), View::Container(b)) => equal(a, b),
        _ => match (items(a), items(b)) {
            (Some(a), Some(b)) => a.len() == b.len() && a.zip(b).all(|(a, b)| same(&a, &b)),
            _ => false,
        },
    }
}

/// The items of a list.
pub(crate) fn items<'a>(view: &View<'a>) -> Option<Items<'a>> {
    match view {
        View::Container(Value::Array(values)) => Some(Items::Values(values.iter())),
        View::Texts(texts) => Some(Items::Texts(texts.iter())),
        View::Literals(literals) => Some(Items::Literals(literals.iter())),
        _ => None,
    }
}

/// The items of a list of any kind.
#[derive(Debug)]
pub(crate) enum Items<'a> {
    Values(std::slice::Iter<'a, Value>),
    Texts(std::slice::Iter<'a, String>),
    Literals(std::slice::Iter<'a, Literal>),
}

impl<'a> Iterator for Items<'a> {
    type Item = View<'a>;

    fn next(&mut self) -> Option<View<'a>> {
        match self {
            Self::Values(values) => values.next().map(|value| View::of(Some(value))),
            Self::Texts(texts) => texts.next().map(|text| View::text(text)),
            Self::Literals(literals) => literals.next().map(View::literal),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Values(values) => values.size_hint(),
            Self::Texts(texts) => texts.size_hint(),
            Self::Literals(literals) => literals.size_hint(),
        }
    }
}

impl ExactSizeIterator for Items<'_> {}
