//! A case: one promise of a contract, checked.

use std::fmt;

use futures_util::future::BoxFuture;

/// One promise of a contract as a named check. A host runs `run` on a fixture of its own implementation;
/// the name is the promise.
pub struct Case<F> {
    /// The promise, as an identifier.
    pub name: &'static str,
    /// Checks it; the error says what was found instead.
    pub run: fn(F) -> BoxFuture<'static, Result<(), String>>,
}

impl<F> Clone for Case<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Case<F> {}

impl<F> fmt::Debug for Case<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}
