//! The one door through which a database's error becomes ours.

use std::time::Duration;

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

use crate::error::{Error, ErrorKind};

/// What a failed statement means for the one who sent it.
pub(crate) fn from_db(error: DbErr) -> Error {
    explain(cause(&error), error)
}

/// What a failed statement on a connection of our own means.
#[cfg(feature = "sqlite")]
pub(crate) fn from_sqlite(error: rusqlite::Error) -> Error {
    explain(sqlite_cause(&error), error)
}

fn explain(cause: Cause, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let (kind, code, message) = match cause {
        Cause::Serialization => (ErrorKind::Busy, "write-conflict", "another transaction was in the way; try again"),
        Cause::Locked => (ErrorKind::Busy, "database-busy", "the database is held by another transaction; try again"),
        Cause::Unique => (ErrorKind::Conflict, "conflict", "a row with these values exists already"),
        Cause::Cancelled => (ErrorKind::Timeout, "statement-timeout", "the statement took longer than its limit"),
        Cause::Aborted => return broken_transaction().with_source(error),
        Cause::Full => {
            (ErrorKind::Unavailable, "storage-full", "the disk of the database is full; nothing was written")
        }
        Cause::Exhausted => (ErrorKind::Busy, "no-connection", "no connection to the database became free in time"),
        Cause::Lost => (ErrorKind::Unavailable, "database-unavailable", "the database cannot be reached"),
        Cause::Other => (ErrorKind::Internal, "internal", "an internal error; the log of the server has the details"),
    };
    let mut ours = Error::new(kind, code, message).with_source(error);
    if ours.is_retryable() {
        ours = ours.with_retry_after(Duration::from_secs(1));
    }
    ours
}

/// What a failed `COMMIT` means: unless the database itself refused it, nobody knows.
pub(crate) fn from_commit(error: DbErr) -> Error {
    explain_commit(cause(&error), error)
}

/// What a failed `COMMIT` on a connection of our own means.
#[cfg(feature = "sqlite")]
pub(crate) fn from_sqlite_commit(error: rusqlite::Error) -> Error {
    explain_commit(sqlite_cause(&error), error)
}

fn explain_commit(cause: Cause, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    match cause {
        Cause::Lost | Cause::Other | Cause::Cancelled => Error::new(
            ErrorKind::OutcomeUnknown,
            "outcome-unknown",
            "the connection to the database was lost while committing; with an idempotency key, call again, else read first",
        )
        .with_source(error),
        _ => explain(cause, error),
    }
}

/// The answer to a query that found no connection in time.
pub(crate) fn no_connection() -> Error {
    explain(Cause::Exhausted, std::io::Error::from(std::io::ErrorKind::WouldBlock))
}

/// The answer to a write that comes after the stop.
pub(crate) fn shutting_down() -> Error {
    Error::new(ErrorKind::Unavailable, "shutting-down", "the backend is shutting down")
}

/// The answer to an operation that passed over a failed statement: its transaction is lost, and a
/// `COMMIT` would not say so (PostgreSQL answers it with a silent rollback).
pub(crate) fn broken_transaction() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "transaction-failed",
        "a statement of this transaction failed, so all of it was rolled back; pass the statement's error on",
    )
}

/// Whether the transaction failed only because of others that ran beside it.
pub(crate) fn is_serialization_failure(error: &Error) -> bool {
    error.code() == "write-conflict"
}

enum Cause {
    Serialization,
    Locked,
    Unique,
    Cancelled,
    Aborted,
    Full,
    Exhausted,
    Lost,
    Other,
}

fn cause(error: &DbErr) -> Cause {
    let source = match error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => return Cause::Exhausted,
        DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed) => return Cause::Lost,
        DbErr::Conn(RuntimeErr::SqlxError(source))
        | DbErr::Exec(RuntimeErr::SqlxError(source))
        | DbErr::Query(RuntimeErr::SqlxError(source)) => source,
        DbErr::Conn(_) => return Cause::Lost,
        _ => return Cause::Other,
    };
    match source.as_ref() {
        sqlx::Error::PoolTimedOut => Cause::Exhausted,
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => Cause::Lost,
        sqlx::Error::Database(database) => {
            let code = database.code();
            code.as_deref().map_or(Cause::Other, from_code)
        }
        _ => Cause::Other,
    }
}

#[cfg(feature = "sqlite")]
fn sqlite_cause(error: &rusqlite::Error) -> Cause {
    match error.sqlite_error() {
        Some(failure) => u32::try_from(failure.extended_code).map_or(Cause::Other, from_result_code),
        None => Cause::Other,
    }
}

/// PostgreSQL's SQLSTATE has five characters, SQLite's (extended) result code is a decimal number.
fn from_code(code: &str) -> Cause {
    if code.len() == 5 && code != "65535" {
        return match code {
            "40001" | "40P01" => Cause::Serialization,
            "55P03" => Cause::Locked,
            "23505" => Cause::Unique,
            "57014" | "25P03" => Cause::Cancelled,
            "25P02" => Cause::Aborted,
            "53100" => Cause::Full,
            "53300" => Cause::Exhausted,
            _ if code.starts_with("57P") || code.starts_with("08") || code.starts_with("53") => Cause::Lost,
            _ => Cause::Other,
        };
    }
    code.parse::<u32>().map_or(Cause::Other, from_result_code)
}

/// The low byte of an extended code is the primary one: https://www.sqlite.org/rescode.html
fn from_result_code(code: u32) -> Cause {
    match code {
        1555 | 2067 => Cause::Unique,
        code => match code & 0xff {
            5 | 6 => Cause::Locked,
            9 => Cause::Cancelled,
            13 => Cause::Full,
            10 | 14 => Cause::Lost,
            _ => Cause::Other,
        },
    }
}
