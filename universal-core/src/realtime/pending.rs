//! Rings on their way to other nodes.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::id::TenantId;

/// How many tenants may wait. Rings of further ones are dropped: the other nodes poll.
const TENANTS: usize = 10_000;

/// Rings that wait to be carried: the last number of each tenant. Adding never waits.
#[derive(Debug, Default)]
pub(crate) struct PendingRings {
    waiting: Mutex<HashMap<TenantId, i64>>,
    woken: Notify,
}

impl PendingRings {
    /// Adds a ring; the higher number of a tenant stays.
    pub(crate) fn add(&self, tenant: &TenantId, seq: i64) {
        let mut waiting = self.waiting();
        let full = waiting.len() >= TENANTS;
        match waiting.get_mut(tenant) {
            Some(last) => *last = seq.max(*last),
            None if full => return,
            None => drop(waiting.insert(tenant.clone(), seq)),
        }
        drop(waiting);
        self.woken.notify_one();
    }

    /// What waits now, if anything.
    pub(crate) fn take(&self) -> Vec<(TenantId, i64)> {
        std::mem::take(&mut *self.waiting()).into_iter().collect()
    }

    /// Returns when something may wait.
    pub(crate) async fn some(&self) {
        self.woken.notified().await;
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<TenantId, i64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(n: usize) -> TenantId {
        TenantId::new(format!("t{n}")).unwrap()
    }

    #[tokio::test]
    async fn the_last_number_of_each_tenant_waits_and_their_count_is_bounded() {
        let pending = PendingRings::default();
        for seq in [3, 9, 5] {
            pending.add(&tenant(1), seq);
        }
        pending.some().await;
        assert_eq!(pending.take(), vec![(tenant(1), 9)]);
        assert!(pending.take().is_empty());
        for n in 0..TENANTS + 10 {
            pending.add(&tenant(n), 1);
        }
        pending.add(&tenant(0), 7);
        let taken = pending.take();
        assert_eq!(taken.len(), TENANTS);
        assert!(taken.contains(&(tenant(0), 7)), "a tenant that waits already is not refused");
    }
}
