//! What every way between nodes promises: the doorbell and the messages.

use std::{collections::HashSet, fmt, future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, timeout_at},
};

use crate::{
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
    id::{TenantId, random_hex},
    realtime::{Arrival, Broadcast, Broadcaster, Bus, broadcast::MAX_PAYLOAD, bus::Ring},
};

/// One node's end of the way.
#[derive(Clone)]
#[non_exhaustive]
pub struct Node {
    /// Its doorbell.
    pub bus: Arc<dyn Bus>,
    /// Its messages.
    pub broadcaster: Arc<dyn Broadcaster>,
}

impl Node {
    /// A node.
    #[must_use]
    pub fn new(bus: Arc<dyn Bus>, broadcaster: Arc<dyn Broadcaster>) -> Self {
        Self { bus, broadcaster }
    }
}

/// What a case runs on: two nodes of one installation. Where there is one process only, both are it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Fixture {
    /// One node.
    pub one: Node,
    /// The other.
    pub other: Node,
}

impl Fixture {
    /// A fixture.
    #[must_use]
    pub fn new(one: Node, other: Node) -> Self {
        Self { one, other }
    }

    /// Waits until messages and rings go both ways: a way may take a moment to open.
    ///
    /// # Errors
    /// It does not open.
    pub async fn open(&self) -> Result<(), String> {
        for (from, to) in [(&self.one, &self.other), (&self.other, &self.one)] {
            let (tenant, end) = (tenant()?, Instant::now() + PATIENCE);
            let (mut arrivals, mut rings) = (to.broadcaster.arrivals(), to.bus.listen());
            let (mut arrived, mut rang) = (false, false);
            while !(arrived && rang) {
                check(Instant::now() < end, "the way between the nodes does not open")?;
                from.bus.ring(&tenant, 1);
                let _ = from.broadcaster.send(said(&tenant, "open", "1")).await;
                let step = Instant::now() + Duration::from_millis(100);
                while let Ok(Ok(arrival)) = timeout_at(step, arrivals.recv()).await {
                    arrived |= matches!(arrival, Arrival::Message(message) if message.tenant == tenant);
                }
                while let Ok(ring) = rings.try_recv() {
                    rang |= matches!(ring, Ring::Grew { tenant: rung, .. } if rung == tenant);
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}

/// Every promise, on nodes whose way is [open](Fixture::open).
pub const CASES: &[Case<Fixture>] = &[
    case!(a_ring_is_heard_on_the_other_node_and_on_its_own),
    case!(a_tenants_ring_is_never_heard_as_anothers),
    case!(of_many_rings_of_a_tenant_the_last_number_is_heard),
    case!(a_message_arrives_at_every_node_once_and_in_the_order_of_its_channel),
    case!(messages_sent_at_once_arrive_in_one_order_everywhere),
    case!(the_longest_message_arrives_whole_and_a_longer_one_is_refused),
    case!(odd_text_arrives_unchanged),
    case!(a_message_of_one_tenant_carries_its_tenant_and_channel),
    case!(a_listener_that_lags_is_told_and_keeps_nobody_waiting),
];

/// How long something may take before a case gives up.
const PATIENCE: Duration = Duration::from_secs(20);

fn tenant() -> Result<TenantId, String> {
    TenantId::new(format!("t{}", random_hex(6).map_err(failed)?)).map_err(failed)
}

fn said(tenant: &TenantId, channel: &str, payload: &str) -> Broadcast {
    Broadcast { tenant: tenant.clone(), channel: channel.into(), payload: payload.into() }
}

async fn in_time<T>(what: &str, work: impl Future<Output = Result<T, RecvError>>) -> Result<T, String> {
    let heard = timeout_at(Instant::now() + PATIENCE, work).await;
    heard.map_err(|_| format!("{what} does not come"))?.map_err(failed)
}

/// The next number that rings for a tenant; rings of others are passed over.
async fn rung(rings: &mut Receiver<Ring>, tenant: &TenantId) -> Result<i64, String> {
    loop {
        if let Ring::Grew { tenant: rung, seq } = in_time("a ring", rings.recv()).await?
            && rung == *tenant
        {
            return Ok(seq);
        }
    }
}

/// The payloads of the next `count` messages of a tenant, with their channels.
async fn messages(
    arrivals: &mut Receiver<Arrival>,
    tenant: &TenantId,
    count: usize,
) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    while found.len() < count {
        let Arrival::Message(message) = in_time("a message", arrivals.recv()).await? else { continue };
        if message.tenant == *tenant {
            found.push((message.channel.to_string(), message.payload.to_string()));
        }
    }
    Ok(found)
}

/// That no message of the tenant comes but a last one.
async fn nothing_more(on: &Fixture, arrivals: &mut [&mut Receiver<Arrival>], tenant: &TenantId) -> Result<(), String> {
    for from in [&on.one, &on.other] {
        from.broadcaster.send(said(tenant, "end", "end")).await.map_err(failed)?;
        for arrivals in arrivals.iter_mut() {
            let found = messages(arrivals, tenant, 1).await?;
            check_eq(&found, &vec![("end".to_owned(), "end".to_owned())])?;
        }
    }
    Ok(())
}

async fn a_ring_is_heard_on_the_other_node_and_on_its_own(on: Fixture) -> Result<(), String> {
    for (from, to) in [(&on.one, &on.other), (&on.other, &on.one)] {
        let tenant = tenant()?;
        let (mut here, mut there) = (from.bus.listen(), to.bus.listen());
        from.bus.ring(&tenant, 7);
        check_eq(&rung(&mut here, &tenant).await?, &7)?;
        check_eq(&rung(&mut there, &tenant).await?, &7)?;
    }
    Ok(())
}

async fn a_tenants_ring_is_never_heard_as_anothers(on: Fixture) -> Result<(), String> {
    let mut there = on.other.bus.listen();
    let mut sent = HashSet::new();
    for seq in 0..200 {
        let tenant = tenant()?;
        on.one.bus.ring(&tenant, seq);
        sent.insert((tenant, seq));
    }
    let mut waited = sent.clone();
    while !waited.is_empty() {
        if let Ring::Grew { tenant, seq } = in_time("a ring", there.recv()).await?
            && tenant.as_str().starts_with('t')
            && tenant.as_str() != "default"
        {
            check(sent.contains(&(tenant.clone(), seq)), "a ring was heard that nobody rang")?;
            waited.remove(&(tenant, seq));
        }
    }
    Ok(())
}

async fn of_many_rings_of_a_tenant_the_last_number_is_heard(on: Fixture) -> Result<(), String> {
    let tenant = tenant()?;
    let mut there = on.other.bus.listen();
    for seq in 1..=500 {
        on.one.bus.ring(&tenant, seq);
    }
    let mut highest = 0;
    while highest < 500 {
        highest = highest.max(rung(&mut there, &tenant).await?);
    }
    check_eq(&highest, &500)
}

async fn a_message_arrives_at_every_node_once_and_in_the_order_of_its_channel(on: Fixture) -> Result<(), String> {
    let tenant = tenant()?;
    let (mut here, mut there) = (on.one.broadcaster.arrivals(), on.other.broadcaster.arrivals());
    let mut sent = Vec::new();
    for n in 0..60 {
        let (channel, payload) = (format!("room:{}", n % 3), format!("{n}"));
        on.one.broadcaster.send(said(&tenant, &channel, &payload)).await.map_err(failed)?;
        sent.push((channel, payload));
    }
    for arrivals in [&mut here, &mut there] {
        check_eq(&messages(arrivals, &tenant, sent.len()).await?, &sent)?;
    }
    nothing_more(&on, &mut [&mut here, &mut there], &tenant).await
}

async fn messages_sent_at_once_arrive_in_one_order_everywhere(on: Fixture) -> Result<(), String> {
    let tenant = tenant()?;
    let (mut here, mut there) = (on.one.broadcaster.arrivals(), on.other.broadcaster.arrivals());
    let sends = (0..40).map(|n| {
        let from = if n % 2 == 0 { &on.one } else { &on.other };
        from.broadcaster.send(said(&tenant, "c", &format!("{n}")))
    });
    futures_util::future::try_join_all(sends).await.map_err(failed)?;
    let (here, there) = (messages(&mut here, &tenant, 40).await?, messages(&mut there, &tenant, 40).await?);
    check_eq(&here, &there)?;
    let distinct: HashSet<_> = here.iter().collect();
    check_eq(&distinct.len(), &40)
}

async fn the_longest_message_arrives_whole_and_a_longer_one_is_refused(on: Fixture) -> Result<(), String> {
    let tenant = tenant()?;
    let (mut here, mut there) = (on.one.broadcaster.arrivals(), on.other.broadcaster.arrivals());
    let mut sent = Vec::new();
    // No two parts alike, and characters of more than a byte at every place where it may be cut.
    let long: String = (0..).map(|n| format!("{n}ü€")).take(20_000).collect();
    for length in [7_000, 7_799, 7_800, 7_801, 8_000, 8_192, 16_000, 70 * 1024, MAX_PAYLOAD] {
        let text = long.get(..long.floor_char_boundary(length)).unwrap_or_default();
        let payload = format!("{text:-<length$}", length = text.chars().count() + length - text.len());
        check_eq(&payload.len(), &length)?;
        on.one.broadcaster.send(said(&tenant, "long", &payload)).await.map_err(failed)?;
        sent.push(payload);
    }
    let longer = said(&tenant, "long", &"x".repeat(MAX_PAYLOAD + 1));
    refused(on.one.broadcaster.send(longer).await, ErrorKind::TooLarge, "message-too-large")?;
    for arrivals in [&mut here, &mut there] {
        let found = messages(arrivals, &tenant, sent.len()).await?;
        let whole = found.iter().map(|(_, payload)| payload).eq(&sent);
        check(whole, "a long message is not what was sent")?;
    }
    nothing_more(&on, &mut [&mut here, &mut there], &tenant).await
}

async fn odd_text_arrives_unchanged(on: Fixture) -> Result<(), String> {
    let tenant = tenant()?;
    let (mut here, mut there) = (on.one.broadcaster.arrivals(), on.other.broadcaster.arrivals());
    let odd = [
        "",
        " ",
        "\n",
        "'); DROP TABLE universal_feeds; --",
        "\"\\\"'\\'$1 $$ {} %s \\x00 \\0",
        "r n\na 1",
        "p n 1 0 2\nx",
        "\r\n\t\u{1}\u{7f}\u{85}\u{2028}\u{feff}\u{10ffff}\u{1F9D1}\u{200d}\u{1F680}ﷺ",
    ];
    let longest = "ü".repeat(64);
    for text in odd {
        let channel = if text.is_empty() { longest.as_str() } else { text };
        on.one.broadcaster.send(said(&tenant, channel, text)).await.map_err(failed)?;
    }
    for arrivals in [&mut here, &mut there] {
        let expected: Vec<_> = odd
            .iter()
            .map(|text| (if text.is_empty() { longest.clone() } else { (*text).to_owned() }, (*text).to_owned()))
            .collect();
        check_eq(&messages(arrivals, &tenant, odd.len()).await?, &expected)?;
    }
    Ok(())
}

async fn a_message_of_one_tenant_carries_its_tenant_and_channel(on: Fixture) -> Result<(), String> {
    let (one, other) = (tenant()?, tenant()?);
    let mut there = on.other.broadcaster.arrivals();
    let mut sent = Vec::new();
    for n in 0..20 {
        let tenant = if n % 2 == 0 { &one } else { &other };
        let message = said(tenant, &format!("c{n}"), &format!("{tenant}"));
        on.one.broadcaster.send(message.clone()).await.map_err(failed)?;
        sent.push(message);
    }
    let mut found = Vec::new();
    while found.len() < sent.len() {
        let Arrival::Message(message) = in_time("a message", there.recv()).await? else { continue };
        if message.tenant == one || message.tenant == other {
            found.push((*message).clone());
        }
    }
    for tenant in [&one, &other] {
        let of =
            |all: &[Broadcast]| all.iter().filter(|message| message.tenant == *tenant).cloned().collect::<Vec<_>>();
        check_eq(&of(&found), &of(&sent))?;
    }
    Ok(())
}

async fn a_listener_that_lags_is_told_and_keeps_nobody_waiting(on: Fixture) -> Result<(), String> {
    let tenant = tenant()?;
    let mut slow = on.other.bus.listen();
    let (mut slow_arrivals, mut quick) = (on.other.broadcaster.arrivals(), on.one.broadcaster.arrivals());
    for seq in 0..5_000 {
        on.other.bus.ring(&tenant, seq);
    }
    check(matches!(slow.recv().await, Err(RecvError::Lagged(_))), "a listener that lost rings was not told")?;
    // The one that reads gets every message, whatever the one does that does not.
    for part in 0..50 {
        let sends = (0..32).map(|n| on.one.broadcaster.send(said(&tenant, "c", &format!("{part} {n}"))));
        futures_util::future::try_join_all(sends).await.map_err(failed)?;
        messages(&mut quick, &tenant, 32).await?;
    }
    match timeout_at(Instant::now() + PATIENCE, slow_arrivals.recv()).await {
        Ok(Err(RecvError::Lagged(_))) => Ok(()),
        Ok(Ok(_)) => Err("a listener that lost messages was not told".to_owned()),
        other => Err(format!("{other:?} instead of a word about lost messages")),
    }
}
