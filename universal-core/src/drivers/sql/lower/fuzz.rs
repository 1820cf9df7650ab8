//! A fuzz target of the translation to SQL: for `cargo fuzz`, and under proptest in the tests.

use crate::{
    clock::Timestamp,
    drivers::sql::{dialect::Dialect, lower::lower},
    expr::{CallerFacts, Expression, Known, Node, Scope, View, changed, is_known, value},
};

/// Reads any bytes as a filter and translates it for both databases. No text of the filter may be in the SQL: a filter of
/// the same shape with other values and names must give the same SQL.
///
/// # Panics
/// If that does not hold.
pub fn translate(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(expression) = Expression::parse(text, Scope::Filter) else { return };
    let other = changed(&expression);
    let known = Known::new(CallerFacts::nobody().with_id(Some("ann")), Timestamp::from_micros(0));
    for dialect in [Dialect::Postgres, Dialect::Sqlite] {
        let Ok(lowered) = lower(&expression, dialect, &known, 1) else {
            assert!(expression.listable().is_err(), "{text}");
            continue;
        };
        let bound = lowered.values.len();
        assert!(!lowered.sql.contains(&format!("${}", bound + 1)), "{text}: {}", lowered.sql);
        // A calculation among literals is done before: whether it is an error is part of the shape.
        if calculates(expression.root(), &known) {
            continue;
        }
        let other = lower(&other, dialect, &known, 1).map(|lowered| lowered.sql);
        assert!(other.as_ref().is_ok_and(|sql| *sql == lowered.sql), "{text}: {} {other:?}", lowered.sql);
    }
}

/// Whether a part is calculated before the query: its value, and so its type, may be another in the changed expression.
fn calculates(node: &Node, known: &Known<'_>) -> bool {
    let environment = crate::expr::Environment::without_document("").with_known(*known);
    let leaf = matches!(node, Node::Literal(_) | Node::Place(_) | Node::Has(_));
    if is_known(node) && (!leaf || matches!(value(node, &environment), View::Error)) {
        return true;
    }
    node.children().iter().any(|child| calculates(child, known))
}
