//! Administration: `/admin/collections`, `/admin/rules`.

mod collections;
mod lifecycle;
mod rules;

use universal_core::collections::Collections;

use crate::route::{Access, Route};

pub(crate) const COLLECTIONS: &[Route<dyn Collections>] = &[
    Route::get("/admin/collections", "admin.collections.list", |service, cx| Box::pin(collections::list(service, cx)))
        .access(Access::Admin),
    Route::get("/admin/collections/{name}", "admin.collections.get", |service, cx| {
        Box::pin(collections::get(service, cx))
    })
    .access(Access::Admin),
    Route::put("/admin/collections/{name}", "admin.collections.configure", |service, cx| {
        Box::pin(collections::configure(service, cx))
    })
    .access(Access::Admin),
    Route::delete("/admin/collections/{name}", "admin.collections.drop", |service, cx| {
        Box::pin(lifecycle::drop_collection(service, cx))
    })
    .access(Access::Admin),
    Route::post("/admin/collections/{name}/rename", "admin.collections.rename", |service, cx| {
        Box::pin(lifecycle::rename(service, cx))
    })
    .access(Access::Admin),
    Route::post("/admin/rules/explain", "admin.rules.explain", |service, cx| Box::pin(rules::explain(service, cx)))
        .access(Access::Admin),
    Route::post("/admin/collections/{name}/explain", "admin.collections.explain", |service, cx| {
        Box::pin(collections::explain(service, cx))
    })
    .access(Access::Admin),
];
