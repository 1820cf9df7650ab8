//! Every text in every place: refused with a code of that place, or data; the same on both databases.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use universal_core::{
    Caller, TenantId,
    collections::{ListQuery, NewDocument},
    error::Result,
    id::{DocumentId, UserId},
    json::Object,
    page::Limit,
};
use universal_tests::environment::Volume;

use super::{
    places::{PLACES, prepare, send, targets},
    texts::{long, texts},
};
use crate::{
    conformance::subject::{On, Subject, subject},
    drift::player::refusal,
};

/// What stands in the documents of others.
const CANARY: &str = "canary7f3a91";
/// The other tenant, which has documents of the same names.
const ELSEWHERE: &str = "elsewhere";

/// Documents of another user and of another tenant, which nobody is told of.
async fn hide(subject: &Subject) {
    let (backend, elsewhere) = (&subject.backend, TenantId::new(ELSEWHERE).unwrap());
    backend.create_tenant(&elsewhere).await.unwrap();
    let other = Caller::user(TenantId::default_tenant(), UserId::new("mallory").unwrap());
    // The same user, in the other tenant.
    let twin = Caller::user(elsewhere, UserId::new("eve").unwrap());
    for (caller, ids) in [(other, [CANARY, "hidden", "zz"]), (twin, ["patched", "plain", CANARY])] {
        for id in ids {
            let body = json!({"name": CANARY, "n": 1, "text": format!("{CANARY} target")});
            let document = NewDocument::new(Object::from_value(body).unwrap()).with_id(DocumentId::new(id).unwrap());
            backend.collections().create(&caller, &targets(), document).await.unwrap();
        }
    }
}

/// The documents of others as they are.
async fn hidden(subject: &Subject) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for tenant in [TenantId::default_tenant(), TenantId::new(ELSEWHERE).unwrap()] {
        let system = Caller::system(tenant.clone());
        let query = ListQuery::new().with_limit(Limit::new(500).unwrap());
        let found = subject.backend.collections().list(&system, &targets(), &query).await.unwrap().value;
        let found = found.items.iter().filter(|item| item.body.contains(CANARY));
        all.extend(found.map(|item| format!("{tenant} {} {} {}", item.id, item.revision, item.body)));
    }
    all
}

/// The answer, which must be one of those that the place may give.
fn answer(place: usize, result: &Result<Value>) -> Value {
    let answer = match result {
        Ok(value) => value.clone(),
        Err(error) => {
            assert!(!error.message().contains(CANARY), "{}: {error:?}", PLACES[place].name);
            refusal(error)
        }
    };
    assert!(!answer.to_string().contains(CANARY), "{}: {answer}", PLACES[place].name);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_are_data_in_every_place_on_both_databases() {
    let (sqlite, postgres) = (subject(On::Sqlite).await, subject(On::Postgres).await);
    for subject in [&sqlite, &postgres] {
        prepare(&subject.backend).await;
        hide(subject).await;
    }
    let before = (hidden(&sqlite).await, hidden(&postgres).await);
    assert_eq!(before.0.len(), 6);
    let texts = texts();
    assert!(texts.len() > 2_000, "{} texts", texts.len());
    // In CI every text comes in at three places, and every place has its share of all texts. The long one comes in
    // everywhere.
    let places = Volume::from_environment().pick(3, PLACES.len());
    let shared = texts
        .iter()
        .enumerate()
        .flat_map(|(number, text)| (0..places).map(move |step| ((number * 3 + step) % PLACES.len(), text.clone())));
    let all: Vec<_> = shared.chain((0..PLACES.len()).map(|place| (place, long()))).collect();
    let mut codes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (place, text) in &all {
        let (here, there) = (send(&sqlite.backend, *place, text).await, send(&postgres.backend, *place, text).await);
        let (name, short) = (PLACES[*place].name, text.chars().take(60).collect::<String>());
        assert_eq!(answer(*place, &here), answer(*place, &there), "{name}, {short:?}: SQLite, then PostgreSQL");
        if let Err(error) = &here {
            codes.entry(name).or_default().insert(error.code());
        }
    }
    for place in &PLACES {
        let found = codes.remove(place.name).unwrap_or_default();
        let expected: BTreeSet<_> = place.codes.iter().copied().collect();
        println!("{}: {found:?}", place.name);
        assert!(found.is_subset(&expected), "{} refuses with {found:?}, not {expected:?}", place.name);
    }
    assert_eq!(before, (hidden(&sqlite).await, hidden(&postgres).await));
    println!("{} hostile texts on each database", all.len());
    sqlite.backend.shutdown().await;
    postgres.backend.shutdown().await;
}
