//! The expression language of filters and rules: a subset of CEL, the Common Expression Language.
//!
//! ```text
//! done == false && (priority > 3 || meta.owner == caller.id) && status in ["open", "late"] && has(doc.due)
//! ```
//!
//! - **Fields**: `doc.a.b`, `doc["a-b"]`, a bare name (`done` is `doc.done`), `id` and `doc.id` for the document's id,
//!   `meta.owner` (text or null), `meta.revision`, `meta.created_at`, `meta.updated_at`, and `caller.id`, which is
//!   missing for a caller who is no user.
//! - **Literals**: integers, doubles, texts in `"` or `'`, `true`, `false`, `null`.
//! - **Comparisons** `== != < <= > >=` between fields and literals, `in` with a list of literals, `has(field)`,
//!   `&&`, `||`, `!`, parentheses.
//! - `meta.created_at` and `meta.updated_at` are moments in whole milliseconds, as answers show them. They compare with
//!   each other and with texts in RFC 3339 (`"2026-01-02T03:04:05.678Z"`), by time and not by spelling.
//!
//! **Values.** A missing field is an error; so is `<` between values of different types, or of null, arrays and objects.
//! `==` between different types is false; arrays and objects are equal when all within them is. Numbers compare by exact
//! value, integers with doubles too; texts by their UTF-8 bytes; false < true. `&&`, `||` and `!` take an error as
//! "unknown" (`false && error` is false). An expression matches only where it is true.
//!
//! The same tree is evaluated in memory here and by both databases (`drivers/sql/lower`); a property test holds the
//! three together.

mod arithmetic;
mod ast;
mod beside;
pub mod build;
mod build_terms;
#[cfg(test)]
mod build_tests;
mod calls;
mod check;
mod cost;
mod environment;
mod eval;
mod explain;
mod expression;
mod field;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzz;
#[cfg(test)]
pub(crate) mod generate;
mod lexer;
mod listable;
mod mentions;
#[cfg(test)]
mod oracle;
mod parser;
mod parts;
mod pattern;
mod print;
mod scope;
#[cfg(test)]
mod tests;
mod time;
mod types;
mod value;

pub(crate) use arithmetic::{LONGEST_DURATION, LONGEST_JOINED, MOMENTS};
pub(crate) use ast::{Comparison, Literal, Node, Operator, Place, Search, Step};
pub use environment::{CallerFacts, Environment, Known};
pub use eval::Truth;
pub(crate) use eval::{LONGEST_PART, condition, value};
pub use explain::{Clause, Decider, Explanation, Seen, Why};
pub use expression::Expression;
pub use field::Field;
#[cfg(any(test, feature = "testing"))]
pub(crate) use fuzz::changed;
pub(crate) use listable::{is_json, is_known};
pub(crate) use parts::{Part, Test};
pub use scope::{Root, Scope};
pub(crate) use types::{Type, type_of};
pub(crate) use value::View;
