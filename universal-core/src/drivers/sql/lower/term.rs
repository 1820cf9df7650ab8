//! A value as the SQL sees it.

use std::sync::Arc;

use crate::expr::{Field, Step, View};

/// A value of an expression.
#[derive(Clone, Debug)]
pub(super) enum Term<'e> {
    /// A value that is known before the query: a literal, a fact of the caller, or what follows from them.
    Known(View<'e>),
    /// A value within JSON: a member of the body, or all of a bound or made JSON value.
    Member(Member),
    /// A column of text that is never NULL.
    Text(&'static str),
    /// A column of text that may be NULL, which is JSON's null.
    NullableText(&'static str),
    /// A moment in whole milliseconds, as an SQL expression of microseconds.
    Moment(&'static str),
    /// A value that SQL makes; NULL is an error of the expression.
    Made(Made),
}

/// A value within JSON.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// The SQL of the JSON value: `jsonb` on PostgreSQL, canonical text on SQLite.
    pub(super) body: String,
    /// The way to the value.
    pub(super) path: Vec<Step>,
}

impl Member {
    /// All of a JSON value.
    pub(super) fn whole(body: String) -> Self {
        Self { body, path: Vec::new() }
    }
}

/// A value that SQL makes.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) sql: String,
    pub(super) shape: Shape,
    /// Whether the SQL is a name, which may be written as often as one likes.
    pub(super) named: bool,
}

/// The type of a value that SQL makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Any JSON value, as JSON.
    Json,
    /// A number or a text: `jsonb` on PostgreSQL, a number or a text on SQLite.
    Sum,
    /// `numeric` on PostgreSQL.
    Number,
    Text,
    Bool,
    /// Microseconds: of a moment since 1970, or of a duration.
    Time,
}

/// The kinds of values that have an order among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Bool,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Number, Self::Text, Self::Bool];
}

impl Term<'_> {
    /// The term of a field.
    pub(super) fn of_field(field: &Field) -> Self {
        match field {
            Field::Id => Self::Text("id"),
            Field::Revision => Self::Text("revision"),
            Field::Owner => Self::NullableText("owner_id"),
            Field::CreatedAt => Self::Moment("(created_at / 1000 * 1000)"),
            Field::UpdatedAt => Self::Moment("(updated_at / 1000 * 1000)"),
            Field::Document(path) => {
                let path = path.iter().map(|name: &Arc<str>| Step::Name(name.clone())).collect();
                Self::Member(Member { body: "body".to_owned(), path })
            }
        }
    }

    /// A value that SQL makes.
    pub(super) fn made(sql: String, shape: Shape) -> Self {
        Self::Made(Made { sql, shape, named: false })
    }

    /// Whether its SQL must be given a name before it is written more than once.
    pub(super) fn is_unnamed(&self) -> bool {
        matches!(self, Self::Made(made) if !made.named)
    }

    /// Whether a value of this kind can be in it.
    pub(super) fn may_be(&self, kind: Kind) -> bool {
        match self {
            Self::Member(_) => true,
            Self::Text(_) | Self::NullableText(_) => kind == Kind::Text,
            Self::Moment(_) => false,
            Self::Known(View::Number(_)) => kind == Kind::Number,
            Self::Known(View::Text(_)) => kind == Kind::Text,
            Self::Known(View::Bool(_)) => kind == Kind::Bool,
            Self::Known(_) => false,
            Self::Made(made) => match made.shape {
                Shape::Json => true,
                Shape::Sum => kind != Kind::Bool,
                Shape::Number => kind == Kind::Number,
                Shape::Text => kind == Kind::Text,
                Shape::Bool => kind == Kind::Bool,
                Shape::Time => false,
            },
        }
    }
}
