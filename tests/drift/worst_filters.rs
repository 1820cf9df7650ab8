//! Filters that cost as much as a filter may are refused, or answered alike by both databases.

use std::{
    hash::{BuildHasher as _, RandomState},
    ops::Range,
    time::{Duration, Instant},
};

use proptest::{
    prelude::Rng as _,
    test_runner::{RngAlgorithm, TestRng},
};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, Statement};
use serde_json::json;
use universal_core::{
    Backend, Caller, Settings, TenantId,
    collections::{Batch, Counting, ListQuery, NewDocument},
    error::ErrorKind,
    expr::{Expression, Scope},
    id::{CollectionName, DocumentId},
    json::Object,
    page::Limit,
};
use universal_tests::{
    environment::Volume,
    postgres::{MASTER_KEY, TestDatabase},
};

use crate::conformance::subject::{On, subject};

const DOCUMENTS: usize = 2_000;

/// A filter of the kind and size that `number` says.
pub(super) fn filter(number: usize) -> String {
    // Up to 125, or 249 where less is at stake: past the 200 values of an `in` and near the 256 nodes that an expression
    // has at most.
    let size = number / 16 * 2 + 1;
    let large = size * 2 - 1;
    let joined = |part: &dyn Fn(usize) -> String, between: &str| (0..size).map(part).collect::<Vec<_>>().join(between);
    match number % 16 {
        0 => (0..large).map(|n| format!("n == {n}")).collect::<Vec<_>>().join(" || "),
        1 => format!("n in [{}]", (0..large).map(|n| (n * 7).to_string()).collect::<Vec<_>>().join(", ")),
        2 => format!("text.matches(\"(a{{1,{large}}}){{1,{large}}}$\")"),
        3 => format!("text.matches(\"{}\")", "(a|aa|b)*".repeat(size)),
        4 => joined(&|n| format!("text.contains(\"{}b\")", "a".repeat(n % 90)), " && !"),
        5 => format!("{}n == 1{}", "!(".repeat(size), ")".repeat(size)),
        6 => format!("\"{}\" in doc.list || size(doc.list) > {large}", "x".repeat(large)),
        7 => format!("{} > 5", joined(&|n| format!("n * {n}"), " + ")),
        // The same, balanced: what is nested grows by the logarithm of what is calculated.
        8 => format!("{} > 5", balanced(&|n| format!("n * {n}.5"), 0..size, "+")),
        9 => format!("{} == \"a\"", balanced(&|n| format!("m{}", n % 3), 0..size, "+")),
        10 => format!("{} > 5", balanced(&|n| format!("n / {}", n + 1), 0..size, "-")),
        11 => joined(&|n| format!("\"x{}\" in doc.list", n + 40), " || "),
        12 => joined(&|n| format!("size(doc.list) + {n} < 0"), " || "),
        13 => joined(&|n| format!("(text < m{}) == (n > {n})", n % 3), " || "),
        14 => format!("n in [{}]", joined(&|n| format!("m{}", n % 3), ", ")),
        _ => format!("{} > 5", balanced(&|n| format!("(n > {n} ? 1 : 2)"), 0..size, "+")),
    }
}

/// Parts in brackets: `((a + b) + (c + d))`.
fn balanced(part: &dyn Fn(usize) -> String, range: Range<usize>, operator: &str) -> String {
    if range.len() < 2 {
        return part(range.start);
    }
    let middle = range.start + range.len() / 2;
    let (left, right) = (balanced(part, range.start..middle, operator), balanced(part, middle..range.end, operator));
    format!("({left} {operator} {right})")
}

/// A filter that puts parts drawn by chance together, as long as they are not refused.
fn drawn(random: &mut TestRng) -> String {
    let mut some = |most: usize| usize::try_from(random.next_u64() % most as u64).unwrap();
    let mut whole = "n >= 0".to_owned();
    for _ in 0..1 + some(40) {
        let part = filter(some(160));
        let longer = format!("({whole}) {} ({part})", ["&&", "||"][some(2)]);
        if Expression::parse(&longer, Scope::Filter).is_ok_and(|longer| longer.listable().is_ok()) {
            whole = longer;
        }
    }
    whole
}

async fn fill(backend: &Backend, name: &CollectionName) {
    let caller = Caller::system(TenantId::default_tenant());
    for first in (0..DOCUMENTS).step_by(500) {
        let batch = (first..first + 500).fold(Batch::new(), |batch, n| {
            let list: Vec<_> = (0..n % 50).map(|item| format!("x{item}")).collect();
            let text = "a".repeat(n % 100);
            let body = json!({"n": n % 200, "text": text, "list": list, "m0": n % 7, "m1": n % 11, "m2": text});
            let document = NewDocument::new(Object::from_value(body).unwrap());
            batch.create(name, document.with_id(DocumentId::new(format!("d{n:05}")).unwrap()))
        });
        backend.collections().batch(&caller, batch).await.unwrap();
    }
}

/// The ids of the first page and the count, or the code of the refusal; and how long it took.
async fn ask(
    backend: &Backend,
    name: &CollectionName,
    filter: &str,
) -> (Result<(Vec<String>, String), String>, Duration) {
    let begun = Instant::now();
    let query = match ListQuery::new().with_filter(filter) {
        Ok(query) => query.with_limit(Limit::new(20).unwrap()).with_count(Counting::Exact),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{filter}: {error:?}");
            return (Err(error.code().to_owned()), begun.elapsed());
        }
    };
    let caller = Caller::system(TenantId::default_tenant());
    let answer = match backend.collections().list(&caller, name, &query).await {
        Ok(page) => {
            let ids = page.value.items.iter().map(|document| document.id.as_str().to_owned()).collect();
            Ok((ids, format!("{:?}", page.value.count)))
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{filter}: {error:?}");
            Err(error.code().to_owned())
        }
    };
    (answer, begun.elapsed())
}

/// A backend that opens the database itself, as it is measured.
async fn on_postgres(database: &TestDatabase) -> Backend {
    let mut settings = Settings::default();
    settings.database_url = Some(database.url().into());
    settings.master_key = Some(MASTER_KEY.to_owned().into());
    Backend::builder().in_memory().with_settings(settings).build().await.unwrap()
}

/// `UNIVERSAL_TEST_SEED`, or another number with every run.
fn seed() -> u64 {
    match std::env::var("UNIVERSAL_TEST_SEED") {
        Ok(seed) => seed.parse().expect("UNIVERSAL_TEST_SEED is a number"),
        Err(_) => RandomState::new().hash_one("filters"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_does_not_compile_statements_on_connections_of_ours() {
    let database = TestDatabase::migrated().await;
    let backend = on_postgres(&database).await;
    let compiled: String = backend
        .transaction(|tx| {
            Box::pin(async move {
                let connection = tx.connection::<DatabaseTransaction>().expect("SQL");
                let show = Statement::from_string(connection.get_database_backend(), "SHOW jit");
                let row = connection.query_one_raw(show).await.expect("a setting").expect("a row");
                Ok(row.try_get_by_index(0).expect("a text"))
            })
        })
        .await
        .unwrap();
    assert_eq!(compiled, "off");
    backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_cost_the_most_are_refused_or_answered_alike() {
    let seed = seed();
    println!("UNIVERSAL_TEST_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let database = TestDatabase::migrated().await;
    let (sqlite, postgres) = (subject(On::Sqlite).await.backend, on_postgres(&database).await);
    let name = CollectionName::new("targets").unwrap();
    fill(&sqlite, &name).await;
    fill(&postgres, &name).await;
    let volume = Volume::from_environment();
    let fixed = (0..1_000).step_by(volume.pick(7, 1)).map(filter);
    let by_chance = (0..volume.pick(20, 1_000)).map(|_| drawn(&mut random));
    let (mut refused, mut slow, mut times) = (0, 0, Vec::new());
    for filter in fixed.chain(by_chance) {
        let (here, there) = (ask(&sqlite, &name, &filter).await, ask(&postgres, &name, &filter).await);
        assert_eq!(here.0, there.0, "UNIVERSAL_TEST_SEED={seed} {filter}: SQLite, then PostgreSQL");
        refused += usize::from(here.0.is_err());
        slow += usize::from(here.1.max(there.1) > Duration::from_millis(200));
        times.push((here.1.max(there.1), here.1, there.1, filter));
    }
    assert!(refused > 0, "none of them was above the limits");
    assert!(refused < times.len() * 4 / 5, "{refused} of {} were above the limits", times.len());
    times.sort();
    println!("{refused} of {} refused; {slow} took more than 200 ms; the slowest:", times.len());
    for (_, here, there, filter) in times.iter().rev().take(5) {
        let begin: String = filter.chars().take(80).collect();
        println!("  SQLite {here:?}, PostgreSQL {there:?}: {} bytes {begin}", filter.len());
    }
    sqlite.shutdown().await;
    postgres.shutdown().await;
}
