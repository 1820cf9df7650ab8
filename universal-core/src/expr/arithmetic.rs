//! Arithmetic: exact on integers, that of doubles otherwise, within bounds in which every evaluator gets the same.
//!
//! A calculation with a double takes and gives numbers that are 0 or of a size of at least 0.00001 and less than 2^63.
//! What lies beyond is an error, as the overflow of integers is: databases would raise errors there (PostgreSQL), or read
//! numbers that are off in the last place (SQLite, `drivers/sql/lower/scaled.rs`).

use std::borrow::Cow;

use crate::{
    expr::{ast::Operator, value::View},
    json::{
        number::{TWO_63, has_exponent},
        order::Number,
    },
};

/// The longest text that `+` makes, in bytes.
pub(crate) const LONGEST_JOINED: usize = 16 * 1024;
/// The range of moments: the years 1 to 9999, in microseconds since 1970.
pub(crate) const MOMENTS: (i64, i64) = (-62_135_596_800_000_000, 253_402_300_799_999_999);
/// The longest duration, 10 000 years of 365.25 days, in microseconds.
pub(crate) const LONGEST_DURATION: i64 = 315_576_000_000_000_000;

/// `left operator right`; an error for types that do not go together and for results out of bounds.
pub(crate) fn calculate<'a>(operator: Operator, left: &View<'a>, right: &View<'a>) -> View<'a> {
    match (operator, left, right) {
        (_, View::Number(left), View::Number(right)) => {
            numbers(operator, *left, *right).map_or(View::Error, View::Number)
        }
        (Operator::Add, View::Text(left), View::Text(right)) => join(left, right),
        (Operator::Add, View::Moment(a), View::Duration(b)) | (Operator::Add, View::Duration(b), View::Moment(a)) => {
            moment(a.checked_add(*b))
        }
        (Operator::Subtract, View::Moment(a), View::Duration(b)) => moment(a.checked_sub(*b)),
        (Operator::Subtract, View::Moment(a), View::Moment(b))
        | (Operator::Subtract, View::Duration(a), View::Duration(b)) => duration(a.checked_sub(*b)),
        (Operator::Add, View::Duration(a), View::Duration(b)) => duration(a.checked_add(*b)),
        _ => View::Error,
    }
}

/// `-value`, which is `0 - value`.
pub(crate) fn negate<'a>(value: &View<'a>) -> View<'a> {
    calculate(Operator::Subtract, &View::Number(Number::Integer(0)), value)
}

fn join<'a>(left: &str, right: &str) -> View<'a> {
    if left.len().saturating_add(right.len()) > LONGEST_JOINED {
        return View::Error;
    }
    let mut text = String::with_capacity(left.len() + right.len());
    text.push_str(left);
    text.push_str(right);
    View::Text(Cow::Owned(text))
}

fn moment<'a>(micros: Option<i64>) -> View<'a> {
    match micros {
        Some(micros) if (MOMENTS.0..=MOMENTS.1).contains(&micros) => View::Moment(micros),
        _ => View::Error,
    }
}

fn duration<'a>(micros: Option<i64>) -> View<'a> {
    match micros {
        Some(micros) if (-LONGEST_DURATION..=LONGEST_DURATION).contains(&micros) => View::Duration(micros),
        _ => View::Error,
    }
}

fn numbers(operator: Operator, left: Number, right: Number) -> Option<Number> {
    match (operator, left, right) {
        (Operator::Divide, _, Number::Integer(0)) | (Operator::Remainder, _, Number::Integer(0)) => None,
        (Operator::Remainder, Number::Integer(a), Number::Integer(b)) => Some(Number::Integer(a.wrapping_rem(b))),
        (Operator::Remainder, ..) => None,
        (Operator::Add, Number::Integer(a), Number::Integer(b)) => a.checked_add(b).map(Number::Integer),
        (Operator::Subtract, Number::Integer(a), Number::Integer(b)) => a.checked_sub(b).map(Number::Integer),
        (Operator::Multiply, Number::Integer(a), Number::Integer(b)) => a.checked_mul(b).map(Number::Integer),
        (operator, left, right) => {
            let (left, right) = (operand(left)?, operand(right)?);
            let value = match operator {
                Operator::Add => left + right,
                Operator::Subtract => left - right,
                Operator::Multiply => left * right,
                Operator::Divide | Operator::Remainder => left / right,
            };
            (value.abs() < TWO_63 && !has_exponent(value)).then(|| Number::double(value))
        }
    }
}

/// A number as a double that calculations take.
fn operand(number: Number) -> Option<f64> {
    match number {
        #[expect(
            clippy::as_conversions,
            clippy::cast_precision_loss,
            reason = "to the nearest double, as databases do"
        )]
        Number::Integer(value) => Some(value as f64),
        Number::Double(value) => (!has_exponent(value)).then_some(value),
    }
}
