//! Names and values that attack a database are data to both, wherever they come in.

use std::time::Duration;

use serde_json::{Value, json};
use universal_core::{
    Caller, TenantId,
    collections::{
        AggregateQuery, CollectionSettings, DistinctQuery, IndexSettings, ListQuery, Matching, NewDocument,
        Precondition, SearchSettings,
    },
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId},
    json::Object,
};
use universal_tests::{environment::Volume, wait::until};

use super::player::refusal;
use crate::conformance::subject::{On, Subject, subject};

const STEMS: [&str; 40] = [
    "'",
    "\"",
    "`",
    "\\",
    "''",
    "';",
    "\";",
    "') OR ('1'='1",
    "' OR 1=1 --",
    "\" OR \"\"=\"",
    "1; DROP TABLE universal_documents",
    "'; DROP TABLE universal_documents; --",
    "' UNION SELECT NULL,NULL,NULL --",
    "') UNION ALL SELECT body FROM universal_documents --",
    "1 AND SLEEP(5)",
    "'; SELECT pg_sleep(5); --",
    "' AND 1=(SELECT COUNT(*) FROM sqlite_master) --",
    "$1",
    "$2",
    "?1",
    ":name",
    "@p1",
    "%",
    "_",
    "%%",
    "%s",
    "%27",
    "a.b.c",
    "a[0]",
    "$.a",
    "$.a.b",
    "{a,b}",
    "->>",
    "#>>",
    "::int",
    "/*",
    "*/ OR 1=1 /*",
    "--",
    "\u{2019}",
    "\u{202E}txt",
];
const AROUND: [(&str, &str); 13] = [
    ("", ""),
    ("a", ""),
    ("", "a"),
    ("'", "'"),
    ("\"", "\""),
    ("(", ")"),
    ("[\"", "\"]"),
    ("doc.", ""),
    ("a == ", ""),
    (" ", " "),
    ("\u{0}", ""),
    ("\n", "\t"),
    ("💥", "\u{FEFF}"),
];
const ENCODED: [fn(&str) -> String; 6] = [
    str::to_owned,
    |text| text.replace('\'', "%27").replace(' ', "%20"),
    str::to_uppercase,
    |text| text.repeat(40),
    |text| text.chars().rev().collect(),
    |text| format!("name' {text} = 'x"),
];

/// At least 2 000 different texts.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for encode in ENCODED {
        for stem in STEMS {
            texts.extend(AROUND.iter().map(|(before, after)| encode(&format!("{before}{stem}{after}"))));
        }
    }
    texts.push("x".repeat(64 * 1024));
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// Where a text can come in.
const PLACES: usize = 17;

async fn send(subject: &Subject, place: usize, text: &str) -> Result<Value> {
    let (collections, caller) = (subject.backend.collections(), Caller::system(TenantId::default_tenant()));
    let on = CollectionName::new("targets")?;
    let quoted = serde_json::to_string(text).map_err(|error| Error::invalid("text", error.to_string()))?;
    let ids = |items: &[universal_core::collections::Document]| -> Value {
        items.iter().map(|item| item.id.as_str()).collect()
    };
    Ok(match place {
        0 => ids(&collections.list(&caller, &on, &ListQuery::new().with_filter(text)?).await?.value.items),
        1 => ids(&collections
            .list(&caller, &on, &ListQuery::new().with_filter(&format!("name == {quoted}"))?)
            .await?
            .value
            .items),
        2 => ids(&collections
            .list(&caller, &on, &ListQuery::new().with_filter(&format!("doc[{quoted}] == 1"))?)
            .await?
            .value
            .items),
        3 => ids(&collections
            .list(&caller, &on, &ListQuery::new().with_filter(&format!("name.contains({quoted})"))?)
            .await?
            .value
            .items),
        4 => ids(&collections.list(&caller, &on, &ListQuery::new().with_sort(text)?).await?.value.items),
        5 => ids(&collections.list(&caller, &on, &ListQuery::new().with_fields(text)?).await?.value.items),
        6 => ids(&collections.list(&caller, &on, &ListQuery::new().with_expand(text)?).await?.value.items),
        7 => ids(&collections.list(&caller, &on, &ListQuery::new().with_cursor(text)).await?.value.items),
        8 => ids(&collections.list(&caller, &on, &ListQuery::new().with_search(text)).await?.value.items),
        9 => json!(
            collections.aggregate(&caller, &on, &AggregateQuery::new().with_group(text)?).await?.value.groups.len()
        ),
        10 => json!(collections.distinct(&caller, &on, &DistinctQuery::new(text)?).await?.value.values),
        11 => {
            let read = collections.get(&caller, &on, &DocumentId::new(text)?).await?;
            json!(read.value.id.as_str())
        }
        12 => json!(collections.list(&caller, &CollectionName::new(text)?, &ListQuery::new()).await?.value.items.len()),
        13 => {
            let body = Object::patch_from_value(json!({ text: {"$inc": 1} }))?;
            let done = collections.patch(&caller, &on, &DocumentId::new("patched")?, body, Precondition::None).await?;
            serde_json::from_str(&done.body).unwrap()
        }
        14 => {
            let settings = CollectionSettings::new().with_index("hostile", IndexSettings::on([text]));
            let info = collections.configure(&caller, &CollectionName::new("shaped")?, settings, None).await?;
            json!(info.indexes.len())
        }
        15 => json!(
            collections
                .update_where(&caller, Matching::new(on, &format!("name == {quoted}"))?, patch(text)?)
                .await?
                .changed
        ),
        _ => {
            let body = Object::from_value(json!({"name": text, text: text}))?;
            let document = collections.create(&caller, &on, NewDocument::new(body)).await?;
            let read = collections.get(&caller, &on, &document.id).await?.value;
            let body: Value = serde_json::from_str(&read.body).unwrap();
            assert_eq!(body, json!({"name": text, text: text}), "what is stored is what was sent");
            collections.delete(&caller, &on, &document.id, Precondition::None).await?;
            body
        }
    })
}

fn patch(text: &str) -> Result<Object> {
    Object::patch_from_value(json!({"touched": text}))
}

async fn prepare(subject: &Subject) {
    let (collections, caller) = (subject.backend.collections(), Caller::system(TenantId::default_tenant()));
    let targets = CollectionName::new("targets").unwrap();
    let settings = CollectionSettings::new().with_search(SearchSettings::new(["name"]));
    collections.configure(&caller, &targets, settings, None).await.unwrap();
    for (collection, id) in [("targets", "patched"), ("targets", "plain"), ("canary", "one")] {
        let document = NewDocument::new(Object::from_value(json!({"name": "canary", "n": 1})).unwrap());
        let document = document.with_id(DocumentId::new(id).unwrap());
        collections.create(&caller, &CollectionName::new(collection).unwrap(), document).await.unwrap();
    }
    until("the words are collected", Duration::from_secs(30), || async {
        collections.list(&caller, &targets, &ListQuery::new().with_search("canary")).await.is_ok()
    })
    .await;
}

/// What nobody has named is as it was.
async fn canary(subject: &Subject) -> (String, String) {
    let (collections, caller) = (subject.backend.collections(), Caller::system(TenantId::default_tenant()));
    let id = DocumentId::new("one").unwrap();
    let document = collections.get(&caller, &CollectionName::new("canary").unwrap(), &id).await.unwrap().value;
    (document.body.to_string(), document.revision.as_str().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_are_data_in_every_place_on_both_databases() {
    let (sqlite, postgres) = (subject(On::Sqlite).await, subject(On::Postgres).await);
    prepare(&sqlite).await;
    prepare(&postgres).await;
    let before = (canary(&sqlite).await, canary(&postgres).await);
    let texts = texts();
    assert!(texts.len() > 2_000, "{} texts", texts.len());
    // In CI every text comes in at three places, and every place has its share of all texts.
    let places = Volume::from_environment().pick(3, PLACES);
    let mut sent = 0;
    for (number, text) in texts.iter().enumerate() {
        for step in 0..places {
            let place = (number * 3 + step) % PLACES;
            let short: String = text.chars().take(60).collect();
            let answers = (answer(send(&sqlite, place, text).await), answer(send(&postgres, place, text).await));
            assert_eq!(answers.0, answers.1, "place {place}, {short:?}: SQLite, then PostgreSQL");
            sent += 1;
        }
    }
    assert_eq!(before, (canary(&sqlite).await, canary(&postgres).await));
    println!("{sent} hostile texts on each database");
    sqlite.backend.shutdown().await;
    postgres.backend.shutdown().await;
}

fn answer(result: Result<Value>) -> Value {
    match result {
        Ok(value) => value,
        Err(error) => {
            let defined = [ErrorKind::Invalid, ErrorKind::NotFound, ErrorKind::TooLarge, ErrorKind::Unprocessable];
            assert!(defined.contains(&error.kind()), "{error:?}");
            refusal(&error)
        }
    }
}
