//! A PostgreSQL database for one test, gone when the test is.

use std::{
    hash::{BuildHasher as _, RandomState},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tokio::sync::OnceCell;

use universal_core::{Backend, Settings};

use crate::environment::required;

/// The master key of every backend on PostgreSQL here.
pub const MASTER_KEY: &str = "5d1f0c5d1f0c5d1f0c5d1f0c5d1f0c5d1f0c5d1f0c5d1f0c5d1f0c5d1f0c5d1f";

static NUMBER: AtomicU32 = AtomicU32::new(0);
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// A database of its own, cloned from a migrated template and dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
}

impl TestDatabase {
    /// A database that the backend's migrations have run on.
    pub async fn migrated() -> Self {
        let template = TEMPLATE.get_or_init(template).await;
        let name = fresh_name("t");
        on_server(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { name }
    }

    /// A database with nothing in it.
    pub async fn empty() -> Self {
        let name = fresh_name("e");
        create_empty(&name).await;
        Self { name }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        url_of(&self.name)
    }

    /// A connection of the test's own, beside the backend's.
    pub async fn connect(&self) -> DatabaseConnection {
        Database::connect(self.url()).await.expect("the database of this test answers")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // On a thread of its own: the test's runtime may be ending, and blocking it would not help.
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(on_server(&statement));
        });
        if work.join().is_err() && !std::thread::panicking() {
            panic!("the database {} could not be dropped", self.name);
        }
    }
}

/// Text sorts by language rules here: nothing in the backend may lean on the collation of the database it is given.
async fn create_empty(name: &str) {
    let server = server().await;
    let by_language = format!("CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'");
    if server.execute_unprepared(&by_language).await.is_err() {
        // A PostgreSQL before 15, or built without ICU.
        let plain = format!("CREATE DATABASE {name} TEMPLATE template0");
        server.execute_unprepared(&plain).await.expect("the test server lets us create databases");
    }
    server.close().await.ok();
}

async fn template() -> String {
    let name = fresh_name("template");
    create_empty(&name).await;
    migrate(&url_of(&name)).await;
    name
}

async fn migrate(url: &str) {
    let mut settings = Settings::default();
    settings.database_url = Some(url.to_owned().into());
    settings.master_key = Some(MASTER_KEY.to_owned().into());
    let backend =
        Backend::builder().with_settings(settings).build().await.expect("the backend opens an empty database");
    backend.shutdown().await;
}

fn fresh_name(kind: &str) -> String {
    // A process may have the number of one whose databases were left behind.
    let chance = RandomState::new().hash_one(kind);
    format!("universal_{kind}_{}_{chance:x}_{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn url_of(database: &str) -> String {
    let server = required("UNIVERSAL_TEST_POSTGRES_URL");
    let (place, parameters) =
        server.split_once('?').map_or((server.as_str(), None), |(place, rest)| (place, Some(rest)));
    let host = place.rsplit_once('/').map_or(place, |(host, _)| host);
    parameters.map_or_else(|| format!("{host}/{database}"), |parameters| format!("{host}/{database}?{parameters}"))
}

async fn server() -> DatabaseConnection {
    Database::connect(required("UNIVERSAL_TEST_POSTGRES_URL"))
        .await
        .expect("the PostgreSQL of UNIVERSAL_TEST_POSTGRES_URL answers")
}

async fn on_server(statement: &str) {
    let server = server().await;
    server.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    server.close().await.ok();
}
