//! What a refresh token that was presented means for its session.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::clock::Timestamp;

/// How many exchanged tokens are remembered for the grace period.
const REMEMBERED: usize = 16;

/// What a table knows of a session's refresh tokens.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    /// The hash of the one token that can be exchanged.
    pub(crate) current: String,
    /// Tokens that were exchanged within the grace period.
    pub(crate) recent: Vec<Exchanged>,
    /// When the last exchange was, or the log-in.
    pub(crate) used_at: Timestamp,
    /// When the session ends whatever happens.
    pub(crate) expires_at: Timestamp,
}

/// A token that was exchanged, by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exchanged {
    pub(crate) hash: String,
    /// When, in microseconds.
    pub(crate) at: i64,
}

/// What to do with a token whose family is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is the current one: its successor becomes current.
    Exchange,
    /// It was exchanged a moment ago: the same successor again, nothing changes.
    Repeat,
    /// It was exchanged long ago: somebody copied it. The session ends.
    Reused,
    /// The session's time is over.
    Expired,
}

impl Rotation {
    /// Decides on the token with the hash `presented`.
    pub(crate) fn decide(&self, presented: &str, now: Timestamp, idle: Duration, grace: Duration) -> Decision {
        let same = |hash: &str| bool::from(hash.as_bytes().ct_eq(presented.as_bytes()));
        if now >= self.expires_at || now >= self.used_at.plus(idle) {
            Decision::Expired
        } else if same(&self.current) {
            Decision::Exchange
        } else if self.recent.iter().any(|token| same(&token.hash) && token.is_recent(now, grace)) {
            Decision::Repeat
        } else {
            Decision::Reused
        }
    }

    /// The state after the current token was exchanged for the one with the hash `successor`.
    pub(crate) fn exchanged(&self, successor: String, now: Timestamp, grace: Duration) -> Self {
        let mut recent: Vec<_> = self.recent.iter().filter(|token| token.is_recent(now, grace)).cloned().collect();
        recent.push(Exchanged { hash: self.current.clone(), at: now.as_micros() });
        let surplus = recent.len().saturating_sub(REMEMBERED);
        recent.drain(..surplus);
        Self { current: successor, recent, used_at: now, expires_at: self.expires_at }
    }
}

impl Exchanged {
    fn is_recent(&self, now: Timestamp, grace: Duration) -> bool {
        now < Timestamp::from_micros(self.at).plus(grace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(1_000);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn fresh() -> Rotation {
        Rotation { current: "a".to_owned(), recent: Vec::new(), used_at: at(0), expires_at: at(5_000) }
    }

    #[test]
    fn a_parent_repeats_within_the_grace_and_is_stolen_after_it() {
        let rotation = fresh().exchanged("b".to_owned(), at(100), GRACE);
        let decide = |hash, seconds| rotation.decide(hash, at(seconds), IDLE, GRACE);
        assert_eq!(decide("b", 101), Decision::Exchange);
        assert_eq!(decide("a", 100), Decision::Repeat);
        assert_eq!(decide("a", 109), Decision::Repeat);
        assert_eq!(decide("a", 110), Decision::Reused);
        assert_eq!(decide("z", 101), Decision::Reused);
    }

    #[test]
    fn a_grandparent_repeats_too_while_its_grace_lasts() {
        let rotation = fresh().exchanged("b".to_owned(), at(100), GRACE).exchanged("c".to_owned(), at(105), GRACE);
        assert_eq!(rotation.decide("a", at(109), IDLE, GRACE), Decision::Repeat);
        assert_eq!(rotation.decide("a", at(110), IDLE, GRACE), Decision::Reused);
        assert_eq!(rotation.decide("b", at(114), IDLE, GRACE), Decision::Repeat);
        assert_eq!(rotation.decide("c", at(114), IDLE, GRACE), Decision::Exchange);
    }

    #[test]
    fn time_ends_a_session() {
        assert_eq!(fresh().decide("a", at(999), IDLE, GRACE), Decision::Exchange);
        assert_eq!(fresh().decide("a", at(1_000), IDLE, GRACE), Decision::Expired);
        let used = Rotation { used_at: at(4_900), ..fresh() };
        assert_eq!(used.decide("a", at(5_000), IDLE, GRACE), Decision::Expired);
    }

    #[test]
    fn the_memory_of_exchanges_is_bounded() {
        let rotation = (0..100).fold(fresh(), |rotation, n| rotation.exchanged(format!("t{n}"), at(100), GRACE));
        assert_eq!(rotation.recent.len(), REMEMBERED);
        assert_eq!(rotation.decide("t98", at(101), IDLE, GRACE), Decision::Repeat);
        assert_eq!(rotation.decide("t1", at(101), IDLE, GRACE), Decision::Reused);
    }

    #[test]
    fn a_clock_that_was_set_back_ends_nothing() {
        let rotation = fresh().exchanged("b".to_owned(), at(100), GRACE);
        assert_eq!(rotation.decide("a", at(50), IDLE, GRACE), Decision::Repeat);
    }
}
