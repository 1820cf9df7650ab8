//! The storage suite on every pair of a database and a store.
#![cfg(all(feature = "testing", any(feature = "sqlite", feature = "postgres")))]

use std::sync::Arc;

use crate::{
    clock::{ManualClock, Timestamp},
    conformance::{
        case::Case,
        storage::{Fixture, cases},
    },
    drivers::{
        blob::{BlobStorage, BlobStore},
        sql::{
            catalog::SqlCatalog,
            connection::{Database, Signals},
            open::OpenOptions,
        },
    },
    engine::local::LocalBus,
    secret::MasterKey,
    storage::Signer,
};

fn fixture(database: &Database, store: BlobStore) -> Fixture {
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
    let catalog = Arc::new(SqlCatalog::new(database.clone()));
    let objects = store.object_store();
    let signer = Signer::new(&MasterKey::generate().unwrap());
    let storage = Arc::new(BlobStorage::new(catalog, store, signer, clock.clone()));
    Fixture { storage: storage.clone(), sweep: storage, store: objects, clock }
}

async fn report(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
}

async fn run(case: &Case<Fixture>, fixture: Fixture, failures: &mut Vec<String>) {
    if let Err(failure) = (case.run)(fixture).await {
        failures.push(format!("{}: {failure}", case.name));
    }
}

#[cfg(feature = "sqlite")]
async fn sqlite() -> Database {
    let signals = Signals::new(Arc::new(LocalBus::new()));
    Database::open_temporary(&OpenOptions::default(), signals).await.unwrap()
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_and_memory() {
    let mut failures = Vec::new();
    for case in cases() {
        let database = sqlite().await;
        run(&case, fixture(&database, BlobStore::memory()), &mut failures).await;
        database.shutdown().await;
    }
    report(failures).await;
}

#[cfg(all(feature = "sqlite", feature = "fs"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_and_disk() {
    let mut failures = Vec::new();
    for case in cases() {
        let (database, folder) = (sqlite().await, tempfile::tempdir().unwrap());
        let store = BlobStore::local(folder.path().join("files")).await.unwrap();
        run(&case, fixture(&database, store), &mut failures).await;
        // Drafts of dropped uploads go in the background, or with the sweep that the cases end with.
        for folder in std::fs::read_dir(folder.path().join("files")).unwrap() {
            for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                if name.len() != 32 || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
                    failures.push(format!("{}: left {name}", case.name));
                }
            }
        }
        database.shutdown().await;
    }
    report(failures).await;
}

#[cfg(all(feature = "sqlite", feature = "fs"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_upload_is_swept_with_its_draft() {
    use crate::storage::{Catalog as _, Sweep as _, Version};
    let (database, folder) = (sqlite().await, tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
    let catalog = Arc::new(SqlCatalog::new(database.clone()));
    let store = BlobStore::local(folder.path()).await.unwrap();
    let signer = Signer::new(&MasterKey::generate().unwrap());
    let storage = BlobStorage::new(catalog.clone(), store, signer, clock.clone());
    let tenant = crate::id::TenantId::default_tenant();
    // What a kill leaves: a row, and a draft or the whole file.
    std::fs::create_dir(folder.path().join("default")).unwrap();
    for suffix in ["#1", "", "none"] {
        let version = Version::generate();
        catalog.begin(&tenant, &version, Timestamp::from_micros(0)).await.unwrap();
        if suffix != "none" {
            std::fs::write(folder.path().join("default").join(format!("{}{suffix}", version.as_str())), b"part")
                .unwrap();
        }
    }
    let swept = storage.sweep(std::time::Duration::from_secs(3600)).await.unwrap();
    assert_eq!((swept.deleted, swept.failed), (3, 0));
    assert_eq!(std::fs::read_dir(folder.path().join("default")).unwrap().count(), 0);
    database.shutdown().await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_and_memory() {
    let server = std::env::var("UNIVERSAL_TEST_POSTGRES_URL").expect("a server to test on; `tests/run` starts one");
    let mut failures = Vec::new();
    let name = format!("storage_suite_{}", std::process::id());
    let admin = sqlx::PgPool::connect(&server).await.unwrap();
    for case in cases() {
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&admin).await.unwrap();
        let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
        let signals = Signals::new(Arc::new(LocalBus::new()));
        let database = Database::open_postgres(&url, &OpenOptions::default(), signals).await.unwrap();
        run(&case, fixture(&database, BlobStore::memory()), &mut failures).await;
        database.shutdown().await;
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&admin).await.unwrap();
    }
    report(failures).await;
}
