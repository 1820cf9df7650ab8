//! Where conditions begin: names and Rust's own values.

use std::time::Duration;

use chrono::SecondsFormat;

use crate::{
    clock::Timestamp,
    error::Result,
    expr::{
        ast::{Literal, Node, Place},
        build::{Term, refused, steps, within},
        field::Field,
        scope::Root,
        time,
    },
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::order::Number,
};

/// A member of the document by the names that lead to it, joined by dots: `priority`, `author.name`. Names that have
/// dots in them go to [`path`]. `id` is the document's id.
pub fn field(name: &str) -> Term {
    path(name.split('.'))
}

/// A member of the document by the names that lead to it, as they are.
pub fn path<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Term {
    Term(steps(names).and_then(|names| match &*names {
        [name] if **name == *"id" => Ok(Node::Place(Place::Field(Field::Id))),
        [name, _, ..] if **name == *"id" => Err(refused("expected nothing after the document's id, which is a text")),
        _ => Ok(Node::Place(Place::Field(Field::Document(names)))),
    }))
}

/// `doc.id`: the document's id.
pub fn id() -> Term {
    row(Field::Id)
}

/// `meta.owner`: a user's id, or null.
pub fn meta_owner() -> Term {
    row(Field::Owner)
}

/// `meta.revision`.
pub fn meta_revision() -> Term {
    row(Field::Revision)
}

/// `meta.created_at`, a moment.
pub fn meta_created_at() -> Term {
    row(Field::CreatedAt)
}

/// `meta.updated_at`, a moment.
pub fn meta_updated_at() -> Term {
    row(Field::UpdatedAt)
}

/// A member of the body as it was sent, in rules for writes; names as in [`field`].
pub fn input(name: &str) -> Term {
    input_path(name.split('.'))
}

/// A member of the body as it was sent; names as in [`path`].
pub fn input_path<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Term {
    body(Root::Input, names)
}

/// A member of the document as it would be stored, in rules for writes; names as in [`field`].
pub fn after(name: &str) -> Term {
    after_path(name.split('.'))
}

/// A member of the document as it would be stored; names as in [`path`].
pub fn after_path<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Term {
    body(Root::After, names)
}

/// `caller.id`; missing for a caller who is no user.
pub fn caller_id() -> Term {
    Term(Ok(Node::Place(Place::CallerId)))
}

/// `caller.tenant`.
pub fn caller_tenant() -> Term {
    Term(Ok(Node::Place(Place::Tenant)))
}

/// `caller.roles`, a list of texts.
pub fn caller_roles() -> Term {
    Term(Ok(Node::Place(Place::Roles)))
}

/// A member of `caller.claims`; names as in [`field`].
pub fn caller_claim(name: &str) -> Term {
    body(Root::Caller, name.split('.'))
}

/// `now`, a moment.
pub fn now() -> Term {
    Term(Ok(Node::Place(Place::Now)))
}

/// A literal, where a value stands on the left.
pub fn value(value: impl Into<Term>) -> Term {
    value.into()
}

fn row(field: Field) -> Term {
    Term(Ok(Node::Place(Place::Field(field))))
}

fn body<S: AsRef<str>>(root: Root, names: impl IntoIterator<Item = S>) -> Term {
    Term(steps(names).map(|names| Node::Place(within(root, &names))))
}

fn literal(literal: Result<Literal>) -> Term {
    Term(literal.map(Node::Literal))
}

fn text(text: &str) -> Term {
    // Neither database can hold it, and so no document does.
    if text.contains('\0') {
        return literal(Err(refused("expected a text without the character U+0000")));
    }
    literal(Ok(Literal::Text(text.into())))
}

impl From<&str> for Term {
    fn from(value: &str) -> Self {
        text(value)
    }
}

impl From<String> for Term {
    fn from(value: String) -> Self {
        text(&value)
    }
}

impl From<&String> for Term {
    fn from(value: &String) -> Self {
        text(value)
    }
}

impl From<bool> for Term {
    fn from(value: bool) -> Self {
        literal(Ok(Literal::Bool(value)))
    }
}

/// Integers that fit in 64 bits with a sign.
macro_rules! from_integers {
    ($($integer:ty),*) => {$(
        impl From<$integer> for Term {
            fn from(value: $integer) -> Self {
                let number = i64::try_from(value).map(|value| Literal::Number(Number::Integer(value)));
                literal(number.map_err(|_| {
                    refused("expected an integer between -9223372036854775808 and 9223372036854775807")
                }))
            }
        }
    )*};
}

from_integers!(i8, i16, i32, i64, u8, u16, u32, u64, usize, isize);

/// Finite numbers.
impl From<f64> for Term {
    fn from(value: f64) -> Self {
        literal(match value.is_finite() {
            true => Ok(Literal::Number(Number::double(value))),
            false => Err(refused("expected a finite number")),
        })
    }
}

/// A value, or null.
impl<T: Into<Self>> From<Option<T>> for Term {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| literal(Ok(Literal::Null)), Into::into)
    }
}

/// A moment of the years 1 to 9999.
impl From<Timestamp> for Term {
    fn from(value: Timestamp) -> Self {
        let text = value.to_datetime().to_rfc3339_opts(SecondsFormat::Micros, true);
        literal(match time::moment(&text) {
            Some(micros) => Ok(Literal::Moment { micros, text: text.into(), named: true }),
            None => Err(refused("expected a moment of the years 1 to 9999")),
        })
    }
}

/// A duration of at most 10 000 years; what is shorter than a microsecond is cut.
impl From<Duration> for Term {
    fn from(value: Duration) -> Self {
        let text = format!("{}us", value.as_micros());
        literal(match time::duration(&text) {
            Some(micros) => Ok(Literal::Duration { micros, text: text.into() }),
            None => Err(refused("expected a duration of at most 10000 years")),
        })
    }
}

/// Ids and names are texts.
macro_rules! from_texts {
    ($($id:ty),*) => {$(
        impl From<&$id> for Term {
            fn from(value: &$id) -> Self {
                text(value.as_str())
            }
        }
    )*};
}

from_texts!(UserId, DocumentId, CollectionName, TenantId);
