//! What a host lends the service besides the services of a backend: traits for it to implement.

use async_trait::async_trait;
use http::request::Parts;
use universal_core::{caller::Caller, error::Result};

/// The host's own way to know who asks: its session cookie, a header that its proxy set, a value its own middleware left
/// in the request's extensions.
///
/// It is asked before the bearer token is looked at.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The caller that this request's head stands for, or `None` if it has no credentials of the host's kind.
    ///
    /// # Errors
    /// `Unauthenticated` for credentials that are not valid: the request is answered 401 then, on public routes too.
    async fn authenticate(&self, head: &Parts) -> Result<Option<Caller>>;
}

/// Whether the parts below can serve requests now; `/readyz` asks it.
#[async_trait]
pub trait ReadyCheck: Send + Sync {
    /// Asks the parts (a database, a store), within a second or two.
    ///
    /// # Errors
    /// `Unavailable` naming what cannot be reached; `/readyz` answers 503 then.
    async fn ready(&self) -> Result<()>;
}

/// More lines for `/metrics`: a host or a backend writes its own, in the Prometheus text format.
pub trait MetricsSource: Send + Sync {
    /// Appends whole lines. It must be quick and must not block.
    fn write(&self, out: &mut String);
}
