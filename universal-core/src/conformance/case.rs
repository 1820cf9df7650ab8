//! A case: one behaviour of a contract, as data.

use futures_util::future::BoxFuture;

/// One behaviour that every implementation shows. A host runs it on a fixture of its own making, so
/// that one failure hides no other.
#[derive(Clone, Copy, Debug)]
pub struct Case<F> {
    /// What is tested, in kebab case.
    pub name: &'static str,
    /// Tests it on a fresh fixture; the error says what was different.
    pub run: fn(F) -> BoxFuture<'static, Result<(), String>>,
}
