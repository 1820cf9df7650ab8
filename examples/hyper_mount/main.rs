//! The backend under `/backend` of a plain hyper server.
//!
//! `cargo run --example hyper_mount`, then `curl http://127.0.0.1:8082/backend/auth/me`.

use std::error::Error;

use tokio::{net::TcpListener, signal};
use universal_core::Backend;
use universal_examples::{
    hyper_mount::{mounted, serve},
    program::install_log,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    install_log();
    let backend = Backend::open("./data").await?;
    let api = mounted(&backend)?;
    let listener = TcpListener::bind("127.0.0.1:8082").await?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    serve(listener, &api, async {
        signal::ctrl_c().await.ok();
    })
    .await?;
    backend.shutdown().await;
    Ok(())
}
