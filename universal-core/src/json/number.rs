//! Canonical numbers: an `i64` where the value is one, else the shortest text of a finite double.

use serde_json::Number;

/// 2^63, the first double above every `i64`.
pub(crate) const TWO_63: f64 = 9_223_372_036_854_775_808.0;
/// Doubles nearer to zero are printed with an exponent.
const SMALLEST_PLAIN: f64 = 1e-5;

/// The canonical number of a double: an integer if its value is one within `i64` (so -0 is 0), `None` if it is
/// not finite.
#[must_use]
pub fn from_f64(value: f64) -> Option<Number> {
    match as_integer(value) {
        Some(integer) => Some(Number::from(integer)),
        None => Number::from_f64(value),
    }
}

/// The integer that `value` is, if it is one within `i64`.
pub(crate) fn as_integer(value: f64) -> Option<i64> {
    let within = (-TWO_63..TWO_63).contains(&value) && value.fract() == 0.0;
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "integral and within the range of i64")]
    within.then_some(value as i64)
}

/// Whether the canonical text of `value` has an exponent: it is 2^63 or more, or less than 0.00001, and not 0.
///
/// SQLite turns such texts into doubles that may be off by one unit in the last place, so its SQL compares them by
/// exponent and digits instead (`drivers/sql/lower`).
pub(crate) fn has_exponent(value: f64) -> bool {
    let size = value.abs();
    size >= TWO_63 || (size < SMALLEST_PLAIN && size != 0.0)
}

/// The canonical text of a number.
#[must_use]
pub fn to_text(number: &Number) -> String {
    let mut out = String::new();
    write(&mut out, number);
    out
}

/// Appends the canonical text of `number`.
pub(super) fn write(out: &mut String, number: &Number) {
    if let Some(integer) = number.as_i64() {
        append(out, format_args!("{integer}"));
    } else if let Some(double) = number.as_f64() {
        write_f64(out, double);
    }
}

/// Appends the canonical text of a finite double.
pub(crate) fn write_f64(out: &mut String, value: f64) {
    if let Some(integer) = as_integer(value) {
        append(out, format_args!("{integer}"));
    } else if has_exponent(value) {
        // The shortest digits that read back as the same double, one before the point.
        append(out, format_args!("{value:e}"));
    } else {
        append(out, format_args!("{value}"));
    }
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = std::fmt::Write::write_fmt(out, text);
}

/// How many bytes PostgreSQL's `jsonb` prints for a canonical number: all its digits, without an exponent.
pub(super) fn printed_length(number: &Number) -> usize {
    let mut text = String::with_capacity(24);
    write(&mut text, number);
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.len() };
    let sign = usize::from(mantissa.starts_with('-'));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let places = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX);
    if exponent < 0 {
        // "0." then the zeros before the first digit, then the digits.
        sign + 2 + (places - 1) + digits
    } else {
        // The integer part; a fraction cannot remain, because doubles of 2^63 and more are integers.
        sign + (places + 1).max(digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        to_text(&from_f64(value).unwrap())
    }

    #[test]
    fn doubles_have_one_text() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (1e15, "1000000000000000"),
            (9.007_199_254_740_993e15, "9007199254740992"),
            (-TWO_63, "-9223372036854775808"),
            (TWO_63, "9.223372036854776e18"),
            (1e300, "1e300"),
            (0.000_01, "0.00001"),
            (0.000_001, "1e-6"),
            (5e-324, "5e-324"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(text(value), expected);
        }
        assert!(from_f64(f64::INFINITY).is_none());
        assert!(from_f64(f64::NAN).is_none());
    }

    #[test]
    fn lengths_are_those_of_postgresql() {
        for (value, length) in
            [(1e308, 309), (1e300, 301), (-1.5e20, 22), (1e-300, 302), (1.25e-7, 11), (0.5, 3), (7.0, 1)]
        {
            assert_eq!(printed_length(&from_f64(value).unwrap()), length, "{value}");
        }
    }
}
