//! What a node still has to say of its own members in one channel.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::frame::{Said, Shown};
use crate::realtime::channel::Member;

/// How many bytes of members go into one frame; what stands around them finds room beside.
const PART: usize = 48 * 1024;

/// For how many heartbeats after a change nobody need be here.
const LAST_BEATS: u8 = 3;

/// This node's members in a channel, and what the other nodes have not been told yet.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) members: BTreeMap<Arc<str>, Member>,
    version: u64,
    /// Told under the present version.
    told: BTreeSet<Arc<str>>,
    changed: BTreeSet<Arc<str>>,
    gone: BTreeSet<Arc<str>>,
    /// When all other nodes are to be asked, and when they were.
    ask_at: Option<Instant>,
    asked: Option<Instant>,
    /// Nodes that are to be asked.
    asks: BTreeSet<Arc<str>>,
    /// When all members are to be told, and when they were.
    all_at: Option<Instant>,
    all_told: Option<Instant>,
    beat_at: Instant,
    /// How many heartbeats there are although nobody is here: who did not hear that the last one went finds out by them.
    last_beats: u8,
}

impl Outgoing {
    /// Nobody is here yet; `life` is greater than that of any earlier one for the same channel.
    pub(super) fn new(life: u64, now: Instant, beat_at: Instant) -> Self {
        Self {
            members: BTreeMap::new(),
            version: life << 32,
            told: BTreeSet::new(),
            changed: BTreeSet::new(),
            gone: BTreeSet::new(),
            ask_at: Some(now),
            asked: None,
            asks: BTreeSet::new(),
            all_at: None,
            all_told: None,
            beat_at,
            last_beats: 0,
        }
    }

    /// A member came or changed; answers what it was before.
    pub(super) fn put(&mut self, member: Member) -> Option<Member> {
        let key = Arc::clone(&member.key);
        self.changed.insert(Arc::clone(&key));
        self.members.insert(key, member)
    }

    /// A member went.
    pub(super) fn remove(&mut self, key: &str) -> Option<Member> {
        let member = self.members.remove(key)?;
        self.changed.remove(key);
        if let Some(told) = self.told.take(key) {
            self.gone.insert(told);
        }
        Some(member)
    }

    /// Asks all other nodes at a moment, but not within `pause` after it did.
    pub(super) fn ask_all(&mut self, at: Instant, pause: Duration) {
        let at = self.asked.map_or(at, |asked| at.max(asked + pause));
        self.ask_at = Some(self.ask_at.map_or(at, |earlier| earlier.min(at)));
    }

    pub(super) fn ask(&mut self, node: Arc<str>) {
        self.asks.insert(node);
    }

    /// Somebody wants to know all; who asks again and again waits.
    pub(super) fn answer(&mut self, now: Instant, pause: Duration) {
        let at = self.all_told.map_or(now, |told| now.max(told + pause));
        self.all_at.get_or_insert(at);
    }

    /// Whether others have not been told everything of the members here.
    pub(super) fn has_untold(&self) -> bool {
        !self.changed.is_empty() || !self.gone.is_empty()
    }

    /// Everything that is to be said by now, in this order.
    pub(super) fn take(&mut self, now: Instant, heartbeat: Duration) -> Vec<Said> {
        let mut said = Vec::new();
        if self.ask_at.is_some_and(|at| at <= now) {
            (self.ask_at, self.asked) = (None, Some(now));
            self.asks.clear();
            said.push(Said::Ask { of: None });
        }
        said.extend(std::mem::take(&mut self.asks).iter().map(|node| Said::Ask { of: Some(node.as_ref().to_owned()) }));
        self.take_changes(&mut said);
        if self.all_at.is_some_and(|at| at <= now) {
            (self.all_at, self.all_told) = (None, Some(now));
            let parts = parts(self.members.values());
            let count = parts.len();
            said.extend(parts.into_iter().enumerate().map(|(part, members)| Said::All {
                version: self.version,
                part,
                parts: count,
                members,
            }));
        }
        if self.beat_at <= now {
            self.beat_at = now + heartbeat;
            if !self.members.is_empty() || self.last_beats > 0 {
                self.last_beats = self.last_beats.saturating_sub(1);
                said.push(Said::Beat { version: self.version });
            }
        }
        said
    }

    fn take_changes(&mut self, said: &mut Vec<Said>) {
        if self.has_untold() {
            self.last_beats = LAST_BEATS;
        }
        let changed = std::mem::take(&mut self.changed);
        let gone: Vec<String> = std::mem::take(&mut self.gone).iter().map(|key| key.as_ref().to_owned()).collect();
        for gone in gone.chunks(1_000) {
            self.version += 1;
            said.push(Said::Changed { version: self.version, put: Vec::new(), gone: gone.to_vec() });
        }
        if changed.is_empty() {
            return;
        }
        for put in parts(changed.iter().filter_map(|key| self.members.get(key))) {
            self.version += 1;
            said.push(Said::Changed { version: self.version, put, gone: Vec::new() });
        }
        self.told.extend(changed);
    }
}

/// Members in parts that fit into a frame; one part at least.
fn parts<'m>(members: impl Iterator<Item = &'m Member>) -> Vec<Vec<Shown>> {
    let (mut parts, mut part, mut size) = (Vec::new(), Vec::new(), 0);
    for member in members {
        let shown = Shown::from(member);
        if size + shown.size() > PART && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            size = 0;
        }
        size += shown.size();
        part.push(shown);
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, realtime::payload::Payload};

    fn member(key: &str, bytes: usize) -> Member {
        let state = Payload::of(&"x".repeat(bytes)).unwrap();
        Member::new(key.into(), None, state, Timestamp::from_micros(0))
    }

    #[tokio::test]
    async fn what_came_and_went_between_two_words_is_not_told() {
        let now = Instant::now();
        let beat = Duration::from_secs(10);
        let mut outgoing = Outgoing::new(2, now, now + beat);
        assert!(matches!(outgoing.take(now, beat).as_slice(), [Said::Ask { of: None }]));
        outgoing.put(member("a", 1));
        outgoing.remove("a");
        assert!(!outgoing.has_untold() && outgoing.take(now, beat).is_empty());
        outgoing.put(member("a", 1));
        outgoing.put(member("a", 2));
        let said = outgoing.take(now, beat);
        let [Said::Changed { version, put, gone }] = said.as_slice() else { panic!("{said:?}") };
        assert_eq!((*version, put.len(), gone.len()), ((2 << 32) + 1, 1, 0));
        outgoing.remove("a");
        let said = outgoing.take(now + beat, beat);
        let told = matches!(said.as_slice(), [Said::Changed { gone, .. }, Said::Beat { .. }] if *gone == ["a"]);
        assert!(told, "{said:?}");
    }

    #[tokio::test]
    async fn large_sets_are_told_in_parts_and_not_too_often() {
        let now = Instant::now();
        let (beat, pause) = (Duration::from_secs(10), Duration::from_secs(1));
        let mut outgoing = Outgoing::new(0, now, now + beat);
        for n in 0..100 {
            outgoing.put(member(&n.to_string(), 4_000));
        }
        outgoing.answer(now, pause);
        let said = outgoing.take(now, beat);
        let all: Vec<_> = said.iter().filter(|said| matches!(said, Said::All { .. })).collect();
        assert!(all.len() > 5 && said.len() > 2 * 5);
        for said in &said {
            let text = super::super::frame::Frame::new(
                "0123456789abcdef",
                match said {
                    Said::All { version, part, parts, members } => {
                        Said::All { version: *version, part: *part, parts: *parts, members: members.clone() }
                    }
                    _ => continue,
                },
            );
            assert!(text.to_text().unwrap().len() < crate::realtime::broadcast::MAX_PAYLOAD);
        }
        outgoing.answer(now, pause);
        assert!(outgoing.take(now, beat).is_empty(), "it has just been told");
        assert!(!outgoing.take(now + pause, beat).is_empty());
    }

    #[tokio::test]
    async fn all_are_asked_seldom_however_often_something_is_lost() {
        let (now, pause) = (Instant::now(), Duration::from_secs(5));
        let beat = Duration::from_secs(10);
        let mut outgoing = Outgoing::new(0, now, now + beat);
        let mut asked = Vec::new();
        for second in 0..60 {
            let now = now + Duration::from_secs(second);
            outgoing.ask_all(now, pause);
            outgoing.ask_all(now + Duration::from_secs(3), pause);
            if outgoing.take(now, beat).iter().any(|said| matches!(said, Said::Ask { of: None })) {
                asked.push(second);
            }
        }
        assert_eq!(asked, (0..60).step_by(5).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn who_did_not_hear_that_the_last_one_went_hears_a_few_heartbeats() {
        let (start, beat) = (Instant::now(), Duration::from_secs(10));
        let mut outgoing = Outgoing::new(0, start, start + beat);
        outgoing.put(member("a", 1));
        outgoing.take(start, beat);
        outgoing.remove("a");
        let said = outgoing.take(start, beat);
        let Some(Said::Changed { version, .. }) = said.last() else { panic!("{said:?}") };
        let beats: Vec<_> = (1..20).flat_map(|n| outgoing.take(start + beat * n, beat)).collect();
        assert_eq!(beats.len(), 3, "{beats:?}");
        assert!(beats.iter().all(|said| matches!(said, Said::Beat { version: beat } if beat == version)), "{beats:?}");
    }
}
