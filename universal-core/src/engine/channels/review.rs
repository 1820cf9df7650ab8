//! Asking the rules again whether those who joined may still be there.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{hub::Shared, room::Room, session::Session};
use crate::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    id::{ChannelName, TenantId},
    realtime::channel_rule::{ChannelAction, ChannelRuleSet},
};

/// Of how many tenants it is asked at once.
const AT_ONCE: usize = 32;
/// How long the rules of a tenant may take to come; its turn is the next one then.
const PATIENCE: Duration = Duration::from_millis(500);
/// After how many of those who joined others have their turn.
const SOME: usize = 64;

/// Asks the rules, until the stop. Each tenant is asked about in a turn of its own: one whose rules are slow to come, or
/// whose rooms are many, is late itself, and the others are not.
pub(super) async fn review(shared: Arc<Shared>) {
    let mut ticks = interval(shared.options.review);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut waiting, mut running) = (VecDeque::new(), FuturesUnordered::new());
    let mut busy = HashSet::new();
    loop {
        while running.len() < AT_ONCE
            && let Some((tenant, rooms)) = waiting.pop_front()
        {
            running.push(of_tenant(&shared, tenant, rooms));
        }
        tokio::select! {
            () = shared.stop.cancelled() => return,
            Some(tenant) = running.next(), if !running.is_empty() => {
                busy.remove(&tenant);
            }
            _ = ticks.tick() => {
                for (tenant, rooms) in by_tenant(shared.all_rooms()) {
                    if busy.insert(tenant.clone()) {
                        waiting.push_back((tenant, rooms));
                    }
                }
            }
        }
    }
}

fn by_tenant(rooms: Vec<Arc<Room>>) -> HashMap<TenantId, Vec<Arc<Room>>> {
    let mut tenants: HashMap<TenantId, Vec<Arc<Room>>> = HashMap::new();
    for room in rooms {
        tenants.entry(room.tenant.clone()).or_default().push(room);
    }
    tenants
}

/// Asks about all who joined rooms of a tenant.
async fn of_tenant(shared: &Shared, tenant: TenantId, rooms: Vec<Arc<Room>>) -> TenantId {
    let mut count = 0;
    for room in rooms {
        // What was read a moment ago is remembered; a long turn sees rules that change meanwhile.
        let rules = match timeout(PATIENCE, shared.rules.rules(&tenant)).await {
            Ok(Ok(rules)) => Ok(rules),
            Ok(Err(error)) if is_answer(&error) => Err(error),
            // The next turn may be luckier.
            Ok(Err(_)) | Err(_) => return tenant,
        };
        for session in room.sessions() {
            let caller = session.caller();
            let reviewed = match &rules {
                Ok(rules) => shared.judge(rules, &room, &session, &caller),
                Err(_) if caller.bypasses_rules() => Ok(()),
                Err(error) => Err(Error::new(error.kind(), error.code(), error.message().to_owned())),
            };
            if let Err(error) = reviewed
                && is_answer(&error)
            {
                session.end(&error);
                shared.leave(&room, &session.key);
            }
            count += 1;
            if count % SOME == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
    tenant
}

/// What went wrong here is no answer of the rules.
fn is_answer(error: &Error) -> bool {
    !error.is_retryable() && error.kind() != ErrorKind::Internal
}

impl Shared {
    pub(super) async fn allow(&self, caller: &Caller, channel: &ChannelName, action: ChannelAction) -> Result<()> {
        if caller.bypasses_rules() {
            return Ok(());
        }
        self.rules.rules(caller.tenant()).await?.allow(caller, channel, action, self.clock.now())
    }

    /// Whether one may still be there, and be seen there, as `caller`.
    pub(super) async fn review(&self, room: &Room, session: &Session, caller: &Caller) -> Result<()> {
        if caller.bypasses_rules() {
            return Ok(());
        }
        let rules = self.rules.rules(caller.tenant()).await?;
        self.judge(&rules, room, session, caller)
    }

    fn judge(&self, rules: &ChannelRuleSet, room: &Room, session: &Session, caller: &Caller) -> Result<()> {
        let now = self.clock.now();
        rules.allow(caller, &room.channel, ChannelAction::Join, now)?;
        if room.is_member(&session.key) {
            rules.allow(caller, &room.channel, ChannelAction::Presence, now)?;
        }
        Ok(())
    }
}
