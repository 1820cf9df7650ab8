//! What readers who are behind have read of the feed lately, for others at about the same place.
//!
//! After a restart thousands come back to the same place within some seconds. Those who ask at the same moment ask the
//! database [together](super::together); whoever asks a little later finds the answer here, with what was parsed and printed of
//! it. The feed only grows, so that a page is as right as when it was read; it may have been trimmed since.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::engine::entry::Entry;

/// For how long a page is kept after it was asked for: what is trimmed meanwhile is seen for so long.
const KEPT: Duration = Duration::from_secs(5);
/// How many bytes of them a tenant's readers keep, but for the last page: a dozen pages at least.
const MAX_BYTES: usize = 10 * 1024 * 1024;

/// The pages of one tenant, in the order in which they were kept.
#[derive(Debug, Default)]
pub(crate) struct Pages(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    pages: VecDeque<Page>,
    bytes: usize,
}

/// Changes that follow one another, at least one, and the history in which their reader stands.
#[derive(Debug)]
struct Page {
    epoch: Arc<str>,
    entries: Vec<Arc<Entry>>,
    bytes: usize,
    until: Instant,
}

impl Page {
    /// What follows `position`, if the next change is here.
    fn after(&self, epoch: &str, position: i64) -> Option<&[Arc<Entry>]> {
        let next = position.checked_add(1)?;
        let found = |entries: &&[Arc<Entry>]| entries.first().is_some_and(|entry| entry.change.seq == next);
        let from = self.entries.partition_point(|entry| entry.change.seq < next);
        self.entries.get(from..).filter(|entries| *self.epoch == *epoch && found(entries))
    }
}

impl Kept {
    fn forget_oldest(&mut self) {
        if let Some(page) = self.pages.pop_front() {
            self.bytes -= page.bytes;
        }
    }

    fn forget_old(&mut self, now: Instant) {
        self.pages.retain(|page| page.until > now);
        self.bytes = self.pages.iter().map(|page| page.bytes).sum();
    }

    fn after(&self, epoch: &str, position: i64) -> Option<Vec<Arc<Entry>>> {
        self.pages.iter().rev().find_map(|page| page.after(epoch, position)).map(<[_]>::to_vec)
    }
}

impl Pages {
    /// The changes after `position` in this history, if somebody read them lately; at least one.
    pub(crate) fn after(&self, epoch: &str, position: i64, now: Instant) -> Option<Vec<Arc<Entry>>> {
        let mut kept = self.kept();
        kept.forget_old(now);
        kept.after(epoch, position)
    }

    /// Keeps changes that were asked for at some time and follow one another, and answers them; as they are here, if
    /// another was quicker.
    pub(crate) fn keep(
        &self,
        epoch: &Arc<str>,
        entries: Vec<Arc<Entry>>,
        (asked, now): (Instant, Instant),
    ) -> Vec<Arc<Entry>> {
        let until = asked + KEPT;
        let mut kept = self.kept();
        kept.forget_old(now);
        let Some(first) = entries.first() else { return entries };
        if let Some(known) = kept.after(epoch, first.change.seq - 1) {
            return known;
        }
        if until <= now {
            return entries;
        }
        let bytes = entries.iter().map(|entry| entry.bytes()).sum();
        kept.pages.push_back(Page { epoch: Arc::clone(epoch), entries: entries.clone(), bytes, until });
        kept.bytes += bytes;
        while kept.bytes > MAX_BYTES && kept.pages.len() > 1 {
            kept.forget_oldest();
        }
        entries
    }

    /// Forgets what is old, for a tenant of whom nobody asks.
    pub(crate) fn forget_old(&self, now: Instant) {
        self.kept().forget_old(now);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        realtime::change::{Change, Image, Operation},
    };

    fn keep(pages: &Pages, epoch: &str, changes: Vec<Arc<Entry>>, now: Instant) -> Vec<Arc<Entry>> {
        pages.keep(&epoch.into(), changes, (now, now))
    }

    fn changes(seqs: std::ops::RangeInclusive<i64>, bytes: usize) -> Vec<Arc<Entry>> {
        let change = |seq| {
            let (collection, id) = ("todos".parse().unwrap(), "a".parse().unwrap());
            let (image, now) = (Image { body: "x".repeat(bytes).into(), owner: None }, Timestamp::from_micros(0));
            Change::new(seq, seq, collection, id, Operation::Create, "r-1", (None, Some(image)), (now, now))
        };
        seqs.map(change).map(Entry::new).map(Arc::new).collect()
    }

    fn found(pages: &Pages, (epoch, position): (&str, i64), now: Instant) -> Vec<i64> {
        pages.after(epoch, position, now).unwrap_or_default().iter().map(|entry| entry.change.seq).collect()
    }

    /// How many pages, and how many bytes of them.
    fn held(pages: &Pages) -> (usize, usize) {
        let kept = pages.kept();
        (kept.pages.len(), kept.bytes)
    }

    fn seqs(entries: &[Arc<Entry>]) -> Vec<i64> {
        entries.iter().map(|entry| entry.change.seq).collect()
    }

    fn are_shared(one: &[Arc<Entry>], other: &[Arc<Entry>]) -> bool {
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other))
    }

    #[test]
    fn whoever_is_within_a_page_is_given_the_rest_of_it() {
        let (pages, now) = (Pages::default(), Instant::now());
        let first = keep(&pages, "e", changes(3..=6, 10), now);
        assert_eq!(seqs(&first), [3, 4, 5, 6]);
        assert_eq!(keep(&pages, "e", Vec::new(), now).len(), 0);
        for (position, rest) in [(1, vec![]), (2, vec![3, 4, 5, 6]), (5, vec![6]), (6, vec![]), (i64::MAX, vec![])] {
            assert_eq!(found(&pages, ("e", position), now), rest, "after {position}");
        }
        // Who asked at the same moment, and came later, is given the same and not a copy.
        assert!(are_shared(&first, &keep(&pages, "e", changes(3..=6, 10), now)));
        assert!(are_shared(&first[2..], &keep(&pages, "e", changes(5..=8, 10), now)));
        assert_eq!(held(&pages).0, 1);
        // Another history is kept apart.
        assert_eq!(found(&pages, ("f", 2), now), [0; 0]);
        let other = keep(&pages, "f", changes(3..=4, 10), now);
        assert!(!are_shared(&first[..2], &other));
        assert_eq!((found(&pages, ("f", 2), now), found(&pages, ("e", 2), now)), (vec![3, 4], vec![3, 4, 5, 6]));
    }

    #[test]
    fn pages_are_kept_for_a_while_after_they_were_asked_for_and_not_too_many() {
        let (pages, mut now) = (Pages::default(), Instant::now());
        let asked = now;
        keep(&pages, "e", changes(1..=2, 10), now);
        now += KEPT / 2;
        keep(&pages, "e", changes(3..=4, 10), now);
        now += KEPT / 2;
        assert_eq!((found(&pages, ("e", 0), now), found(&pages, ("e", 2), now)), (vec![], vec![3, 4]));
        // An answer that nobody took for so long is its reader's alone.
        assert_eq!(seqs(&pages.keep(&"e".into(), changes(1..=2, 10), (asked, now))), [1, 2]);
        assert_eq!(found(&pages, ("e", 0), now), [0; 0]);
        now += KEPT;
        pages.forget_old(now);
        assert_eq!(held(&pages), (0, 0));
        for seq in 0..40 {
            keep(&pages, "e", changes(seq..=seq, 100_000), now);
        }
        let (_, bytes) = held(&pages);
        assert!(bytes > MAX_BYTES / 2 && bytes <= MAX_BYTES, "{bytes}");
        assert_eq!(found(&pages, ("e", 38), now), [39]);
        // One that is larger than all is kept for itself.
        keep(&pages, "e", changes(100..=100, MAX_BYTES), now);
        assert_eq!((found(&pages, ("e", 99), now), held(&pages).0), (vec![100], 1));
    }
}
