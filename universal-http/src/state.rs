//! What all requests of one [`crate::Api`] share.

use std::{fmt, sync::Arc};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use universal_core::{auth::Auth, id::TenantId, realtime::Channels};

use crate::{connections::Connections, lent::Authenticator, limits::Limits, metrics::Metrics};

/// What all requests share; made once by the builder.
pub(crate) struct State {
    pub(crate) default_tenant: TenantId,
    pub(crate) limits: Limits,
    /// Without a slash at its end; empty if there is none.
    pub(crate) prefix: String,
    /// Without a slash at its end.
    pub(crate) public_url: Option<String>,
    /// Verifies access tokens.
    pub(crate) auth: Option<Arc<dyn Auth>>,
    /// What sockets join.
    pub(crate) channels: Option<Arc<dyn Channels>>,
    pub(crate) authenticator: Option<Arc<dyn Authenticator>>,
    pub(crate) metrics: Metrics,
    /// The open realtime connections.
    pub(crate) connections: Connections,
    /// Cancelled by `Api::close`; open realtime connections end.
    pub(crate) closing: CancellationToken,
    /// The tasks of upgraded connections.
    pub(crate) tasks: TaskTracker,
}

impl State {
    /// The public link to `path`, which begins with a slash.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_deref().unwrap_or(&self.prefix))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("prefix", &self.prefix).field("limits", &self.limits).finish_non_exhaustive()
    }
}
