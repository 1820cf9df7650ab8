//! The bus of one process.

use tokio::sync::broadcast;

use crate::{
    id::TenantId,
    realtime::bus::{Bus, Ring},
};

/// Rings are lost by a listener that lags this far; it polls as well.
const CAPACITY: usize = 1024;

/// A bus whose rings stay in this process.
#[derive(Debug)]
pub struct LocalBus {
    rings: broadcast::Sender<Ring>,
}

impl LocalBus {
    /// A bus that nobody listens to yet.
    #[must_use]
    pub fn new() -> Self {
        Self { rings: broadcast::Sender::new(CAPACITY) }
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
