//! One command inside a transaction, and one that is done once.

use std::{collections::HashMap, sync::Arc};

use sea_orm::Value;

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        command::{Command, Outcome},
        idempotency::{self, IdempotencyKey, LIFETIME, Once},
        list_cursor::CursorKey,
        rule::Action,
    },
    drivers::sql::{
        collections::{
            batch,
            candidates::{self, Candidates, Place},
            configurations::{Known, unknown_tenant},
            in_flight::Guard,
            matching,
            service::{DECISIONS, SqlCollections},
            write::{self, Author},
        },
        dialect::Dialect,
        feed::{SETTINGS_CHANGED, settings_changed},
        statement::column,
        write::Write,
    },
    error::{Error, Result},
    id::CollectionName,
    transaction::Transaction,
};

/// The settings of every collection that a command is about.
type Settings = HashMap<CollectionName, Known>;

/// A command on its way: it may be tried several times, and goes on when its caller leaves.
struct Work {
    caller: Caller,
    command: Command,
    key: Option<IdempotencyKey>,
    cursors: Arc<CursorKey>,
    /// Held by the work itself, which goes on when its caller leaves.
    guard: Option<Guard>,
}

impl Work {
    fn performance<'a>(&'a self, now: Timestamp, settings: &'a Settings) -> Performance<'a> {
        Performance { caller: &self.caller, now, cursors: &self.cursors, settings, found: None }
    }
}

impl SqlCollections {
    /// Does a command in a commit of its own; once, if it has a key.
    pub(super) async fn command(
        &self,
        caller: &Caller,
        command: Command,
        key: Option<&IdempotencyKey>,
    ) -> Result<Once> {
        let guard = key.map(|key| self.in_flight.enter(caller, key)).transpose()?;
        let (cursors, key) = (Arc::clone(&self.cursors), key.cloned());
        let work = Arc::new(Work { caller: caller.clone(), command, key, cursors, guard });
        let outcome = self.tried(&work).await;
        // Before the answer is told: whoever has it may use the key again, and the work may still lie somewhere.
        if let Some(guard) = &work.guard {
            guard.release();
        }
        outcome
    }

    /// Tries a command until the settings by which it was decided are those of its commit.
    async fn tried(&self, work: &Arc<Work>) -> Result<Once> {
        // What is looked for before the commit, by settings of a moment ago, would be refused by them too.
        let anew = matches!(work.command, Command::Matching(..));
        let mut settings = self.settings_for(&work.caller, &work.command, anew).await?;
        // Refused here already, so that strangers do not queue for the writer.
        admits(&work.caller, &work.command, &settings)?;
        let mut decisions = 1;
        loop {
            let (now, shared) = (self.clock.now(), Arc::clone(work));
            let found = self.candidates(work, now, &settings).await?.map(Arc::new);
            let is_hooked = settings.values().any(|known| known.hooks.is_some());
            let outcome = self
                .commit(is_hooked, move |write| {
                    let (work, settings, found) = (Arc::clone(&shared), Arc::clone(&settings), found.clone());
                    Box::pin(async move {
                        let by = Performance { found: found.as_deref(), ..work.performance(now, &settings) };
                        match &work.key {
                            Some(key) => perform_once(write, &by, key, &work.command).await,
                            None => Ok(Once::new(perform(write, &by, &work.command).await?, false)),
                        }
                    })
                })
                .await;
            match outcome {
                Err(error) if error.code() == SETTINGS_CHANGED && decisions < DECISIONS => decisions += 1,
                outcome => return outcome,
            }
            settings = self.settings_for(&work.caller, &work.command, true).await?;
        }
    }

    /// The documents that a write by filter looks at, found beside the writer: one call may look through a whole
    /// collection. One that has its answer already looks for nothing.
    async fn candidates(&self, work: &Work, now: Timestamp, settings: &Settings) -> Result<Option<Candidates>> {
        let Command::Matching(matching, _) = &work.command else { return Ok(None) };
        if let Some(key) = &work.key
            && self.database.one(FIND, kept_under(&work.caller, key, now)?).await?.is_some()
        {
            return Ok(None);
        }
        let by = work.performance(now, settings);
        candidates::find(Place::Database(&self.database), &by, matching).await.map(Some)
    }

    /// Does a command as part of `transaction`, whole or not at all.
    pub(super) async fn command_in(
        &self,
        transaction: &mut Transaction<'_>,
        caller: &Caller,
        command: &Command,
    ) -> Result<Outcome> {
        let mut joined = self.database.join(transaction)?;
        let mut settings = self.settings_within(&mut joined, caller, command).await?;
        let mut decisions = 1;
        loop {
            let (now, cursors) = (self.clock.now(), &self.cursors);
            let by = Performance { caller, now, cursors, settings: &settings, found: None };
            match perform_whole(&mut joined, &by, command).await {
                Err(error) if error.code() == SETTINGS_CHANGED && decisions < DECISIONS => decisions += 1,
                outcome => return outcome,
            }
            settings = self.settings_for(caller, command, true).await?;
        }
    }

    /// The settings for a command inside a transaction. Those that are remembered and still hold need no second
    /// connection: with as many transactions open as there are connections, none would become free.
    async fn settings_within(
        &self,
        joined: &mut Write<'_>,
        caller: &Caller,
        command: &Command,
    ) -> Result<Arc<Settings>> {
        if let Command::Batch(batch) = command {
            batch.check_size()?;
        }
        let mut settings = Settings::new();
        for collection in command.collections() {
            if !settings.contains_key(collection) {
                let known = self.configurations.within(joined, caller.tenant(), collection).await?;
                settings.insert(collection.clone(), known);
            }
        }
        Ok(Arc::new(settings))
    }

    async fn settings_for(&self, caller: &Caller, command: &Command, anew: bool) -> Result<Arc<Settings>> {
        if let Command::Batch(batch) = command {
            batch.check_size()?;
        }
        let mut settings = Settings::new();
        for collection in command.collections() {
            if !settings.contains_key(collection) {
                let known = match anew {
                    true => self.configurations.read(caller.tenant(), collection).await?,
                    false => self.configurations.recent(caller.tenant(), collection).await?,
                };
                settings.insert(collection.clone(), known);
            }
        }
        Ok(Arc::new(settings))
    }
}

/// Refuses whoever the rule of the first operation can never allow.
fn admits(caller: &Caller, command: &Command, settings: &Settings) -> Result<()> {
    let (collection, action) = match command {
        Command::Write(write) => (write.collection(), write.action()),
        Command::Matching(matching, _) => (&matching.collection, Action::List),
        Command::Batch(batch) => match batch.operations().first() {
            Some(operation) => (operation.collection(), operation.action()),
            None => return Ok(()),
        },
    };
    let admitted = settings.get(collection).map_or(Ok(()), |known| known.configured.rule(action).admits(caller));
    match command {
        Command::Batch(batch) => admitted.map_err(|error| batch.failed_at(0, error)),
        _ => admitted,
    }
}

/// Who performs a command, when, and by which settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Performance<'a> {
    pub(super) caller: &'a Caller,
    pub(super) now: Timestamp,
    pub(super) cursors: &'a CursorKey,
    settings: &'a Settings,
    /// What a write by filter looks at; if nothing was looked for, it does so within its transaction.
    pub(super) found: Option<&'a Candidates>,
}

impl<'a> Performance<'a> {
    /// The author of what is written to a collection of the command.
    pub(super) fn author(&self, collection: &CollectionName) -> Result<Author<'a>> {
        let known = self.settings.get(collection);
        let known = known.ok_or_else(|| Error::internal("a collection of a command without settings"))?;
        Ok(Author { caller: self.caller, known, now: self.now })
    }

    /// Whether hooks run in the command.
    pub(super) fn is_hooked(&self) -> bool {
        self.settings.values().any(|known| known.hooks.is_some())
    }

    /// Whether the documents of a collection neither refer to others nor are referred to by those of the command.
    pub(super) fn stands_apart(&self, collection: &CollectionName) -> bool {
        let refers = |known: &Known| known.configured.references().iter().any(|(_, target, _)| target == collection);
        let own = self.settings.get(collection).map(|known| known.configured.references());
        own.is_some_and(<[_]>::is_empty) && !self.settings.values().any(refers)
    }

    /// That nobody has changed the settings: what only reads has nothing else that would notice.
    async fn is_current(&self, write: &mut Write<'_>) -> Result<()> {
        let sql = "SELECT settings_version FROM universal_tenants WHERE id = $1";
        let row = write.one(sql, vec![self.caller.tenant().as_str().into()]).await?.ok_or_else(unknown_tenant)?;
        let version: i64 = column(&row, 0)?;
        let current = self.settings.values().all(|known| known.tenant_version == version);
        if current { Ok(()) } else { Err(settings_changed()) }
    }
}

/// Does what `command` says inside `write`'s transaction.
async fn perform(write: &mut Write<'_>, by: &Performance<'_>, command: &Command) -> Result<Outcome> {
    match command {
        Command::Write(operation) => {
            write::apply(write, by.author(operation.collection())?, operation).await.map(Outcome::Written)
        }
        Command::Batch(operations) => {
            by.is_current(write).await?;
            batch::perform(write, by, operations).await.map(Outcome::Batch)
        }
        Command::Matching(documents, change) => {
            by.is_current(write).await?;
            matching::perform(write, by, (documents, change)).await.map(Outcome::Affected)
        }
    }
}

/// The same, so that whoever keeps a transaction open that failed half-way keeps nothing of it.
async fn perform_whole(write: &mut Write<'_>, by: &Performance<'_>, command: &Command) -> Result<Outcome> {
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
async fn perform_once(
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
    if let Some(row) = write.one(FIND, kept_under(by.caller, key, by.now)?).await? {
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

/// The values of [`FIND`].
fn kept_under(caller: &Caller, key: &IdempotencyKey, now: Timestamp) -> Result<Vec<Value>> {
    let oldest = now.minus(LIFETIME).as_micros();
    let principal = idempotency::principal(caller)?;
    Ok(vec![caller.tenant().as_str().into(), principal.into(), key.as_str().into(), oldest.into()])
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
