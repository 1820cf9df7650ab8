//! A map that forgets what was not asked for lately.

use std::{collections::HashMap, hash::Hash};

/// Two generations: when the young one is full it becomes the old one, and what was in the old one is
/// forgotten. A read brings an old entry back. It holds at most about `entries`, and every step is O(1).
#[derive(Debug)]
pub(crate) struct BoundedMap<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash, V> BoundedMap<K, V> {
    pub(crate) fn new(entries: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (entries / 2).max(1) }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.insert(key, value);
        }
        self.young.get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_small_and_keeps_what_is_used() {
        let mut map = BoundedMap::new(100);
        for n in 0..10_000 {
            map.insert(n, n);
            assert_eq!(map.get_mut(&0), Some(&mut 0), "asked for every time");
            assert!(map.young.len() + map.old.len() <= 100);
        }
        assert_eq!(map.get_mut(&9_999), Some(&mut 9_999));
        assert_eq!(map.get_mut(&5), None);
        map.remove(&9_999);
        assert_eq!(map.get_mut(&9_999), None);
        map.clear();
        assert_eq!(map.get_mut(&0), None);
    }
}
