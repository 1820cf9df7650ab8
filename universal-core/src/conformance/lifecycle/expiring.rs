//! Documents whose time is over.

use std::time::Duration;

use serde_json::{Value, json};

use super::fixture::{Fixture, admin, collection, heard, refers, words};
use crate::{
    clock::Clock as _,
    collections::{CollectionSettings, OnDelete, TimeToLive},
    conformance::{
        case::Case,
        expect::{failed, refused},
    },
    error::ErrorKind,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(a_document_goes_when_the_moment_it_holds_has_come),
    case!(a_moment_may_be_counted_from_the_writes),
    case!(what_is_no_moment_is_refused),
    case!(a_time_to_live_is_for_documents_that_were_there_before),
    case!(what_is_referred_to_outlives_its_time),
];

fn lives(time_to_live: TimeToLive) -> CollectionSettings {
    CollectionSettings::new().with_time_to_live(time_to_live)
}

fn until(on: &Fixture, seconds: u64) -> Value {
    json!({"until": on.clock.now().plus(Duration::from_secs(seconds)).to_string()})
}

async fn a_document_goes_when_the_moment_it_holds_has_come(on: Fixture) -> Result<(), String> {
    let name = on.configured(lives(TimeToLive::at("until"))).await?;
    for (id, seconds) in [("a", 60), ("b", 120), ("longer", 60), ("never", 60), ("past", 60)] {
        on.make(&name, id, until(&on, seconds)).await?;
    }
    on.make(&name, "null", json!({"until": null})).await?;
    on.make(&name, "none", json!({})).await?;
    on.patch(&name, "longer", until(&on, 600)).await.map_err(failed)?;
    on.patch(&name, "never", json!({"until": null})).await.map_err(failed)?;
    on.patch(&name, "past", json!({"until": "2001-02-03T04:05:06+07:00"})).await.map_err(failed)?;
    let mut subscription = on.subscribe(&name).await?;
    on.later(0).await?;
    on.holds(&name, &["a", "b", "longer", "never", "none", "null"]).await?;
    on.later(61).await?;
    on.holds(&name, &["b", "longer", "never", "none", "null"]).await?;
    on.later(60).await?;
    on.holds(&name, &["longer", "never", "none", "null"]).await?;
    heard(&mut subscription, words(&["delete a", "delete b", "delete past"])).await?;
    on.later(3600).await?;
    on.holds(&name, &["never", "none", "null"]).await
}

async fn a_moment_may_be_counted_from_the_writes(on: Fixture) -> Result<(), String> {
    let fixed = on.configured(lives(TimeToLive::at("meta.created_at").with_seconds(100))).await?;
    let sliding = on.configured(lives(TimeToLive::at("meta.updated_at").with_seconds(100))).await?;
    for name in [&fixed, &sliding] {
        on.make(name, "a", json!({})).await?;
        on.make(name, "b", json!({})).await?;
    }
    on.later(60).await?;
    for name in [&fixed, &sliding] {
        on.patch(name, "b", json!({"n": 1})).await.map_err(failed)?;
    }
    on.later(60).await?;
    on.holds(&fixed, &[]).await?;
    on.holds(&sliding, &["b"]).await?;
    on.later(60).await?;
    on.holds(&sliding, &[]).await
}

async fn what_is_no_moment_is_refused(on: Fixture) -> Result<(), String> {
    let name = on.configured(lives(TimeToLive::at("until"))).await?;
    on.make(&name, "a", until(&on, 60)).await?;
    for wrong in [json!("tomorrow"), json!(1_900_000_000), json!(true), json!(["2030-01-01T00:00:00Z"])] {
        let misfit = json!({"until": wrong});
        refused(on.put(&name, "b", misfit.clone()).await, ErrorKind::Unprocessable, "invalid-moment")?;
        refused(on.patch(&name, "a", misfit).await, ErrorKind::Unprocessable, "invalid-moment")?;
    }
    for field in ["id", "meta.owner", "a..b"] {
        let outcome = on.collections.configure(&admin(), &collection()?, lives(TimeToLive::at(field)), None).await;
        refused(outcome, ErrorKind::Invalid, "invalid-field")?;
    }
    Ok(())
}

async fn a_time_to_live_is_for_documents_that_were_there_before(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    for n in 0..120 {
        on.make(&name, &format!("d{n:03}"), until(&on, 60)).await?;
    }
    on.make(&name, "odd", json!({"until": "never"})).await?;
    on.configure(&name, lives(TimeToLive::at("until"))).await?;
    on.later(61).await?;
    on.holds(&name, &["odd"]).await?;
    on.make(&name, "late", until(&on, 60)).await?;
    on.configure(&name, CollectionSettings::new()).await?;
    on.later(61).await?;
    on.holds(&name, &["late", "odd"]).await
}

async fn what_is_referred_to_outlives_its_time(on: Fixture) -> Result<(), String> {
    let people = on.configured(lives(TimeToLive::at("until"))).await?;
    let books = on.configured(refers("to", &people, OnDelete::Refuse)).await?;
    let notes = on.configured(refers("to", &people, OnDelete::Cascade)).await?;
    on.make(&people, "ada", until(&on, 60)).await?;
    on.make(&people, "bob", until(&on, 60)).await?;
    on.make(&books, "a", json!({"to": "ada"})).await?;
    on.make(&notes, "n", json!({"to": "bob"})).await?;
    on.later(61).await?;
    on.holds(&people, &["ada"]).await?;
    on.holds(&notes, &[]).await?;
    on.delete(&books, "a").await.map_err(failed)?;
    on.later(3600).await?;
    on.holds(&people, &[]).await
}
