//! Expressions and sort orders as SQL, with the meaning that `expr` and `json::order` give them.
//!
//! The SQL is over columns `id, body, revision, owner_id, created_at, updated_at`. A condition is TRUE, FALSE or NULL,
//! where NULL is an error of the expression: SQL's three values are those of the language. Everything that a caller
//! wrote is bound; the text depends on the shape of the expression alone. Nothing in it can raise: a cast stands only
//! behind a check of the type.
//!
//! On SQLite equality is equality of canonical text, so bodies there must be what `json::Object::to_text` gave.

mod binds;
mod condition;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fuzz;
mod held;
mod membership;
mod postgres;
mod postgres_values;
mod scaled;
mod sort;
mod sqlite;
mod sqlite_values;
mod term;
#[cfg(test)]
mod tests;
mod value;
mod values;

pub(crate) use condition::{Lowered, lower};
pub(crate) use sort::{sort_bounds, sort_terms};
pub(crate) use value::json_value;
