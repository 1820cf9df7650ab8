//! The backend under `/backend` of an existing axum program with routes, state and a tracing subscriber of its own.
//!
//! `cargo run --example axum_mount`, then `curl http://127.0.0.1:8081/` and `curl http://127.0.0.1:8081/backend/auth/me`.

use std::error::Error;

use tokio::{net::TcpListener, signal};
use universal_core::Backend;
use universal_examples::{axum_mount::app, program::install_log};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    install_log();
    let backend = Backend::open("./data").await?;
    let (app, api) = app(&backend)?;
    let listener = TcpListener::bind("127.0.0.1:8081").await?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            signal::ctrl_c().await.ok();
            // Streams end, so that the graceful stop does not wait for them.
            api.close();
        })
        .await?;
    backend.shutdown().await;
    Ok(())
}
