//! Filters that cost as much as a filter may are refused, or answered alike by both databases.

use std::time::{Duration, Instant};

use serde_json::json;
use universal_core::{
    Caller, TenantId,
    collections::{Batch, Counting, ListQuery, NewDocument},
    error::ErrorKind,
    id::{CollectionName, DocumentId},
    json::Object,
    page::Limit,
};
use universal_tests::environment::Volume;

use crate::conformance::subject::{On, Subject, subject};

const DOCUMENTS: usize = 2_000;

/// A filter of the kind and size that `number` says.
pub(super) fn filter(number: usize) -> String {
    // Up to 249: past the 200 values of an `in` and near the 256 nodes that an expression has at most.
    let size = number / 8 * 2 + 1;
    let joined = |part: &dyn Fn(usize) -> String, between: &str| (0..size).map(part).collect::<Vec<_>>().join(between);
    match number % 8 {
        0 => joined(&|n| format!("n == {n}"), " || "),
        1 => format!("n in [{}]", joined(&|n| (n * 7).to_string(), ", ")),
        2 => format!("text.matches(\"(a{{1,{size}}}){{1,{size}}}$\")"),
        3 => format!("text.matches(\"{}\")", "(a|aa|b)*".repeat(size)),
        4 => joined(&|n| format!("text.contains(\"{}b\")", "a".repeat(n % 90)), " && !"),
        5 => format!("{}n == 1{}", "!(".repeat(size), ")".repeat(size)),
        6 => format!("\"{}\" in doc.list || size(doc.list) > {size}", "x".repeat(size)),
        _ => format!("{} > 5", joined(&|n| format!("n * {n}"), " + ")),
    }
}

async fn fill(subject: &Subject, name: &CollectionName) {
    let caller = Caller::system(TenantId::default_tenant());
    for first in (0..DOCUMENTS).step_by(500) {
        let batch = (first..first + 500).fold(Batch::new(), |batch, n| {
            let list: Vec<_> = (0..n % 50).map(|item| format!("x{item}")).collect();
            let body = json!({"n": n % 200, "text": "a".repeat(n % 100), "list": list});
            let document = NewDocument::new(Object::from_value(body).unwrap());
            batch.create(name, document.with_id(DocumentId::new(format!("d{n:05}")).unwrap()))
        });
        subject.backend.collections().batch(&caller, batch).await.unwrap();
    }
}

/// The ids of the first page and the count, or the code of the refusal; and how long it took.
async fn ask(
    subject: &Subject,
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
    let answer = match subject.backend.collections().list(&caller, name, &query).await {
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

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_cost_the_most_are_refused_or_answered_alike() {
    let (sqlite, postgres) = (subject(On::Sqlite).await, subject(On::Postgres).await);
    let name = CollectionName::new("targets").unwrap();
    fill(&sqlite, &name).await;
    fill(&postgres, &name).await;
    let (mut refused, mut slowest) = (0, (Duration::ZERO, String::new()));
    let step = Volume::from_environment().pick(7, 1);
    for number in (0..1_000).step_by(step) {
        let filter = filter(number);
        let (here, there) = (ask(&sqlite, &name, &filter).await, ask(&postgres, &name, &filter).await);
        assert_eq!(here.0, there.0, "{filter}: SQLite, then PostgreSQL");
        refused += usize::from(here.0.is_err());
        let time = here.1.max(there.1);
        if time > slowest.0 {
            slowest = (time, filter);
        }
    }
    assert!(refused > 0, "none of them was above the limits");
    println!("{refused} refused; the slowest took {:?}: {}", slowest.0, slowest.1.chars().take(80).collect::<String>());
    sqlite.backend.shutdown().await;
    postgres.backend.shutdown().await;
}
