//! Whole hubs: what one room, or one tenant, does to others.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::broadcast, time::timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::{Event, Level, Metadata, Subscriber, span};

use super::{
    ChannelHub, ChannelOptions,
    frame::{Frame, Said},
};
use crate::{
    caller::Caller,
    clock::{SystemClock, Timestamp},
    engine::local::LocalBus,
    error::{Error, ErrorKind, Result},
    id::{ChannelName, TenantId, UserId},
    realtime::{
        broadcast::{Arrival, Broadcast, Broadcaster},
        channel::{ChannelEvent, Channels as _, Join, Joined},
        channel_rule::{ChannelInfo, ChannelPattern, ChannelRuleSet, ChannelRules, ChannelSettings},
        payload::{EventName, Payload},
    },
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Rules by which all may do everything, until they may nothing, or until they do not come any more.
#[derive(Debug, Default)]
struct Rules {
    closed: Mutex<HashSet<TenantId>>,
    stuck: Mutex<HashSet<TenantId>>,
}

fn infos(closed: bool) -> Vec<ChannelInfo> {
    let rule = if closed { "false" } else { "true" };
    let settings = ChannelSettings::new().with_join(rule).with_send(rule).with_presence(rule);
    vec![ChannelInfo::new(ChannelPattern::new("*").unwrap(), settings, 1)]
}

#[async_trait]
impl ChannelRules for Rules {
    async fn rules(&self, tenant: &TenantId) -> Result<Arc<ChannelRuleSet>> {
        if self.stuck.lock().unwrap().contains(tenant) {
            std::future::pending::<()>().await;
        }
        let closed = self.closed.lock().unwrap().contains(tenant);
        ChannelRuleSet::compile(&infos(closed)).map(Arc::new)
    }

    async fn stored(&self, _: &TenantId) -> Result<Vec<ChannelInfo>> {
        Ok(infos(false))
    }

    async fn store(
        &self,
        _: &TenantId,
        _: &ChannelPattern,
        _: ChannelSettings,
        _: Option<i64>,
        _: Timestamp,
    ) -> Result<ChannelInfo> {
        Err(Error::internal("nothing is stored"))
    }

    async fn forget(&self, _: &TenantId, _: &ChannelPattern, _: Option<i64>) -> Result<()> {
        Err(Error::internal("nothing is stored"))
    }
}

/// A way on which a test says what arrives, and sees what is sent.
#[derive(Debug)]
struct Tape {
    arrivals: broadcast::Sender<Arrival>,
    sent: broadcast::Sender<String>,
}

#[async_trait]
impl Broadcaster for Tape {
    async fn send(&self, message: Broadcast) -> Result<()> {
        let _ = self.sent.send(message.payload.to_string());
        Ok(())
    }

    fn arrivals(&self) -> broadcast::Receiver<Arrival> {
        self.arrivals.subscribe()
    }
}

fn hub(way: Arc<dyn Broadcaster>, rules: Arc<Rules>, options: ChannelOptions) -> (ChannelHub, DropGuard) {
    let stop = CancellationToken::new();
    let hub =
        ChannelHub::start((way, rules), Arc::new(SystemClock), options, &TaskTracker::new(), stop.clone()).unwrap();
    (hub, stop.drop_guard())
}

fn user(tenant: &str) -> Caller {
    Caller::user(TenantId::new(tenant).unwrap(), UserId::generate())
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

fn payload(n: i64) -> Payload {
    Payload::of(&n).unwrap()
}

/// Joins, and takes the first event.
async fn join(hub: &ChannelHub, caller: &Caller, channel: &str) -> Joined {
    let mut joined = hub.join(caller, Join::to(name(channel)).with_echo()).await.unwrap();
    assert!(matches!(next(&mut joined).await, ChannelEvent::Sync(_)));
    joined
}

async fn next(joined: &mut Joined) -> ChannelEvent {
    timeout(PATIENCE, joined.next()).await.expect("an event").unwrap()
}

async fn hears(joined: &mut Joined, n: i64) {
    match next(joined).await {
        ChannelEvent::Message(message) => assert_eq!(message.payload, payload(n)),
        other => panic!("{other:?} came, and not {n}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_room_that_falls_behind_loses_nothing_of_another() {
    let options = ChannelOptions::new().with_rate(1_000_000, u32::MAX);
    let (hub, _stop) = hub(Arc::new(LocalBus::new()), Arc::default(), options);
    let caller = user("a");
    let (mut busy, mut calm) = (join(&hub, &caller, "busy").await, join(&hub, &caller, "calm").await);
    let room = hub.shared.room(caller.tenant(), &name("busy")).unwrap();
    let (go_on, until) = mpsc::channel();
    let held = std::thread::spawn(move || room.hold(&until));
    let say = |channel: &'static str, n: i64| {
        let (hub, caller) = (hub.clone(), caller.clone());
        async move { hub.send(&caller, &name(channel), EventName::new("e").unwrap(), payload(n)).await.unwrap() }
    };
    for n in 0..3_000 {
        say("busy", n).await;
        if n % 100 == 0 {
            say("calm", n).await;
            hears(&mut calm, n).await;
        }
    }
    go_on.send(()).unwrap();
    held.join().unwrap();
    let missed = loop {
        match next(&mut busy).await {
            ChannelEvent::Lagged { missed } => break missed,
            // Those that were being heard when it was held.
            ChannelEvent::Message(_) => {}
            other => panic!("{other:?} came"),
        }
    };
    assert!((1_500..3_000).contains(&missed), "{missed} were lost");
    say("calm", -1).await;
    hears(&mut calm, -1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_rules_do_not_come_keeps_no_other_waiting() {
    let rules = Arc::new(Rules::default());
    let options = ChannelOptions::new().with_review(Duration::from_millis(20));
    let (hub, _stop) = hub(Arc::new(LocalBus::new()), Arc::clone(&rules), options);
    let mut slow = Vec::new();
    for n in 0..20 {
        slow.push(join(&hub, &user(&format!("slow{n}")), "room").await);
    }
    rules.stuck.lock().unwrap().extend((0..20).map(|n| TenantId::new(format!("slow{n}")).unwrap()));
    let mut quick = join(&hub, &user("quick"), "room").await;
    rules.closed.lock().unwrap().insert(TenantId::new("quick").unwrap());
    let error = timeout(PATIENCE, quick.next()).await.expect("it is asked about").unwrap_err();
    assert_eq!(error.code(), "channel-forbidden");
    // What did not come is no answer: they stay, until there is one.
    for joined in &mut slow {
        assert!(timeout(Duration::from_millis(1), joined.next()).await.is_err());
    }
    rules.stuck.lock().unwrap().clear();
    rules.closed.lock().unwrap().insert(TenantId::new("slow7").unwrap());
    let error = timeout(PATIENCE, slow[7].next()).await.expect("it has its turn again").unwrap_err();
    assert_eq!(error.code(), "channel-forbidden");
}

#[tokio::test]
async fn a_tenant_that_says_too_much_is_refused_and_no_other_is() {
    let options = ChannelOptions::new().with_rate(1, 1_000_000);
    let (hub, _stop) = hub(Arc::new(LocalBus::new()), Arc::default(), options);
    let (one, other) = (user("one"), user("other"));
    // That nobody was in this channel before is a message too.
    let mut joined = join(&hub, &one, "room").await;
    for n in 0..2 {
        joined.send("e", &n).await.unwrap();
        hears(&mut joined, n).await;
    }
    let event = || EventName::new("e").unwrap();
    let with_presence = Join::to(name("room")).with_presence(payload(1));
    for refused in [
        joined.send("e", &1).await,
        joined.set_presence(Some(payload(1))).await,
        hub.send(&one, &name("elsewhere"), event(), payload(1)).await,
        hub.send(&Caller::system(one.tenant().clone()), &name("room"), event(), payload(1)).await,
        hub.join(&one, with_presence.clone()).await.map(drop),
        hub.join(&one, Join::to(name("elsewhere"))).await.map(drop),
    ] {
        let error = refused.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::RateLimited, "rate-limited"));
        assert!(error.retry_after().is_some());
    }
    hub.send(&other, &name("room"), event(), payload(1)).await.unwrap();
    hub.join(&other, with_presence).await.unwrap();
    // To listen where somebody listens already costs nobody anything.
    join(&hub, &one, "room").await;
}

#[tokio::test]
async fn what_was_lost_on_the_way_is_told_and_asked_for_again() {
    let tape = Arc::new(Tape { arrivals: broadcast::Sender::new(16), sent: broadcast::Sender::new(64) });
    let options = ChannelOptions::new().with_heartbeat(Duration::from_millis(100));
    let mut sent = tape.sent.subscribe();
    let (hub, _stop) = hub(Arc::clone(&tape) as _, Arc::default(), options);
    let mut joined = join(&hub, &user("a"), "room").await;
    let mut asked = async || loop {
        let said = timeout(PATIENCE, sent.recv()).await.expect("somebody is asked").unwrap();
        if said.contains("\"ask\"") {
            break;
        }
    };
    asked().await;
    tape.arrivals.send(Arrival::Missed { count: Some(7) }).unwrap();
    assert!(matches!(next(&mut joined).await, ChannelEvent::Lagged { missed: 7 }));
    asked().await;
    // How much is not known: who is there is asked all the same.
    tape.arrivals.send(Arrival::Missed { count: None }).unwrap();
    asked().await;
}

/// A listener to the log who panics at every warning: a defect, met where a message is heard.
#[derive(Debug)]
struct Alarmed;

impl Subscriber for Alarmed {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {
        panic!("as a defect would");
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn a_message_at_which_hearing_panics_costs_no_other() {
    let tape = Arc::new(Tape { arrivals: broadcast::Sender::new(64), sent: broadcast::Sender::new(64) });
    let (hub, _stop) = hub(Arc::clone(&tape) as _, Arc::default(), ChannelOptions::new());
    let (caller, _guard) = (user("a"), tracing::subscriber::set_default(Alarmed));
    let (mut one, mut other) = (join(&hub, &caller, "one").await, join(&hub, &caller, "other").await);
    let arrives = |channel: &str, payload: &str| {
        let (tenant, channel, payload) = (caller.tenant().clone(), channel.into(), payload.into());
        tape.arrivals.send(Arrival::Message(Arc::new(Broadcast { tenant, channel, payload }))).unwrap();
    };
    // More than there are ears: of none of these anything is understood.
    for _ in 0..10 {
        arrives("one", "not a frame");
    }
    let said = Said::Message { key: None, from: None, event: EventName::new("e").unwrap(), payload: payload(1) };
    let said = Frame::new("them", said).to_text().unwrap();
    for channel in ["one", "other"] {
        arrives(channel, &said);
    }
    hears(&mut one, 1).await;
    hears(&mut other, 1).await;
}
