//! The SQL of PostgreSQL. A member is `jsonb`, in which a missing one is NULL; equality is that of `jsonb`, and so is the
//! order of numbers and booleans. Texts are ordered by their bytes.

use std::sync::Arc;

use crate::{
    drivers::sql::lower::{
        binds::Binds,
        term::{Kind, Term},
    },
    expr::View,
    json::{number::write_f64, order::Number},
};

/// An error of the expression.
pub(super) const ERROR: &str = "NULL::boolean";

/// A known answer.
pub(super) fn known(binds: &mut Binds, answer: Option<bool>) -> String {
    format!("{}::boolean", binds.bind(answer))
}

/// A bound moment or rank.
pub(super) fn integer(binds: &mut Binds, value: i64) -> String {
    format!("{}::bigint", binds.bind(value))
}

/// A bound text.
pub(super) fn text(binds: &mut Binds, value: &str) -> String {
    format!("{}::text", binds.bind(value))
}

/// A bound number. It travels as text: a cast from `double precision` keeps only 15 digits.
pub(super) fn number(binds: &mut Binds, value: Number) -> String {
    let text = match value {
        Number::Integer(value) => value.to_string(),
        Number::Double(value) => {
            let mut text = String::new();
            write_f64(&mut text, value);
            text
        }
    };
    format!("{}::text::numeric", binds.bind(text))
}

/// A member. Names go one by one: `#>` would take "0" for the place in an array.
pub(super) fn member(binds: &mut Binds, body: &str, path: &[Arc<str>]) -> String {
    let mut sql = format!("({body}");
    for name in path {
        sql.push_str(" -> ");
        sql.push_str(&binds.name(name));
        sql.push_str("::text");
    }
    sql.push(')');
    sql
}

/// A term as `jsonb`; NULL if it is missing.
pub(super) fn json(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Member { body, path } => member(binds, body, path),
        Term::Text(column) | Term::Moment(column) => format!("to_jsonb({column})"),
        Term::NullableText(column) => format!("COALESCE(to_jsonb({column}), 'null'::jsonb)"),
        Term::Known(View::Null) => "'null'::jsonb".to_owned(),
        Term::Known(View::Bool(value)) => format!("to_jsonb({}::boolean)", binds.bind(*value)),
        Term::Known(View::Number(value)) => format!("to_jsonb({})", number(binds, *value)),
        Term::Known(View::Text(value)) => format!("to_jsonb({})", text(binds, value)),
        Term::Known(View::Missing | View::Container(_) | View::Moment(_)) => "NULL::jsonb".to_owned(),
    }
}

/// The check that a term holds a value of a kind, if it is not known already.
pub(super) fn is(binds: &mut Binds, term: &Term<'_>, kind: Kind) -> Option<String> {
    match term {
        Term::Member { body, path } => {
            let name = match kind {
                Kind::Number => "number",
                Kind::Text => "string",
                Kind::Bool => "boolean",
            };
            Some(format!("jsonb_typeof{} = '{name}'", member(binds, body, path)))
        }
        Term::NullableText(column) => Some(format!("{column} IS NOT NULL")),
        Term::Known(_) | Term::Text(_) | Term::Moment(_) => None,
    }
}

/// A comparison of two terms that hold values of this kind.
pub(super) fn ordered(binds: &mut Binds, kind: Kind, left: &Term<'_>, symbol: &str, right: &Term<'_>) -> String {
    match kind {
        Kind::Number | Kind::Bool => {
            let left = json(binds, left);
            let right = json(binds, right);
            format!("{left} {symbol} {right}")
        }
        Kind::Text => {
            let left = as_text(binds, left);
            let right = as_text(binds, right);
            format!("{left} COLLATE \"C\" {symbol} {right}")
        }
    }
}

fn as_text(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Text(column) | Term::NullableText(column) => (*column).to_owned(),
        Term::Known(View::Text(value)) => text(binds, value),
        other => format!("({} #>> '{{}}')", json(binds, other)),
    }
}

/// A member that must itself be true.
pub(super) fn test(binds: &mut Binds, body: &str, path: &[Arc<str>]) -> String {
    let member = member(binds, body, path);
    format!("CASE jsonb_typeof{member} WHEN 'boolean' THEN {member} = 'true'::jsonb END")
}

/// Whether a member is there.
pub(super) fn has(binds: &mut Binds, body: &str, path: &[Arc<str>]) -> String {
    let found = member(binds, body, path);
    match path.split_last() {
        Some((_, holder)) if !holder.is_empty() => {
            let holder = member(binds, body, holder);
            format!("CASE jsonb_typeof{holder} WHEN 'object' THEN {found} IS NOT NULL END")
        }
        _ => format!("({found} IS NOT NULL)"),
    }
}

/// The terms that order a member: rank, number, text.
pub(super) fn sort_member(binds: &mut Binds, body: &str, path: &[Arc<str>]) -> Vec<String> {
    let member = member(binds, body, path);
    vec![
        format!(
            "(CASE jsonb_typeof{member} WHEN 'null' THEN 1 WHEN 'boolean' THEN CASE WHEN {member} = 'true'::jsonb THEN 3 \
             ELSE 2 END WHEN 'number' THEN 4 WHEN 'string' THEN 5 WHEN 'object' THEN 6 WHEN 'array' THEN 6 ELSE 0 \
             END)::bigint"
        ),
        format!("CASE jsonb_typeof{member} WHEN 'number' THEN {member}::numeric ELSE 0::numeric END"),
        format!("(CASE jsonb_typeof{member} WHEN 'string' THEN {member} #>> '{{}}' ELSE '' END) COLLATE \"C\""),
    ]
}
