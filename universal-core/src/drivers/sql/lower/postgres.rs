//! The SQL of PostgreSQL. A member is `jsonb`, in which a missing one is NULL; equality is that of `jsonb`, and so is the
//! order of numbers and booleans. Texts are ordered by their bytes.

use crate::{
    drivers::sql::lower::{
        binds::Binds,
        term::{Kind, Made, Member, Shape, Term},
    },
    expr::{Step, View},
    json::{number::write_f64, order::Number, value_to_text},
};

/// An error of the expression.
pub(super) const ERROR: &str = "NULL::boolean";

/// A known answer.
pub(super) fn answer(binds: &mut Binds, answer: Option<bool>) -> String {
    format!("{}::boolean", binds.bind(answer))
}

/// A bound moment or rank.
pub(super) fn integer(binds: &mut Binds, value: i64) -> String {
    format!("{}::bigint", binds.bind(value))
}

/// A bound text.
pub(super) fn bound_text(binds: &mut Binds, value: &str) -> String {
    format!("{}::text", binds.bind(value))
}

/// A bound JSON value. The planner reads it once: `to_jsonb` would make it anew for each row.
fn bound_json(binds: &mut Binds, text: String) -> String {
    format!("{}::text::jsonb", binds.bind(text))
}

/// A bound number. It travels as text: a cast from `double precision` keeps only 15 digits.
pub(super) fn number_value(binds: &mut Binds, value: Number) -> String {
    format!("{}::text::numeric", binds.bind(number_text(value)))
}

/// The canonical text of a number.
pub(super) fn number_text(value: Number) -> String {
    let mut text = String::new();
    match value {
        Number::Integer(value) => text = value.to_string(),
        Number::Double(value) => write_f64(&mut text, value),
    }
    text
}

/// A member. Names go one by one: `#>` would take "0" for the place in an array. A path with an item of an array goes by
/// `jsonpath`, in whose strict mode a member is one of an object and an item one of an array.
pub(super) fn member(binds: &mut Binds, member: &Member) -> String {
    let Member { body, path } = member;
    let names: Option<Vec<&str>> = path
        .iter()
        .map(|step| match step {
            Step::Name(name) => Some(&**name),
            Step::Item(_) => None,
        })
        .collect();
    let Some(names) = names else {
        let path = binds.name(&format!("strict {}", path_text(path)));
        return format!("jsonb_path_query_first({body}, {path}::text::jsonpath, '{{}}', TRUE)");
    };
    let mut sql = format!("({body}");
    for name in names {
        sql.push_str(" -> ");
        sql.push_str(&binds.name(name));
        sql.push_str("::text");
    }
    sql.push(')');
    sql
}

/// A path as `jsonpath` and SQLite write it. The names hold no quote, backslash or control character: `expr` refuses
/// those.
pub(super) fn path_text(path: &[Step]) -> String {
    path.iter().fold("$".to_owned(), |text, step| match step {
        Step::Name(name) => text + ".\"" + name + "\"",
        Step::Item(index) => text + "[" + &index.to_string() + "]",
    })
}

/// A term as `jsonb`; NULL if it is missing.
pub(super) fn json(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Member(found) => member(binds, found),
        Term::Text(column) | Term::Moment(column) => format!("to_jsonb({column})"),
        Term::NullableText(column) => format!("COALESCE(to_jsonb({column}), 'null'::jsonb)"),
        Term::Known(View::Null) => "'null'::jsonb".to_owned(),
        Term::Known(View::Bool(value)) => bound_json(binds, value.to_string()),
        Term::Known(View::Number(value)) => bound_json(binds, number_text(*value)),
        Term::Known(View::Text(value)) => bound_json(binds, value_to_text(&(**value).into())),
        Term::Known(_) => "NULL::jsonb".to_owned(),
        Term::Made(Made { sql, shape: Shape::Json | Shape::Sum, .. }) => sql.clone(),
        Term::Made(Made { sql, .. }) => format!("to_jsonb({sql})"),
    }
}

/// The check that a term holds a value of a kind, if it is not known already.
pub(super) fn is(binds: &mut Binds, term: &Term<'_>, kind: Kind) -> Option<String> {
    match term {
        Term::Member(found) => {
            let name = match kind {
                Kind::Number => "number",
                Kind::Text => "string",
                Kind::Bool => "boolean",
            };
            Some(format!("jsonb_typeof({}) = '{name}'", member(binds, found)))
        }
        Term::NullableText(column) => Some(format!("{column} IS NOT NULL")),
        Term::Known(_) | Term::Text(_) | Term::Moment(_) | Term::Made(_) => None,
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
        Term::Known(View::Text(value)) => bound_text(binds, value),
        Term::Made(Made { sql, shape: Shape::Text, .. }) => sql.clone(),
        other => format!("({} #>> '{{}}')", json(binds, other)),
    }
}

/// A member that must itself be true.
pub(super) fn test(binds: &mut Binds, found: &Member) -> String {
    let found = member(binds, found);
    format!("CASE jsonb_typeof({found}) WHEN 'boolean' THEN {found} = 'true'::jsonb END")
}

/// Whether a member is there.
pub(super) fn has(binds: &mut Binds, found: &Member) -> String {
    let sql = member(binds, found);
    match found.path.split_last() {
        Some((_, holder)) if !holder.is_empty() => {
            let holder = member(binds, &Member { body: found.body.clone(), path: holder.to_vec() });
            format!("CASE jsonb_typeof({holder}) WHEN 'object' THEN {sql} IS NOT NULL END")
        }
        _ => format!("({sql} IS NOT NULL)"),
    }
}

/// The terms that order a member: rank, number, text.
pub(super) fn sort_member(binds: &mut Binds, found: &Member) -> Vec<String> {
    let member = member(binds, found);
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
