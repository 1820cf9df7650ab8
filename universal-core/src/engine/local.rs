//! The bus of one process.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::{
    error::Result,
    id::TenantId,
    realtime::{
        broadcast::{Broadcast, Broadcaster},
        bus::{Bus, Ring},
    },
};

/// Rings and messages are lost by a listener that lags this far; who hears rings polls as well.
const CAPACITY: usize = 1024;

/// A bus whose rings and messages stay in this process.
#[derive(Debug)]
pub struct LocalBus {
    rings: broadcast::Sender<Ring>,
    messages: broadcast::Sender<Arc<Broadcast>>,
}

impl LocalBus {
    /// A bus that nobody listens to yet.
    #[must_use]
    pub fn new() -> Self {
        Self { rings: broadcast::Sender::new(CAPACITY), messages: broadcast::Sender::new(CAPACITY) }
    }
}

impl Default for LocalBus {
    fn default() -> Self {
        Self::new()
    }
}

impl Bus for LocalBus {
    fn ring(&self, tenant: &TenantId, seq: i64) {
        // Nobody listening is not an error.
        let _ = self.rings.send(Ring { tenant: tenant.clone(), seq });
    }

    fn listen(&self) -> broadcast::Receiver<Ring> {
        self.rings.subscribe()
    }
}

#[async_trait]
impl Broadcaster for LocalBus {
    async fn send(&self, message: Broadcast) -> Result<()> {
        message.check()?;
        let _ = self.messages.send(Arc::new(message));
        Ok(())
    }

    fn arrivals(&self) -> broadcast::Receiver<Arc<Broadcast>> {
        self.messages.subscribe()
    }
}
