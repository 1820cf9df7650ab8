//! From the feed to consumers of the host's: every change at least once, in the order of each tenant.
//!
//! A consumer's place in each feed is kept in the database and moves on after it has done its part, so a crash repeats
//! a few changes and loses none. One node at a time holds a place; a node that dies loses it after `HOLD`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{sync::broadcast, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{SharedClock, Timestamp},
    cursor::Cursor,
    error::{Error, ErrorKind, Result},
    id::TenantId,
    realtime::{
        bus::{Bus, Ring},
        consumer::{Committed, Consumer, Holder, Positions},
        feed::Feed,
    },
};

/// How many changes one read of the feed brings, and so at most how many a crash repeats.
const PAGE: u32 = 100;
/// How many tenants one look brings.
const TENANTS: u32 = 200;
/// How often it looks without a ring.
const IDLE: Duration = Duration::from_secs(1);
/// How long a node holds a place that it does not move on.
const HOLD: Duration = Duration::from_secs(30);
/// How long a consumer may take for one change; less than `Backend::shutdown` waits.
const LIMIT: Duration = Duration::from_secs(15);
/// For how long a tenant's changes are handed on before the place is kept.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// How long a change waits after its first failure; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How long it waits at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How many places are remembered as held; beyond it, those that ran out are forgotten.
const REMEMBERED: usize = 10_000;

/// What a consumer's loop stands on.
#[derive(Clone, Debug)]
pub struct Ports {
    /// The changes.
    pub feed: Arc<dyn Feed>,
    /// The places.
    pub positions: Arc<dyn Positions>,
    /// What says that there is something new.
    pub bus: Arc<dyn Bus>,
    /// The time.
    pub clock: SharedClock,
}

/// Hands changes to `consumer` until `stop`; it was made known by [`Positions::register`].
pub async fn run(ports: Ports, consumer: Arc<dyn Consumer>, node: Arc<str>, stop: CancellationToken) {
    let mut rings = ports.bus.listen();
    let mut work = Loop { ports, consumer, node, stop, held: HashMap::new(), failures: HashMap::new() };
    loop {
        let busy = work.look().await.unwrap_or_else(|error| {
            tracing::warn!(consumer = work.consumer.name(), error = ?error, "the feed cannot be read at the moment");
            false
        });
        let pause = if busy { Duration::ZERO } else { work.pause() };
        tokio::select! {
            () = work.stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
            () = rung(&mut rings) => {}
        }
    }
    if let Err(error) = work.ports.positions.release(work.consumer.name(), &work.node).await {
        tracing::debug!(consumer = work.consumer.name(), error = ?error, "its places are held until they run out");
    }
}

/// Waits for a ring; what rang meanwhile is answered by the same look.
async fn rung(rings: &mut broadcast::Receiver<Ring>) {
    if matches!(rings.recv().await, Err(broadcast::error::RecvError::Closed)) {
        return std::future::pending().await;
    }
    while rings.try_recv().is_ok() {}
}

/// A tenant whose change could not be consumed.
#[derive(Debug)]
struct Failure {
    times: u32,
    again: Instant,
}

struct Loop {
    ports: Ports,
    consumer: Arc<dyn Consumer>,
    node: Arc<str>,
    stop: CancellationToken,
    /// The places that this node holds, and until when: they need not be taken again for each look.
    held: HashMap<TenantId, (Cursor, Timestamp)>,
    failures: HashMap<TenantId, Failure>,
}

impl Loop {
    /// Hands on what waits; answers whether there may be more.
    async fn look(&mut self) -> Result<bool> {
        let (mut busy, mut after) = (false, None);
        loop {
            let name = self.consumer.name();
            let tenants = self.ports.positions.waiting(name, self.holder(), after.as_ref(), TENANTS).await?;
            let Some(last) = tenants.last().cloned() else { return Ok(busy) };
            for tenant in tenants {
                if self.stop.is_cancelled() {
                    return Ok(false);
                }
                if self.failures.get(&tenant).is_some_and(|failure| failure.again > Instant::now()) {
                    continue;
                }
                match self.hand_on(&tenant).await {
                    Ok(more) => {
                        self.failures.remove(&tenant);
                        busy |= more;
                    }
                    // One that fails keeps no other waiting.
                    Err(error) => self.failed(tenant, &error),
                }
            }
            after = Some(last);
        }
    }

    /// Hands a page of a tenant's changes on; answers whether there may be more.
    async fn hand_on(&mut self, tenant: &TenantId) -> Result<bool> {
        let Some(kept) = self.take(tenant).await? else { return Ok(false) };
        let start = self.start(tenant, &kept).await?;
        let changes = self.ports.feed.read(tenant, start.seq(), PAGE).await?;
        let any = !changes.is_empty();
        if changes.first().is_some_and(|first| first.seq != start.seq().saturating_add(1)) {
            // Trimmed between the two reads; the next look says so.
            return Ok(true);
        }
        let epoch = Arc::clone(start.epoch());
        let (mut from, mut to, mut since) = (kept, start, Instant::now());
        let mut outcome = Ok(any);
        for change in changes {
            if self.stop.is_cancelled() {
                outcome = Ok(false);
                break;
            }
            let next = Cursor::new(Arc::clone(&epoch), change.seq);
            if self.consumer.wants(&change) {
                let committed = Committed::new(tenant.clone(), next.clone(), change);
                if let Err(error) = self.consume(&committed).await {
                    outcome = Err(error);
                    break;
                }
            }
            to = next;
            if since.elapsed() > KEEP_EVERY {
                if !self.keep(tenant, &mut from, &to).await? {
                    return Ok(false);
                }
                since = Instant::now();
            }
        }
        let held = self.keep(tenant, &mut from, &to).await?;
        outcome.map(|more| more && held)
    }

    async fn consume(&self, committed: &Committed) -> Result<()> {
        let running = std::panic::AssertUnwindSafe(self.consumer.consume(committed)).catch_unwind();
        match tokio::time::timeout(LIMIT, running).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::internal("a consumer panicked")),
            Err(_) => {
                let message = format!("a consumer took longer than {} s for one change", LIMIT.as_secs());
                Err(Error::new(ErrorKind::Timeout, "hook-timeout", message))
            }
        }
    }

    /// The kept place, if this node holds it.
    async fn take(&mut self, tenant: &TenantId) -> Result<Option<Cursor>> {
        let holder = self.holder();
        let (now, until) = (holder.now, holder.until);
        if let Some((kept, held)) = self.held.get(tenant)
            && *held > now.plus(HOLD / 2)
        {
            return Ok(Some(kept.clone()));
        }
        let kept = self.ports.positions.take(self.consumer.name(), tenant, holder).await?;
        self.remember(tenant, kept.clone().map(|kept| (kept, until)), now);
        Ok(kept)
    }

    async fn keep(&mut self, tenant: &TenantId, from: &mut Cursor, to: &Cursor) -> Result<bool> {
        if from == to {
            return Ok(true);
        }
        let holder = self.holder();
        let (now, until) = (holder.now, holder.until);
        // Whatever comes of it: what is remembered must not be older than what is kept.
        self.held.remove(tenant);
        let holder = Holder { node: &self.node, now, until };
        let held = self.ports.positions.advance(self.consumer.name(), tenant, holder, from, to).await?;
        self.remember(tenant, held.then(|| (to.clone(), until)), now);
        *from = to.clone();
        Ok(held)
    }

    fn remember(&mut self, tenant: &TenantId, held: Option<(Cursor, Timestamp)>, now: Timestamp) {
        match held {
            Some(held) => drop(self.held.insert(tenant.clone(), held)),
            None => drop(self.held.remove(tenant)),
        }
        if self.held.len() > REMEMBERED {
            self.held.retain(|_, (_, until)| *until > now);
        }
    }

    /// Where the changes after a kept place begin: what is not kept any more cannot be handed on.
    async fn start(&self, tenant: &TenantId, kept: &Cursor) -> Result<Cursor> {
        let state = self.ports.feed.state(tenant).await?;
        let is_there = *kept.epoch() == state.epoch && (state.floor..=state.head).contains(&kept.seq());
        if is_there {
            return Ok(kept.clone());
        }
        tracing::warn!(
            consumer = self.consumer.name(), %tenant, kept = %kept, floor = state.floor,
            "changes that it has not seen are not kept any more, or the database was restored; it goes on with the first that is kept"
        );
        Ok(Cursor::new(state.epoch, state.floor))
    }

    fn failed(&mut self, tenant: TenantId, error: &Error) {
        let failure = self.failures.entry(tenant.clone()).or_insert(Failure { times: 0, again: Instant::now() });
        failure.times = failure.times.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(1 << failure.times.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
        failure.again = Instant::now() + pause;
        tracing::warn!(
            consumer = self.consumer.name(), %tenant, times = failure.times, pause = ?pause, error = ?error,
            "a change could not be consumed; it comes again"
        );
    }

    /// Until the next look: a tenant that failed may be due sooner.
    fn pause(&self) -> Duration {
        let due = self.failures.values().map(|failure| failure.again.saturating_duration_since(Instant::now())).min();
        due.map_or(IDLE, |due| due.min(IDLE))
    }

    fn holder(&self) -> Holder<'_> {
        let now = self.ports.clock.now();
        Holder { node: &self.node, now, until: now.plus(HOLD) }
    }
}
