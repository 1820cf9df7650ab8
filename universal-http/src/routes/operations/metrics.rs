//! The numbers.

use http::StatusCode;
use universal_core::error::Result;

use crate::{
    context::Context,
    response::{self, Response},
};

/// The registry of this `Api` in the OpenMetrics text format.
pub(crate) async fn metrics(cx: Context) -> Result<Response> {
    let text = cx.state().metrics.text();
    Ok(response::text(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text))
}
