//! From the feed to this node's subscribers.
//!
//! One task reads the feeds of all tenants that have subscribers here: at once when the bus rings,
//! and by polling when it does not. Each tenant's recent changes stand in a log that its
//! subscribers read at their own pace.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use secrecy::SecretBox;
use tokio::{
    sync::{Notify, broadcast},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    caller::Caller,
    clock::{SharedClock, SystemClock},
    collections::{
        Collections,
        port::{Configurations, Unconfigured},
    },
    cursor::Cursor,
    engine::{
        log::Log,
        reader::{Reader, Start},
        together::Together,
        view::{Rules, View},
        watch::Watcher,
    },
    error::{Error, Result},
    id::TenantId,
    realtime::{
        bus::{Bus, Ring},
        feed::{Feed, FeedState},
        service::Realtime,
        subscribe::Subscribe,
        subscription::{ResyncReason, Subscription},
    },
};

/// How many changes one read of the feed brings.
const PAGE: u32 = 500;
/// How often the feeds are looked at without a ring, while something happened lately.
const ACTIVE: Duration = Duration::from_millis(250);
/// How often they are looked at without a ring, when it is quiet.
const IDLE: Duration = Duration::from_secs(1);

/// The hub of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    shared: Arc<Shared>,
    /// Where a watch reads its rows.
    collections: Option<Arc<dyn Collections>>,
}

#[derive(Debug)]
struct Shared {
    feed: Arc<dyn Feed>,
    bus: Arc<dyn Bus>,
    rules: Rules,
    /// Logs live as long as a subscriber holds them.
    logs: Mutex<HashMap<TenantId, Weak<Log>>>,
    first_subscriber: Notify,
    /// Logs whose readers are not all woken yet.
    grown: Mutex<Vec<Arc<Log>>>,
    grew: Notify,
    stop: CancellationToken,
}

impl Hub {
    /// A hub that reads `feed` and listens to `bus`, until `stop`. [`run`](Self::run) does the work.
    #[must_use]
    pub fn new(feed: Arc<dyn Feed>, bus: Arc<dyn Bus>, stop: CancellationToken) -> Self {
        let rules = Rules {
            configurations: Arc::new(Unconfigured),
            clock: Arc::new(SystemClock),
            basis_key: Arc::new(SecretBox::new(Box::default())),
        };
        Self::with_rules((feed, bus), rules, stop)
    }

    /// A hub that goes by the settings of collections; without them every collection has the owner rule. All nodes have
    /// the same `basis_key`, so that a watch goes on at any of them.
    #[must_use]
    pub fn configured(
        ports: (Arc<dyn Feed>, Arc<dyn Bus>),
        (configurations, clock): (Arc<dyn Configurations>, SharedClock),
        basis_key: SecretBox<[u8; 32]>,
        stop: CancellationToken,
    ) -> Self {
        Self::with_rules(ports, Rules { configurations, clock, basis_key: Arc::new(basis_key) }, stop)
    }

    fn with_rules((feed, bus): (Arc<dyn Feed>, Arc<dyn Bus>), rules: Rules, stop: CancellationToken) -> Self {
        let logs = Mutex::default();
        let feed = Arc::new(Together::new(feed));
        let (first_subscriber, grown, grew) = (Notify::new(), Mutex::default(), Notify::new());
        let shared = Arc::new(Shared { feed, bus, rules, logs, first_subscriber, grown, grew, stop });
        Self { shared, collections: None }
    }

    /// With the documents that a watch begins with; without them nothing can be watched.
    #[must_use]
    pub fn with_collections(mut self, collections: Arc<dyn Collections>) -> Self {
        self.collections = Some(collections);
        self
    }

    /// Brings changes into the logs, and wakes their readers, until the hub's `stop`.
    pub async fn run(self) {
        tokio::select! {
            () = self.shared.read() => {}
            // Beside the reading: a database that does not answer keeps nobody from what is here already.
            () = self.shared.wake() => {}
        }
    }
}

impl Shared {
    async fn read(&self) {
        let mut rings = self.bus.listen();
        // A time, not a pause: rings that keep coming for one tenant must not put off the look at others,
        // whose changes another node may have numbered.
        let mut next_look = Instant::now();
        loop {
            let watched = self.watched();
            if watched.is_empty() {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = self.first_subscriber.notified() => rings = self.bus.listen(),
                }
                // What rang before it listened is not heard again.
                next_look = Instant::now();
                continue;
            }
            let (moved, looked) = tokio::select! {
                () = self.stop.cancelled() => return,
                ring = rings.recv() => (self.rung(ring, &mut rings, &watched).await, false),
                // Its changes may have rung while its log was not yet looked after.
                () = self.first_subscriber.notified() => (self.poll(&self.watched()).await, true),
                () = tokio::time::sleep_until(next_look) => (self.poll(&watched).await, true),
            };
            let moved = moved.unwrap_or_else(|error| {
                tracing::warn!(error = ?error, "the feed cannot be read at the moment; events come later");
                false
            });
            if moved {
                next_look = next_look.min(Instant::now() + ACTIVE);
            }
            if looked {
                next_look = Instant::now() + if moved { ACTIVE } else { IDLE };
            }
        }
    }

    /// Wakes the readers of logs that have grown, some at a time, and gives way between them.
    async fn wake(&self) {
        let mut logs: Vec<Arc<Log>> = Vec::new();
        loop {
            for log in self.grown.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                if !logs.iter().any(|other| Arc::ptr_eq(other, &log)) {
                    logs.push(log);
                }
            }
            let (now, mut next) = (Instant::now(), None);
            logs.retain(|log| {
                let more = log.wake_some(now);
                next = next.into_iter().chain(more).min();
                more.is_some()
            });
            match next {
                Some(at) if at <= now => tokio::task::yield_now().await,
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = self.grew.notified() => {}
                },
                None => self.grew.notified().await,
            }
        }
    }

    /// Wakes the first readers of a log that has grown, and leaves the others to [`wake`](Self::wake).
    fn tell(&self, log: &Arc<Log>) {
        if log.wake_some(Instant::now()).is_some() {
            let mut grown = self.grown.lock().unwrap_or_else(PoisonError::into_inner);
            if !grown.iter().any(|other| Arc::ptr_eq(other, log)) {
                grown.push(Arc::clone(log));
            }
            self.grew.notify_one();
        }
    }

    /// The logs that somebody reads; others are forgotten.
    fn watched(&self) -> Vec<Arc<Log>> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.retain(|_, log| log.strong_count() > 0);
        logs.values().filter_map(Weak::upgrade).collect()
    }

    /// The tenant's log, made at the feed's head if nobody read it until now.
    fn log(&self, tenant: &TenantId, state: &FeedState) -> Arc<Log> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.get(tenant).and_then(Weak::upgrade) {
            return log;
        }
        let log = Arc::new(Log::new(tenant.clone(), state.head));
        logs.insert(tenant.clone(), Arc::downgrade(&log));
        self.first_subscriber.notify_one();
        log
    }

    async fn rung(
        &self,
        ring: Result<Ring, broadcast::error::RecvError>,
        rings: &mut broadcast::Receiver<Ring>,
        watched: &[Arc<Log>],
    ) -> Result<bool> {
        let mut rung: HashMap<TenantId, i64> = HashMap::new();
        match ring {
            Ok(Ring::Grew { tenant, seq }) => drop(rung.insert(tenant, seq)),
            Ok(Ring::Missed) | Err(broadcast::error::RecvError::Lagged(_)) => return self.poll(watched).await,
            Err(broadcast::error::RecvError::Closed) => {
                // A bus that went away is polled for.
                tokio::time::sleep(ACTIVE).await;
                return self.poll(watched).await;
            }
        }
        // What rang meanwhile is answered by the same read.
        loop {
            match rings.try_recv() {
                Ok(Ring::Grew { tenant, seq }) => drop(rung.insert(tenant, seq)),
                Ok(Ring::Missed) | Err(broadcast::error::TryRecvError::Lagged(_)) => {
                    return self.poll(watched).await;
                }
                Err(_) => return self.catch_up_all(watched, &rung).await,
            }
        }
    }

    async fn poll(&self, watched: &[Arc<Log>]) -> Result<bool> {
        let tenants: Vec<_> = watched.iter().map(|log| log.tenant().clone()).collect();
        // Rules first: a change is never judged by rules that are older than it by more than one look.
        let rules = self.look_at_rules(watched, &tenants).await;
        let now = Instant::now();
        watched.iter().for_each(|log| log.pages().forget_old(now));
        let heads: HashMap<_, _> = self.feed.heads(&tenants).await?.into_iter().collect();
        let moved = self.catch_up_all(watched, &heads).await;
        rules.and(moved)
    }

    /// Reads the rules again whose tenant's settings have changed.
    async fn look_at_rules(&self, watched: &[Arc<Log>], tenants: &[TenantId]) -> Result<()> {
        let (configurations, seen) = (&*self.rules.configurations, Instant::now());
        let versions: HashMap<_, _> = configurations.versions(tenants).await?.into_iter().collect();
        let mut all = Ok(());
        for log in watched {
            let Some(version) = versions.get(log.tenant()) else { continue };
            let (changed, looked) = log.rulings().look(configurations, *version, seen).await;
            if changed {
                log.rules_changed();
            }
            all = all.and(looked);
        }
        all
    }

    /// Reads the feeds that reach further than their logs. One that cannot be read keeps no other waiting.
    async fn catch_up_all(&self, watched: &[Arc<Log>], heads: &HashMap<TenantId, i64>) -> Result<bool> {
        let mut all = Ok(false);
        for log in watched {
            let Some(head) = heads.get(log.tenant()).copied().filter(|head| *head > log.head()) else { continue };
            match (self.catch_up(log, head).await, &mut all) {
                (Ok(moved), Ok(any)) => *any |= moved,
                (Ok(_), Err(_)) => {}
                (Err(error), _) => all = Err(error),
            }
        }
        all
    }

    /// Reads the feed up to `head` at least. A change that does not follow the last one is never passed on.
    async fn catch_up(&self, log: &Arc<Log>, head: i64) -> Result<bool> {
        let mut moved = false;
        loop {
            let changes = self.feed.read(log.tenant(), log.head(), PAGE).await?;
            let any = !changes.is_empty();
            // It is called only where there is something to read: nothing means that it was trimmed.
            let whole = log.append(changes);
            self.tell(log);
            if !whole || (!any && !moved) {
                let state = self.feed.state(log.tenant()).await?;
                if state.floor <= log.head() {
                    if !any {
                        return Ok(moved);
                    }
                    tracing::error!(tenant = %log.tenant(), after = log.head(), "a gap in the feed; nothing after it is delivered");
                    return Ok(moved);
                }
                // Trimmed before this node read it: its subscribers find their place gone and resync.
                log.restart(state.head);
                return Ok(true);
            }
            moved |= any;
            if !any || log.head() >= head {
                return Ok(moved);
            }
        }
    }
}

impl Hub {
    async fn open(&self, caller: &Caller, subscribe: Subscribe, watches: bool) -> Result<(Reader, FeedState)> {
        let shared = &self.shared;
        // First the log, so that its changes are kept from here on; then the head, so that nothing
        // that is committed after the answer can lie between the two.
        let log = shared.log(caller.tenant(), &shared.feed.state(caller.tenant()).await?);
        let ruling = subscribe.collection.as_ref().map(|collection| log.rulings().of(collection));
        let view = View::open((caller, subscribe, watches), shared.rules.clone(), ruling).await?;
        let state = shared.feed.state(caller.tenant()).await?;
        let since = view.subscribe.since.as_ref();
        let lost = since.and_then(|since| why_lost(since, &state));
        let position = match (since, lost) {
            (Some(since), None) => since.seq(),
            _ => state.head,
        };
        let start = Start { state: state.clone(), position, lost };
        Ok((Reader::new(Arc::clone(&shared.feed), log, view, start, &shared.stop), state))
    }
}

#[async_trait]
impl Realtime for Hub {
    async fn subscribe(&self, caller: &Caller, subscribe: Subscribe) -> Result<Subscription> {
        let (reader, state) = self.open(caller, subscribe, false).await?;
        Ok(Subscription::new(state.cursor(), !reader.is_lost(), Box::new(reader)))
    }

    async fn watch(&self, caller: &Caller, subscribe: Subscribe) -> Result<Subscription> {
        let Some(collections) = self.collections.clone() else {
            return Err(Error::internal("this hub has no collections to watch"));
        };
        let (mut reader, state) = self.open(caller, subscribe, true).await?;
        let (_, basis) = reader.view().basis().await?;
        let wanted = &reader.view().subscribe;
        let goes_on = wanted.since.is_some() && wanted.basis.as_ref() == Some(&basis) && !reader.is_lost();
        let watcher = match goes_on {
            true => {
                reader.stand_on(Arc::clone(&basis));
                Watcher::resumed(reader, collections)
            }
            false => Watcher::new(reader, collections),
        };
        Ok(Subscription::new(state.cursor(), goes_on, Box::new(watcher)).with_basis(basis))
    }

    async fn head(&self, caller: &Caller) -> Result<Cursor> {
        Ok(self.shared.feed.state(caller.tenant()).await?.cursor())
    }
}

/// Why the changes after `since` cannot all be had, if they cannot.
pub(crate) fn why_lost(since: &Cursor, state: &FeedState) -> Option<ResyncReason> {
    if *since.epoch() != state.epoch {
        Some(ResyncReason::OtherHistory)
    } else if since.seq() > state.head {
        Some(ResyncReason::Ahead)
    } else if since.seq() < state.floor {
        Some(ResyncReason::TooOld)
    } else {
        None
    }
}
