//! The bundled server: `cargo run --example server` serves on 127.0.0.1:8080 with its data in `./data`.
//!
//! Everything comes from the environment: `PORT`, `UNIVERSAL_HOST`, `DATABASE_URL` (with PostgreSQL also
//! `UNIVERSAL_MASTER_KEY`), `UNIVERSAL_ADMIN_EMAIL` and `UNIVERSAL_ADMIN_PASSWORD` for the first administrator, and the rest of
//! `universal_core::Settings`. Ctrl-C or SIGTERM stops it after what is being answered.

use std::process::ExitCode;

use universal_examples::program::{Failure, Program, exit_code, install_log};

/// Requests are answered on several threads that free what others have allocated, which glibc's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    install_log();
    exit_code(run().await)
}

async fn run() -> Result<(), Failure> {
    let program = Program::prepare("").await?;
    program.announce("server")?;
    // For everybody, administrators and operators on one address. A host with an internal network mounts them apart:
    // `api.public()`, `api.admin()`, `api.operations()`.
    let service = program.api().all();
    program.serve(service).await
}
