//! Measures the bundled server beside the limits of the machine it runs on; `--help` says how.
//!
//! Everything is on loopback, bounded in time and number, and only processes that it started are ended.

mod bare;
mod client;
mod delay;
mod documents;
mod failure;
mod fan_out;
mod http_load;
mod large;
mod open_files;
mod options;
mod postgres;
mod process;
mod raw_sqlite;
mod replay;
mod report;
mod rounds;
mod sample;
mod series;
mod server;
mod usage;

use std::{ffi::OsString, path::Path, process::ExitCode};

use failure::Result;
use options::Options;
use postgres::Database;
use rounds::Bench;
use series::Series;
use server::Server;

fn main() -> ExitCode {
    let outcome = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| {
        let outcome = runtime.block_on(run());
        // A reader of standard input cannot be stopped, and need not be.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [subcommand] = arguments.as_slice()
        && let Some(subcommand) = subcommand.to_str().filter(|text| [bare::HTTP, bare::BROADCAST].contains(text))
    {
        return bare::serve(subcommand).await;
    }
    let Some(options) = Options::read(arguments)? else {
        print!("{}", options::HELP);
        return Ok(());
    };
    open_files::allow(options.open_files())?;
    let program = server::program(options.server.as_deref())?;
    let beside_us = server::beside_us()?;
    let folder = tempfile::tempdir_in(options.data.as_deref().unwrap_or(&beside_us))?;
    let database = match &options.postgres {
        Some(url) => Some(Database::create(url, options.pgbench.as_deref()).await?),
        None => None,
    };
    let outcome = tokio::select! {
        outcome = measure(&options, &program, folder.path(), database.as_ref()) => outcome,
        _ = tokio::signal::ctrl_c() => Err("stopped".into()),
    };
    if let Some(database) = database {
        database.remove().await?;
    }
    let (series, notes) = outcome?;
    println!("{}", report::report(&options, &series));
    for note in notes {
        println!("- {note}");
    }
    Ok(())
}

async fn measure(
    options: &Options,
    program: &Path,
    folder: &Path,
    database: Option<&Database>,
) -> Result<(Vec<Series>, Vec<String>)> {
    let url = database.map(Database::url);
    let server = Server::start(program, folder, url.as_deref()).await?;
    let outcome = Bench::new(options, &server, database, folder)?.run().await;
    outcome.map_err(|error| format!("{error}\nthe server's log ends with:\n{}", server.log_end()).into())
}
