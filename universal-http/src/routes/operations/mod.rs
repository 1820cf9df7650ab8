//! `/healthz`, `/readyz`, `/metrics`: for the operator, without authentication.

mod health;
mod metrics;

pub(crate) use health::Checks;

use crate::route::{Access, Route};

pub(crate) const ROUTES: &[Route<Checks>] = &[
    Route::get("/healthz", "operations.health", |checks, cx| Box::pin(health::healthz(checks, cx)))
        .access(Access::Open)
        .with_head(),
    Route::get("/readyz", "operations.ready", |checks, cx| Box::pin(health::readyz(checks, cx)))
        .access(Access::Open)
        .with_head(),
    Route::get("/metrics", "operations.metrics", |_, cx| Box::pin(metrics::metrics(cx))).access(Access::Open),
];
