//! The hub on a feed that does what a test tells it to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use universal_core::{
    Caller, CollectionName, Cursor, DocumentId, TenantId, Timestamp,
    engine::{hub::Hub, local::LocalBus},
    error::{Error, ErrorKind, Result},
    realtime::{
        Bus, Change, Event, Feed, FeedState, Operation, Present, Realtime, ResyncReason, Retention, Subscribe,
        Subscription, change::Image,
    },
};

/// Feeds in memory. A tenant that is out of order cannot be read.
#[derive(Debug, Default)]
struct Fake {
    tenants: Mutex<HashMap<TenantId, (i64, i64, bool)>>,
    /// After which changes it was read.
    reads: Mutex<Vec<i64>>,
}

impl Fake {
    fn set(&self, tenant: &TenantId, head: i64, floor: i64, fails: bool) {
        self.tenants.lock().unwrap().insert(tenant.clone(), (head, floor, fails));
    }

    fn get(&self, tenant: &TenantId) -> (i64, i64, bool) {
        self.tenants.lock().unwrap().get(tenant).copied().unwrap_or_default()
    }
}

#[async_trait::async_trait]
impl Feed for Fake {
    async fn state(&self, tenant: &TenantId) -> Result<FeedState> {
        let (head, floor, _) = self.get(tenant);
        Ok(FeedState { epoch: "e".into(), head, floor })
    }

    async fn heads(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, i64)>> {
        Ok(tenants.iter().map(|tenant| (tenant.clone(), self.get(tenant).0)).collect())
    }

    async fn read(&self, tenant: &TenantId, after: i64, limit: u32) -> Result<Vec<Change>> {
        let (head, floor, fails) = self.get(tenant);
        self.reads.lock().unwrap().push(after);
        if fails {
            return Err(Error::new(ErrorKind::Unavailable, "database-unavailable", "away"));
        }
        Ok((after.max(floor) + 1..=head).take(limit as usize).map(change).collect())
    }

    async fn present(&self, _: &TenantId, of: &[(CollectionName, DocumentId)]) -> Result<Vec<Option<Present>>> {
        Ok(of.iter().map(|_| Some(Present::owned_by(None))).collect())
    }

    async fn retain(&self, _: Timestamp, _: &Retention) -> Result<()> {
        Ok(())
    }

    async fn trim(&self, _: &TenantId, _: i64) -> Result<()> {
        Ok(())
    }
}

fn image() -> Image {
    Image { body: "{}".into(), owner: None }
}

fn change(seq: i64) -> Change {
    let (name, id) = (CollectionName::new("c").unwrap(), DocumentId::new(format!("d{seq}")).unwrap());
    let now = Timestamp::from_micros(0);
    Change::new(seq, seq, name, id, Operation::Create, "r-1", (None, Some(image())), (now, now))
}

struct Stage {
    feed: Arc<Fake>,
    bus: Arc<LocalBus>,
    hub: Hub,
    stop: tokio_util::sync::CancellationToken,
}

fn stage() -> Stage {
    let (feed, bus, stop) =
        (Arc::new(Fake::default()), Arc::new(LocalBus::new()), tokio_util::sync::CancellationToken::new());
    let hub = Hub::new(Arc::clone(&feed) as _, Arc::clone(&bus) as _, stop.clone());
    tokio::spawn(hub.clone().run());
    Stage { feed, bus, hub, stop }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

async fn follow(hub: &Hub, of: &TenantId) -> Subscription {
    let subscribe = Subscribe::to(CollectionName::new("c").unwrap());
    hub.subscribe(&Caller::system(of.clone()), subscribe).await.expect("a subscription")
}

async fn follow_from(hub: &Hub, of: &TenantId, seq: i64) -> Subscription {
    let subscribe = Subscribe::to(CollectionName::new("c").unwrap()).with_since(Cursor::new("e", seq));
    hub.subscribe(&Caller::system(of.clone()), subscribe).await.expect("a subscription")
}

async fn next(subscription: &mut Subscription, patience: Duration) -> Event {
    tokio::time::timeout(patience, subscription.next()).await.expect("an event comes in time").expect("the hub answers")
}

#[tokio::test]
async fn changes_that_were_trimmed_before_they_were_read_are_told_at_once() {
    let stage = stage();
    let of = tenant("a");
    let mut live = follow(&stage.hub, &of).await;
    stage.feed.set(&of, 5, 5, false);
    stage.bus.ring(&of, 5);
    let event = next(&mut live, Duration::from_secs(3)).await;
    assert!(matches!(&event, Event::Resync { reason: ResyncReason::TooOld, cursor } if cursor.seq() == 5), "{event:?}");
    stage.feed.set(&of, 6, 5, false);
    stage.bus.ring(&of, 6);
    let event = next(&mut live, Duration::from_secs(3)).await;
    assert!(matches!(&event, Event::Change(change) if change.cursor().seq() == 6), "{event:?}");
    stage.stop.cancel();
}

#[tokio::test]
async fn a_tenant_that_rings_all_the_time_does_not_put_off_the_look_at_others() {
    let stage = stage();
    let (busy, quiet) = (tenant("busy"), tenant("quiet"));
    let _busy = follow(&stage.hub, &busy).await;
    let mut live = follow(&stage.hub, &quiet).await;
    let ringer = tokio::spawn({
        let (feed, bus) = (Arc::clone(&stage.feed), Arc::clone(&stage.bus));
        async move {
            for head in 1.. {
                feed.set(&busy, head, 0, false);
                bus.ring(&busy, head);
                universal_tests::wait::pause(Duration::from_millis(20)).await;
            }
        }
    });
    // Numbered by another node: nothing rings here.
    stage.feed.set(&quiet, 1, 0, false);
    let event = next(&mut live, Duration::from_secs(4)).await;
    assert!(matches!(event, Event::Change(_)), "{event:?}");
    ringer.abort();
    stage.stop.cancel();
}

#[tokio::test]
async fn of_many_who_come_back_one_after_another_each_has_everything_and_one_reads_it() {
    const READERS: usize = 40;
    let stage = stage();
    let of = tenant("a");
    stage.feed.set(&of, 450, 0, false);
    let mut readers = Vec::new();
    for number in 0..READERS {
        // Not all stand at the same place.
        readers.push(follow_from(&stage.hub, &of, i64::from(number % 4 == 3)).await);
    }
    for (number, reader) in readers.iter_mut().enumerate() {
        for seq in 1 + i64::from(number % 4 == 3)..=450 {
            let event = next(reader, Duration::from_secs(3)).await;
            assert!(matches!(&event, Event::Change(change) if change.cursor().seq() == seq), "{seq}: {event:?}");
        }
    }
    assert_eq!(*stage.feed.reads.lock().unwrap(), [0, 200, 400], "each page once");
    // What comes then, comes to all.
    stage.feed.set(&of, 451, 0, false);
    stage.bus.ring(&of, 451);
    for reader in &mut readers {
        let event = next(reader, Duration::from_secs(3)).await;
        assert!(matches!(&event, Event::Change(change) if change.cursor().seq() == 451), "{event:?}");
    }
    stage.stop.cancel();
}

#[tokio::test]
async fn a_tenant_that_cannot_be_read_keeps_no_other_waiting() {
    let stage = stage();
    let bad: Vec<_> = (0..20).map(|n| tenant(&format!("bad{n}"))).collect();
    let mut held = Vec::new();
    for bad in &bad {
        held.push(follow(&stage.hub, bad).await);
        stage.feed.set(bad, 1, 0, true);
    }
    let good = tenant("good");
    let mut live = follow(&stage.hub, &good).await;
    stage.feed.set(&good, 1, 0, false);
    let event = next(&mut live, Duration::from_secs(4)).await;
    assert!(matches!(event, Event::Change(_)), "{event:?}");
    // And when they can be read again, theirs come.
    for bad in &bad {
        stage.feed.set(bad, 1, 0, false);
    }
    for live in &mut held {
        next(live, Duration::from_secs(4)).await;
    }
    stage.stop.cancel();
}
