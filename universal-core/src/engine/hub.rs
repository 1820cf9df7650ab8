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

/// Tenants whose feeds have grown and are read when their logs have [rested](Log::rests_until), and how far they reach.
#[derive(Debug, Default)]
struct Owed(HashMap<TenantId, i64>);

impl Owed {
    /// When the first of them is to be read.
    fn due(&self, watched: &[Arc<Log>]) -> Option<Instant> {
        let logs = watched.iter().filter(|log| self.0.contains_key(log.tenant()));
        logs.map(|log| log.rests_until().unwrap_or_else(Instant::now)).min()
    }
}

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
        let shared = Arc::new(Shared { feed, bus, rules, logs, first_subscriber: Notify::new(), stop });
        Self { shared, collections: None }
    }

    /// With the documents that a watch begins with; without them nothing can be watched.
    #[must_use]
    pub fn with_collections(mut self, collections: Arc<dyn Collections>) -> Self {
        self.collections = Some(collections);
        self
    }

    /// Brings changes into the logs until the hub's `stop`.
    pub async fn run(self) {
        let shared = self.shared;
        let mut rings = shared.bus.listen();
        // A time, not a pause: rings that keep coming for one tenant must not put off the look at others,
        // whose changes another node may have numbered.
        let mut next_look = Instant::now();
        let mut owed = Owed::default();
        loop {
            let watched = shared.watched();
            if watched.is_empty() {
                tokio::select! {
                    () = shared.stop.cancelled() => return,
                    () = shared.first_subscriber.notified() => rings = shared.bus.listen(),
                }
                // What rang before it listened is not heard again.
                next_look = Instant::now();
                continue;
            }
            let due = owed.due(&watched);
            let (moved, looked) = tokio::select! {
                () = shared.stop.cancelled() => return,
                ring = rings.recv() => (shared.rung(ring, &mut rings, &watched, &mut owed).await, false),
                // Its changes may have rung while its log was not yet looked after.
                () = shared.first_subscriber.notified() => (shared.poll(&shared.watched(), &mut owed).await, true),
                () = tokio::time::sleep_until(next_look) => (shared.poll(&watched, &mut owed).await, true),
                () = tokio::time::sleep_until(due.unwrap_or(next_look)), if due.is_some() => {
                    let heads = std::mem::take(&mut owed.0);
                    (shared.catch_up_all(&watched, &heads, &mut owed).await, false)
                }
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
}

impl Shared {
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
        owed: &mut Owed,
    ) -> Result<bool> {
        let mut rung: HashMap<TenantId, i64> = HashMap::new();
        match ring {
            Ok(Ring::Grew { tenant, seq }) => drop(rung.insert(tenant, seq)),
            Ok(Ring::Missed) | Err(broadcast::error::RecvError::Lagged(_)) => return self.poll(watched, owed).await,
            Err(broadcast::error::RecvError::Closed) => {
                // A bus that went away is polled for.
                tokio::time::sleep(ACTIVE).await;
                return self.poll(watched, owed).await;
            }
        }
        // What rang meanwhile is answered by the same read.
        loop {
            match rings.try_recv() {
                Ok(Ring::Grew { tenant, seq }) => drop(rung.insert(tenant, seq)),
                Ok(Ring::Missed) | Err(broadcast::error::TryRecvError::Lagged(_)) => {
                    return self.poll(watched, owed).await;
                }
                Err(_) => return self.catch_up_all(watched, &rung, owed).await,
            }
        }
    }

    async fn poll(&self, watched: &[Arc<Log>], owed: &mut Owed) -> Result<bool> {
        let tenants: Vec<_> = watched.iter().map(|log| log.tenant().clone()).collect();
        // Rules first: a change is never judged by rules that are older than it by more than one look.
        let rules = self.look_at_rules(watched, &tenants).await;
        let heads: HashMap<_, _> = self.feed.heads(&tenants).await?.into_iter().collect();
        let moved = self.catch_up_all(watched, &heads, owed).await;
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

    /// Reads the feeds that reach further than their logs. One that cannot be read keeps no other waiting; one whose
    /// readers were woken just now is owed.
    async fn catch_up_all(
        &self,
        watched: &[Arc<Log>],
        heads: &HashMap<TenantId, i64>,
        owed: &mut Owed,
    ) -> Result<bool> {
        let mut all = Ok(false);
        for log in watched {
            let Some(head) = heads.get(log.tenant()).copied().filter(|head| *head > log.head()) else { continue };
            if log.rests_until().is_some() {
                owed.0.insert(log.tenant().clone(), head);
                continue;
            }
            match (self.catch_up(log, head).await, &mut all) {
                (Ok(moved), Ok(any)) => *any |= moved,
                (Ok(_), Err(_)) => {}
                (Err(error), _) => all = Err(error),
            }
        }
        all
    }

    /// Reads the feed up to `head` at least. A change that does not follow the last one is never passed on.
    async fn catch_up(&self, log: &Log, head: i64) -> Result<bool> {
        let mut moved = false;
        loop {
            let changes = self.feed.read(log.tenant(), log.head(), PAGE).await?;
            let any = !changes.is_empty();
            // It is called only where there is something to read: nothing means that it was trimmed.
            if !log.append(changes) || (!any && !moved) {
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
