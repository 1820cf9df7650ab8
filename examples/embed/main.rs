//! The backend as plain Rust, without HTTP.
//!
//! `cargo run --example embed` writes an order, an invoice in a table of its own and a job in one transaction, sees the order
//! come over a subscription and the job run.

use std::{error::Error, io::Write as _, path::Path};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let report = universal_examples::embed::run(Path::new("./data/embed")).await?;
    let mut out = std::io::stdout();
    writeln!(out, "the subscription announced {:?}", report.announced)?;
    writeln!(out, "the job sent invoice {}", report.sent)?;
    writeln!(out, "there are {} orders", report.orders.len())?;
    Ok(())
}
