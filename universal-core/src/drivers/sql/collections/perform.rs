//! One command inside a transaction, and one that is done once.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        command::{Command, Outcome},
        idempotency::{self, IdempotencyKey, LIFETIME, Once},
        list_cursor::CursorKey,
    },
    drivers::sql::{
        collections::{batch, matching, write},
        dialect::Dialect,
        statement::column,
        write::Write,
    },
    error::Result,
    id::TenantId,
};

/// Who performs a command, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Performance<'a> {
    pub(super) caller: &'a Caller,
    pub(super) now: Timestamp,
    pub(super) cursors: &'a CursorKey,
}

/// Does what `command` says inside `write`'s transaction.
pub(super) async fn perform(write: &mut Write<'_>, by: &Performance<'_>, command: &Command) -> Result<Outcome> {
    match command {
        Command::Write(operation) => write::apply(write, by.caller, operation, by.now).await.map(Outcome::Written),
        Command::Batch(operations) => batch::perform(write, by, operations).await.map(Outcome::Batch),
        Command::Matching(documents, change) => {
            matching::perform(write, by, documents, change).await.map(Outcome::Affected)
        }
    }
}

/// The same, so that whoever keeps a transaction open that failed half-way keeps nothing of it.
pub(super) async fn perform_whole(write: &mut Write<'_>, by: &Performance<'_>, command: &Command) -> Result<Outcome> {
    write.execute("SAVEPOINT universal_command", vec![]).await?;
    let outcome = perform(write, by, command).await;
    if outcome.is_err() {
        // Where the database itself failed, this fails too, and the transaction can only be rolled back.
        let _ = write.execute("ROLLBACK TO SAVEPOINT universal_command", vec![]).await;
    }
    let released = write.execute("RELEASE SAVEPOINT universal_command", vec![]).await;
    let outcome = outcome?;
    released?;
    Ok(outcome)
}

/// Does what `command` says unless it was done under this key; keeps the answer in the same transaction.
pub(super) async fn perform_once(
    write: &mut Write<'_>,
    by: &Performance<'_>,
    key: &IdempotencyKey,
    command: &Command,
) -> Result<Once> {
    let principal = idempotency::principal(by.caller)?;
    let fingerprint = hex(&command.fingerprint());
    if write.dialect() == Dialect::Postgres {
        // Other nodes cannot see what this process does; SQLite's writer is alone.
        let number = idempotency::lock_number(by.caller, principal, key);
        let locked = write.one("SELECT pg_try_advisory_xact_lock($1)", vec![number.into()]).await?;
        if !locked.map(|row| column::<bool>(&row, 0)).transpose()?.unwrap_or(false) {
            return Err(idempotency::in_flight());
        }
    }
    let mut values = vec![by.caller.tenant().as_str().into(), principal.into(), key.as_str().into()];
    values.push(by.now.minus(LIFETIME).as_micros().into());
    if let Some(row) = write.one(FIND, values).await? {
        if column::<String>(&row, 0)? != fingerprint {
            return Err(idempotency::reused());
        }
        return Ok(Once::new(Outcome::from_stored(&column::<String>(&row, 1)?)?, true));
    }
    let outcome = perform(write, by, command).await?;
    let values = vec![
        by.caller.tenant().as_str().into(),
        principal.into(),
        key.as_str().into(),
        fingerprint.into(),
        outcome.to_stored()?.into(),
        by.now.as_micros().into(),
    ];
    write.execute(KEEP, values).await?;
    Ok(Once::new(outcome, false))
}

const FIND: &str = "SELECT fingerprint, answer FROM universal_idempotency
    WHERE tenant_id = $1 AND principal = $2 AND key = $3 AND created_at > $4";

/// One that is there is too old to be an answer.
const KEEP: &str = "INSERT INTO universal_idempotency (tenant_id, principal, key, fingerprint, answer, created_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (tenant_id, principal, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = excluded.created_at";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The keys whose commands run in this process.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashSet<Running>>>);

type Running = (TenantId, String, IdempotencyKey);

impl InFlight {
    /// Takes a key until the guard is dropped.
    ///
    /// # Errors
    /// `Conflict` if it is taken; `Unauthenticated` for an anonymous caller.
    pub(super) fn enter(&self, caller: &Caller, key: &IdempotencyKey) -> Result<Guard> {
        let running = (caller.tenant().clone(), idempotency::principal(caller)?.to_owned(), key.clone());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.insert(running.clone()) {
            return Err(idempotency::in_flight());
        }
        Ok(Guard { all: self.clone(), running })
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").finish_non_exhaustive()
    }
}

/// A key that is taken.
pub(super) struct Guard {
    all: InFlight,
    running: Running,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.running);
    }
}
