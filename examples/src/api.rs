//! From a backend to its HTTP services.

use std::sync::Arc;

use async_trait::async_trait;
use universal_core::{Backend, Result};
use universal_http::{Api, ApiBuilder, ReadyCheck};

/// An [`Api`] with every service of `backend`.
pub fn of(backend: &Backend) -> ApiBuilder {
    Api::builder()
        .auth(Arc::clone(backend.auth()))
        .collections(Arc::clone(backend.collections()))
        .realtime(Arc::clone(backend.realtime()))
        .channels(Arc::clone(backend.channels()))
        .storage(Arc::clone(backend.storage()))
        .jobs(Arc::clone(backend.jobs()))
        .ready(Arc::new(Ready(backend.clone())))
}

struct Ready(Backend);

#[async_trait]
impl ReadyCheck for Ready {
    async fn ready(&self) -> Result<()> {
        self.0.ready().await
    }
}
