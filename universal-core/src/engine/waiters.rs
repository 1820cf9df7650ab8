//! Those who wait for news of one feed, woken together.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    task::Waker,
};

use futures_util::task::AtomicWaker;

/// All who wait. Each has one place for as long as it lives, and joins no queue anew for every change.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Vec<Weak<AtomicWaker>>>);

impl Waiters {
    /// A place: whoever registers there is woken, until the place is dropped.
    pub(crate) fn join(&self) -> Arc<AtomicWaker> {
        let place = Arc::new(AtomicWaker::new());
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() == places.capacity() {
            places.retain(|place| place.strong_count() > 0);
        }
        places.push(Arc::downgrade(&place));
        place
    }

    /// Wakes all who have registered since the last time. No lock is held meanwhile: whoever is woken may leave at once.
    pub(crate) fn wake(&self) -> Woken {
        let places: Vec<_> = {
            let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            places.iter().filter_map(Weak::upgrade).collect()
        };
        let wakers = places.iter().filter_map(|place| place.take());
        Woken { woken: wakers.map(Waker::wake).count(), places: places.len() }
    }
}

/// How many were woken, of how many that have a place. The others are still busy with what they were woken for before, or
/// with a client that does not take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Woken {
    pub(crate) woken: usize,
    pub(crate) places: usize,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_registered_is_woken_once_and_who_left_is_forgotten() {
        let (waiters, count) = (Waiters::default(), Arc::new(Count::default()));
        let waker = Arc::clone(&count).into();
        let stays = waiters.join();
        for _ in 0..100 {
            waiters.join().register(&waker);
        }
        assert!(waiters.0.lock().unwrap().len() < 10, "places that nobody has do not pile up");
        stays.register(&waker);
        assert_eq!(waiters.wake(), Woken { woken: 1, places: 1 });
        assert_eq!(waiters.wake(), Woken { woken: 0, places: 1 }, "it has not come back");
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
