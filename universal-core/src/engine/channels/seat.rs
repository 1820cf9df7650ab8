//! The place of one who joined: its ear and its voice.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    hub::{Shared, stopping},
    room::{Room, size},
    session::{Next, Session},
};
use crate::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    realtime::{
        channel::{ChannelEvent, Listen, Member, Speak},
        channel_rule::ChannelAction,
        payload::{EventName, Payload},
    },
};

/// The place of one who joined.
pub(super) struct Seat {
    pub(super) shared: Arc<Shared>,
    pub(super) room: Arc<Room>,
    pub(super) session: Arc<Session>,
}

/// Its ear: with it, it leaves.
#[derive(Debug)]
pub(super) struct Listener(pub(super) Arc<Seat>);

#[async_trait]
impl Listen for Listener {
    async fn next(&mut self) -> Result<ChannelEvent> {
        let Seat { shared, room, session } = &*self.0;
        loop {
            if shared.stop.is_cancelled() {
                return Err(stopping());
            }
            match session.pop()? {
                Next::Event(event) => return Ok(event),
                Next::Sync => return Ok(room.sync(session)),
                Next::Nothing => {}
            }
            // A word that came meanwhile has left its mark there: nobody else waits for it.
            tokio::select! {
                () = shared.stop.cancelled() => {}
                () = session.woken.notified() => {}
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.shared.leave(&self.0.room, &self.0.session.key);
    }
}

#[async_trait]
impl Speak for Seat {
    async fn send(&self, event: EventName, payload: Payload) -> Result<()> {
        self.session.is_open()?;
        let caller = self.session.caller();
        self.shared.send((&caller, Some(&self.session.key)), &self.room.channel, event, payload).await
    }

    async fn set_presence(&self, state: Option<Payload>) -> Result<()> {
        self.session.is_open()?;
        let caller = self.session.caller();
        let key = &self.session.key;
        let member = match state {
            Some(state) => {
                state.check_state()?;
                self.shared.allow(&caller, &self.room.channel, ChannelAction::Presence).await?;
                let member = Member::new(Arc::clone(key), caller.user_id().cloned(), state, self.shared.clock.now());
                self.shared.rates.take(&self.room.tenant, size(&member), Instant::now())?;
                Some(member)
            }
            None => None,
        };
        self.room.set_member(key, member)?;
        self.shared.wait(&self.room);
        Ok(())
    }

    async fn become_caller(&self, caller: Caller) -> Result<()> {
        self.session.is_open()?;
        let reviewed = match *caller.tenant() == self.room.tenant {
            true => self.shared.review(&self.room, &self.session, &caller).await,
            // The rules of its tenant say nothing of a channel of this one.
            false => Err(Error::new(
                ErrorKind::Forbidden,
                "channel-forbidden",
                "this channel belongs to another tenant; join one of your own",
            )),
        };
        match reviewed {
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                self.session.end(&error);
                self.leave();
                Err(error)
            }
            Ok(()) => {
                self.room.set_caller(&self.session.key, caller);
                self.shared.wait(&self.room);
                Ok(())
            }
        }
    }

    fn leave(&self) {
        self.shared.leave(&self.room, &self.session.key);
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("channel", &self.room.channel).finish_non_exhaustive()
    }
}
