//! The front of a way between nodes, over whatever carries its texts.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::{
    error::Result,
    id::{TenantId, random_hex},
    realtime::{
        broadcast::{Arrival, Broadcast, Broadcaster},
        bus::{Bus, Ring},
        listeners::Listeners,
        pending::PendingRings,
        wire::{self, Said},
    },
};

/// A node's end of the way: its name on it, who listens here, and which rings wait to be carried.
#[derive(Debug, Default)]
pub(crate) struct NearEnd {
    node: String,
    listeners: Listeners,
    pending: PendingRings,
}

impl NearEnd {
    /// # Errors
    /// `Internal` if the system has no randomness.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { node: random_hex(8)?, ..Self::default() })
    }

    /// The name of the node, which no other has.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Returns when rings may wait.
    pub(crate) async fn rings_wait(&self) {
        self.pending.some().await;
    }

    /// The rings that wait.
    pub(crate) fn take_rings(&self) -> Vec<(TenantId, i64)> {
        self.pending.take()
    }

    /// Tells this process what came over the way; answers whether it was one of ours.
    pub(crate) fn heard(&self, text: &str) -> bool {
        match wire::read(text) {
            // Its own rang here when they were sent.
            Some(Said::Rings { node, .. }) if node == self.node => {}
            Some(Said::Rings { rings, .. }) => {
                for (tenant, seq) in rings {
                    self.listeners.rung(tenant, seq);
                }
            }
            Some(Said::Message(message)) => self.listeners.arrived(message),
            None => return false,
        }
        true
    }

    /// What was said until now may not have been heard: so many texts at most, where that is known.
    pub(crate) fn missed(&self, count: Option<u64>) {
        self.listeners.missed(count);
    }
}

/// What carries texts to every node.
#[async_trait]
pub(crate) trait Carrier: Send + Sync + fmt::Debug {
    /// This node's end.
    fn near(&self) -> &NearEnd;

    /// Carries a text of a tenant to every node, this one included: it arrives here too by way of what carries it alone,
    /// so that every node hears the same order.
    async fn carry(&self, tenant: &TenantId, text: String) -> Result<()>;
}

/// The two ports over what carries.
pub(crate) struct Carried<C>(Arc<C>);

impl<C: Carrier> Carried<C> {
    pub(crate) fn over(carrier: Arc<C>) -> Self {
        Self(carrier)
    }
}

impl<C: Carrier> Bus for Carried<C> {
    fn ring(&self, tenant: &TenantId, seq: i64) {
        let near = self.0.near();
        // Here at once: who listens in this process does not wait for the way round, or need it.
        near.listeners.rung(tenant.clone(), seq);
        near.pending.add(tenant, seq);
    }

    fn listen(&self) -> broadcast::Receiver<Ring> {
        self.0.near().listeners.rings()
    }
}

#[async_trait]
impl<C: Carrier> Broadcaster for Carried<C> {
    async fn send(&self, message: Broadcast) -> Result<()> {
        message.check()?;
        self.0.carry(&message.tenant, wire::message(&message)).await
    }

    fn arrivals(&self) -> broadcast::Receiver<Arrival> {
        self.0.near().listeners.messages()
    }
}

impl<C: Carrier> fmt::Debug for Carried<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is carried comes back at once.
    #[derive(Debug)]
    struct Loop(NearEnd);

    #[async_trait]
    impl Carrier for Loop {
        fn near(&self) -> &NearEnd {
            &self.0
        }

        async fn carry(&self, _: &TenantId, text: String) -> Result<()> {
            assert!(self.0.heard(&text));
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_was_lost_is_told_to_both_ports() {
        let way = Carried::over(Arc::new(Loop(NearEnd::new().unwrap())));
        let (mut rings, mut arrivals) = (way.listen(), way.arrivals());
        let message = Broadcast { tenant: TenantId::default_tenant(), channel: "room".into(), payload: "1".into() };
        way.send(message.clone()).await.unwrap();
        way.0.near().missed(Some(3));
        way.ring(&message.tenant, 7);
        assert_eq!(arrivals.recv().await.unwrap(), Arrival::Message(Arc::new(message.clone())));
        assert_eq!(arrivals.recv().await.unwrap(), Arrival::Missed { count: Some(3) });
        assert_eq!(rings.recv().await.unwrap(), Ring::Missed);
        assert_eq!(rings.recv().await.unwrap(), Ring::Grew { tenant: message.tenant.clone(), seq: 7 });
        // What it says itself is not heard again from the others.
        assert!(way.0.near().heard(&wire::rings(way.0.near().node(), &[(message.tenant, 9)])));
        assert!(rings.try_recv().is_err());
        assert!(!way.0.near().heard("no text of ours"));
    }
}
