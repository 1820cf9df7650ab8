//! Functions and their jobs: `/functions/{name}/run`, `/jobs` and `/jobs/{id}`.

mod functions;
mod orders;
mod wire;

use universal_core::jobs::Jobs;

use crate::route::{Access, Route};

pub(crate) const ROUTES: &[Route<dyn Jobs>] = &[
    // Who may run which function is the function's own affair.
    Route::post("/functions/{name}/run", "functions.run", |jobs, cx| Box::pin(functions::run(jobs, cx))),
    Route::get("/jobs", "jobs.list", |jobs, cx| Box::pin(orders::list(jobs, cx))).access(Access::SignedIn).with_head(),
    Route::get("/jobs/{id}", "jobs.get", |jobs, cx| Box::pin(orders::get(jobs, cx)))
        .access(Access::SignedIn)
        .with_head(),
    Route::delete("/jobs/{id}", "jobs.cancel", |jobs, cx| Box::pin(orders::cancel(jobs, cx))).access(Access::SignedIn),
    Route::post("/jobs/{id}/retry", "jobs.retry", |jobs, cx| Box::pin(orders::retry(jobs, cx)))
        .access(Access::SignedIn),
];
