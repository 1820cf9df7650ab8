//! Values that SQLite makes: arithmetic, sizes, what is in a list. A made number is an INTEGER, or a REAL that is no
//! integer and within the bounds of `expr::arithmetic`; so its kind and value are exact.

use crate::{
    drivers::sql::lower::{
        binds::Binds,
        sqlite::{json, path_text, value},
        term::{Made, Member, Shape, Term},
    },
    expr::{Operator, View},
    json::{number::has_exponent, order::Number, value_to_text},
};

/// A term as a number that calculations take; NULL for anything else.
pub(super) fn number(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Known(View::Number(Number::Integer(value))) => binds.bind(*value),
        Term::Known(View::Number(Number::Double(value))) => {
            // NULL has the type of the number, so that the text of the SQL is that of every other number.
            binds.bind(Some(*value).filter(|value| !has_exponent(*value)))
        }
        Term::Member(member) => {
            let (body, path) = (&member.body, path_text(binds, member));
            let value = value(binds, term);
            format!(
                "CASE json_type({body}, {path}) WHEN 'integer' THEN {value} \
                 WHEN 'real' THEN CASE instr({body} -> {path}, 'e') WHEN 0 THEN {value} END END"
            )
        }
        Term::Made(Made { sql, shape: Shape::Number, .. }) => sql.clone(),
        Term::Made(Made { sql, shape: Shape::Sum, .. }) => format!("CASE WHEN typeof({sql}) <> 'text' THEN {sql} END"),
        _ => "NULL".to_owned(),
    }
}

/// A term as a text; NULL for anything else.
pub(super) fn text(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Text(column) | Term::NullableText(column) => (*column).to_owned(),
        Term::Known(View::Text(value)) => binds.bind(&**value),
        Term::Member(member) => {
            let path = path_text(binds, member);
            format!("CASE json_type({}, {path}) WHEN 'text' THEN {} END", member.body, value(binds, term))
        }
        Term::Made(Made { sql, shape: Shape::Text, .. }) => sql.clone(),
        Term::Made(Made { sql, shape: Shape::Sum, .. }) => format!("CASE WHEN typeof({sql}) = 'text' THEN {sql} END"),
        _ => "NULL".to_owned(),
    }
}

/// `size(term)`
pub(super) fn size(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Member(member) => {
            let (body, path) = (&member.body, path_text(binds, member));
            format!(
                "CASE json_type({body}, {path}) WHEN 'text' THEN length(json_extract({body}, {path})) \
                 WHEN 'array' THEN json_array_length({body}, {path}) \
                 WHEN 'object' THEN (SELECT count(*) FROM json_each({body}, {path})) END"
            )
        }
        _ => format!("length({})", text(binds, term)),
    }
}

/// `left operator right`, each of them a number that is written once; the rows have the names `v{names - 1}` and `v{names}`.
///
/// Where a sum or product of integers overflows, SQLite goes on with doubles, which are then 2^63 or more.
pub(super) fn calculation(operator: Operator, left: &str, right: &str, names: usize) -> String {
    let (inner, outer) = (format!("v{}", names - 1), format!("v{names}"));
    let operands = format!("(SELECT ({left}) AS l, ({right}) AS r) AS {inner}");
    let made = match operator {
        Operator::Add | Operator::Subtract | Operator::Multiply => {
            format!("SELECT ({left}) {} ({right}) AS n", operator.symbol())
        }
        Operator::Divide => format!("SELECT CAST(({left}) AS REAL) / ({right}) AS n"),
        Operator::Remainder => format!(
            "SELECT CASE WHEN typeof({inner}.l) = 'integer' AND typeof({inner}.r) = 'integer' THEN {inner}.l % \
             {inner}.r END AS n FROM {operands}"
        ),
    };
    let n = format!("{outer}.n");
    format!(
        "(SELECT CASE typeof({n}) WHEN 'integer' THEN {n} WHEN 'real' THEN CASE WHEN abs({n}) < 9223372036854775808.0 \
         THEN CASE WHEN {n} = CAST({n} AS INTEGER) THEN CAST({n} AS INTEGER) WHEN abs({n}) >= 0.00001 THEN {n} END END \
         END FROM ({made}) AS {outer})"
    )
}

/// `needle in list`; the row has the name `v{names}`. What is looked for is made once: its kind, its value, its text if it
/// is an array or an object, and its text in any case. A list whose text does not hold that text is not gone through.
pub(super) fn within(binds: &mut Binds, needle: &Term<'_>, list: &Member, names: usize) -> String {
    let whole = match needle {
        Term::Known(View::Container(_) | View::Texts(_) | View::Literals(_)) | Term::Made(_) => "NULL".to_owned(),
        other => json(binds, other),
    };
    let (kind, sought, text) = sought(binds, needle);
    let row = format!("v{names}");
    let (body, path) = (&list.body, path_text(binds, list));
    format!(
        "(SELECT CASE WHEN {row}.k IS NULL THEN NULL ELSE CASE json_type({body}, {path}) \
         WHEN 'array' THEN ({row}.w IS NULL OR instr({body} -> {path}, {row}.w) > 0) \
         AND EXISTS (SELECT 1 FROM json_each({body}, {path}) AS e WHERE CASE {row}.k \
         WHEN 'number' THEN e.type IN ('integer', 'real') AND e.value = {row}.x \
         WHEN 'text' THEN e.type = 'text' AND e.value = {row}.x \
         WHEN 'array' THEN e.type = 'array' AND e.value = {row}.j \
         WHEN 'object' THEN e.type = 'object' AND e.value = {row}.j ELSE e.type = {row}.k END) \
         WHEN 'object' THEN {row}.k = 'text' AND EXISTS (SELECT 1 FROM json_each({body}, {path}) AS e \
         WHERE e.key = {row}.x) END END \
         FROM (SELECT {kind} AS k, {sought} AS x, {text} AS j, {whole} AS w) AS {row})"
    )
}

/// What is looked for: kind, value, text.
fn sought(binds: &mut Binds, needle: &Term<'_>) -> (String, String, String) {
    let null = || "NULL".to_owned();
    match needle {
        Term::Known(view) => {
            let kind = match view {
                View::Null => Some("null"),
                View::Bool(true) => Some("true"),
                View::Bool(false) => Some("false"),
                View::Number(Number::Double(value)) if has_exponent(*value) => None,
                View::Number(_) => Some("number"),
                View::Text(_) => Some("text"),
                View::Container(value) if value.is_object() => Some("object"),
                View::Container(_) | View::Texts(_) | View::Literals(_) => Some("array"),
                View::Error | View::Moment(_) | View::Duration(_) => None,
            };
            let json = match view {
                View::Container(_) | View::Texts(_) | View::Literals(_) => view.to_json(),
                _ => None,
            };
            let kind = binds.bind(kind);
            (kind, value(binds, needle), json.map_or_else(null, |json| binds.bind(value_to_text(&json))))
        }
        Term::Member(member) => {
            let (body, path) = (&member.body, path_text(binds, member));
            let kind = format!(
                "CASE json_type({body}, {path}) WHEN 'integer' THEN 'number' WHEN 'real' THEN \
                 CASE instr({body} -> {path}, 'e') WHEN 0 THEN 'number' END ELSE json_type({body}, {path}) END"
            );
            (kind, value(binds, needle), json(binds, needle))
        }
        Term::Text(column) => ("'text'".to_owned(), (*column).to_owned(), null()),
        Term::NullableText(column) => {
            (format!("CASE WHEN {column} IS NULL THEN 'null' ELSE 'text' END"), (*column).to_owned(), null())
        }
        Term::Made(Made { sql, shape, .. }) => {
            let kind = match shape {
                Shape::Bool => format!("CASE {sql} WHEN TRUE THEN 'true' WHEN FALSE THEN 'false' END"),
                Shape::Sum | Shape::Number | Shape::Text => {
                    format!("CASE typeof({sql}) WHEN 'null' THEN NULL WHEN 'text' THEN 'text' ELSE 'number' END")
                }
                Shape::Json | Shape::Time => null(),
            };
            (kind, sql.clone(), null())
        }
        Term::Moment(_) => (null(), null(), null()),
    }
}
