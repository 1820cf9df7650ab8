//! `/storage`: files in buckets, and links that carry a right.

mod answer;
mod condition;
mod links;
mod objects;
mod place;
mod serve;
mod wire;

use universal_core::storage::Storage;

use crate::route::{Access, Route};

pub(crate) const ROUTES: &[Route<dyn Storage>] = &[
    Route::get("/storage/{bucket}", "storage.list", |storage, cx| Box::pin(objects::list(storage, cx))),
    Route::get("/storage/{bucket}/{*key}", "storage.get", |storage, cx| Box::pin(objects::get(storage, cx)))
        .streaming()
        .with_head(),
    Route::put("/storage/{bucket}/{*key}", "storage.put", |storage, cx| Box::pin(objects::put(storage, cx)))
        .streaming(),
    Route::delete("/storage/{bucket}/{*key}", "storage.delete", |storage, cx| Box::pin(objects::delete(storage, cx))),
    Route::post("/storage/_presign", "storage.presign", |storage, cx| Box::pin(links::presign(storage, cx))),
    // The token is all the right there is. Spans and metrics name the route, so it appears in none.
    Route::get("/storage/_signed/{token}", "storage.signed.get", |storage, cx| Box::pin(links::get(storage, cx)))
        .access(Access::Open)
        .streaming()
        .with_head(),
    Route::put("/storage/_signed/{token}", "storage.signed.put", |storage, cx| Box::pin(links::put(storage, cx)))
        .access(Access::Open)
        .streaming(),
];
