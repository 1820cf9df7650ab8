//! Different values at the bounds of an answer, which has no cursor: both databases end it where the model does.

use serde_json::{Value, json};
use universal_core::{
    Caller, TenantId,
    collections::{Batch, DistinctQuery, GroupLimit, NewDocument},
    id::{CollectionName, DocumentId},
    json::Object,
};

use super::value;
use crate::conformance::subject::{On, Subject, subject};

/// How many values an answer holds.
const MOST: u32 = 1_000;
/// How many bytes of values an answer holds.
const BYTES: usize = 8 * 1024 * 1024;
/// What a value counts beside its text.
const BESIDE: usize = 64;

/// What is answered of these values, those that tie in the order of their ids.
fn expected(mut values: Vec<Value>, limit: u32) -> (Vec<Value>, bool) {
    values.sort_by(|a, b| value::order(Some(a), Some(b)));
    values.dedup();
    let mut bytes = 0;
    let fit = values.iter().take(limit as usize).take_while(|value| {
        bytes += value.to_string().len() + BESIDE;
        bytes <= BYTES
    });
    let fit = fit.count();
    let more = values.len() > fit;
    values.truncate(fit);
    (values, more)
}

async fn fill(subject: &Subject, name: &CollectionName, values: &[Value]) {
    let caller = Caller::system(TenantId::default_tenant());
    // A batch holds 500 documents and 16 MiB.
    let size = if values.len() < 100 { 8 } else { 500 };
    for (part, values) in values.chunks(size).enumerate() {
        let batch = values.iter().enumerate().fold(Batch::new(), |batch, (number, value)| {
            let document = NewDocument::new(Object::from_value(json!({"v": value})).unwrap());
            let id = DocumentId::new(format!("d{:06}", part * size + number)).unwrap();
            batch.create(name, document.with_id(id))
        });
        subject.backend.collections().batch(&caller, batch).await.unwrap();
    }
}

async fn answer(subject: &Subject, name: &CollectionName, limit: u32) -> (Vec<Value>, bool) {
    let query = DistinctQuery::new("v").unwrap().with_limit(GroupLimit::new(limit).unwrap());
    let caller = Caller::system(TenantId::default_tenant());
    let found = subject.backend.collections().distinct(&caller, name, &query).await.unwrap().value;
    (found.values, found.more)
}

#[tokio::test(flavor = "multi_thread")]
async fn different_values_end_at_their_bounds_as_the_model_says() {
    let subjects = [subject(On::Sqlite).await, subject(On::Postgres).await];
    let many: Vec<Value> = (0..1_300)
        .map(|number| match number % 6 {
            0 => json!(number),
            1 => json!(f64::from(number) / 7.0),
            2 => json!(format!("t{}", number % 700)),
            3 => json!([number, null]),
            4 => json!({"k": number}),
            _ => json!(-number),
        })
        .map(|value| value::canonical(&value))
        .collect();
    let different = u32::try_from(expected(many.clone(), u32::MAX).0.len()).unwrap();
    assert!(different > MOST);
    // Short as we write them; PostgreSQL prints more than 8 MiB of them.
    let exponents: Vec<Value> =
        (0..30).map(|number| json!(vec![json!(1e300 * f64::from(number + 1)); 1_000])).collect();
    // More than 8 MiB of texts, and numbers, which come before them.
    let texts = (0..9).map(|number| json!(format!("{}{number}", "x".repeat(1_000_000))));
    let large: Vec<Value> = texts.chain((0..91).map(|number| json!(number))).collect();
    for (name, values, limits) in
        [("many", many, vec![MOST, 999, 1]), ("exponents", exponents, vec![30, 29]), ("large", large, vec![1_000])]
    {
        let name = CollectionName::new(name).unwrap();
        for subject in &subjects {
            fill(subject, &name, &values).await;
        }
        for limit in limits {
            let expected = expected(values.clone(), limit);
            for (subject, on) in subjects.iter().zip([On::Sqlite, On::Postgres]) {
                let found = answer(subject, &name, limit).await;
                assert_eq!((found.0.len(), found.1), (expected.0.len(), expected.1), "{on:?} {name} {limit}");
                assert!(found.0 == expected.0, "{on:?} {name} {limit}: other values");
            }
        }
    }
    for subject in subjects {
        subject.backend.shutdown().await;
    }
}
