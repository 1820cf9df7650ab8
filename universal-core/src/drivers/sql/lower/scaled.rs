//! Very large and very small doubles, taken apart so that SQLite orders them exactly.
//!
//! SQLite turns `1.7e203` into a double that may be off by one unit in the last place. Numbers whose canonical text has
//! an exponent are therefore ordered by two integers: the exponent, and 17 digits. A pair `(scale, digits)` orders all
//! numbers: the scale is 1000 for plain positive numbers, 1000 + exponent for those with one (676 to 1308), 0 for zero,
//! and the negative of that for negative numbers; within a scale the digits decide, or the value itself.

use crate::json::{number::has_exponent, order::Number};

/// The second part of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Digits {
    Integer(i64),
    Double(f64),
}

/// Whether a number's canonical text has an exponent.
pub(super) fn is_scaled(number: Number) -> bool {
    matches!(number, Number::Double(value) if has_exponent(value))
}

/// The pair of a number.
pub(super) fn scaled(number: Number) -> (i64, Digits) {
    match number {
        Number::Integer(value) => (value.signum() * 1000, Digits::Integer(value)),
        Number::Double(value) if has_exponent(value) => {
            let text = format!("{:e}", value.abs());
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
            digits.push_str("0000000000000000");
            digits.truncate(17);
            let sign = if value < 0.0 { -1 } else { 1 };
            let scale = 1000 + exponent.parse::<i64>().unwrap_or(0);
            (sign * scale, Digits::Integer(sign * digits.parse::<i64>().unwrap_or(0)))
        }
        Number::Double(value) => (if value < 0.0 { -1000 } else { 1000 }, Digits::Double(value)),
    }
}

/// The SQL of the first part, for a JSON text of a number and its value.
pub(super) fn scale_sql(text: &str, value: &str) -> String {
    format!(
        "CASE instr({text}, 'e') WHEN 0 THEN (({value} > 0) - ({value} < 0)) * 1000 \
         ELSE {sign} * (1000 + CAST(substr({text}, instr({text}, 'e') + 1) AS INTEGER)) END",
        sign = sign_sql(text)
    )
}

/// The SQL of the second part.
pub(super) fn digits_sql(text: &str, value: &str) -> String {
    format!(
        "CASE instr({text}, 'e') WHEN 0 THEN {value} ELSE {sign} * CAST(substr(\
         replace(replace(substr({text}, 1, instr({text}, 'e') - 1), '-', ''), '.', '') || '0000000000000000', 1, 17) \
         AS INTEGER) END",
        sign = sign_sql(text)
    )
}

fn sign_sql(text: &str) -> String {
    format!("CASE substr({text}, 1, 1) WHEN '-' THEN -1 ELSE 1 END")
}
