//! The text of a statement depends on the shape of what is asked, never on the names and values in it.
//!
//! Sets of texts come in everywhere, the same but for a word that each has of its own. There must be one that makes the
//! database see nothing that it has not seen: one set more may be the first during which a background task looks around.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, Once, PoisonError},
};

use sea_orm::{ConnectionTrait as _, DatabaseBackend, DatabaseConnection, Statement};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use universal_core::{Backend, error::ErrorKind, secret::MasterKey};
use universal_tests::{environment::Volume, postgres::TestDatabase};

use super::{
    places::{PLACES, prepare, send},
    texts::{AROUND, STEMS},
};

/// Words of one length that stand nowhere else.
const WORDS: [&str; 6] = ["qazone", "qaztwo", "qaztri", "qazfor", "qazfiv", "qazsix"];

/// The texts of one set.
fn set(word: &str) -> Vec<String> {
    let around = Volume::from_environment().pick(1, AROUND.len());
    let mut texts = vec![word.to_owned(), format!("a {word}"), format!("{word}-{word}"), format!("{word}\u{2019}s")];
    for (number, stem) in STEMS.iter().enumerate() {
        for step in 0..around {
            let (before, after) = AROUND[(number + step) % AROUND.len()];
            texts.push(format!("{before}{stem}{word}{after}"));
        }
    }
    texts
}

async fn play(backend: &Backend, word: &str) {
    for text in set(word) {
        for (place, of) in PLACES.iter().enumerate() {
            // With which codes is the matter of another test.
            if let Err(error) = send(backend, place, &text).await {
                assert_ne!(error.kind(), ErrorKind::Internal, "{}, {text:?}: {error:?}", of.name);
            }
        }
    }
}

/// Plays all sets; `seen` tells which statements the database has seen so far.
async fn compare<F: Future<Output = BTreeSet<String>>>(backend: &Backend, seen: impl Fn() -> F) {
    prepare(backend).await;
    let (mut known, mut counts, mut new) = (BTreeSet::new(), Vec::new(), Vec::new());
    for (number, word) in WORDS.iter().enumerate() {
        play(backend, word).await;
        let now = seen().await;
        new = now.difference(&known).cloned().collect();
        counts.push(now.len());
        known = now;
        if new.is_empty() && number > 1 {
            break;
        }
    }
    assert!(new.is_empty(), "other names and values made other statements ({counts:?}): {new:#?}");
    let named: Vec<_> = known.iter().filter(|sql| WORDS.iter().any(|word| sql.contains(word))).collect();
    assert!(named.is_empty(), "what a caller wrote is in a statement: {named:#?}");
    assert!(counts[0] > 20, "{} statements: they are not seen", counts[0]);
    println!("{counts:?} statements after each set");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_on_postgresql_do_not_depend_on_names_and_values() {
    let database = TestDatabase::migrated().await;
    let connection = database.connect().await;
    let row = connection.query_one_raw(statement("SHOW shared_preload_libraries")).await.unwrap().unwrap();
    let libraries: String = row.try_get_by_index(0).unwrap();
    assert!(
        libraries.contains("pg_stat_statements"),
        "the PostgreSQL of UNIVERSAL_TEST_POSTGRES_URL must be started with shared_preload_libraries=pg_stat_statements"
    );
    connection.execute_unprepared("CREATE EXTENSION pg_stat_statements").await.unwrap();
    let builder = Backend::builder().in_memory().with_postgres_connection(database.connect().await);
    let backend = builder.with_master_key(MasterKey::generate().unwrap()).build().await.unwrap();
    compare(&backend, || statements_of(&connection)).await;
    backend.shutdown().await;
}

fn statement(sql: &str) -> Statement {
    Statement::from_string(DatabaseBackend::Postgres, sql)
}

async fn statements_of(connection: &DatabaseConnection) -> BTreeSet<String> {
    // The query about the statements is one of them.
    let sql = "SELECT DISTINCT query FROM pg_stat_statements
        WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query NOT LIKE '%pg_stat_statements%'";
    let rows = connection.query_all_raw(statement(sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_on_sqlite_do_not_depend_on_names_and_values() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| tracing::subscriber::set_global_default(Listener).expect("no other test listens"));
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::open(folder.path()).await.unwrap();
    let name = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
    compare(&backend, || async {
        let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|(database, _)| database.contains(&name)).flat_map(|(_, sql)| sql.clone()).collect()
    })
    .await;
    backend.shutdown().await;
}

/// The statements of every SQLite database of this process.
static SEEN: Mutex<BTreeMap<String, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// Hears the texts of statements, and nothing else.
struct Listener;

const STATEMENTS: &str = "universal_core::sql";

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target() == STATEMENTS { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == STATEMENTS
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut heard = Heard::default();
        event.record(&mut heard);
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        let of = seen.entry(heard.database).or_default();
        if !of.contains(&heard.sql) {
            of.insert(heard.sql);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Heard {
    database: String,
    sql: String,
}

impl Visit for Heard {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "database" => value.clone_into(&mut self.database),
            "sql" => value.clone_into(&mut self.sql),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
