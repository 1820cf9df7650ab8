//! How long who lost a connection waits before it connects again.

use std::time::Duration;

/// The first and the longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long a connection must have lived before its end counts as the first: a server, or what stands before it, that
/// takes connections and drops them is not to be hammered.
const STEADY: Duration = Duration::from_secs(10);

/// The pauses between attempts, each twice the one before.
#[derive(Debug)]
pub(super) struct Patience {
    next: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { next: PAUSES.0 }
    }

    /// The pause after a connection that lived so long, or after an attempt that came to nothing.
    pub(super) fn pause(&mut self, lived: Option<Duration>) -> Duration {
        if lived.is_some_and(|lived| lived >= STEADY) {
            self.next = PAUSES.0;
        }
        let pause = self.next;
        self.next = (pause * 2).min(PAUSES.1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_dropped_at_once_is_no_success() {
        let mut patience = Patience::new();
        let pauses: Vec<u64> = (0..8)
            .map(|n| patience.pause((n % 2 == 0).then_some(Duration::from_secs(1))).as_millis().try_into().unwrap())
            .collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(patience.pause(Some(STEADY)), PAUSES.0);
        assert_eq!(patience.pause(None), PAUSES.0 * 2);
    }
}
