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
    options: ChannelOptions,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sessions: HashMap<Arc<str>, Arc<Session>>,
    outgoing: Outgoing,
    peers: HashMap<Arc<str>, Peer>,
    /// All members, made when somebody wants to know and kept until one changes.
    everybody: Option<Arc<[Member]>>,
}

impl Room {
    /// `life` is greater than that of any earlier room of the channel, and tells when its first heartbeat is due.
    pub(super) fn new(tenant: TenantId, channel: ChannelName, life: u64, options: ChannelOptions) -> Self {
        // Heartbeats of rooms that were made at the same moment are spread.
        let phase = options.heartbeat.mul_f64(((life.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64) / 16_777_216.0);
        let outgoing = Outgoing::new(life, Instant::now() + phase);
        let state = State { sessions: HashMap::new(), outgoing, peers: HashMap::new(), everybody: None };
        Self { tenant, channel, waits: AtomicBool::new(false), options, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one in, who is not seen yet.
    pub(super) fn join(&self, session: Arc<Session>) {
        self.state().sessions.insert(Arc::clone(&session.key), session);
    }

    /// Takes one out; answers whether it was there.
    pub(super) fn leave(&self, key: &str) -> bool {
        let mut state = self.state();
        let Some(session) = state.sessions.remove(key) else { return false };
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
        for session in self.state().sessions.values() {
            if session.echo || message.key.as_ref() != Some(&session.key) {
                session.push(ChannelEvent::Message(Arc::clone(&message)), bytes);
            }
        }
    }

    /// What was said to this node was lost: up to so many messages, of this channel or others.
    pub(super) fn missed(&self, count: u64) {
        for session in self.state().sessions.values() {
            session.missed(count);
        }
    }

    /// Hears what another node says of its members; answers whether this node has something to say now.
    pub(super) fn hear(&self, me: &str, node: &str, said: Said, now: Instant) -> bool {
        let mut state = self.state();
        let pause = self.pause();
        let (node, mut peer) = match state.peers.remove_entry(node) {
            Some(known) => known,
            None => (Arc::from(node), Peer::new(now)),
        };
        peer.heard = now;
        let of_members = |members: Vec<_>| members.into_iter().map(Member::from).collect();
        let heard = match said {
            Said::Message { .. } => Heard::Change(PresenceChange::default()),
            Said::Changed { version, put, gone } => peer.changed(version, of_members(put), &gone),
            Said::All { version, part, parts, members } => peer.all(version, (part, parts), of_members(members)),
            Said::Beat { version } => peer.beat(version),
            Said::Ask { of } => {
                let asks_me = of.as_deref() == Some(me);
                if asks_me || (of.is_none() && !state.outgoing.members.is_empty()) {
                    state.outgoing.answer(now, pause);
                }
                state.peers.insert(node, peer);
                return true;
            }
            Said::Bye => {
                state.tell(peer.gone());
                return false;
            }
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

    /// Something that was lost here, or could not be said, is asked for again.
    pub(super) fn ask_all(&self) {
        self.state().outgoing.ask_all();
    }

    /// Members of nodes that said nothing for too long leave.
    pub(super) fn expire(&self, now: Instant) {
        let mut state = self.state();
        let dead = state.peers.extract_if(|_, peer| now.duration_since(peer.heard) >= self.options.expiry);
        for (node, peer) in dead.collect::<Vec<_>>() {
            if peer.len() > 0 {
                tracing::info!(node = %node, channel = %self.channel, members = peer.len(), "a node fell silent; its members leave");
            }
            state.tell(peer.gone());
        }
    }

    /// Whether nobody needs it any more.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.sessions.is_empty() && !state.outgoing.has_news() && !self.waits.load(Ordering::Acquire)
    }

    /// Whether other nodes have not been told everything yet.
    pub(super) fn has_news(&self) -> bool {
        self.state().outgoing.has_news()
    }

    pub(super) fn has_members(&self) -> bool {
        !self.state().outgoing.members.is_empty()
    }

    /// How long who asks for all members again waits for the answer.
    fn pause(&self) -> Duration {
        self.options.tick()
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
fn size(member: &Member) -> usize {
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
        assert!(room.hear("me", "them", Said::Ask { of: None }, now));
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
}
