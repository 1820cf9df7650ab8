//! What a filter compares and a list is sorted by.

use std::{fmt, sync::Arc};

use crate::{
    error::Result,
    expr::{environment::Environment, eval::look_field, parser, print, scope::Scope, value::View},
    json::order::{self, SortKey},
};

/// A field of a document or of its row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// `id`: the document's id.
    Id,
    /// `meta.owner`: a user's id, or null.
    Owner,
    /// `meta.revision`.
    Revision,
    /// `meta.created_at`.
    CreatedAt,
    /// `meta.updated_at`.
    UpdatedAt,
    /// A member of the body, by the names that lead to it: 1 to 32 names, none with `"`, `\` or a control character.
    Document(Arc<[Arc<str>]>),
}

impl Field {
    /// Reads a field as a filter writes it: `a.b`, `doc.a`, `doc["a-b"]`, `id`, `meta.created_at`.
    ///
    /// # Errors
    /// `Invalid` `invalid-filter` or `invalid-field` with the byte position and what was expected.
    pub fn parse(text: &str) -> Result<Self> {
        parser::parse_field(text, Scope::Filter)
    }

    /// The normal form, for example `doc.a.b`.
    #[must_use]
    pub fn to_text(&self) -> String {
        print::field(self)
    }

    /// The field's place in the total order, for sorting and cursors. Moments sort by microseconds, finer than they
    /// compare in filters.
    #[must_use]
    pub fn sort_key(&self, environment: &Environment<'_>) -> SortKey {
        match self {
            Self::CreatedAt => SortKey::integer(environment.created_at.as_micros()),
            Self::UpdatedAt => SortKey::integer(environment.updated_at.as_micros()),
            _ => match look_field(self, environment) {
                View::Null => SortKey::of(Some(&serde_json::Value::Null)),
                View::Bool(value) => SortKey::of(Some(&serde_json::Value::Bool(value))),
                View::Number(number) => SortKey { rank: order::RANK_NUMBER, number: Some(number), text: None },
                View::Text(text) => SortKey::text(&text),
                View::Container(value) => SortKey::of(Some(value)),
                // No field is one of these.
                View::Error | View::Texts(_) | View::Literals(_) | View::Moment(_) | View::Duration(_) => {
                    SortKey::of(None)
                }
            },
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}
