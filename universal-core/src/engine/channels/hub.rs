//! The channels of one node.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use tokio::{sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    announcer,
    frame::{Frame, Said},
    hear,
    incoming::Line,
    options::ChannelOptions,
    rate::Rates,
    review,
    room::{Room, size},
    seat::{Listener, Seat},
    session::Session,
};
use crate::{
    caller::Caller,
    clock::SharedClock,
    collections::rule::administers,
    error::{Error, ErrorKind, Result},
    id::{ChannelName, TenantId, random_hex},
    realtime::{
        broadcast::{Broadcast, Broadcaster},
        channel::{Channels, Join, Joined, Member, Message},
        channel_rule::{ChannelAction, ChannelInfo, ChannelPattern, ChannelRules, ChannelSettings},
        payload::{EventName, Payload},
    },
};

/// The channels of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChannelHub {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) node: Arc<str>,
    pub(super) broadcaster: Arc<dyn Broadcaster>,
    pub(super) rules: Arc<dyn ChannelRules>,
    pub(super) clock: SharedClock,
    pub(super) options: ChannelOptions,
    pub(super) stop: CancellationToken,
    /// Rooms live as long as somebody is in them.
    rooms: Mutex<HashMap<(TenantId, ChannelName), Arc<Room>>>,
    lives: AtomicU64,
    /// Rooms with something to say to other nodes.
    waiting: Mutex<Vec<Arc<Room>>>,
    pub(super) woken: Notify,
    /// Rooms with something to hear.
    pub(super) line: Line,
    /// What tenants may say.
    pub(super) rates: Rates,
}

/// About how many bytes stand around a message on its way.
const ENVELOPE: usize = 128;

impl ChannelHub {
    /// Channels that speak to other nodes over `broadcaster` and ask `rules`, until `stop`; what they do in the
    /// background is among `tasks`.
    ///
    /// # Errors
    /// `Internal` if the operating system has no random numbers.
    pub fn start(
        (broadcaster, rules): (Arc<dyn Broadcaster>, Arc<dyn ChannelRules>),
        clock: SharedClock,
        options: ChannelOptions,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self> {
        // From here on nothing that arrives is missed.
        let arrivals = broadcaster.arrivals();
        let shared = Arc::new(Shared {
            node: random_hex(8)?.into(),
            broadcaster,
            rules,
            clock,
            options,
            stop,
            rooms: Mutex::default(),
            lives: AtomicU64::new(1),
            waiting: Mutex::default(),
            woken: Notify::new(),
            line: Line::default(),
            rates: Rates::new(&options),
        });
        tasks.spawn(hear::sort(Arc::clone(&shared), arrivals));
        for _ in 0..hear::EARS {
            tasks.spawn(hear::hear(Arc::clone(&shared)));
        }
        tasks.spawn(announcer::speak(Arc::clone(&shared)));
        tasks.spawn(review::review(Arc::clone(&shared)));
        Ok(Self { shared })
    }
}

impl Shared {
    fn rooms(&self) -> MutexGuard<'_, HashMap<(TenantId, ChannelName), Arc<Room>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rooms that somebody is in.
    pub(super) fn all_rooms(&self) -> Vec<Arc<Room>> {
        self.rooms().values().cloned().collect()
    }

    pub(super) fn room(&self, tenant: &TenantId, channel: &ChannelName) -> Option<Arc<Room>> {
        self.rooms().get(&(tenant.clone(), channel.clone())).cloned()
    }

    /// Lets somebody into the room of a channel, which is made if it is the first.
    fn enter(&self, channel: &ChannelName, session: Arc<Session>, member: Option<Member>) -> Result<Arc<Room>> {
        let tenant = session.caller().tenant().clone();
        let mut rooms = self.rooms();
        let room = match rooms.get(&(tenant.clone(), channel.clone())) {
            Some(room) => Arc::clone(room),
            None => {
                let life = self.lives.fetch_add(1, Ordering::Relaxed);
                Arc::new(Room::new(tenant.clone(), channel.clone(), life, self.options))
            }
        };
        // While nobody can take the room away.
        room.join(Arc::clone(&session));
        rooms.entry((tenant, channel.clone())).or_insert_with(|| Arc::clone(&room));
        drop(rooms);
        // Telling all who are there takes a while where they are many; no other room waits for it.
        let seen = match member {
            Some(member) => room.set_member(&session.key, Some(member)),
            None => Ok(()),
        };
        if let Err(error) = seen {
            self.leave(&room, &session.key);
            return Err(error);
        }
        self.wait(&room);
        Ok(room)
    }

    /// Takes a room away that nobody needs any more.
    pub(super) fn reap(&self, room: &Arc<Room>) {
        // Looked at before the rooms are locked: in a room in which somebody is, others may be at work for a while.
        if !room.is_idle() {
            return;
        }
        let key = (room.tenant.clone(), room.channel.clone());
        let mut rooms = self.rooms();
        // The channel may have another room by now.
        if rooms.get(&key).is_some_and(|known| Arc::ptr_eq(known, room)) && room.is_idle() {
            rooms.remove(&key);
        }
    }

    /// Lets a room wait for the one who speaks to other nodes.
    pub(super) fn wait(&self, room: &Arc<Room>) {
        if !room.waits.swap(true, Ordering::AcqRel) {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(room));
            self.woken.notify_one();
        }
    }

    pub(super) fn take_waiting(&self) -> Vec<Arc<Room>> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says something to all nodes, this one included.
    pub(super) async fn say(&self, tenant: &TenantId, channel: &ChannelName, said: Said) -> Result<()> {
        let payload = Frame::new(&self.node, said).to_text()?;
        let channel = channel.as_str().into();
        self.broadcaster.send(Broadcast { tenant: tenant.clone(), channel, payload }).await
    }

    pub(super) async fn send(
        &self,
        (caller, key): (&Caller, Option<&str>),
        channel: &ChannelName,
        event: EventName,
        payload: Payload,
    ) -> Result<()> {
        self.allow(caller, channel, ChannelAction::Send).await?;
        let bytes = payload.as_str().len() + event.as_str().len() + ENVELOPE;
        self.rates.take(caller.tenant(), bytes, Instant::now())?;
        let (key, from) = (key.map(str::to_owned), caller.user_id().cloned());
        self.say(caller.tenant(), channel, Said::Message { key, from, event, payload }).await
    }

    /// One goes, of its own accord or because the rules want it.
    pub(super) fn leave(&self, room: &Arc<Room>, key: &str) {
        if room.leave(key) {
            self.wait(room);
        }
    }

    /// Puts what a node said where it is heard.
    pub(super) fn sort(&self, broadcast: Arc<Broadcast>) {
        let channel = ChannelName::trusted(Arc::clone(&broadcast.channel));
        // Most is said in channels that nobody has joined here.
        let Some(room) = self.room(&broadcast.tenant, &channel) else { return };
        if room.incoming.push(broadcast) {
            self.line.push(room);
        }
    }

    /// Hears in a room what a node said.
    pub(super) fn hear(&self, room: &Arc<Room>, broadcast: &Broadcast) {
        let frame = match Frame::parse(&broadcast.payload) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(error = ?error, channel = %room.channel, "another node said something that was not understood");
                return;
            }
        };
        match frame.said {
            Said::Message { key, from, event, payload } => {
                room.hand_out(Message::new(event, payload, from, key.map(Arc::from)));
            }
            _ if *frame.node == *self.node => {}
            said => {
                if room.hear(&self.node, &frame.node, said, Instant::now()) {
                    self.wait(room);
                }
            }
        }
    }
}

#[async_trait]
impl Channels for ChannelHub {
    async fn join(&self, caller: &Caller, join: Join) -> Result<Joined> {
        let shared = &self.shared;
        if shared.stop.is_cancelled() {
            return Err(stopping());
        }
        // Administrators and the program ask no rule, but their tenant must be there too.
        let rules = shared.rules.rules(caller.tenant()).await?;
        let now = shared.clock.now();
        rules.allow(caller, &join.channel, ChannelAction::Join, now)?;
        let key: Arc<str> = random_hex(8)?.into();
        let member = match join.presence {
            Some(state) => {
                state.check_state()?;
                rules.allow(caller, &join.channel, ChannelAction::Presence, now)?;
                let member = Member::new(Arc::clone(&key), caller.user_id().cloned(), state, now);
                shared.rates.take(caller.tenant(), size(&member), Instant::now())?;
                Some(member)
            }
            // A channel that nobody is in here gets a room, and the other nodes are asked who is there.
            None if shared.room(caller.tenant(), &join.channel).is_none() => {
                shared.rates.take(caller.tenant(), ENVELOPE, Instant::now())?;
                None
            }
            None => None,
        };
        let session = Arc::new(Session::new(Arc::clone(&key), caller.clone(), (join.echo, join.budget)));
        let room = shared.enter(&join.channel, Arc::clone(&session), member)?;
        let seat = Arc::new(Seat { shared: Arc::clone(shared), room, session });
        Ok(Joined::new(join.channel, key, Box::new(Listener(Arc::clone(&seat))), seat))
    }

    async fn send(&self, caller: &Caller, channel: &ChannelName, event: EventName, payload: Payload) -> Result<()> {
        self.shared.send((caller, None), channel, event, payload).await
    }

    async fn configured(&self, caller: &Caller) -> Result<Vec<ChannelInfo>> {
        administers(caller)?;
        self.shared.rules.stored(caller.tenant()).await
    }

    async fn settings(&self, caller: &Caller, pattern: &ChannelPattern) -> Result<ChannelInfo> {
        let stored = self.configured(caller).await?;
        stored
            .into_iter()
            .find(|info| info.pattern == *pattern)
            .ok_or_else(|| Error::not_found("channel-rules-not-found", "there are no rules for this pattern"))
    }

    async fn configure(
        &self,
        caller: &Caller,
        pattern: &ChannelPattern,
        settings: ChannelSettings,
        expected: Option<i64>,
    ) -> Result<ChannelInfo> {
        administers(caller)?;
        settings.check()?;
        let now = self.shared.clock.now();
        self.shared.rules.store(caller.tenant(), pattern, settings, expected, now).await
    }

    async fn unconfigure(&self, caller: &Caller, pattern: &ChannelPattern, expected: Option<i64>) -> Result<()> {
        administers(caller)?;
        self.shared.rules.forget(caller.tenant(), pattern, expected).await
    }
}

pub(super) fn stopping() -> Error {
    Error::new(ErrorKind::Unavailable, "shutting-down", "the backend is shutting down")
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("node", &self.node).finish_non_exhaustive()
    }
}
