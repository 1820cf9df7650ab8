//! Values that PostgreSQL makes: arithmetic, sizes, what is in a list. Nothing here can raise: `bigint` and
//! `double precision` are used only within bounds, all else is `numeric`, which has none that matter.

use crate::{
    drivers::sql::lower::{
        binds::Binds,
        postgres::{bound_text, json, member, number_value},
        term::{Made, Shape, Term},
    },
    expr::{Operator, View},
};

/// Less than 2^63, and so its negative.
const TWO_63: &str = "9223372036854775808";
/// The least size of a number that is not 0, see `expr::arithmetic`.
const SMALLEST: &str = "0.00001";

/// A term as `numeric`; NULL for anything else. A term that is no number is written often.
pub(super) fn number(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Known(View::Number(value)) => number_value(binds, *value),
        Term::Made(Made { sql, shape: Shape::Number, .. }) => sql.clone(),
        Term::Member(found) => {
            let found = member(binds, found);
            format!("CASE jsonb_typeof({found}) WHEN 'number' THEN {found}::numeric END")
        }
        _ => "NULL::numeric".to_owned(),
    }
}

/// A term as `text`; NULL for anything else.
pub(super) fn text(binds: &mut Binds, term: &Term<'_>) -> String {
    match term {
        Term::Text(column) | Term::NullableText(column) => (*column).to_owned(),
        Term::Known(View::Text(value)) => bound_text(binds, value),
        Term::Made(Made { sql, shape: Shape::Text, .. }) => sql.clone(),
        Term::Member(found) => {
            let found = member(binds, found);
            format!("(CASE jsonb_typeof({found}) WHEN 'string' THEN {found} #>> '{{}}' END)")
        }
        _ => "NULL::text".to_owned(),
    }
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

/// `left operator right`, each of them a `numeric` that is written once; the rows have the names `v{names - 1}` and
/// `v{names}`.
pub(super) fn calculation(operator: Operator, left: &str, right: &str, names: usize) -> String {
    let (inner, outer) = (format!("v{}", names - 1), format!("v{names}"));
    let (l, r) = (format!("{inner}.l"), format!("{inner}.r"));
    let symbol = operator.symbol();
    let whole = |x: &str| format!("({x} = trunc({x}) AND {x} BETWEEN -{TWO_63} AND {TWO_63} - 1)");
    let whole = format!("{} AND {}", whole(&l), whole(&r));
    let fits = |x: &str| format!("({x} = 0 OR abs({x}) BETWEEN {SMALLEST} AND {TWO_63}) AND {x} <> {TWO_63}");
    let fit = format!("{} AND {}", fits(&l), fits(&r));
    let exact = format!("CASE WHEN {whole} THEN {l} {symbol} {r} END");
    let doubles = format!("{l}::double precision {symbol} {r}::double precision");
    let (exact, double) = match operator {
        Operator::Remainder => {
            (format!("CASE WHEN {whole} AND {r} <> 0 THEN {l} % {r} END"), "NULL::double precision".to_owned())
        }
        Operator::Divide => ("NULL::numeric".to_owned(), format!("CASE WHEN {r} <> 0 AND {fit} THEN {doubles} END")),
        Operator::Add | Operator::Subtract | Operator::Multiply => {
            (exact, format!("CASE WHEN {whole} THEN NULL WHEN {fit} THEN {doubles} END"))
        }
    };
    let (i, d) = (format!("{outer}.i"), format!("{outer}.d"));
    format!(
        "(SELECT CASE WHEN {i} IS NOT NULL THEN CASE WHEN {i} BETWEEN -{TWO_63} AND {TWO_63} - 1 THEN {i} END \
         WHEN abs({d}) < {TWO_63}::double precision THEN CASE WHEN {d} = trunc({d}) THEN {d}::bigint::numeric \
         WHEN abs({d}) >= {SMALLEST}::double precision THEN {d}::text::numeric END END \
         FROM (SELECT {exact} AS i, {double} AS d FROM (SELECT {left} AS l, {right} AS r OFFSET 0) AS {inner} OFFSET 0) \
         AS {outer})"
    )
}

/// `needle in list`; the row has the name `v{names}`.
pub(super) fn within(binds: &mut Binds, needle: &Term<'_>, list: &Term<'_>, names: usize) -> String {
    let (needle, list) = (json(binds, needle), json(binds, list));
    let row = format!("v{names}");
    let (n, l) = (format!("{row}.n"), format!("{row}.l"));
    format!(
        "(SELECT CASE WHEN {n} IS NULL THEN NULL \
         WHEN CASE jsonb_typeof({n}) WHEN 'number' THEN {n}::numeric <> 0 AND (abs({n}::numeric) < {SMALLEST} OR \
         abs({n}::numeric) > {TWO_63} OR {n}::numeric = {TWO_63}) ELSE FALSE END THEN NULL \
         ELSE CASE jsonb_typeof({l}) \
         WHEN 'array' THEN EXISTS (SELECT 1 FROM jsonb_array_elements({l}) AS e(item) WHERE e.item = {n}) \
         WHEN 'object' THEN CASE jsonb_typeof({n}) WHEN 'string' THEN jsonb_exists({l}, {n} #>> '{{}}') ELSE FALSE END \
         END END FROM (SELECT {needle} AS n, {list} AS l OFFSET 0) AS {row})"
    )
}
