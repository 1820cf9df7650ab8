//! Administration: `/admin/collections`, `/admin/rules`, `/admin/channels`.

mod channels;
mod collections;
mod lifecycle;
mod rules;

use universal_core::{collections::Collections, realtime::Channels};

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

pub(crate) const CHANNELS: &[Route<dyn Channels>] = &[
    Route::get("/admin/channels", "admin.channels.list", |service, cx| Box::pin(channels::list(service, cx)))
        .access(Access::Admin),
    Route::get("/admin/channels/{pattern}", "admin.channels.get", |service, cx| Box::pin(channels::get(service, cx)))
        .access(Access::Admin),
    Route::put("/admin/channels/{pattern}", "admin.channels.configure", |service, cx| {
        Box::pin(channels::configure(service, cx))
    })
    .access(Access::Admin),
    Route::delete("/admin/channels/{pattern}", "admin.channels.unconfigure", |service, cx| {
        Box::pin(channels::unconfigure(service, cx))
    })
    .access(Access::Admin),
];
