//! One write: statements inside a transaction, and what must be told to others once it is committed.

use std::fmt;

use sea_orm::{DatabaseTransaction, Value};

#[cfg(feature = "sqlite")]
use crate::drivers::sql::sqlite::{connection::NativeConnection, heads::Heads};
use crate::{
    drivers::sql::{
        dialect::Dialect,
        statement::{self, Row},
    },
    error::Result,
    id::TenantId,
};

/// Statements inside a transaction that somebody else begins and ends.
pub(crate) struct Write<'t> {
    connection: Link<'t>,
    dialect: Dialect,
    effects: &'t mut Effects,
}

/// Where the statements run.
enum Link<'t> {
    /// In a transaction of sea-orm: PostgreSQL, and one that a host runs its own SQL in.
    Orm(&'t DatabaseTransaction),
    /// On SQLite's writer, whose thread polls the operation: its statements answer at once.
    #[cfg(feature = "sqlite")]
    Native(&'t mut NativeConnection, &'t mut Heads),
}

/// Where a change gets its number from.
#[cfg(feature = "sqlite")]
pub(super) enum Numbering {
    /// It is this one, to be taken when the change stands.
    Next(i64),
    /// The tenant has no feed.
    NoFeed,
    /// The statement that records it reads and raises the head.
    ByStatement,
}

/// What a transaction did that matters to others after its commit.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Whether a statement changed anything, so that a failure needs a rollback.
    wrote: bool,
    /// How many statements changed something, or failed.
    changes: u64,
    /// Whether a statement failed or was given up half-way: nobody knows then what the transaction
    /// holds (PostgreSQL has aborted it, SQLite may have rolled it back), so it must not be committed.
    broken: bool,
    /// Tenants whose feed grew, with the last number where it is known (SQLite numbers inline).
    tenants: Vec<(TenantId, Option<i64>)>,
    /// Whether a job was queued.
    jobs: bool,
    /// The id that this transaction's changes share, drawn when the first is recorded.
    transaction_id: Option<i64>,
}

impl<'t> Write<'t> {
    pub(crate) fn new(connection: &'t DatabaseTransaction, dialect: Dialect, effects: &'t mut Effects) -> Self {
        Self { connection: Link::Orm(connection), dialect, effects }
    }

    /// Statements on SQLite's writer.
    #[cfg(feature = "sqlite")]
    pub(super) fn native(connection: &'t mut NativeConnection, heads: &'t mut Heads, effects: &'t mut Effects) -> Self {
        Self { connection: Link::Native(connection, heads), dialect: Dialect::Sqlite, effects }
    }

    /// The number that [`Self::next_number`] gave is used.
    #[cfg(feature = "sqlite")]
    pub(super) fn took_number(&mut self, tenant: &TenantId) {
        if let Link::Native(_, heads) = &mut self.connection {
            heads.took(tenant);
        }
    }

    /// The number of a tenant's next change, if the transaction's end stores the feed's head: then nobody else
    /// need do it. A transaction of sea-orm ends elsewhere.
    #[cfg(feature = "sqlite")]
    pub(super) fn next_number(&mut self, tenant: &TenantId) -> Result<Numbering> {
        let attempt = self.effects.attempt();
        let number = match &mut self.connection {
            Link::Orm(_) => Numbering::ByStatement,
            Link::Native(connection, heads) => {
                heads.next(connection, tenant)?.map_or(Numbering::NoFeed, Numbering::Next)
            }
        };
        self.effects.answered(attempt, false);
        Ok(number)
    }

    /// The transaction, to lend it to code of the host's; `None` if others write in it too.
    pub(super) fn lend(&mut self) -> Option<(&'t DatabaseTransaction, &mut Effects)> {
        match &self.connection {
            Link::Orm(connection) => Some((*connection, &mut *self.effects)),
            #[cfg(feature = "sqlite")]
            Link::Native(..) => None,
        }
    }

    /// Which SQL is spoken.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Runs a statement; answers how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: &str, values: Vec<Value>) -> Result<u64> {
        let attempt = self.effects.attempt();
        let changed = match &mut self.connection {
            Link::Orm(connection) => statement::execute(*connection, self.dialect, sql, values).await?,
            #[cfg(feature = "sqlite")]
            Link::Native(connection, _) => connection.execute(sql, &values)?,
        };
        self.effects.answered(attempt, changed > 0);
        Ok(changed)
    }

    /// The first row of a query or of a statement with `RETURNING`.
    pub(crate) async fn one(&mut self, sql: &str, values: Vec<Value>) -> Result<Option<Row>> {
        let attempt = self.effects.attempt();
        let row = match &mut self.connection {
            Link::Orm(connection) => statement::one(*connection, self.dialect, sql, values).await?,
            #[cfg(feature = "sqlite")]
            Link::Native(connection, _) => connection.one(sql, &values)?,
        };
        self.effects.answered(attempt, row.is_some() && !is_read(sql));
        Ok(row)
    }

    /// All rows of a query or of a statement with `RETURNING`.
    pub(crate) async fn all(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        let attempt = self.effects.attempt();
        let rows = match &mut self.connection {
            Link::Orm(connection) => statement::all(*connection, self.dialect, sql, values).await?,
            #[cfg(feature = "sqlite")]
            Link::Native(connection, _) => connection.all(sql, &values)?,
        };
        self.effects.answered(attempt, !rows.is_empty() && !is_read(sql));
        Ok(rows)
    }

    /// How many statements have changed something. A step that failed and left it as it was has left nothing behind.
    pub(crate) fn changes(&self) -> u64 {
        self.effects.changes
    }

    /// After the commit, the job workers of this process look at the queue.
    pub(crate) fn signal_jobs(&mut self) {
        self.effects.jobs = true;
    }

    /// After the commit, the tenant's subscribers look at the feed.
    pub(crate) fn signal_feed(&mut self, tenant: &TenantId, seq: Option<i64>) {
        match self.effects.tenants.iter_mut().find(|(known, _)| known == tenant) {
            Some(entry) => entry.1 = seq,
            None => self.effects.tenants.push((tenant.clone(), seq)),
        }
    }

    /// The id that all changes of this transaction carry.
    pub(crate) fn transaction_id(&mut self) -> Result<i64> {
        if let Some(id) = self.effects.transaction_id {
            return Ok(id);
        }
        let mut bytes = [0_u8; 8];
        getrandom::fill(&mut bytes).map_err(|error| crate::error::Error::internal(error.to_string()))?;
        let id = i64::from_le_bytes(bytes) & i64::MAX;
        self.effects.transaction_id = Some(id);
        Ok(id)
    }
}

/// A statement that has been sent. Until it answers, the transaction counts as broken: its future
/// may be dropped, and the database does the work all the same.
struct Attempt {
    broken_before: bool,
}

impl Effects {
    fn attempt(&mut self) -> Attempt {
        self.changes += 1;
        Attempt { broken_before: std::mem::replace(&mut self.broken, true) }
    }

    fn answered(&mut self, attempt: Attempt, wrote: bool) {
        self.broken = attempt.broken_before;
        self.wrote |= wrote;
        if !wrote {
            self.changes -= 1;
        }
    }

    /// Counts what somebody did whose statements are not seen here.
    pub(super) fn touched(&mut self) {
        self.wrote = true;
        self.changes += 1;
    }

    /// Hands them over. Until they are given back, the transaction counts as broken.
    pub(super) fn give_away(&mut self) -> Self {
        std::mem::replace(self, Self { broken: true, ..Self::default() })
    }

    /// Whether the transaction can only be rolled back, whatever its operation answered.
    pub(crate) fn broken(&self) -> bool {
        self.broken
    }

    /// Whether a statement changed anything.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "only SQLite commits in groups"))]
    pub(crate) fn wrote(&self) -> bool {
        self.wrote
    }

    /// Whether the job workers have to look.
    pub(crate) fn jobs(&self) -> bool {
        self.jobs
    }

    /// Tenants whose feed grew.
    pub(crate) fn tenants(&self) -> &[(TenantId, Option<i64>)] {
        &self.tenants
    }

    /// Adds what another write of the same commit did.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "only SQLite commits in groups"))]
    pub(crate) fn merge(&mut self, other: Self) {
        self.wrote |= other.wrote;
        self.broken |= other.broken;
        self.jobs |= other.jobs;
        for (tenant, seq) in other.tenants {
            match self.tenants.iter_mut().find(|(known, _)| *known == tenant) {
                Some(entry) => entry.1 = seq,
                None => self.tenants.push((tenant, seq)),
            }
        }
    }
}

impl fmt::Debug for Write<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write").field("dialect", &self.dialect).field("effects", &self.effects).finish_non_exhaustive()
    }
}

fn is_read(sql: &str) -> bool {
    sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select"))
}
