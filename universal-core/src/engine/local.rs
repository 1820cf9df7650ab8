//! The bus of one process.

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::{
    error::Result,
    id::TenantId,
    realtime::{
        broadcast::{Arrival, Broadcast, Broadcaster},
        bus::{Bus, Ring},
        listeners::Listeners,
    },
};

/// A bus whose rings and messages stay in this process.
#[derive(Debug, Default)]
pub struct LocalBus {
    listeners: Listeners,
}

impl LocalBus {
    /// A bus that nobody listens to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Bus for LocalBus {
    fn ring(&self, tenant: &TenantId, seq: i64) {
        self.listeners.rung(tenant.clone(), seq);
    }

    fn listen(&self) -> broadcast::Receiver<Ring> {
        self.listeners.rings()
    }
}

#[async_trait]
impl Broadcaster for LocalBus {
    async fn send(&self, message: Broadcast) -> Result<()> {
        message.check()?;
        self.listeners.arrived(message);
        Ok(())
    }

    fn arrivals(&self) -> broadcast::Receiver<Arrival> {
        self.listeners.messages()
    }
}
