//! The total order of values as SQL terms, for ORDER BY and for the conditions of keyset cursors.

use sea_orm::Value;

use crate::{
    drivers::sql::{
        dialect::Dialect,
        lower::{binds::Binds, postgres, sqlite, term::Term},
    },
    expr::Field,
    json::order::{Number, RANK_NULL, RANK_TEXT, SortKey},
};

/// SQL terms that are never NULL and, compared from left to right, order rows; and the values they bind.
#[derive(Clone, Debug)]
pub(crate) struct SortTerms {
    /// One to four terms, each with its collation.
    pub(crate) terms: Vec<String>,
    /// What they bind, in the order of their placeholders.
    pub(crate) values: Vec<Value>,
}

/// A term of the order beside one row's value of it.
#[derive(Clone, Debug)]
pub(crate) struct SortBound {
    /// The term, as [`sort_terms`] gives it but for the placeholders.
    pub(crate) term: String,
    /// The row's value of it.
    pub(crate) bound: String,
    /// What both bind, in the order of their placeholders.
    pub(crate) values: Vec<Value>,
}

/// The terms that order rows by a field, the first value `$first_placeholder`.
///
/// `ORDER BY` takes each with the same direction; rows that tie are ordered by id, bytewise.
pub(crate) fn sort_terms(field: &Field, dialect: Dialect, first_placeholder: usize) -> SortTerms {
    let mut binds = Binds::new(first_placeholder);
    let bytewise = dialect.bytewise();
    let terms = match (field, Term::of_field(field)) {
        // Sorted as stored, to the microsecond, so that an index can serve.
        (Field::CreatedAt, _) => vec!["created_at".to_owned()],
        (Field::UpdatedAt, _) => vec!["updated_at".to_owned()],
        (_, Term::Text(column)) => vec![format!("{column}{bytewise}")],
        (_, Term::NullableText(column)) => vec![
            format!("CASE WHEN {column} IS NULL THEN {RANK_NULL} ELSE {RANK_TEXT} END"),
            format!("COALESCE({column}, ''){bytewise}"),
        ],
        (_, Term::Member(member)) => match dialect {
            Dialect::Postgres => postgres::sort_member(&mut binds, &member),
            Dialect::Sqlite => sqlite::sort_member(&mut binds, &member),
        },
        (_, Term::Known(_) | Term::Moment(_) | Term::Made(_)) => Vec::new(),
    };
    SortTerms { terms, values: binds.into_values() }
}

/// The terms of the order beside those of one row, from the first to decide to the last. Each binds its own values, the
/// first of all `$first_placeholder`, so they must be used in this order and all of them.
pub(crate) fn sort_bounds(field: &Field, key: &SortKey, dialect: Dialect, first_placeholder: usize) -> Vec<SortBound> {
    let mut out: Vec<SortBound> = Vec::new();
    let mut next = first_placeholder;
    for index in 0.. {
        // The terms of one field bind the same names, so each can be taken alone.
        let SortTerms { mut terms, mut values } = sort_terms(field, dialect, next);
        if index >= terms.len() {
            break;
        }
        let mut binds = Binds::new(next + values.len());
        let Some(bound) = bound(&mut binds, field, key, dialect, index) else { break };
        values.extend(binds.into_values());
        next += values.len();
        out.push(SortBound { term: terms.swap_remove(index), bound, values });
    }
    out
}

/// A row's value of the term at `index`.
fn bound(binds: &mut Binds, field: &Field, key: &SortKey, dialect: Dialect, index: usize) -> Option<String> {
    let number = key.number.unwrap_or(Number::Integer(0));
    let text = key.text.as_deref().unwrap_or_default();
    Some(match (field, dialect, index) {
        (Field::CreatedAt | Field::UpdatedAt, _, 0) => {
            let micros = match number {
                Number::Integer(micros) => micros,
                Number::Double(_) => 0,
            };
            integer(binds, dialect, micros)
        }
        (Field::Id | Field::Revision, _, 0) | (Field::Owner, _, 1) => bound_text(binds, dialect, text),
        (Field::Owner | Field::Document(_), _, 0) => integer(binds, dialect, key.rank),
        (Field::Document(_), Dialect::Postgres, 1) => postgres::number_value(binds, number),
        (Field::Document(_), Dialect::Postgres, 2) => postgres::bound_text(binds, text),
        (Field::Document(_), Dialect::Sqlite, 1) => sqlite::bound_scale(binds, number),
        (Field::Document(_), Dialect::Sqlite, 2) => sqlite::bound_digits(binds, number),
        (Field::Document(_), Dialect::Sqlite, 3) => binds.bind(text),
        _ => return None,
    })
}

fn integer(binds: &mut Binds, dialect: Dialect, value: i64) -> String {
    match dialect {
        Dialect::Postgres => postgres::integer(binds, value),
        Dialect::Sqlite => binds.bind(value),
    }
}

fn bound_text(binds: &mut Binds, dialect: Dialect, value: &str) -> String {
    match dialect {
        Dialect::Postgres => postgres::bound_text(binds, value),
        Dialect::Sqlite => binds.bind(value),
    }
}
