//! Moments and durations as they are written.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::expr::arithmetic::{LONGEST_DURATION, MOMENTS};

/// Reads a moment in RFC 3339, to the microsecond; finer digits are cut.
pub(super) fn moment(text: &str) -> Option<i64> {
    let micros = DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros();
    (MOMENTS.0..=MOMENTS.1).contains(&micros).then_some(micros)
}

/// Writes a moment in RFC 3339 in UTC with milliseconds, as answers show moments: such texts sort by time.
pub(super) fn written(micros: i64) -> String {
    let moment: DateTime<Utc> = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Writes a duration in seconds, as [`duration`] reads it: `90s`, `-1.5s`.
pub(super) fn in_seconds(micros: i64) -> String {
    let (sign, size) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    let fraction = format!("{:06}", size % 1_000_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}s", size / 1_000_000)
}

/// Reads a duration as Go and CEL write it: `1h30m`, `-1.5s`, `250ms`; whole microseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (unit, after) = unit(after)?;
        nanos = nanos.checked_add(scale(whole, fraction, unit)?)?;
        rest = after;
    }
    if nanos % 1_000 != 0 {
        return None;
    }
    let micros = i64::try_from(nanos / 1_000).ok().filter(|micros| *micros <= LONGEST_DURATION)?;
    Some(if negative { -micros } else { micros })
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// The nanoseconds of a unit, and what follows it.
fn unit(text: &str) -> Option<(i128, &str)> {
    // `ms` before `m`.
    let units = [
        ("ns", 1),
        ("us", 1_000),
        ("\u{b5}s", 1_000),
        ("\u{3bc}s", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    units.into_iter().find_map(|(name, nanos)| Some((nanos, text.strip_prefix(name)?)))
}

/// `whole.fraction` units in nanoseconds, if that is a whole number of them.
fn scale(whole: &str, fraction: &str, unit: i128) -> Option<i128> {
    if whole.len() > 18 || fraction.len() > 18 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(unit)?;
    if !fraction.is_empty() {
        let tenths = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let part = fraction.parse::<i128>().ok()?.checked_mul(unit)?;
        if part % tenths != 0 {
            return None;
        }
        nanos = nanos.checked_add(part / tenths)?;
    }
    Some(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, micros) in [
            ("1h30m", Some(5_400_000_000)),
            ("-1.5s", Some(-1_500_000)),
            ("250ms", Some(250_000)),
            ("1us", Some(1)),
            ("1000ns", Some(1)),
            (".5s", Some(500_000)),
            ("0", Some(0)),
            ("+0s", Some(0)),
            ("1ns", None),
            ("1", None),
            ("", None),
            ("-", None),
            ("h", None),
            ("1d", None),
            ("1h 30m", None),
            ("99999999999h", None),
            ("999999999999999999999h", None),
        ] {
            assert_eq!(duration(text), micros, "{text}");
        }
    }

    #[test]
    fn moments_are_read_within_the_years_1_to_9999() {
        assert_eq!(moment("1970-01-01T00:00:00.000001Z"), Some(1));
        assert_eq!(moment("0001-01-01T00:00:00Z"), Some(MOMENTS.0));
        assert_eq!(moment("9999-12-31T23:59:59.999999Z"), Some(MOMENTS.1));
        for bad in ["0000-12-31T00:00:00Z", "2026-01-02", "2026-13-02T00:00:00Z", "", "now"] {
            assert_eq!(moment(bad), None, "{bad}");
        }
        assert_eq!(written(1), "1970-01-01T00:00:00.000Z");
    }
}
