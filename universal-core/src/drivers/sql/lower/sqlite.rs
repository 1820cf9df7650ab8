//! The SQL of SQLite. A member is the canonical JSON text that `->` gives, in which a missing one is NULL. Equal values have
//! equal canonical texts, so equality is that of texts; the order of numbers is that of their values, except where both
//! have exponents (see `scaled`).

use crate::{
    drivers::sql::lower::{
        binds::Binds,
        postgres::{number_text, path_text as path_of},
        scaled::{Digits, digits_sql, is_scaled, scale_sql, scaled},
        term::{Kind, Made, Member, Shape, Term},
    },
    expr::View,
    json::{order::Number, value_to_text},
};

/// An error of the expression.
pub(super) const ERROR: &str = "NULL";

/// A known answer.
pub(super) fn answer(binds: &mut Binds, answer: Option<bool>) -> String {
    binds.bind(answer)
}

/// The path of a member, bound.
pub(super) fn path_text(binds: &mut Binds, member: &Member) -> String {
    binds.name(&path_of(&member.path))
}

/// A term as canonical JSON text; NULL if it is missing. Numbers and sums that SQL made have none: see [`equal`].
pub(super) fn json(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Member(member) => format!("({} -> {})", member.body, path_text(binds, member)),
        Term::Text(column) | Term::NullableText(column) | Term::Moment(column) => format!("json_quote({column})"),
        Term::Known(View::Null) => binds.bind("null"),
        Term::Known(View::Bool(value)) => binds.bind(if *value { "true" } else { "false" }),
        Term::Known(View::Number(value)) => binds.bind(number_text(*value)),
        Term::Known(View::Text(value)) => binds.bind(value_to_text(&(**value).into())),
        Term::Known(_) => "NULL".to_owned(),
        Term::Made(Made { sql, shape, .. }) => match shape {
            Shape::Json => sql.clone(),
            // Of NULL, json_quote makes the text "null".
            Shape::Text => format!("(SELECT json_quote(t) FROM (SELECT {sql} AS t) WHERE t IS NOT NULL)"),
            Shape::Bool => format!("CASE {sql} WHEN TRUE THEN 'true' WHEN FALSE THEN 'false' END"),
            Shape::Sum | Shape::Number | Shape::Time => "NULL".to_owned(),
        },
    }
}

/// The check that a term holds a value of a kind, if it is not known already.
pub(super) fn is(binds: &mut Binds, term: &Term<'_>, kind: Kind) -> Option<String> {
    match term {
        Term::Member(member) => {
            let names = match kind {
                Kind::Number => "IN ('integer', 'real')",
                Kind::Text => "= 'text'",
                Kind::Bool => "IN ('true', 'false')",
            };
            Some(format!("json_type({}, {}) {names}", member.body, path_text(binds, member)))
        }
        Term::NullableText(column) => Some(format!("{column} IS NOT NULL")),
        Term::Made(Made { sql, shape: Shape::Sum, .. }) => {
            let symbol = if kind == Kind::Text { "=" } else { "<>" };
            Some(format!("typeof({sql}) {symbol} 'text'"))
        }
        Term::Known(_) | Term::Text(_) | Term::Moment(_) | Term::Made(_) => None,
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
    let plain = |term: &Term<'_>| match term {
        Term::Known(View::Number(number)) => !is_scaled(*number),
        // What calculations give, see `expr::arithmetic`.
        Term::Made(Made { shape: Shape::Number | Shape::Sum, .. }) => true,
        _ => false,
    };
    if plain(left) || plain(right) {
        // The other side may be off by one unit in the last place, but is then far away.
        let left = value(binds, left);
        let right = value(binds, right);
        return format!("{left} {symbol} {right}");
    }
    let (left_scale, left_digits) = pair(binds, left);
    let (right_scale, right_digits) = pair(binds, right);
    let pairs = format!("({left_scale}, {left_digits}) {symbol} ({right_scale}, {right_digits})");
    if !matches!((left, right), (Term::Member(_), Term::Member(_))) {
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
pub(super) fn value(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Member(member) => format!("json_extract({}, {})", member.body, path_text(binds, member)),
        Term::Text(column) | Term::NullableText(column) | Term::Moment(column) => (*column).to_owned(),
        Term::Known(View::Number(Number::Integer(value))) => binds.bind(*value),
        Term::Known(View::Number(Number::Double(value))) => binds.bind(*value),
        Term::Known(View::Text(value)) => binds.bind(&**value),
        Term::Known(View::Bool(value)) => binds.bind(*value),
        Term::Known(_) => "NULL".to_owned(),
        Term::Made(made) => made.sql.clone(),
    }
}

/// Whether a number or sum that SQL made equals another term; both are named.
pub(super) fn equal(binds: &mut Binds, left: &Term<'_>, right: &Term<'_>) -> String {
    let missing: Vec<String> = [left, right].into_iter().filter_map(|term| missing(binds, term)).collect();
    let mut sql = "CASE".to_owned();
    if !missing.is_empty() {
        sql.push_str(&format!(" WHEN {} THEN NULL", missing.join(" OR ")));
    }
    for kind in [Kind::Number, Kind::Text] {
        if left.may_be(kind) && right.may_be(kind) {
            let checks: Vec<String> = [is(binds, left, kind), is(binds, right, kind)].into_iter().flatten().collect();
            let check = if checks.is_empty() { "TRUE".to_owned() } else { checks.join(" AND ") };
            let compared = ordered(binds, kind, left, "=", right);
            sql.push_str(&format!(" WHEN {check} THEN {compared}"));
        }
    }
    sql + " ELSE FALSE END"
}

/// The check that a term is an error.
fn missing(binds: &mut Binds, term: &Term<'_>) -> Option<String> {
    match term {
        Term::Member(member) => Some(format!("json_type({}, {}) IS NULL", member.body, path_text(binds, member))),
        Term::Made(made) => Some(format!("{} IS NULL", made.sql)),
        Term::Known(_) | Term::Text(_) | Term::NullableText(_) | Term::Moment(_) => None,
    }
}

/// A member that must itself be true.
pub(super) fn test(binds: &mut Binds, member: &Member) -> String {
    let path = path_text(binds, member);
    format!("CASE json_type({}, {path}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END", member.body)
}

/// Whether a member is there.
pub(super) fn has(binds: &mut Binds, member: &Member) -> String {
    let Member { body, path } = member;
    let found = format!("json_type({body}, {}) IS NOT NULL", path_text(binds, member));
    match path.split_last() {
        Some((_, holder)) if !holder.is_empty() => {
            let holder = path_text(binds, &Member { body: body.clone(), path: holder.to_vec() });
            format!("CASE json_type({body}, {holder}) WHEN 'object' THEN {found} END")
        }
        _ => format!("({found})"),
    }
}

/// The terms that order a member: rank, scale, number, text.
pub(super) fn sort_member(binds: &mut Binds, member: &Member) -> Vec<String> {
    let body = &member.body;
    let path = path_text(binds, member);
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
