//! One channel on this node: who joined here, and who is there on all nodes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    frame::Said,
    incoming::Incoming,
    options::ChannelOptions,
    outgoing::Outgoing,
    peer::{Heard, Peer},
    session::{Session, left},
};
use crate::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    id::{ChannelName, TenantId},
    realtime::channel::{
        ChannelEvent, MAX_MEMBERS, MAX_MEMBERS_BYTES, MAX_MEMBERS_PER_USER, Member, Message, PresenceChange,
    },
};

/// One channel.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) tenant: TenantId,
    pub(super) channel: ChannelName,
    /// Whether it waits to be looked at by the one who speaks to other nodes.
    pub(super) waits: AtomicBool,
    /// What came and was not heard yet.
    pub(super) incoming: Incoming,
    options: ChannelOptions,
    /// Its part of a heartbeat: what all rooms do is spread by it.
    phase: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sessions: HashMap<Arc<str>, Arc<Session>>,
    /// The same in a row, made when a message is handed out and kept until one comes or goes.
    listeners: Option<Arc<[Arc<Session>]>>,
    outgoing: Outgoing,
    peers: HashMap<Arc<str>, Peer>,
    /// All members, made when somebody wants to know and kept until one changes.
    everybody: Option<Arc<[Member]>>,
}

impl Room {
    /// `life` is greater than that of any earlier room of the channel, and tells when its first heartbeat is due.
    pub(super) fn new(tenant: TenantId, channel: ChannelName, life: u64, options: ChannelOptions) -> Self {
        let phase = options.heartbeat.mul_f64(((life.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64) / 16_777_216.0);
        let now = Instant::now();
        let outgoing = Outgoing::new(life, now, now + phase);
        let state =
            State { sessions: HashMap::new(), listeners: None, outgoing, peers: HashMap::new(), everybody: None };
        let (waits, incoming) = (AtomicBool::new(false), Incoming::default());
        Self { tenant, channel, waits, incoming, options, phase, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing can be heard in it until somebody says so.
    #[cfg(test)]
    pub(super) fn hold(&self, until: &std::sync::mpsc::Receiver<()>) {
        let _state = self.state();
        let _ = until.recv();
    }

    /// Lets one in, who is not seen yet.
    pub(super) fn join(&self, session: Arc<Session>) {
        let mut state = self.state();
        state.sessions.insert(Arc::clone(&session.key), session);
        state.listeners = None;
    }

    /// Takes one out; answers whether it was there.
    pub(super) fn leave(&self, key: &str) -> bool {
        let mut state = self.state();
        let Some(session) = state.sessions.remove(key) else { return false };
        state.listeners = None;
        session.end(&left());
        state.remove(key);
        true
    }

    /// One of those here says something else of itself.
    ///
    /// # Errors
    /// `Conflict` `channel-left` and `presence-full`.
    pub(super) fn set_member(&self, key: &str, member: Option<Member>) -> Result<()> {
        let mut state = self.state();
        if !state.sessions.contains_key(key) {
            return Err(left());
        }
        match member {
            None => state.remove(key),
            Some(mut member) => {
                match state.outgoing.members.get(key) {
                    Some(before) => {
                        member.since = before.since;
                        if *before == member {
                            return Ok(());
                        }
                    }
                    None => state.has_place(&member)?,
                }
                state.has_bytes(&member)?;
                state.put(member);
            }
        }
        Ok(())
    }

    /// One of those here goes on as another user, or with other rights.
    pub(super) fn set_caller(&self, key: &str, caller: Caller) {
        let mut state = self.state();
        let Some(session) = state.sessions.get(key) else { return };
        session.set_caller(caller.clone());
        if let Some(member) = state.outgoing.members.get(key)
            && member.user.as_ref() != caller.user_id()
        {
            let member = Member { user: caller.user_id().cloned(), ..member.clone() };
            state.put(member);
        }
    }

    /// What one who joined is told of all members.
    pub(super) fn sync(&self, session: &Session) -> ChannelEvent {
        let mut state = self.state();
        let members = state.everybody();
        session.sync(members)
    }

    pub(super) fn sessions(&self) -> Vec<Arc<Session>> {
        self.state().sessions.values().cloned().collect()
    }

    /// Whether this one is seen as a member.
    pub(super) fn is_member(&self, key: &str) -> bool {
        self.state().outgoing.members.contains_key(key)
    }

    /// Hands a message to everybody here.
    pub(super) fn hand_out(&self, message: Message) {
        let bytes = message.payload.as_str().len() + message.event.as_str().len() + 128;
        let message = Arc::new(message);
        // Where many listen this takes a while; who joins, and so whoever looks for a room, does not wait for it.
        let listeners = self.state().listeners();
        for session in listeners.iter() {
            if session.echo || message.key.as_ref() != Some(&session.key) {
                session.push(ChannelEvent::Message(Arc::clone(&message)), bytes);
            }
        }
    }

    /// What was said to this node was lost: up to so many messages, of this channel or others.
    pub(super) fn missed(&self, count: u64, now: Instant) {
        let mut state = self.state();
        if count > 0 {
            state.sessions.values().for_each(|session| session.missed(count));
        }
        state.outgoing.ask_all(now + self.phase, self.options.pause_of_all());
    }

    /// What was to be said could not be; what it wanted to know it asks again.
    pub(super) fn asks_again(&self, now: Instant) {
        self.state().outgoing.ask_all(now + self.phase, self.options.pause_of_all());
    }

    /// Hears what another node says of its members; answers whether this node has something to say now.
    pub(super) fn hear(&self, me: &str, node: &str, said: Said, now: Instant) -> bool {
        let mut state = self.state();
        let pause = self.options.pause();
        // Whoever asks, or goes, says nothing of its members.
        match &said {
            Said::Message { .. } => return false,
            Said::Ask { of } => {
                let asks_me = of.as_deref() == Some(me);
                let answers = asks_me || (of.is_none() && !state.outgoing.members.is_empty());
                if answers {
                    state.outgoing.answer(now, pause);
                }
                return answers;
            }
            Said::Bye => {
                if let Some(peer) = state.peers.remove(node) {
                    state.tell(peer.gone());
                }
                return false;
            }
            Said::Changed { .. } | Said::All { .. } | Said::Beat { .. } => {}
        }
        let (node, mut peer) = match state.peers.remove_entry(node) {
            Some(known) => known,
            None => (Arc::from(node), Peer::new(now)),
        };
        let of_members = |members: Vec<_>| members.into_iter().map(Member::from).collect();
        let heard = match said {
            Said::Changed { version, put, gone } => peer.changed(version, (of_members(put), &gone), now),
            Said::All { version, part, parts, members } => peer.all((version, part, parts), of_members(members), now),
            Said::Beat { version } => peer.beat(version, now),
            Said::Message { .. } | Said::Ask { .. } | Said::Bye => Heard::Change(PresenceChange::default()),
        };
        let asks = match heard {
            Heard::Change(change) => {
                state.peers.insert(node, peer);
                state.tell(change);
                return false;
            }
            Heard::Gap => peer.shall_ask(now, pause),
        };
        if asks {
            state.outgoing.ask(Arc::clone(&node));
        }
        state.peers.insert(node, peer);
        asks
    }

    /// Everything that is to be said to other nodes by now.
    pub(super) fn outgoing(&self, now: Instant) -> Vec<Said> {
        self.state().outgoing.take(now, self.options.heartbeat)
    }

    /// Members leave whose nodes have not confirmed them for too long.
    pub(super) fn expire(&self, now: Instant) {
        let mut state = self.state();
        let dead = state.peers.extract_if(|_, peer| peer.unconfirmed(now) >= self.options.expiry);
        for (node, peer) in dead.collect::<Vec<_>>() {
            if peer.len() > 0 {
                tracing::info!(node = %node, channel = %self.channel, members = peer.len(), "a node does not confirm its members any more; they leave");
            }
            state.tell(peer.gone());
        }
    }

    /// Whether nobody needs it any more.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.sessions.is_empty() && !state.outgoing.has_untold() && !self.waits.load(Ordering::Acquire)
    }

    /// Whether other nodes have not been told everything yet.
    pub(super) fn has_untold(&self) -> bool {
        self.state().outgoing.has_untold()
    }

    pub(super) fn has_members(&self) -> bool {
        !self.state().outgoing.members.is_empty()
    }
}

impl State {
    fn members(&self) -> impl Iterator<Item = &Member> {
        self.outgoing.members.values().chain(self.peers.values().flat_map(Peer::members))
    }

    /// Whether one more may be seen.
    fn has_place(&self, member: &Member) -> Result<()> {
        let (mut count, mut own) = (0, 0);
        for other in self.members() {
            count += 1;
            own += usize::from(other.user.is_some() && other.user == member.user);
        }
        if own >= MAX_MEMBERS_PER_USER {
            let message = format!("a user is {MAX_MEMBERS_PER_USER} members of a channel at most");
            return Err(full(message));
        }
        if count >= MAX_MEMBERS {
            return Err(full(format!(
                "{MAX_MEMBERS} members are there already; join without a presence, or come later"
            )));
        }
        Ok(())
    }

    /// Whether all members with this one can be told in one frame.
    fn has_bytes(&self, member: &Member) -> Result<()> {
        let others = self.members().filter(|other| other.key != member.key);
        if others.map(size).sum::<usize>() + size(member) <= MAX_MEMBERS_BYTES {
            return Ok(());
        }
        Err(full("the members of this channel say too much of themselves; say less, or come later".to_owned()))
    }

    fn put(&mut self, member: Member) {
        let mut change = PresenceChange::default();
        match self.outgoing.put(member.clone()) {
            None => change.joined.push(member),
            Some(_) => change.updated.push(member),
        }
        self.tell(change);
    }

    fn remove(&mut self, key: &str) {
        let left = self.outgoing.remove(key).into_iter().collect();
        self.tell(PresenceChange { left, ..PresenceChange::default() });
    }

    /// Tells everybody here who came, went or changed.
    fn tell(&mut self, change: PresenceChange) {
        if change.is_empty() {
            return;
        }
        self.everybody = None;
        let all = change.joined.iter().chain(&change.updated).chain(&change.left);
        let bytes = all.map(size).sum();
        let change = Arc::new(change);
        for session in self.sessions.values() {
            session.push(ChannelEvent::Presence(Arc::clone(&change)), bytes);
        }
    }

    fn listeners(&mut self) -> Arc<[Arc<Session>]> {
        let sessions = &self.sessions;
        Arc::clone(self.listeners.get_or_insert_with(|| sessions.values().cloned().collect()))
    }

    fn everybody(&mut self) -> Arc<[Member]> {
        let (outgoing, peers) = (&self.outgoing, &self.peers);
        let all = || outgoing.members.values().chain(peers.values().flat_map(Peer::members)).cloned();
        let everybody = self.everybody.get_or_insert_with(|| {
            let mut members: Vec<Member> = all().collect();
            members.sort_by(|one, other| (one.since, &one.key).cmp(&(other.since, &other.key)));
            members.into()
        });
        Arc::clone(everybody)
    }
}

/// How many bytes a member takes where it is told, about.
pub(super) fn size(member: &Member) -> usize {
    member.state.as_str().len() + 160
}

fn full(message: String) -> Error {
    Error::new(ErrorKind::Conflict, "presence-full", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, engine::channels::frame::Shown, realtime::payload::Payload};

    fn room() -> Room {
        let (tenant, channel) = (TenantId::default_tenant(), ChannelName::new("room:1").unwrap());
        Room::new(tenant, channel, 1, ChannelOptions::new())
    }

    fn member(key: &str) -> Member {
        Member::new(key.into(), None, Payload::of(&1).unwrap(), Timestamp::from_micros(0))
    }

    fn changed(version: u64) -> Said {
        Said::Changed { version, put: vec![Shown::from(&member("theirs"))], gone: Vec::new() }
    }

    fn count(room: &Room) -> usize {
        room.state().everybody().len()
    }

    #[tokio::test]
    async fn a_node_that_is_silent_for_thirty_seconds_is_dead() {
        let (room, start) = (room(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        assert!(!room.hear("me", "them", changed(1), later(0)));
        room.expire(later(29));
        assert_eq!(count(&room), 1);
        assert!(!room.hear("me", "them", Said::Beat { version: 1 }, later(29)));
        room.expire(later(58));
        assert_eq!(count(&room), 1);
        room.expire(later(59));
        assert_eq!(count(&room), 0);
        assert!(room.hear("me", "them", Said::Beat { version: 1 }, later(60)), "it lives: it is asked who is there");
        let said = room.outgoing(later(60));
        assert!(said.iter().any(|said| matches!(said, Said::Ask { .. })), "{said:?}");
    }

    #[tokio::test]
    async fn a_heartbeat_comes_every_ten_seconds_while_somebody_is_here() {
        let (room, start) = (room(), Instant::now());
        let beats = |room: &Room, second: u64| {
            let said = room.outgoing(start + Duration::from_secs(second));
            said.iter().filter(|said| matches!(said, Said::Beat { .. })).count()
        };
        assert_eq!((0..60).map(|second| beats(&room, second)).sum::<usize>(), 0, "nobody is here");
        room.state().put(member("mine"));
        assert_eq!((60..120).map(|second| beats(&room, second)).sum::<usize>(), 6);
    }

    #[tokio::test]
    async fn who_asks_is_answered_and_a_farewell_takes_the_members() {
        let (room, now) = (room(), Instant::now());
        assert!(!room.hear("me", "them", Said::Ask { of: None }, now));
        assert!(!room.outgoing(now).iter().any(|said| matches!(said, Said::All { .. })), "nobody is here");
        room.state().put(member("mine"));
        assert!(room.hear("me", "them", Said::Ask { of: Some("me".into()) }, now));
        let said = room.outgoing(now);
        assert!(said.iter().any(|said| matches!(said, Said::All { members, .. } if members.len() == 1)), "{said:?}");
        room.hear("me", "them", changed(1), now);
        assert_eq!(count(&room), 2);
        room.hear("me", "them", Said::Bye, now);
        assert_eq!(count(&room), 1);
    }

    #[tokio::test]
    async fn who_asks_does_not_keep_its_members_and_a_lost_farewell_is_found() {
        let (room, start) = (room(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        room.hear("me", "them", changed(1), later(0));
        // That its member went was lost. It asks all the time, and what it says of its members does not fit.
        for second in 1..30 {
            room.hear("me", "them", Said::Ask { of: None }, later(second));
            if second % 10 == 0 {
                assert!(room.hear("me", "them", Said::Beat { version: 2 }, later(second)), "it is asked");
            }
            room.expire(later(second));
            assert_eq!(count(&room), 1);
        }
        room.expire(later(30));
        assert_eq!(count(&room), 0);
        assert!(room.state().peers.is_empty());
        room.hear("me", "them", Said::Ask { of: None }, later(31));
        assert!(room.state().peers.is_empty(), "who asks is not remembered");
    }

    #[tokio::test]
    async fn after_a_loss_rooms_do_not_ask_at_once_or_often() {
        let (start, mut asked) = (Instant::now(), vec![0; 20]);
        let rooms: Vec<_> = (0..1_000)
            .map(|life| {
                let (tenant, channel) = (TenantId::default_tenant(), ChannelName::new("room:1").unwrap());
                Room::new(tenant, channel, life, ChannelOptions::new())
            })
            .collect();
        let asks = |room: &Room, now| room.outgoing(now).iter().any(|said| matches!(said, Said::Ask { .. }));
        for room in &rooms {
            assert!(asks(room, Instant::now()), "a new one asks at once");
        }
        let start = start + Duration::from_secs(60);
        for second in 0..20 {
            for room in &rooms {
                // It goes on: this node loses something again and again.
                room.missed(1, start + Duration::from_secs(second));
                let now = start + Duration::from_secs(second + 1);
                asked[usize::try_from(second).unwrap()] += usize::from(asks(room, now));
            }
        }
        assert!(asked.iter().all(|count| *count < 400), "{asked:?}");
        assert!((1_000..=4_000).contains(&asked.iter().sum::<usize>()), "{asked:?}");
    }
}
