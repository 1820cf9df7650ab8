//! The idempotency keys whose commands run at this moment.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    caller::Caller,
    collections::idempotency::{self, IdempotencyKey},
    error::Result,
    id::TenantId,
};

/// The keys whose commands run in this process.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashSet<Running>>>);

type Running = (TenantId, String, IdempotencyKey);

impl InFlight {
    /// Takes a key until the guard is released or dropped.
    ///
    /// # Errors
    /// `Conflict` if it is taken; `Unauthenticated` for an anonymous caller.
    pub(super) fn enter(&self, caller: &Caller, key: &IdempotencyKey) -> Result<Guard> {
        let running = (caller.tenant().clone(), idempotency::principal(caller)?.to_owned(), key.clone());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.insert(running.clone()) {
            return Err(idempotency::in_flight());
        }
        Ok(Guard { all: self.clone(), running, released: AtomicBool::new(false) })
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").finish_non_exhaustive()
    }
}

/// A key that is taken.
pub(super) struct Guard {
    all: InFlight,
    running: Running,
    released: AtomicBool,
}

impl Guard {
    /// Gives the key back, once: it may be another call's by the next time.
    pub(super) fn release(&self) {
        if !self.released.swap(true, Ordering::AcqRel) {
            self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.running);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.release();
    }
}
