//! Those who wait for news of one feed, woken collection by collection and a few at a time.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use crate::id::CollectionName;

/// How many of one collection are woken at once. Whoever reads another collection, and whoever asks for something else,
/// stands behind these few and not behind thousands that have a large document to write.
const PART: usize = 16;

/// For how long no more are woken after a turn began, for each of them: as long as a look takes that finds nothing
/// for it (1 to 2 µs, measured on two cores).
const LOOK: Duration = Duration::from_micros(2);
/// For each that took something the turn before, too: longer than it takes to hand it out (12 µs), for else the first
/// have had their turn, and need another, before the last had theirs. Changes that come faster are handed to each reader
/// together, with one wake-up and one write to its socket.
const TURN: Duration = Duration::from_micros(25);
/// For how long at most: so long as ten thousand of them take.
const LONGEST_REST: Duration = Duration::from_millis(250);
/// After how long those are woken whom no change concerns: they move on, so that what they come to is still in memory.
const APART: Duration = Duration::from_millis(25);

/// All who wait, by what they read: a collection, or all of the tenant.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<HashMap<Option<CollectionName>, Arc<Group>>>);

impl Waiters {
    /// A place: whoever registers there is woken, until the place is dropped. It joins no queue anew for every change.
    pub(crate) fn join(&self, collection: Option<&CollectionName>) -> (Arc<AtomicWaker>, Arc<Group>) {
        let group = {
            let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let key = collection.cloned();
            if groups.len() == groups.capacity() && !groups.contains_key(&key) {
                groups.retain(|_, group| Arc::strong_count(group) > 1);
            }
            Arc::clone(groups.entry(key).or_default())
        };
        (group.join(), group)
    }

    /// There is news of these collections: who reads them, or all of the tenant, is to be woken; the others in a while.
    pub(crate) fn owe(&self, changed: &HashSet<CollectionName>, now: Instant) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|_, group| Arc::strong_count(group) > 1);
        for (collection, group) in &*groups {
            let concerned = collection.as_ref().is_none_or(|collection| changed.contains(collection));
            let at = if concerned { now } else { now + APART };
            let mut turn = group.turn();
            turn.owed = Some(turn.owed.map_or(at, |owed| owed.min(at)));
        }
    }

    /// Wakes some of each collection, if it is their time. Answers when there are more to wake.
    pub(crate) fn wake_some(&self, now: Instant) -> Option<Instant> {
        self.groups().into_iter().filter_map(|group| group.wake_some(now)).min()
    }

    /// Wakes all at once.
    pub(crate) fn wake_all(&self) {
        for group in self.groups() {
            for waker in group.present().iter().filter_map(|place| place.take()) {
                waker.wake();
            }
        }
    }

    fn groups(&self) -> Vec<Arc<Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }
}

/// Those of one collection.
#[derive(Debug)]
pub(crate) struct Group {
    places: Mutex<Vec<Weak<AtomicWaker>>>,
    /// How often they took something since their turn began.
    took: AtomicUsize,
    turn: Mutex<Turn>,
}

/// How far they are with being woken.
#[derive(Debug)]
struct Turn {
    /// There is news of after the turn began, and from when on they are woken for it.
    owed: Option<Instant>,
    /// Those whose turn comes, the next of them last.
    line: Vec<Arc<AtomicWaker>>,
    begun: Instant,
    woken: usize,
    /// How many took something of the turn before.
    took: usize,
    rests_until: Instant,
}

impl Turn {
    /// When the next begins.
    fn next(&self) -> Option<Instant> {
        self.owed.map(|owed| owed.max(self.rests_until))
    }
}

impl Default for Group {
    fn default() -> Self {
        let now = Instant::now();
        let turn = Turn { owed: None, line: Vec::new(), begun: now, woken: 0, took: 0, rests_until: now };
        Self { places: Mutex::default(), took: AtomicUsize::new(0), turn: Mutex::new(turn) }
    }
}

impl Group {
    /// One of them takes something of the changes that it was woken for.
    pub(crate) fn taken(&self) {
        self.took.fetch_add(1, Ordering::Relaxed);
    }

    fn join(&self) -> Arc<AtomicWaker> {
        let place = Arc::new(AtomicWaker::new());
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() == places.capacity() {
            places.retain(|place| place.strong_count() > 0);
        }
        places.push(Arc::downgrade(&place));
        place
    }

    fn present(&self) -> Vec<Arc<AtomicWaker>> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().filter_map(Weak::upgrade).collect()
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_some(&self, now: Instant) -> Option<Instant> {
        let (part, next) = self.part(now);
        // No lock is held meanwhile: whoever is woken may leave at once.
        part.into_iter().for_each(Waker::wake);
        next
    }

    /// Who is woken now, and when there are more.
    fn part(&self, now: Instant) -> (Vec<Waker>, Option<Instant>) {
        let mut turn = self.turn();
        if turn.line.is_empty() {
            let next = turn.next();
            if next.is_none_or(|next| next > now) {
                return (Vec::new(), next);
            }
            let mut line = self.present();
            line.reverse();
            let took = self.took.swap(0, Ordering::Relaxed).min(line.len());
            *turn = Turn { owed: None, line, begun: now, woken: 0, took, rests_until: now };
        }
        let mut part = Vec::new();
        while part.len() < PART {
            let Some(place) = turn.line.pop() else { break };
            // The others are still busy with what they were woken for before, or with a client that does not take it.
            part.extend(place.take());
        }
        turn.woken += part.len();
        turn.rests_until = turn.begun + rest(turn.woken, turn.took);
        let next = if turn.line.is_empty() { turn.next() } else { Some(turn.begun) };
        (part, next)
    }
}

/// For how long nobody is woken after a turn began in which so many were, of whom so many took something the last time.
fn rest(woken: usize, took: usize) -> Duration {
    let times = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    LOOK.saturating_mul(times(woken)).saturating_add(TURN.saturating_mul(times(took))).min(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reader = (Arc<AtomicWaker>, Arc<Group>);

    #[derive(Debug, Default)]
    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// Collections of the tests.
    const ALL: [&str; 3] = ["a", "large", "small"];

    fn owe(waiters: &Waiters, now: Instant, changed: &[&str]) {
        waiters.owe(&changed.iter().map(|name| collection(name)).collect(), now);
    }

    fn collection(name: &str) -> CollectionName {
        name.parse().unwrap()
    }

    /// So many readers of a collection, and how often they were woken.
    fn readers(waiters: &Waiters, name: &str, count: usize) -> (Vec<Reader>, Arc<Count>) {
        let woken = Arc::new(Count::default());
        let readers: Vec<_> = (0..count).map(|_| waiters.join(Some(&collection(name)))).collect();
        register(&readers, &woken);
        (readers, woken)
    }

    fn register(readers: &[Reader], woken: &Arc<Count>) {
        for (place, _) in readers {
            place.register(&Arc::clone(woken).into());
        }
    }

    #[test]
    fn whoever_registered_is_woken_once_and_who_left_is_forgotten() {
        let (waiters, mut now) = (Waiters::default(), Instant::now() + LONGEST_REST);
        let (_stays, woken) = readers(&waiters, "a", 1);
        for _ in 0..100 {
            drop(readers(&waiters, "a", 1));
            drop(readers(&waiters, &format!("c{}", waiters.groups().len()), 1));
        }
        assert!(waiters.groups().len() < 10, "collections that nobody reads do not pile up");
        for group in waiters.groups() {
            assert!(group.places.lock().unwrap().len() < 10, "places that nobody has do not pile up");
        }
        assert_eq!((waiters.wake_some(now), woken.get()), (None, 0), "there is no news");
        owe(&waiters, now, &ALL);
        assert_eq!((waiters.wake_some(now), woken.get()), (None, 1));
        owe(&waiters, now, &ALL);
        now += LONGEST_REST;
        assert_eq!((waiters.wake_some(now), woken.get()), (None, 1), "it has not come back");
    }

    #[test]
    fn many_of_one_collection_do_not_keep_those_of_another_waiting() {
        let (waiters, mut now) = (Waiters::default(), Instant::now() + LONGEST_REST);
        let (many, many_woken) = readers(&waiters, "large", 10 * PART);
        let (few, few_woken) = readers(&waiters, "small", 1);
        owe(&waiters, now, &ALL);
        assert!(waiters.wake_some(now).is_some_and(|next| next <= now), "there are more");
        assert_eq!((many_woken.get(), few_woken.get()), (PART, 1));
        // The reader of the other collection is back, and there is news, long before the many had their turn.
        register(&few, &few_woken);
        now += LOOK;
        owe(&waiters, now, &ALL);
        assert!(waiters.wake_some(now).is_some());
        assert_eq!((many_woken.get(), few_woken.get()), (2 * PART, 2));
        for _ in 0..8 {
            waiters.wake_some(now);
        }
        assert_eq!(many_woken.get(), 10 * PART, "each was woken once");
        register(&many, &many_woken);
        assert!(waiters.wake_some(now).is_some_and(|next| next > now), "what came meanwhile waits for the rest");
        assert_eq!(many_woken.get(), 10 * PART);
        now += LONGEST_REST;
        while waiters.wake_some(now).is_some() {}
        assert_eq!((many_woken.get(), few_woken.get()), (20 * PART, 2));
    }

    #[test]
    fn whom_no_change_concerns_is_woken_later_and_seldom() {
        let (waiters, mut now) = (Waiters::default(), Instant::now() + LONGEST_REST);
        let (large, large_woken) = readers(&waiters, "large", 2);
        let (small, small_woken) = readers(&waiters, "small", 2);
        for _ in 0..20 {
            owe(&waiters, now, &["small"]);
            assert!(waiters.wake_some(now).is_some_and(|next| next > now));
            register(&large, &large_woken);
            register(&small, &small_woken);
            now += APART / 20;
        }
        assert_eq!((large_woken.get(), small_woken.get()), (0, 40));
        assert_eq!((waiters.wake_some(now), large_woken.get()), (None, 2));
        register(&large, &large_woken);
        owe(&waiters, now, &["small"]);
        owe(&waiters, now, &["large"]);
        assert!(waiters.wake_some(now + LOOK * 2).is_none());
        assert_eq!(large_woken.get(), 4, "what concerns it waits for nothing");
    }

    #[test]
    fn who_took_something_is_given_time_to_hand_it_out() {
        let (waiters, mut now) = (Waiters::default(), Instant::now() + LONGEST_REST);
        let (few, woken) = readers(&waiters, "a", 3);
        owe(&waiters, now, &ALL);
        assert_eq!(waiters.wake_some(now), None);
        few.iter().for_each(|(_, group)| group.taken());
        register(&few, &woken);
        now += 3 * LOOK;
        owe(&waiters, now, &ALL);
        assert_eq!((waiters.wake_some(now), woken.get()), (None, 6));
        owe(&waiters, now, &ALL);
        assert_eq!(waiters.wake_some(now), Some(now + 3 * (LOOK + TURN)));
    }

    #[test]
    fn changes_wait_only_where_many_were_woken_and_never_long() {
        assert_eq!(rest(0, 0), Duration::ZERO);
        assert_eq!(rest(100, 0), 100 * LOOK);
        assert_eq!(rest(100, 10), 100 * LOOK + 10 * TURN);
        assert_eq!(rest(usize::MAX, usize::MAX), LONGEST_REST);
    }
}
