//! What is known of a value's type before it is evaluated.

use crate::expr::{
    ast::{Literal, Node, Operator, Place},
    field::Field,
};

/// A type, as far as the text says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Anything that JSON can say.
    Any,
    Null,
    Bool,
    Number,
    Text,
    /// A number or a text: `+` of two values of any type.
    Sum,
    Moment,
    Duration,
    List,
}

impl Type {
    /// Whether it is a moment or a duration, which JSON cannot say.
    pub(crate) fn is_time(self) -> bool {
        matches!(self, Self::Moment | Self::Duration)
    }

    /// What an error message calls it.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Null => "null",
            Self::Bool => "a condition",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Sum => "a sum",
            Self::Moment => "a moment",
            Self::Duration => "a duration",
            Self::List => "a list",
        }
    }
}

/// The type of a node.
pub(crate) fn type_of(node: &Node) -> Type {
    match node {
        Node::Literal(literal) => literal_type(literal),
        Node::Place(place) => match place {
            Place::Field(Field::Id | Field::Revision) | Place::CallerId | Place::Tenant => Type::Text,
            Place::Field(Field::CreatedAt | Field::UpdatedAt) | Place::Now => Type::Moment,
            Place::Roles => Type::List,
            Place::Field(Field::Owner | Field::Document(_)) | Place::Within(..) => Type::Any,
        },
        Node::List(_) => Type::List,
        Node::All(_)
        | Node::Any(_)
        | Node::Not(_)
        | Node::Compare { .. }
        | Node::In(_)
        | Node::Has(_)
        | Node::Search { .. }
        | Node::Matches { .. } => Type::Bool,
        Node::Choose { parts, .. } => {
            let [_, then, otherwise] = &**parts;
            let (then, otherwise) = (type_of(then), type_of(otherwise));
            if then == otherwise { then } else { Type::Any }
        }
        Node::Calculate { operator, sides } => {
            let [left, right] = &**sides;
            sum_type(*operator, type_of(left), type_of(right)).unwrap_or(Type::Any)
        }
        Node::Negate(_) | Node::Size(_) => Type::Number,
        Node::Moment { .. } => Type::Moment,
        Node::Written { .. } => Type::Text,
    }
}

pub(super) fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Number(_) => Type::Number,
        Literal::Text(_) => Type::Text,
        Literal::Moment { .. } => Type::Moment,
        Literal::Duration { .. } => Type::Duration,
        Literal::List(_) => Type::List,
    }
}

/// The type of a calculation; `None` for moments and durations that do not go together.
pub(super) fn sum_type(operator: Operator, left: Type, right: Type) -> Option<Type> {
    match (operator, left, right) {
        (Operator::Add, Type::Moment, Type::Duration)
        | (Operator::Add, Type::Duration, Type::Moment)
        | (Operator::Subtract, Type::Moment, Type::Duration) => Some(Type::Moment),
        (Operator::Subtract, Type::Moment, Type::Moment)
        | (Operator::Add | Operator::Subtract, Type::Duration, Type::Duration) => Some(Type::Duration),
        (_, left, right) if left.is_time() || right.is_time() => None,
        (Operator::Add, Type::Text, _) | (Operator::Add, _, Type::Text) => Some(Type::Text),
        (Operator::Add, Type::Number, _) | (Operator::Add, _, Type::Number) => Some(Type::Number),
        (Operator::Add, ..) => Some(Type::Sum),
        _ => Some(Type::Number),
    }
}
