//! Who listens in this process: the near end of every bus.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::{
    id::TenantId,
    realtime::{
        broadcast::{Arrival, Broadcast},
        bus::Ring,
    },
};

/// Rings and messages are lost by a listener that lags this far; who hears rings polls as well.
const CAPACITY: usize = 1024;

/// Those who listen to rings and to messages here. Telling them never waits.
#[derive(Debug)]
pub(crate) struct Listeners {
    rings: broadcast::Sender<Ring>,
    messages: broadcast::Sender<Arrival>,
}

impl Default for Listeners {
    fn default() -> Self {
        Self { rings: broadcast::Sender::new(CAPACITY), messages: broadcast::Sender::new(CAPACITY) }
    }
}

impl Listeners {
    /// Everything that rings from now on.
    pub(crate) fn rings(&self) -> broadcast::Receiver<Ring> {
        self.rings.subscribe()
    }

    /// Everything that arrives from now on.
    pub(crate) fn messages(&self) -> broadcast::Receiver<Arrival> {
        self.messages.subscribe()
    }

    /// A tenant's feed grew. That nobody listens is not an error, here and below.
    pub(crate) fn rung(&self, tenant: TenantId, seq: i64) {
        let _ = self.rings.send(Ring::Grew { tenant, seq });
    }

    /// Rings and messages may have been missed: so many at most, where that is known.
    #[cfg(any(feature = "postgres", feature = "redis"))]
    pub(crate) fn missed(&self, count: Option<u64>) {
        let _ = self.rings.send(Ring::Missed);
        let _ = self.messages.send(Arrival::Missed { count });
    }

    /// A message has come.
    pub(crate) fn arrived(&self, message: Broadcast) {
        let _ = self.messages.send(Arrival::Message(Arc::new(message)));
    }
}
