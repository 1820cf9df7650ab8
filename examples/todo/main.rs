//! A todo app: one page of plain HTML and JavaScript, and the backend under `/api`.
//!
//! `cargo run --example todo`, then open <http://127.0.0.1:8080/> in two windows.

use std::process::ExitCode;

use axum::{
    Router,
    http::{HeaderName, header},
    response::IntoResponse,
    routing::get,
};
use universal_examples::program::{Failure, Program, exit_code, install_log};

/// Nothing but this page's own files may run or be asked, so that a title someone wrote stays a text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[tokio::main]
async fn main() -> ExitCode {
    install_log();
    exit_code(run().await)
}

async fn run() -> Result<(), Failure> {
    let program = Program::prepare("/api").await?;
    program.announce("todo")?;
    let app = Router::new()
        .route("/", get(|| async { file("text/html; charset=utf-8", include_str!("page/index.html")) }))
        .route("/app.js", get(|| async { file("text/javascript; charset=utf-8", include_str!("page/app.js")) }))
        .route("/api.js", get(|| async { file("text/javascript; charset=utf-8", include_str!("page/api.js")) }))
        .route("/style.css", get(|| async { file("text/css; charset=utf-8", include_str!("page/style.css")) }))
        .nest_service("/api", program.api().all());
    program.serve(app).await
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}
