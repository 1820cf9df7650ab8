//! Time as a parameter: nothing in this crate asks the operating system for it directly.

use std::{fmt, sync::Arc};

use chrono::{DateTime, SecondsFormat, Utc};

/// A moment in UTC, with microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z, the form in which tables hold a moment.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, the form of JWT claims (RFC 7519 `NumericDate`).
    #[must_use]
    pub fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment, `duration` later.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This moment, `duration` earlier.
    #[must_use]
    pub fn minus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// As a [`chrono`] moment.
    #[must_use]
    pub fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match civil(self.0.div_euclid(86_400_000_000)) {
            Some((year, month, day)) => {
                let millis = self.0.rem_euclid(86_400_000_000) / 1000;
                let digits = |number: i64, at: i64| b'0' + u8::try_from(number / at % 10).unwrap_or_default();
                let (hour, minute) = (millis / 3_600_000, millis / 60_000 % 60);
                let (second, milli) = (millis / 1000 % 60, millis % 1000);
                let two = |number| [digits(number, 10), digits(number, 1)];
                let ([y1, y2], [y3, y4]) = (two(year / 100), two(year % 100));
                let ([o1, o2], [d1, d2]) = (two(month), two(day));
                let ([h1, h2], [m1, m2], [s1, s2]) = (two(hour), two(minute), two(second));
                let (f1, f2, f3) = (digits(milli, 100), digits(milli, 10), digits(milli, 1));
                let text = [
                    y1, y2, y3, y4, b'-', o1, o2, b'-', d1, d2, b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'.', f1, f2,
                    f3, b'Z',
                ];
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
            }
            None => f.write_str(&self.to_datetime().to_rfc3339_opts(SecondsFormat::Millis, true)),
        }
    }
}

/// The date of a day since 1970, if its year has four digits. Answers print two moments a document, and chrono's general
/// formatting took a twelfth of a list's time. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`.
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(719_468)?;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (0..=9999).contains(&year).then_some((year, month, day))
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where the time comes from. A host may lend its own; tests turn one by hand.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the operating system for the time")]
    fn now(&self) -> Timestamp {
        Timestamp(Utc::now().timestamp_micros())
    }
}

/// The clock as the parts of a backend share it.
pub type SharedClock = Arc<dyn Clock>;

/// A clock that stands still until a test turns it.
#[cfg(feature = "testing")]
#[derive(Debug)]
pub struct ManualClock(std::sync::atomic::AtomicI64);

#[cfg(feature = "testing")]
impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(std::sync::atomic::AtomicI64::new(start.as_micros()))
    }

    /// Turns the clock forward.
    pub fn advance(&self, by: std::time::Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(feature = "testing")]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_printed_as_chrono_prints_them() {
        let day = 86_400_000_000_i64;
        let mut moments =
            vec![0, 1, -1, 999, 1000, i64::MAX, i64::MIN, 253_402_300_799_999_999, 253_402_300_800_000_000];
        // Each day of 800 years around leap years and centuries, at a time that moves.
        moments.extend((-200_000..100_000).map(|number: i64| number * day + (number * 7_919_000_013).rem_euclid(day)));
        for micros in moments {
            let moment = Timestamp::from_micros(micros);
            let expected = moment.to_datetime().to_rfc3339_opts(SecondsFormat::Millis, true);
            assert_eq!(moment.to_string(), expected, "{micros}");
        }
    }
}
