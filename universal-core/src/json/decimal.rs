//! Exact sums of numbers, and what is answered for them.
//!
//! The sum of numbers is the exact sum of their canonical decimal texts: an integer where it is one within `i64`, else
//! the nearest double. So it depends neither on the order of the numbers nor on the database that added them.

use serde_json::Number;

use crate::json::number::from_f64;

/// Decimal digits of a limb.
const DIGITS: i32 = 9;
const BASE: i64 = 1_000_000_000;
/// The exponent of the lowest limb: the smallest double, with 17 digits, ends at 10^-340.
const LOWEST: i32 = -39 * DIGITS;
/// Up to 10^351; the largest double is below 10^309, and nobody adds 10^42 of them.
const LIMBS: usize = 78;

/// A sum that keeps every digit.
#[derive(Clone, Debug)]
pub(crate) struct DecimalSum {
    limbs: Vec<i64>,
}

impl DecimalSum {
    /// Zero.
    pub(crate) fn new() -> Self {
        Self { limbs: vec![0; LIMBS] }
    }

    /// Adds `digits`, at most 2^96, times ten to the power of `exponent`, which is at least -351.
    pub(crate) fn add(&mut self, digits: i128, exponent: i32) {
        let place = (exponent - LOWEST).max(0);
        let shift = u32::try_from(place % DIGITS).unwrap_or(0);
        let mut rest = digits * 10_i128.pow(shift);
        let mut at = usize::try_from(place / DIGITS).unwrap_or(0);
        while rest != 0 {
            if let Some(limb) = self.limbs.get_mut(at) {
                *limb += i64::try_from(rest % i128::from(BASE)).unwrap_or(0);
            }
            rest /= i128::from(BASE);
            at += 1;
        }
        // A limb gains less than 10^9 each time, so that carrying now and then is soon enough; it is cheap.
        self.carry();
    }

    /// Adds the number of a canonical text with an exponent, `1.25e-7`.
    pub(crate) fn add_scaled(&mut self, text: &str) {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
        let exponent = exponent.parse().unwrap_or(0) - i32::try_from(fraction).unwrap_or(0);
        self.add(digits.parse().unwrap_or(0), exponent);
    }

    fn carry(&mut self) {
        let mut over = 0;
        for limb in &mut self.limbs {
            let value = *limb + over;
            *limb = value % BASE;
            over = value / BASE;
        }
    }

    /// The number that is answered; none if it is too large for a double.
    pub(crate) fn number(&self) -> Option<Number> {
        // Limbs have either sign; the highest that is not 0 has the sign of the whole.
        let negative = self.limbs.iter().rev().find(|limb| **limb != 0).is_some_and(|limb| *limb < 0);
        let mut text = if negative { "-".to_owned() } else { String::new() };
        let mut limbs: Vec<i64> = self.limbs.iter().map(|limb| if negative { -limb } else { *limb }).collect();
        let mut borrow = 0;
        for limb in &mut limbs {
            *limb += borrow;
            borrow = if *limb < 0 { -1 } else { 0 };
            *limb += if *limb < 0 { BASE } else { 0 };
        }
        let whole = usize::try_from(-LOWEST / DIGITS).unwrap_or(0);
        for (at, limb) in limbs.iter().enumerate().rev() {
            text.push_str(&format!("{limb:09}"));
            if at == whole {
                text.push('.');
            }
        }
        number_of(&text)
    }
}

/// The number of an exact decimal text without exponent, as PostgreSQL's `numeric` prints it; none if it is too large
/// for a double.
pub(crate) fn number_of(text: &str) -> Option<Number> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.bytes().all(|digit| digit == b'0')
        && let Ok(integer) = whole.parse::<i64>()
    {
        return Some(Number::from(integer));
    }
    text.parse().ok().and_then(from_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(texts: &[&str]) -> Option<String> {
        let mut sum = DecimalSum::new();
        for text in texts {
            sum.add_scaled(text);
        }
        sum.number().map(|number| crate::json::number_to_text(&number))
    }

    #[test]
    fn sums_keep_every_digit() {
        for (texts, expected) in [
            (&[][..], "0"),
            (&["0.1", "0.2"], "0.3"),
            (&["1e300", "1", "-1e300"], "1"),
            (&["-1e300", "0.5", "1e300"], "0.5"),
            (&["9223372036854775807", "1"], "9.223372036854776e18"),
            (&["9223372036854775807", "1", "-2"], "9223372036854775806"),
            (&["-9223372036854775808"], "-9223372036854775808"),
            (&["-1", "1e-7"], "-0.9999999"),
            (&["5e-324", "5e-324"], "1e-323"),
            (&["1.7976931348623157e308"], "1.7976931348623157e308"),
            (&["-0.5", "-0.25", "1"], "0.25"),
            (&["-1000000000", "1"], "-999999999"),
        ] {
            assert_eq!(sum(texts).as_deref(), Some(expected), "{texts:?}");
        }
        assert_eq!(sum(&["1.7976931348623157e308", "1.7976931348623157e308"]), None);
    }

    #[test]
    fn decimals_are_integers_where_they_can_be() {
        for (text, expected) in [
            ("9007199254740993.000", "9007199254740993"),
            ("9007199254740993.5", "9007199254740994"),
            ("-0.0", "0"),
            ("-2.50", "-2.5"),
            ("9223372036854775808", "9.223372036854776e18"),
        ] {
            assert_eq!(crate::json::number_to_text(&number_of(text).unwrap()), expected);
        }
    }
}
