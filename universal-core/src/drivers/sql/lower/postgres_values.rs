//! Values that PostgreSQL makes: arithmetic, sizes, what is in a list. Nothing here can raise: `bigint` and
//! `double precision` are used only within bounds, all else is `numeric`, which has none that matter.

use crate::{
    drivers::sql::lower::{
        binds::Binds,
        postgres::{bound_text, json, member, number_text},
        term::{Made, Shape, Term},
    },
    expr::{Operator, View},
    json::{number::has_exponent, order::Number},
};

/// Less than 2^63, and so its negative.
const TWO_63: &str = "9223372036854775808";
/// The least size of a number that is not 0, see `expr::arithmetic`.
const SMALLEST: &str = "0.00001";

/// A term as a `numeric` that calculations take; NULL for anything else.
pub(super) fn number(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Known(View::Number(value)) => {
            // NULL has the type of the number, so that the text of the SQL is that of every other number.
            let out_of_bounds = matches!(value, Number::Double(value) if has_exponent(*value));
            format!("{}::text::numeric", binds.bind(Some(number_text(*value)).filter(|_| !out_of_bounds)))
        }
        Term::Made(Made { sql, shape: Shape::Number, .. }) => sql.clone(),
        Term::Member(found) => number_of_json(&member(binds, found)),
        _ => "NULL::numeric".to_owned(),
    }
}

/// The number in a JSON value, if it is within the bounds of `expr::arithmetic`. What calculations give is within them, so
/// this is the only place where they are looked at.
pub(super) fn number_of_json(json: &str) -> String {
    let number = format!("{json}::numeric");
    format!(
        "CASE jsonb_typeof({json}) WHEN 'number' THEN CASE WHEN ({number} = 0 OR abs({number}) BETWEEN {SMALLEST} AND \
         {TWO_63}) AND {number} <> {TWO_63} THEN {number} END END"
    )
}

/// A term as `text`; NULL for anything else.
pub(super) fn text(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Text(column) | Term::NullableText(column) => (*column).to_owned(),
        Term::Known(View::Text(value)) => bound_text(binds, value),
        Term::Made(Made { sql, shape: Shape::Text, .. }) => sql.clone(),
        Term::Member(found) => text_of_json(&member(binds, found)),
        _ => "NULL::text".to_owned(),
    }
}

/// The text in a JSON value.
pub(super) fn text_of_json(json: &str) -> String {
    format!("(CASE jsonb_typeof({json}) WHEN 'string' THEN {json} #>> '{{}}' END)")
}

/// `size(term)`
pub(super) fn size(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Member(found) => {
            let found = member(binds, found);
            format!(
                "(CASE jsonb_typeof({found}) WHEN 'string' THEN length({found} #>> '{{}}') WHEN 'array' THEN \
                 jsonb_array_length({found}) WHEN 'object' THEN (SELECT count(*) FROM jsonb_object_keys({found})) \
                 END)::numeric"
            )
        }
        _ => format!("length({})::numeric", text(binds, term)),
    }
}

/// `left operator right`, each of them the name of a `numeric` that [`number`] gave; the row has the name `row`.
///
/// A `numeric` is exact, so for integers only the result is looked at. What has a fraction goes another way, which takes
/// a row of its own.
pub(super) fn calculation(operator: Operator, left: &str, right: &str, row: &str) -> String {
    let symbol = operator.symbol();
    let whole = format!("{left} = trunc({left}) AND {right} = trunc({right})");
    let d = format!("{row}.d");
    let double = format!(
        "(SELECT CASE WHEN abs({d}) < {TWO_63}::double precision THEN CASE WHEN {d} = trunc({d}) THEN \
         {d}::bigint::numeric WHEN abs({d}) >= {SMALLEST}::double precision THEN {d}::text::numeric END END \
         FROM (SELECT {left}::double precision {symbol} {right}::double precision AS d OFFSET 0) AS {row})"
    );
    match operator {
        Operator::Remainder => format!("CASE WHEN {whole} AND {right} <> 0 THEN {left} % {right} END"),
        Operator::Divide => format!("CASE WHEN {right} <> 0 THEN {double} END"),
        Operator::Add | Operator::Subtract | Operator::Multiply => format!(
            "CASE WHEN {whole} THEN CASE WHEN {left} {symbol} {right} BETWEEN -{TWO_63} AND {TWO_63} - 1 \
             THEN {left} {symbol} {right} END ELSE {double} END"
        ),
    }
}

/// `needle in list`; the row has the name `v{names}`. `@>` finds what is no array or object; of those it would find parts.
pub(super) fn within(binds: &mut Binds, needle: &Term<'_>, list: &Term<'_>, names: usize) -> String {
    let (needle, list) = (json(binds, needle), json(binds, list));
    let row = format!("v{names}");
    let are_names = !needle.contains(' ') && !list.contains(' ');
    let (n, l) = if are_names { (needle.clone(), list.clone()) } else { (format!("{row}.n"), format!("{row}.l")) };
    let found = format!(
        "CASE WHEN {n} IS NULL THEN NULL \
         WHEN CASE jsonb_typeof({n}) WHEN 'number' THEN {n}::numeric <> 0 AND (abs({n}::numeric) < {SMALLEST} OR \
         abs({n}::numeric) > {TWO_63} OR {n}::numeric = {TWO_63}) ELSE FALSE END THEN NULL \
         ELSE CASE jsonb_typeof({l}) \
         WHEN 'array' THEN CASE WHEN jsonb_typeof({n}) IN ('array', 'object') \
         THEN EXISTS (SELECT 1 FROM jsonb_array_elements({l}) AS e(item) WHERE e.item = {n}) ELSE {l} @> {n} END \
         WHEN 'object' THEN CASE jsonb_typeof({n}) WHEN 'string' THEN jsonb_exists({l}, {n} #>> '{{}}') ELSE FALSE END \
         END END"
    );
    if are_names {
        return format!("({found})");
    }
    format!("(SELECT {found} FROM (SELECT {needle} AS n, {list} AS l OFFSET 0) AS {row})")
}
