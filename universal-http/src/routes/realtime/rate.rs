//! How fast a client may send frames.

use tokio::time::Instant;

/// A bucket of frames that fills by time.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: f64,
    room: f64,
    at: Instant,
}

impl Rate {
    /// `per_second`, and three seconds' worth at once.
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, room: per_second * 3.0, at: Instant::now() }
    }

    /// Takes one; answers whether there was one left.
    pub(super) fn take(&mut self) -> bool {
        let now = Instant::now();
        let came = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.room = (self.room + came).min(self.per_second * 3.0);
        self.at = now;
        if self.room < 1.0 {
            return false;
        }
        self.room -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_a_rate() {
        let mut rate = Rate::new(20);
        assert_eq!((0..100).filter(|_| rate.take()).count(), 60);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert_eq!((0..100).filter(|_| rate.take()).count(), 20);
    }
}
