//! Whether the process runs, and whether it can serve.

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;
use universal_core::error::{Error, ErrorKind, Result};

use crate::{
    context::Context,
    lent::ReadyCheck,
    response::{self, Response},
};

/// How long the parts below may take to say that they are there.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `/readyz` asks.
pub(crate) struct Checks(Option<Arc<dyn ReadyCheck>>);

impl Checks {
    pub(crate) fn new(check: Option<Arc<dyn ReadyCheck>>) -> Self {
        Self(check)
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks").finish_non_exhaustive()
    }
}

/// 200 as long as the process answers at all.
pub(crate) async fn healthz(_: Arc<Checks>, _: Context) -> Result<Response> {
    Ok(response::json_text(StatusCode::OK, r#"{"status":"ok"}"#))
}

/// 200 if the parts below can be reached, else 503; a process that is stopping is not ready.
pub(crate) async fn readyz(checks: Arc<Checks>, cx: Context) -> Result<Response> {
    if cx.state().closing.is_cancelled() {
        return Err(Error::new(ErrorKind::Unavailable, "stopping", "this process is stopping"));
    }
    if let Some(check) = &checks.0 {
        match tokio::time::timeout(PATIENCE, check.ready()).await {
            Ok(result) => result?,
            Err(_) => {
                return Err(Error::new(ErrorKind::Unavailable, "not-ready", "a part that is needed does not answer"));
            }
        }
    }
    Ok(response::json_text(StatusCode::OK, r#"{"status":"ready"}"#))
}
