//! Channels over three nodes of one process: they share a bus and the rules of one database.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use universal_core::{
    TenantId,
    clock::SystemClock,
    conformance::channels::{CASES, Fixture},
    engine::{
        channels::{ChannelHub, ChannelOptions},
        local::LocalBus,
    },
    error::Result,
    realtime::{Arrival, Broadcast, Broadcaster},
};

use super::subject::{On, run, subject};

/// A way to the other nodes that can be cut.
#[derive(Debug)]
struct Cuttable {
    bus: Arc<LocalBus>,
    is_cut: AtomicBool,
}

#[async_trait::async_trait]
impl Broadcaster for Cuttable {
    async fn send(&self, message: Broadcast) -> Result<()> {
        if self.is_cut.load(Ordering::Acquire) { Ok(()) } else { self.bus.send(message).await }
    }

    fn arrivals(&self) -> Receiver<Arrival> {
        self.bus.arrivals()
    }
}

async fn keeps_its_promises(on: On) {
    let subject = subject(on).await;
    let other = TenantId::new("other").unwrap();
    subject.backend.create_tenant(&other).await.unwrap();
    let (bus, tasks, stop) = (Arc::new(LocalBus::new()), TaskTracker::new(), CancellationToken::new());
    let options = ChannelOptions::new()
        .with_heartbeat(Duration::from_millis(300))
        .with_review(Duration::from_millis(100))
        .with_rate(100_000, u32::MAX);
    let node = |broadcaster: Arc<dyn Broadcaster>| {
        let ways = (broadcaster, Arc::clone(subject.backend.channel_rules()));
        Arc::new(ChannelHub::start(ways, Arc::new(SystemClock), options, &tasks, stop.clone()).unwrap())
    };
    let way = Arc::new(Cuttable { bus: Arc::clone(&bus), is_cut: AtomicBool::new(false) });
    let (one, two, mortal) = (node(Arc::clone(&bus) as _), node(bus), node(Arc::clone(&way) as _));
    let cut = Arc::new(move || way.is_cut.store(true, Ordering::Release));
    run(CASES.iter().copied().flatten().copied(), Fixture::new(one, two, (mortal, cut), other)).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    subject.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_keep_their_promises_on_sqlite() {
    keeps_its_promises(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_keep_their_promises_on_postgresql() {
    keeps_its_promises(On::Postgres).await;
}
