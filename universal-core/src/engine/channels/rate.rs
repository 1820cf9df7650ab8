//! How much the callers of one tenant may say on this node.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::options::ChannelOptions;
use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    realtime::broadcast::MAX_PAYLOAD,
};

/// How many seconds' worth may be said at once.
const BURST: f64 = 3.0;
/// How many tenants are remembered before it is looked which may be forgotten.
const TENANTS: usize = 1024;

/// What each tenant has left to say.
#[derive(Debug)]
pub(super) struct Rates {
    messages: Rate,
    bytes: Rate,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    tenants: HashMap<TenantId, Left>,
    /// At how many tenants those who have everything left are forgotten.
    sweep_at: usize,
}

/// What is left, as of a moment.
#[derive(Clone, Copy, Debug)]
struct Left {
    messages: f64,
    bytes: f64,
    at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: f64,
    most: f64,
}

impl Rate {
    fn after(self, left: f64, time: Duration) -> f64 {
        (left + time.as_secs_f64() * self.per_second).min(self.most)
    }

    /// How long until there is so much, of which `left` is there.
    fn until(self, left: f64, wanted: f64) -> Duration {
        Duration::try_from_secs_f64((wanted - left).max(0.0) / self.per_second).unwrap_or(Duration::MAX)
    }
}

impl Rates {
    pub(super) fn new(options: &ChannelOptions) -> Self {
        let rate = |per_second: u32, least: f64| {
            let per_second = f64::from(per_second.max(1));
            Rate { per_second, most: (per_second * BURST).max(least) }
        };
        // The longest message must be possible at all.
        let longest = u32::try_from(MAX_PAYLOAD).map_or(f64::MAX, f64::from);
        Self {
            messages: rate(options.messages_per_second, 1.0),
            bytes: rate(options.bytes_per_second, longest),
            known: Mutex::new(Known { tenants: HashMap::new(), sweep_at: TENANTS }),
        }
    }

    /// Takes a message of so many bytes from what a tenant has left.
    ///
    /// # Errors
    /// `RateLimited` `rate-limited` with the time after which there is enough.
    pub(super) fn take(&self, tenant: &TenantId, bytes: usize, now: Instant) -> Result<()> {
        let bytes = u32::try_from(bytes).map_or(f64::MAX, f64::from);
        let full = Left { messages: self.messages.most, bytes: self.bytes.most, at: now };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.make_room(|left| {
            let time = now.saturating_duration_since(left.at);
            self.messages.until(left.messages, full.messages) <= time
                && self.bytes.until(left.bytes, full.bytes) <= time
        });
        let left = known.tenants.entry(tenant.clone()).or_insert(full);
        let time = now.saturating_duration_since(left.at);
        *left = Left {
            messages: self.messages.after(left.messages, time),
            bytes: self.bytes.after(left.bytes, time),
            at: left.at.max(now),
        };
        if left.messages >= 1.0 && left.bytes >= bytes {
            left.messages -= 1.0;
            left.bytes -= bytes;
            return Ok(());
        }
        Err(self.refused(*left, bytes))
    }

    fn refused(&self, left: Left, bytes: f64) -> Error {
        let message = format!(
            "this tenant says too much in its channels: {} messages and {} bytes a second are the most here; try again later",
            self.messages.per_second, self.bytes.per_second
        );
        let after = self.messages.until(left.messages, 1.0).max(self.bytes.until(left.bytes, bytes));
        Error::new(ErrorKind::RateLimited, "rate-limited", message).with_retry_after(after)
    }
}

impl Known {
    /// Forgets tenants who have everything left, as those have who are not known, where there are many.
    fn make_room(&mut self, is_full: impl Fn(&Left) -> bool) {
        if self.tenants.len() < self.sweep_at {
            return;
        }
        self.tenants.retain(|_, left| !is_full(left));
        self.sweep_at = (self.tenants.len() * 2).max(TENANTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(n: usize) -> TenantId {
        TenantId::new(format!("t{n}")).unwrap()
    }

    #[tokio::test]
    async fn a_tenant_has_a_burst_and_then_a_rate_of_messages_and_of_bytes() {
        let options = ChannelOptions::new().with_rate(10, 100_000);
        let (rates, start) = (Rates::new(&options), Instant::now());
        let said = |tenant: &TenantId, bytes, now| (0..100).filter(|_| rates.take(tenant, bytes, now).is_ok()).count();
        assert_eq!(said(&tenant(1), 10, start), 30);
        assert_eq!(said(&tenant(2), 10, start), 30, "another tenant's");
        assert_eq!(said(&tenant(1), 10, start + Duration::from_secs(1)), 10);
        assert_eq!(said(&tenant(3), 50_000, start), 6);
        let error = rates.take(&tenant(3), 50_000, start).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::RateLimited, "rate-limited"));
        assert_eq!(error.retry_after(), Some(Duration::from_millis(500)));
        assert_eq!(said(&tenant(3), 50_000, start + Duration::from_millis(500)), 1);
    }

    #[tokio::test]
    async fn the_longest_message_is_possible_and_tenants_who_are_silent_are_forgotten() {
        let (rates, start) = (Rates::new(&ChannelOptions::new().with_rate(1, 1)), Instant::now());
        assert!(rates.take(&tenant(0), MAX_PAYLOAD, start).is_ok());
        let rates = Rates::new(&ChannelOptions::new().with_rate(10, 1_000_000));
        for n in 0..10 * TENANTS {
            rates.take(&tenant(n), 1, start + Duration::from_millis(10) * u32::try_from(n).unwrap()).unwrap();
        }
        assert!(rates.known.lock().unwrap().tenants.len() <= TENANTS);
    }
}
