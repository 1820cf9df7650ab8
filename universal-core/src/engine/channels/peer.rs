//! What this node knows of another node's members in one channel.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;

use crate::realtime::channel::{Member, PresenceChange};

/// The low half of a version counts changes; the high half tells one life of a channel on a node from the next.
const CHANGES: u64 = 0xffff_ffff;

/// Another node.
#[derive(Debug)]
pub(super) struct Peer {
    /// When it last said, itself, that its members are those that are known here. Nothing else keeps them: not that it asks,
    /// and not a heartbeat that shows that something of what it said was lost.
    confirmed: Instant,
    /// The version that `members` are; none while they are not known.
    version: Option<u64>,
    members: BTreeMap<Arc<str>, Member>,
    assembling: Option<Assembling>,
    asked: Option<Instant>,
}

/// All members of a version, as far as they have come.
#[derive(Debug)]
struct Assembling {
    version: u64,
    next: usize,
    members: Vec<Member>,
}

/// What came of something that a node said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Its members are known; this changed.
    Change(PresenceChange),
    /// Something of what it said before was lost.
    Gap,
}

impl Peer {
    pub(super) fn new(now: Instant) -> Self {
        Self { confirmed: now, version: None, members: BTreeMap::new(), assembling: None, asked: None }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// For how long its members have not been confirmed.
    pub(super) fn unconfirmed(&self, now: Instant) -> std::time::Duration {
        now.saturating_duration_since(self.confirmed)
    }

    /// All its members went.
    pub(super) fn gone(self) -> PresenceChange {
        PresenceChange { left: self.members.into_values().collect(), ..PresenceChange::default() }
    }

    /// Whether it shall be asked now; not again before `pause` is over, for the answer may be on its way.
    pub(super) fn shall_ask(&mut self, now: Instant, pause: std::time::Duration) -> bool {
        let asks = self.asked.is_none_or(|asked| now.duration_since(asked) >= pause);
        if asks {
            self.asked = Some(now);
        }
        asks
    }

    /// It says that these changed.
    pub(super) fn changed(&mut self, version: u64, (put, gone): (Vec<Member>, &[String]), now: Instant) -> Heard {
        let first = version & CHANGES == 1;
        match self.version {
            Some(known) if version <= known => return Heard::Change(PresenceChange::default()),
            Some(known) if version == known + 1 => {}
            // The first change of a life begins with nobody.
            _ if first => {
                (self.version, self.confirmed) = (Some(version), now);
                return Heard::Change(self.replace(put));
            }
            _ => return Heard::Gap,
        }
        (self.version, self.confirmed) = (Some(version), now);
        let mut change = PresenceChange::default();
        for key in gone {
            change.left.extend(self.members.remove(key.as_str()));
        }
        for member in put {
            self.put(member, &mut change);
        }
        Heard::Change(change)
    }

    /// It says a part of all that it has.
    pub(super) fn all(
        &mut self,
        (version, part, parts): (u64, usize, usize),
        members: Vec<Member>,
        now: Instant,
    ) -> Heard {
        if let Some(known) = self.version
            && version <= known
        {
            if version == known {
                self.confirmed = now;
            }
            return Heard::Change(PresenceChange::default());
        }
        match &mut self.assembling {
            _ if part == 0 => self.assembling = Some(Assembling { version, next: 1, members }),
            Some(assembling) if assembling.version == version && assembling.next == part => {
                assembling.next += 1;
                assembling.members.extend(members);
            }
            _ => {
                self.assembling = None;
                return Heard::Gap;
            }
        }
        match self.assembling.take_if(|assembling| assembling.next >= parts) {
            Some(whole) => {
                (self.version, self.confirmed) = (Some(version), now);
                Heard::Change(self.replace(whole.members))
            }
            None => Heard::Change(PresenceChange::default()),
        }
    }

    /// It says which version it has.
    pub(super) fn beat(&mut self, version: u64, now: Instant) -> Heard {
        match self.version {
            Some(known) if known == version => self.confirmed = now,
            // Said before what is known by now.
            Some(known) if known > version => {}
            _ => return Heard::Gap,
        }
        Heard::Change(PresenceChange::default())
    }

    fn put(&mut self, member: Member, change: &mut PresenceChange) {
        match self.members.insert(Arc::clone(&member.key), member.clone()) {
            None => change.joined.push(member),
            Some(before) if before != member => change.updated.push(member),
            Some(_) => {}
        }
    }

    fn replace(&mut self, members: Vec<Member>) -> PresenceChange {
        let mut before = std::mem::take(&mut self.members);
        let mut change = PresenceChange::default();
        for member in members {
            match before.remove(&member.key) {
                None => change.joined.push(member.clone()),
                Some(known) if known != member => change.updated.push(member.clone()),
                Some(_) => {}
            }
            self.members.insert(Arc::clone(&member.key), member);
        }
        change.left.extend(before.into_values());
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, realtime::payload::Payload};

    fn member(key: &str, state: i64) -> Member {
        Member::new(key.into(), None, Payload::of(&state).unwrap(), Timestamp::from_micros(0))
    }

    fn keys(peer: &Peer) -> Vec<String> {
        peer.members().map(|member| format!("{}{}", member.key, member.state.as_str())).collect()
    }

    fn counts(heard: &Heard) -> Option<(usize, usize, usize)> {
        match heard {
            Heard::Gap => None,
            Heard::Change(change) => Some((change.joined.len(), change.updated.len(), change.left.len())),
        }
    }

    const LIFE: u64 = 3 << 32;

    #[tokio::test]
    async fn lost_repeated_and_late_words_do_not_mislead() {
        let now = Instant::now();
        let mut peer = Peer::new(now);
        assert_eq!(counts(&peer.changed(LIFE + 1, (vec![member("a", 1)], &[]), now)), Some((1, 0, 0)));
        assert_eq!(counts(&peer.changed(LIFE + 1, (vec![member("a", 9)], &[]), now)), Some((0, 0, 0)), "said again");
        assert_eq!(counts(&peer.changed(LIFE + 2, (vec![member("a", 2), member("b", 1)], &[]), now)), Some((1, 1, 0)));
        assert_eq!(counts(&peer.beat(LIFE + 2, now)), Some((0, 0, 0)));
        assert_eq!(counts(&peer.changed(LIFE + 4, (vec![], &["a".into()]), now)), None, "3 was lost");
        assert_eq!(counts(&peer.beat(LIFE + 4, now)), None);
        assert_eq!(keys(&peer), ["a2", "b1"]);
        assert_eq!(counts(&peer.all((LIFE + 4, 0, 2), vec![member("b", 1)], now)), Some((0, 0, 0)));
        assert_eq!(counts(&peer.all((LIFE + 4, 1, 2), vec![member("c", 1)], now)), Some((1, 0, 1)));
        assert_eq!(keys(&peer), ["b1", "c1"]);
        assert_eq!(counts(&peer.all((LIFE + 3, 0, 1), vec![member("z", 1)], now)), Some((0, 0, 0)), "late");
        assert_eq!(counts(&peer.all((LIFE + 6, 1, 2), vec![], now)), None, "the first part was lost");
        // A later life of the channel on that node.
        assert_eq!(counts(&peer.changed(2 * LIFE + 1, (vec![member("d", 1)], &[]), now)), Some((1, 0, 2)));
        assert_eq!(counts(&Heard::Change(peer.gone())), Some((0, 0, 1)));
    }

    #[tokio::test]
    async fn who_is_new_to_a_node_asks_it() {
        let now = Instant::now();
        let mut peer = Peer::new(now);
        assert_eq!(counts(&peer.changed(LIFE + 5, (vec![member("a", 1)], &[]), now)), None);
        assert!(peer.shall_ask(now, std::time::Duration::from_secs(1)));
        assert!(!peer.shall_ask(now, std::time::Duration::from_secs(1)));
        assert_eq!(counts(&peer.all((LIFE + 5, 0, 1), vec![member("a", 1)], now)), Some((1, 0, 0)));
        assert_eq!(counts(&peer.changed(LIFE + 6, (vec![], &["a".into()]), now)), Some((0, 0, 1)));
    }

    #[tokio::test]
    async fn only_words_that_fit_what_is_known_keep_members() {
        let start = Instant::now();
        let at = |seconds| start + std::time::Duration::from_secs(seconds);
        let unconfirmed = |peer: &Peer, seconds| peer.unconfirmed(at(seconds)).as_secs();
        let mut peer = Peer::new(start);
        peer.changed(LIFE + 1, (vec![member("a", 1)], &[]), at(1));
        peer.beat(LIFE + 1, at(10));
        assert_eq!(unconfirmed(&peer, 12), 2);
        // That "a" went was lost.
        assert_eq!(peer.beat(LIFE + 2, at(20)), Heard::Gap);
        assert_eq!(peer.changed(LIFE + 3, (vec![], &[]), at(21)), Heard::Gap);
        peer.changed(LIFE + 1, (vec![], &[]), at(22));
        peer.all((LIFE + 3, 0, 2), vec![], at(23));
        assert_eq!(unconfirmed(&peer, 25), 15);
        peer.all((LIFE + 3, 1, 2), vec![], at(24));
        assert_eq!((unconfirmed(&peer, 25), peer.len()), (1, 0));
    }
}
