//! An axum program that was there before, and got a backend.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Extension, Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use universal_core::{Backend, Result, collections::ListQuery};
use universal_http::{Api, CurrentUser};

use crate::api;

/// The state that the program had before.
#[derive(Clone, Debug)]
struct Shop {
    name: &'static str,
    visits: Arc<AtomicU64>,
    backend: Backend,
}

/// The program: its own pages at `/` and `/orders/count`, the backend below `/backend`, health and metrics below `/internal`.
///
/// # Errors
/// None that a program can act on: the settings here are fixed.
pub fn app(backend: &Backend) -> Result<(Router, Api)> {
    // axum strips the path below which it nests a service, so the API needs no prefix.
    let api = api::of(backend).build()?;
    let shop = Shop { name: "The tea shop", visits: Arc::new(AtomicU64::new(0)), backend: backend.clone() };
    let app = Router::new()
        // A page of the program's own, for users of the backend alone.
        .route("/orders/count", get(count_orders).layer(api.auth_layer()))
        .route("/", get(home))
        .nest_service("/backend", api.public())
        // Only the operator's network should reach these; a real program puts them on another listener.
        .nest_service("/internal", api.operations())
        .with_state(shop);
    Ok((app, api))
}

async fn home(State(shop): State<Shop>) -> String {
    let visits = shop.visits.fetch_add(1, Ordering::Relaxed) + 1;
    format!("{}: visit {visits}\n", shop.name)
}

/// The layer has found out who asks; the services know what that user may see.
async fn count_orders(State(shop): State<Shop>, Extension(user): Extension<CurrentUser>) -> Response {
    match own_orders(&shop, &user).await {
        Ok(count) => Json(json!({ "orders": count })).into_response(),
        Err(error) => {
            tracing::error!(%error, "orders could not be counted");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn own_orders(shop: &Shop, user: &CurrentUser) -> Result<usize> {
    let orders = "orders".parse()?;
    let page = shop.backend.collections().list(user.caller(), &orders, &ListQuery::new()).await?;
    Ok(page.value.items.len())
}
