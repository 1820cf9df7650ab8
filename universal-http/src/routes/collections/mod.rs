//! Documents: `/db`, `/db/{collection}` and `/db/{collection}/{id}`.

mod aggregates;
mod answer;
mod batch;
mod condition;
mod documents;
mod matching;
mod perform;
mod transfer;
mod wire;

use universal_core::collections::Collections;

use crate::route::Route;

pub(crate) const ROUTES: &[Route<dyn Collections>] = &[
    Route::get("/db/{collection}", "collections.list", |service, cx| Box::pin(documents::list(service, cx)))
        .with_head(),
    Route::post("/db/{collection}", "collections.create", |service, cx| Box::pin(documents::create(service, cx))),
    Route::get("/db/{collection}/_aggregate", "collections.aggregate", |service, cx| {
        Box::pin(aggregates::aggregate(service, cx))
    })
    .with_head(),
    Route::get("/db/{collection}/_distinct", "collections.distinct", |service, cx| {
        Box::pin(aggregates::distinct(service, cx))
    })
    .with_head(),
    Route::patch("/db/{collection}", "collections.update_where", |service, cx| Box::pin(matching::patch(service, cx))),
    Route::delete("/db/{collection}", "collections.delete_where", |service, cx| {
        Box::pin(matching::delete(service, cx))
    }),
    Route::post("/db", "collections.batch", |service, cx| Box::pin(batch::batch(service, cx))),
    Route::get("/db/{collection}/{id}", "collections.get", |service, cx| Box::pin(documents::get(service, cx)))
        .with_head(),
    Route::put("/db/{collection}/{id}", "collections.replace", |service, cx| Box::pin(documents::replace(service, cx))),
    Route::patch("/db/{collection}/{id}", "collections.patch", |service, cx| Box::pin(documents::patch(service, cx))),
    Route::delete("/db/{collection}/{id}", "collections.delete", |service, cx| {
        Box::pin(documents::delete(service, cx))
    }),
    Route::get("/db/{collection}/_export", "collections.export", |service, cx| Box::pin(transfer::export(service, cx)))
        .streaming(),
    Route::post("/db/{collection}/_import", "collections.import", |service, cx| {
        Box::pin(transfer::import(service, cx))
    })
    .streaming(),
];
