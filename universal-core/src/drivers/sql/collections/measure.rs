//! What is computed of a field's values in a group: as SQL columns, and read back.
//!
//! The column holds `jsonb` on PostgreSQL and canonical JSON text on SQLite, NULL where the field is missing. PostgreSQL
//! adds numbers exactly. SQLite adds doubles with rounding and fails when integers overflow, so there the numbers are
//! taken apart into integers whose sums are exact: the upper and lower 32 bits of the integral part, three times eight
//! digits of the fraction (a canonical text without exponent has 21 at most); the few with an exponent are collected.

use serde_json::Value as Json;

use crate::{
    drivers::sql::{
        dialect::Dialect,
        statement::{Row, column},
    },
    error::Result,
    json::{
        decimal::{DecimalSum, number_of},
        order::compare,
    },
};

/// Which parts are wanted of a field.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// The number of numbers and their sum.
    pub(super) sum: bool,
    /// The smallest and the largest value.
    pub(super) bounds: bool,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// How many numbers there are.
    pub(super) numbers: i64,
    /// Their sum, unless it is too large for a double.
    pub(super) sum: Option<serde_json::Number>,
    /// The smallest truth value, number or text.
    pub(super) min: Option<Json>,
    /// The largest.
    pub(super) max: Option<Json>,
}

/// The columns to select for `field`, a column of the inner query.
pub(super) fn columns(dialect: Dialect, field: &str, wanted: Wanted) -> Vec<String> {
    let mut columns = Vec::new();
    match dialect {
        Dialect::Postgres => {
            let number = format!("CASE jsonb_typeof({field}) WHEN 'number' THEN {field}::numeric END");
            let text = format!("(CASE jsonb_typeof({field}) WHEN 'string' THEN {field} #>> '{{}}' END) COLLATE \"C\"");
            if wanted.sum {
                columns.extend([format!("count({number})"), format!("sum({number})::text")]);
            }
            if wanted.bounds {
                columns.extend([format!("min({number})::text"), format!("max({number})::text")]);
                columns.extend([format!("min({text})"), format!("max({text})")]);
                columns.push(format!("bool_or({field} = 'false'::jsonb)"));
                columns.push(format!("bool_or({field} = 'true'::jsonb)"));
            }
        }
        Dialect::Sqlite => {
            let kind = format!("json_type({field})");
            let value = format!("json_extract({field}, '$')");
            let plain = format!("{kind} IN ('integer', 'real') AND instr({field}, 'e') = 0");
            let whole = format!("CASE WHEN {plain} THEN CAST({field} AS INTEGER) END");
            let scaled =
                format!("group_concat(CASE WHEN {kind} = 'real' AND instr({field}, 'e') > 0 THEN {field} END, ' ')");
            columns.push(scaled);
            if wanted.sum {
                let fraction = format!("substr({field}, instr({field}, '.') + 1) || '000000000000000000000000'");
                let sign = format!("CASE substr({field}, 1, 1) WHEN '-' THEN -1 ELSE 1 END");
                columns.push(format!("count(CASE WHEN {plain} THEN 1 END)"));
                columns.extend([format!("sum({whole} >> 32)"), format!("sum({whole} & 4294967295)")]);
                columns.extend([1, 9, 17].map(|at| {
                    format!(
                        "sum(CASE WHEN {kind} = 'real' AND instr({field}, 'e') = 0 \
                         THEN {sign} * CAST(substr({fraction}, {at}, 8) AS INTEGER) END)"
                    )
                }));
            }
            if wanted.bounds {
                let integer = format!("CASE {kind} WHEN 'integer' THEN {value} END");
                let real = format!("CASE WHEN {kind} = 'real' AND instr({field}, 'e') = 0 THEN {value} END");
                let text = format!("CASE {kind} WHEN 'text' THEN {value} END");
                for each in [integer, real, text] {
                    columns.extend([format!("min({each})"), format!("max({each})")]);
                }
                columns.push(format!("max({kind} = 'false')"));
                columns.push(format!("max({kind} = 'true')"));
            }
        }
    }
    columns
}

/// Reads what [`columns`] selected; `at` is the place of the first and is moved behind the last.
pub(super) fn read(dialect: Dialect, row: &Row, at: &mut usize, wanted: Wanted) -> Result<Measured> {
    match dialect {
        Dialect::Postgres => read_postgres(row, at, wanted),
        Dialect::Sqlite => read_sqlite(row, at, wanted),
    }
}

fn next<T>(at: &mut usize, read: impl FnOnce(usize) -> Result<T>) -> Result<T> {
    *at += 1;
    read(*at - 1)
}

fn read_postgres(row: &Row, at: &mut usize, wanted: Wanted) -> Result<Measured> {
    let mut measured = Measured::default();
    if wanted.sum {
        measured.numbers = next(at, |at| column(row, at))?;
        let sum: Option<String> = next(at, |at| column(row, at))?;
        measured.sum = number_of(sum.as_deref().unwrap_or("0"));
    }
    if wanted.bounds {
        let mut bounds = Bounds::default();
        for _ in 0..2 {
            let number: Option<String> = next(at, |at| column(row, at))?;
            bounds.take(number.as_deref().and_then(number_of).map(Json::Number));
        }
        for _ in 0..2 {
            bounds.take(next(at, |at| column::<Option<String>>(row, at))?.map(Json::String));
        }
        for value in [false, true] {
            let found: Option<bool> = next(at, |at| column(row, at))?;
            bounds.take((found == Some(true)).then_some(Json::Bool(value)));
        }
        (measured.min, measured.max) = (bounds.min, bounds.max);
    }
    Ok(measured)
}

fn read_sqlite(row: &Row, at: &mut usize, wanted: Wanted) -> Result<Measured> {
    let mut measured = Measured::default();
    let scaled: Option<String> = next(at, |at| column(row, at))?;
    let scaled: Vec<&str> = scaled.as_deref().map(|texts| texts.split(' ').collect()).unwrap_or_default();
    if wanted.sum {
        let plain: i64 = next(at, |at| column(row, at))?;
        measured.numbers = plain + i64::try_from(scaled.len()).unwrap_or(i64::MAX);
        let mut sum = DecimalSum::new();
        let upper: Option<i64> = next(at, |at| column(row, at))?;
        sum.add(i128::from(upper.unwrap_or(0)) << 32, 0);
        for exponent in [0, -8, -16, -24] {
            let part: Option<i64> = next(at, |at| column(row, at))?;
            sum.add(i128::from(part.unwrap_or(0)), exponent);
        }
        for text in &scaled {
            sum.add_scaled(text);
        }
        measured.sum = sum.number();
    }
    if wanted.bounds {
        let mut bounds = Bounds::default();
        for _ in 0..2 {
            bounds.take(next(at, |at| column::<Option<i64>>(row, at))?.map(Json::from));
        }
        for _ in 0..2 {
            let real: Option<f64> = next(at, |at| column(row, at))?;
            bounds.take(real.and_then(crate::json::from_f64).map(Json::Number));
        }
        for text in scaled {
            bounds.take(text.parse().ok().and_then(crate::json::from_f64).map(Json::Number));
        }
        for _ in 0..2 {
            bounds.take(next(at, |at| column::<Option<String>>(row, at))?.map(Json::String));
        }
        for value in [false, true] {
            let found: Option<i64> = next(at, |at| column(row, at))?;
            bounds.take((found == Some(1)).then_some(Json::Bool(value)));
        }
        (measured.min, measured.max) = (bounds.min, bounds.max);
    }
    Ok(measured)
}

/// The smallest and the largest of some values in the total order.
#[derive(Debug, Default)]
struct Bounds {
    min: Option<Json>,
    max: Option<Json>,
}

impl Bounds {
    fn take(&mut self, value: Option<Json>) {
        let Some(value) = value else { return };
        if self.min.as_ref().is_none_or(|min| compare(Some(&value), Some(min)).is_lt()) {
            self.min = Some(value.clone());
        }
        if self.max.as_ref().is_none_or(|max| compare(Some(&value), Some(max)).is_gt()) {
            self.max = Some(value);
        }
    }
}
