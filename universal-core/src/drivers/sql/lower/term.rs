//! One side of a comparison as the SQL sees it.

use std::sync::Arc;

use crate::expr::{Environment, Field, Known, Literal, Operand, View, view, view_literal};

/// One side of a comparison.
#[derive(Clone, Debug)]
pub(super) enum Term<'e> {
    /// A value that is known before the query: a literal, or the caller.
    Known(View<'e>),
    /// A member of the body.
    Member { body: &'static str, path: &'e [Arc<str>] },
    /// A column of text that is never NULL.
    Text(&'static str),
    /// A column of text that may be NULL, which is JSON's null.
    NullableText(&'static str),
    /// A moment in whole milliseconds, as an SQL expression of microseconds.
    Moment(&'static str),
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

impl<'e> Term<'e> {
    /// The term of an operand.
    pub(super) fn of(operand: &'e Operand, known: &Known<'e>) -> Self {
        match operand {
            Operand::Field(field) => Self::of_field(field),
            other => Self::Known(view(other, &Environment::without_document("").with_known(*known))),
        }
    }

    /// The term of a literal.
    pub(super) fn of_literal(literal: &'e Literal) -> Self {
        Self::Known(view_literal(literal))
    }

    /// The term of a field.
    pub(super) fn of_field(field: &'e Field) -> Self {
        match field {
            Field::Id => Self::Text("id"),
            Field::Revision => Self::Text("revision"),
            Field::Owner => Self::NullableText("owner_id"),
            Field::CreatedAt => Self::Moment("(created_at / 1000 * 1000)"),
            Field::UpdatedAt => Self::Moment("(updated_at / 1000 * 1000)"),
            Field::Document(path) => Self::Member { body: "body", path },
        }
    }

    /// Whether a value of this kind can be in it.
    pub(super) fn may_be(&self, kind: Kind) -> bool {
        match self {
            Self::Member { .. } => true,
            Self::Text(_) | Self::NullableText(_) => kind == Kind::Text,
            Self::Moment(_) => false,
            Self::Known(View::Number(_)) => kind == Kind::Number,
            Self::Known(View::Text(_)) => kind == Kind::Text,
            Self::Known(View::Bool(_)) => kind == Kind::Bool,
            Self::Known(View::Missing | View::Null | View::Container(_) | View::Moment(_)) => false,
        }
    }
}
