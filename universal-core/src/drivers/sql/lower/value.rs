//! A field as a JSON value in SQL, for grouping.

use crate::{
    drivers::sql::{
        dialect::Dialect,
        lower::{binds::Binds, condition::Lowered, postgres, sqlite, term::Term},
    },
    expr::Field,
};

/// The value of a field, NULL if it is missing; `jsonb` on PostgreSQL, canonical text on SQLite, so that equal values are
/// equal. Moments are whole milliseconds, as an integer of microseconds.
pub(crate) fn json_value(field: &Field, dialect: Dialect, first_placeholder: usize) -> Lowered {
    let mut binds = Binds::new(first_placeholder);
    let term = Term::of_field(field);
    let sql = match dialect {
        Dialect::Postgres => postgres::json(&mut binds, &term),
        Dialect::Sqlite => sqlite::json(&mut binds, &term),
    };
    Lowered { sql, values: binds.into_values() }
}
