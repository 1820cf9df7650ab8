//! The SQL of SQLite. A member is the canonical JSON text that `->` gives, in which a missing one is NULL. Equal values have
//! equal canonical texts, so equality is that of texts; the order of numbers is that of their values, except where both
//! have exponents (see `scaled`).

use std::sync::Arc;

use crate::{
    drivers::sql::lower::{
        binds::Binds,
        scaled::{Digits, digits_sql, is_scaled, scale_sql, scaled},
        term::{Kind, Term},
    },
    expr::View,
    json::{number::write_f64, order::Number, value_to_text},
};

/// An error of the expression.
pub(super) const ERROR: &str = "NULL";

/// A known answer.
pub(super) fn known(binds: &mut Binds, answer: Option<bool>) -> String {
    binds.bind(answer)
}

/// The path of a member, bound. The names hold no quote, backslash or control character: `expr` refuses those.
fn path_text(binds: &mut Binds, path: &[Arc<str>]) -> String {
    let text = path.iter().fold("$".to_owned(), |text, name| text + ".\"" + name + "\"");
    binds.name(&text)
}

/// A term as canonical JSON text; NULL if it is missing.
pub(super) fn json(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Member { body, path } => format!("({body} -> {})", path_text(binds, path)),
        Term::Text(column) | Term::NullableText(column) | Term::Moment(column) => format!("json_quote({column})"),
        Term::Known(View::Null) => binds.bind("null"),
        Term::Known(View::Bool(value)) => binds.bind(if *value { "true" } else { "false" }),
        Term::Known(View::Number(value)) => binds.bind(number_text(*value)),
        Term::Known(View::Text(value)) => binds.bind(value_to_text(&(*value).into())),
        Term::Known(View::Missing | View::Container(_) | View::Moment(_)) => "NULL".to_owned(),
    }
}

fn number_text(number: Number) -> String {
    let mut text = String::new();
    match number {
        Number::Integer(value) => text = value.to_string(),
        Number::Double(value) => write_f64(&mut text, value),
    }
    text
}

/// The check that a term holds a value of a kind, if it is not known already.
pub(super) fn is(binds: &mut Binds, term: &Term<'_>, kind: Kind) -> Option<String> {
    match term {
        Term::Member { body, path } => {
            let names = match kind {
                Kind::Number => "IN ('integer', 'real')",
                Kind::Text => "= 'text'",
                Kind::Bool => "IN ('true', 'false')",
            };
            Some(format!("json_type({body}, {}) {names}", path_text(binds, path)))
        }
        Term::NullableText(column) => Some(format!("{column} IS NOT NULL")),
        Term::Known(_) | Term::Text(_) | Term::Moment(_) => None,
    }
}

/// A comparison of two terms that hold values of this kind.
pub(super) fn ordered(binds: &mut Binds, kind: Kind, left: &Term<'_>, symbol: &str, right: &Term<'_>) -> String {
    if kind == Kind::Number {
        return numbers(binds, left, symbol, right);
    }
    let left = value(binds, left);
    let right = value(binds, right);
    format!("{left} {symbol} {right}")
}

fn numbers(binds: &mut Binds, left: &Term<'_>, symbol: &str, right: &Term<'_>) -> String {
    let plain = |term: &Term<'_>| matches!(term, Term::Known(View::Number(number)) if !is_scaled(*number));
    if plain(left) || plain(right) {
        // The other side may be off by one unit in the last place, but is then far away.
        let left = value(binds, left);
        let right = value(binds, right);
        return format!("{left} {symbol} {right}");
    }
    let (left_scale, left_digits) = pair(binds, left);
    let (right_scale, right_digits) = pair(binds, right);
    let pairs = format!("({left_scale}, {left_digits}) {symbol} ({right_scale}, {right_digits})");
    if !matches!((left, right), (Term::Member { .. }, Term::Member { .. })) {
        return pairs;
    }
    let (left_text, right_text) = (json(binds, left), json(binds, right));
    let (left, right) = (value(binds, left), value(binds, right));
    format!(
        "CASE WHEN instr({left_text}, 'e') > 0 AND instr({right_text}, 'e') > 0 THEN {pairs} \
         ELSE {left} {symbol} {right} END"
    )
}

/// A number as scale and digits.
fn pair(binds: &mut Binds, term: &Term<'_>) -> (String, String) {
    if let Term::Known(View::Number(number)) = term {
        return (bound_scale(binds, *number), bound_digits(binds, *number));
    }
    let text = json(binds, term);
    let value = value(binds, term);
    (scale_sql(&text, &value), digits_sql(&text, &value))
}

/// The scale of a known number.
pub(super) fn bound_scale(binds: &mut Binds, number: Number) -> String {
    binds.bind(scaled(number).0)
}

/// The digits of a known number.
pub(super) fn bound_digits(binds: &mut Binds, number: Number) -> String {
    match scaled(number).1 {
        Digits::Integer(value) => binds.bind(value),
        Digits::Double(value) => binds.bind(value),
    }
}

/// A term as a value of SQLite: a number, a text, or 1 and 0.
fn value(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Member { body, path } => format!("json_extract({body}, {})", path_text(binds, path)),
        Term::Text(column) | Term::NullableText(column) | Term::Moment(column) => (*column).to_owned(),
        Term::Known(View::Number(Number::Integer(value))) => binds.bind(*value),
        Term::Known(View::Number(Number::Double(value))) => binds.bind(*value),
        Term::Known(View::Text(value)) => binds.bind(*value),
        Term::Known(View::Bool(value)) => binds.bind(*value),
        Term::Known(View::Moment(value)) => binds.bind(*value),
        Term::Known(View::Missing | View::Null | View::Container(_)) => "NULL".to_owned(),
    }
}

/// A member that must itself be true.
pub(super) fn test(binds: &mut Binds, body: &str, path: &[Arc<str>]) -> String {
    format!("CASE json_type({body}, {}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END", path_text(binds, path))
}

/// Whether a member is there.
pub(super) fn has(binds: &mut Binds, body: &str, path: &[Arc<str>]) -> String {
    let found = format!("json_type({body}, {}) IS NOT NULL", path_text(binds, path));
    match path.split_last() {
        Some((_, holder)) if !holder.is_empty() => {
            let holder = path_text(binds, holder);
            format!("CASE json_type({body}, {holder}) WHEN 'object' THEN {found} END")
        }
        _ => format!("({found})"),
    }
}

/// The terms that order a member: rank, scale, number, text.
pub(super) fn sort_member(binds: &mut Binds, body: &str, path: &[Arc<str>]) -> Vec<String> {
    let path = path_text(binds, path);
    let kind = format!("json_type({body}, {path})");
    let text = format!("({body} -> {path})");
    let value = format!("json_extract({body}, {path})");
    vec![
        format!(
            "CASE {kind} WHEN 'null' THEN 1 WHEN 'false' THEN 2 WHEN 'true' THEN 3 WHEN 'integer' THEN 4 WHEN 'real' THEN 4 \
             WHEN 'text' THEN 5 WHEN 'object' THEN 6 WHEN 'array' THEN 6 ELSE 0 END"
        ),
        format!(
            "CASE {kind} WHEN 'integer' THEN (({value} > 0) - ({value} < 0)) * 1000 WHEN 'real' THEN {} ELSE 0 END",
            scale_sql(&text, &value)
        ),
        format!("CASE {kind} WHEN 'integer' THEN {value} WHEN 'real' THEN {} ELSE 0 END", digits_sql(&text, &value)),
        format!("CASE {kind} WHEN 'text' THEN {value} ELSE '' END"),
    ]
}
