//! What one measurement found.

use std::time::Duration;

/// So many answers (or rows, or deliveries) in so much time, and the processor time that they took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) count: u64,
    pub(crate) wall: Duration,
    /// Of the process that answered; nothing if its time tells nothing, as that of `pgbench`.
    pub(crate) cpu: Option<Duration>,
    /// Of PostgreSQL, where it took part and could be read.
    pub(crate) database_cpu: Option<Duration>,
}

impl Sample {
    /// How many a second.
    pub(crate) fn rate(&self) -> f64 {
        ratio(count_as_f64(self.count), self.wall.as_secs_f64())
    }

    /// Microseconds of processor time for each.
    pub(crate) fn cpu_micros(&self) -> Option<f64> {
        self.each(self.cpu)
    }

    /// Microseconds of PostgreSQL's processor time for each.
    pub(crate) fn database_micros(&self) -> Option<f64> {
        self.each(self.database_cpu)
    }

    fn each(&self, time: Option<Duration>) -> Option<f64> {
        (self.count > 0).then_some(())?;
        Some(ratio(time?.as_secs_f64() * 1e6, count_as_f64(self.count)))
    }
}

/// `a / b`, and not a number where there is none.
pub(crate) fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { f64::NAN } else { a / b }
}

/// Counts here stay far below 2^53.
fn count_as_f64(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some(f64::midpoint(lower, upper))
}

/// The smallest and the largest.
pub(crate) fn spread(values: &[f64]) -> Option<(f64, f64)> {
    let sorted = sorted(values);
    Some((*sorted.first()?, *sorted.last()?))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, f64::NAN, 2.0, 3.0]), Some(2.5));
        assert_eq!(spread(&[4.0, 1.0, 2.0]), Some((1.0, 4.0)));
    }

    #[test]
    fn per_piece() {
        let second = Duration::from_secs(1);
        let sample = Sample { count: 1000, wall: second * 2, cpu: Some(second), database_cpu: None };
        assert_eq!((sample.rate(), sample.cpu_micros(), sample.database_micros()), (500.0, Some(1000.0), None));
    }
}
