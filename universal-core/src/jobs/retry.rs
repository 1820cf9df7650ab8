//! How long a failed job waits for its next attempt.

use std::time::Duration;

/// Waits that double: `min(base · 2^(n-1), max)` after attempt `n`, each ± 20 % by chance, so that jobs which
/// failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The wait after the first attempt.
    pub base: Duration,
    /// The longest wait, before the jitter.
    pub max: Duration,
}

impl Default for Backoff {
    /// 2 s, 4 s, 8 s … 1 h.
    fn default() -> Self {
        Self { base: Duration::from_secs(2), max: Duration::from_secs(3600) }
    }
}

impl Backoff {
    /// Waits from `base` to `max`.
    #[must_use]
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max }
    }

    /// The wait after attempt `attempt` (the first is 1), with `chance` from 0 to 1 choosing the jitter.
    #[must_use]
    pub fn delay(&self, attempt: u32, chance: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let wait = self.base.saturating_mul(1_u32 << doublings).min(self.max);
        wait.mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use std::time::Duration;

    #[test]
    fn waits_double_up_to_an_hour_and_stay_within_a_fifth() {
        let backoff = Backoff::default();
        let middle: Vec<u64> = (1..=13).map(|n| backoff.delay(n, 0.5).as_secs()).collect();
        assert_eq!(middle, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
        for attempt in [0, 1, 7, 40, u32::MAX] {
            let (low, high) = (backoff.delay(attempt, 0.0), backoff.delay(attempt, 1.0));
            assert!(high <= Duration::from_secs(4320), "{attempt}");
            assert!((high.as_secs_f64() / low.as_secs_f64() - 1.5).abs() < 0.001, "{attempt}");
        }
    }
}
