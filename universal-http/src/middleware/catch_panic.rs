//! The last net: a panic below becomes an error of this one request.

use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use futures_util::FutureExt as _;
use universal_core::error::{Error, Result};

use crate::metrics::Metrics;

/// Runs `work`; if it panics, the answer is an `Internal` error with the panic's message as its source.
///
/// # Errors
/// What `work` fails with, or that.
pub(crate) async fn around<T>(metrics: &Metrics, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    // Nothing of the request is used after a panic, and what it shares with others are locks that notice.
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => {
            metrics.panicked();
            Err(Error::internal(format!("panic: {}", said(panic.as_ref()))))
        }
    }
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}
