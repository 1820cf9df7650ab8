//! A backend for a suite, and the way a suite is run.

use std::{fmt::Write as _, sync::Arc};

use universal_core::{
    Backend,
    clock::{Clock as _, ManualClock, SystemClock},
    conformance::case::Case,
    secret::MasterKey,
};
use universal_tests::postgres::TestDatabase;

/// A backend for a suite, and what must outlive it.
pub(crate) struct Subject {
    pub(crate) backend: Backend,
    pub(crate) clock: Arc<ManualClock>,
    database: Option<TestDatabase>,
}

impl Subject {
    /// A connection of the test's own to the PostgreSQL it stands on.
    pub(crate) async fn connect(&self) -> sea_orm::DatabaseConnection {
        self.database.as_ref().expect("a backend on PostgreSQL").connect().await
    }
}

/// On which database a suite runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    Sqlite,
    Postgres,
}

pub(crate) async fn subject(on: On) -> Subject {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let builder = Backend::builder().in_memory().with_clock(Arc::clone(&clock) as _);
    match on {
        On::Sqlite => {
            let backend = builder.build().await.expect("a temporary SQLite backend opens");
            Subject { backend, clock, database: None }
        }
        On::Postgres => {
            let database = TestDatabase::migrated().await;
            let builder = builder.with_postgres_connection(database.connect().await);
            let backend = builder.with_master_key(MasterKey::generate().unwrap()).build().await;
            let backend = backend.expect("a backend opens on PostgreSQL");
            Subject { backend, clock, database: Some(database) }
        }
    }
}

/// Runs all cases; one that fails hides no other.
pub(crate) async fn run<F: Clone>(cases: impl IntoIterator<Item = Case<F>>, fixture: F) {
    let (mut failures, mut count) = (String::new(), 0);
    for case in cases {
        count += 1;
        if let Err(found) = (case.run)(fixture.clone()).await {
            writeln!(failures, "  {}: {found}", case.name).unwrap();
        }
    }
    assert!(failures.is_empty(), "of {count} promises these are not kept:\n{failures}");
    println!("{count} promises kept");
}
