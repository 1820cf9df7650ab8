//! One commit for everything that must happen together.

use std::{any::Any, fmt};

/// A database transaction, passed to the `…_in` methods of the services.
///
/// It is opaque: the driver that opened it recognises it, and every other driver refuses it. It
/// comes from `Backend::transaction`, which commits it, or from `Backend::join`, when the host
/// opened the transaction itself and commits it itself.
pub struct Transaction<'c> {
    connection: &'c (dyn Any + Send + Sync),
    state: Box<dyn Any + Send + Sync>,
}

impl<'c> Transaction<'c> {
    /// For drivers: wraps a driver's `connection` and the `state` that it keeps with it.
    #[must_use]
    pub fn new(connection: &'c (dyn Any + Send + Sync), state: Box<dyn Any + Send + Sync>) -> Self {
        Self { connection, state }
    }

    /// For drivers: the connection, if it is a `C`, and the state, if it is an `S`.
    #[must_use]
    pub fn parts<C: Any, S: Any>(&mut self) -> Option<(&'c C, &mut S)> {
        let connection = self.connection.downcast_ref::<C>()?;
        let state = self.state.downcast_mut::<S>()?;
        Some((connection, state))
    }

    /// The connection, if it is a `C`: with SQL, a `sea_orm::DatabaseTransaction` on which a host
    /// runs its own statements.
    #[must_use]
    pub fn connection<C: Any>(&self) -> Option<&'c C> {
        self.connection.downcast_ref::<C>()
    }

    /// For drivers: the state when the work is over.
    #[must_use]
    pub fn into_state<S: Any>(self) -> Option<Box<S>> {
        let state: Box<dyn Any> = self.state;
        state.downcast::<S>().ok()
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}
