//! References: what they must name, and what a deletion does to them.

use serde_json::json;

use super::fixture::{Fixture, admin, collection, heard, new, open, refers, user, words};
use crate::{
    collections::{Batch, CollectionSettings, Matching, MatchingWrite, OnDelete, Precondition, Reference},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
    id::DocumentId,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(a_reference_names_a_document_that_is_there),
    case!(a_reference_without_a_consequence_is_not_looked_at),
    case!(a_document_may_refer_to_itself),
    case!(what_is_referred_to_with_refuse_stays),
    case!(what_refers_with_cascade_goes_too),
    case!(a_cascade_ends_where_it_began),
    case!(a_cascade_has_a_limit),
    case!(a_refusal_far_away_refuses_the_whole),
    case!(no_rule_of_the_other_collection_binds_a_cascade),
    case!(a_reference_that_is_set_while_its_document_is_deleted_names_one_or_keeps_it),
    case!(settings_are_for_documents_that_were_there_before),
    case!(a_batch_and_a_filter_know_of_references),
];

async fn a_reference_names_a_document_that_is_there(on: Fixture) -> Result<(), String> {
    let people = collection()?;
    let books = on.referring(&people, OnDelete::Refuse).await?;
    on.make(&people, "ada", json!({})).await?;
    on.make(&people, "bob", json!({})).await?;
    for fits in
        [json!({}), json!({"to": null}), json!({"to": "ada"}), json!({"to": []}), json!({"to": ["ada", "bob", "ada"]})]
    {
        on.make(&books, "b", fits).await?;
    }
    for (code, misfit, field) in [
        ("reference-not-found", json!({"to": "eve"}), "/to"),
        ("reference-not-found", json!({"to": ["ada", "eve"]}), "/to/1"),
        ("invalid-reference", json!({"to": 5}), "/to"),
        ("invalid-reference", json!({"to": ["ada", null]}), "/to/1"),
        ("invalid-reference", json!({"to": {"id": "ada"}}), "/to"),
        ("invalid-reference", json!({"to": ""}), "/to"),
    ] {
        for outcome in [
            on.put(&books, "b", misfit.clone()).await,
            on.put(&books, "c", misfit.clone()).await,
            on.patch(&books, "b", misfit.clone()).await,
        ] {
            let field_found = outcome.as_ref().err().and_then(|error| error.field().map(str::to_owned));
            refused(outcome, ErrorKind::Unprocessable, code)?;
            check_eq(&field_found.as_deref(), &Some(field))?;
        }
    }
    on.holds(&books, &["b"]).await
}

async fn a_reference_without_a_consequence_is_not_looked_at(on: Fixture) -> Result<(), String> {
    let people = collection()?;
    let books = on.referring(&people, OnDelete::Nothing).await?;
    on.make(&people, "ada", json!({})).await?;
    on.make(&books, "a", json!({"to": "ada"})).await?;
    on.make(&books, "b", json!({"to": 5})).await?;
    on.delete(&people, "ada").await.map_err(failed)?;
    on.holds(&books, &["a", "b"]).await
}

async fn a_document_may_refer_to_itself(on: Fixture) -> Result<(), String> {
    for what in [OnDelete::Refuse, OnDelete::Cascade] {
        let name = collection()?;
        on.configure(&name, refers("to", &name, what)).await?;
        on.make(&name, "a", json!({"to": "a"})).await?;
        on.delete(&name, "a").await.map_err(failed)?;
        on.holds(&name, &[]).await?;
    }
    Ok(())
}

async fn what_is_referred_to_with_refuse_stays(on: Fixture) -> Result<(), String> {
    let people = collection()?;
    let books = on.referring(&people, OnDelete::Refuse).await?;
    for person in ["ada", "bob"] {
        on.make(&people, person, json!({})).await?;
    }
    on.make(&books, "a", json!({"to": "ada"})).await?;
    on.make(&books, "b", json!({"to": ["bob", "ada"]})).await?;
    let refusal = on.delete(&people, "ada").await;
    let message = refusal.as_ref().err().map(|error| error.message().to_owned()).unwrap_or_default();
    refused(refusal, ErrorKind::Conflict, "document-is-referenced")?;
    check(message.contains(books.as_str()) && !message.contains("`b`"), "it names the collection and no document")?;
    on.patch(&books, "b", json!({"to": "bob"})).await.map_err(failed)?;
    refused(on.delete(&people, "ada").await, ErrorKind::Conflict, "document-is-referenced")?;
    on.patch(&books, "a", json!({"to": null})).await.map_err(failed)?;
    on.delete(&people, "ada").await.map_err(failed)?;
    on.delete(&books, "b").await.map_err(failed)?;
    on.delete(&people, "bob").await.map_err(failed)?;
    on.holds(&people, &[]).await
}

async fn what_refers_with_cascade_goes_too(on: Fixture) -> Result<(), String> {
    let people = collection()?;
    let books = on.referring(&people, OnDelete::Cascade).await?;
    let pages = on.referring(&books, OnDelete::Cascade).await?;
    for person in ["ada", "bob"] {
        on.make(&people, person, json!({})).await?;
    }
    on.make(&books, "a", json!({"to": "ada"})).await?;
    on.make(&books, "b", json!({"to": ["bob", "ada"]})).await?;
    on.make(&books, "c", json!({"to": "bob"})).await?;
    on.make(&pages, "p", json!({"to": "a"})).await?;
    on.make(&pages, "q", json!({"to": "c"})).await?;
    let (mut of_books, mut of_pages) = (on.subscribe(&books).await?, on.subscribe(&pages).await?);
    on.delete(&people, "ada").await.map_err(failed)?;
    on.holds(&people, &["bob"]).await?;
    on.holds(&books, &["c"]).await?;
    on.holds(&pages, &["q"]).await?;
    heard(&mut of_books, words(&["delete a", "delete b"])).await?;
    heard(&mut of_pages, words(&["delete p"])).await
}

async fn a_cascade_ends_where_it_began(on: Fixture) -> Result<(), String> {
    let (left, right) = (collection()?, collection()?);
    on.configure(&left, refers("to", &right, OnDelete::Cascade)).await?;
    on.configure(&right, refers("to", &left, OnDelete::Cascade)).await?;
    on.make(&left, "a", json!({})).await?;
    on.make(&right, "b", json!({"to": "a"})).await?;
    on.patch(&left, "a", json!({"to": "b"})).await.map_err(failed)?;
    on.delete(&left, "a").await.map_err(failed)?;
    on.holds(&left, &[]).await?;
    on.holds(&right, &[]).await
}

async fn a_cascade_has_a_limit(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    on.configure(&name, refers("to", &name, OnDelete::Cascade)).await?;
    on.make(&name, "d0", json!({})).await?;
    for n in 1..=9 {
        on.make(&name, &format!("d{n}"), json!({"to": format!("d{}", n - 1)})).await?;
    }
    refused(on.delete(&name, "d0").await, ErrorKind::Conflict, "cascade-too-large")?;
    on.delete(&name, "d1").await.map_err(failed)?;
    on.holds(&name, &["d0"]).await?;
    for from in [0, 200, 400, 600, 800] {
        let mut batch = Batch::new();
        for n in from..from + 200 {
            let id = DocumentId::new(format!("m{n}")).map_err(failed)?;
            batch = batch.create(&name, new(json!({"to": "d0"}))?.with_id(id));
        }
        on.collections.batch(&admin(), batch).await.map_err(failed)?;
    }
    on.make(&name, "one-more", json!({"to": "d0"})).await?;
    refused(on.delete(&name, "d0").await, ErrorKind::Conflict, "cascade-too-large")?;
    on.delete(&name, "one-more").await.map_err(failed)?;
    on.delete(&name, "d0").await.map_err(failed)?;
    on.holds(&name, &[]).await
}

async fn a_refusal_far_away_refuses_the_whole(on: Fixture) -> Result<(), String> {
    let people = collection()?;
    let books = on.referring(&people, OnDelete::Cascade).await?;
    let loans = on.referring(&books, OnDelete::Refuse).await?;
    on.make(&people, "ada", json!({})).await?;
    on.make(&books, "a", json!({"to": "ada"})).await?;
    on.make(&loans, "l", json!({"to": "a"})).await?;
    refused(on.delete(&people, "ada").await, ErrorKind::Conflict, "document-is-referenced")?;
    on.holds(&people, &["ada"]).await?;
    on.holds(&books, &["a"]).await?;
    // What goes anyway refuses nothing.
    on.configure(
        &loans,
        refers("to", &books, OnDelete::Refuse)
            .with_reference("by", Reference::to(people.as_str()).with_on_delete(OnDelete::Cascade)),
    )
    .await?;
    on.patch(&loans, "l", json!({"by": "ada"})).await.map_err(failed)?;
    on.delete(&people, "ada").await.map_err(failed)?;
    on.holds(&loans, &[]).await
}

async fn no_rule_of_the_other_collection_binds_a_cascade(on: Fixture) -> Result<(), String> {
    let people = on.configured(CollectionSettings::new().with_rules(open())).await?;
    let books = on.configured(refers("to", &people, OnDelete::Cascade).with_rules(open().with_delete("false"))).await?;
    on.make(&people, "ada", json!({})).await?;
    on.make(&books, "a", json!({"to": "ada"})).await?;
    let id = |text: &str| DocumentId::new(text).map_err(failed);
    let direct = on.collections.delete(&user(), &books, &id("a")?, Precondition::None).await;
    refused(direct, ErrorKind::Forbidden, "forbidden")?;
    on.collections.delete(&user(), &people, &id("ada")?, Precondition::None).await.map_err(failed)?;
    on.holds(&books, &[]).await
}

async fn a_reference_that_is_set_while_its_document_is_deleted_names_one_or_keeps_it(
    on: Fixture,
) -> Result<(), String> {
    let people = collection()?;
    let books = on.referring(&people, OnDelete::Refuse).await?;
    for round in 0..20 {
        let person = format!("p{round}");
        on.make(&people, &person, json!({})).await?;
        let caller = admin();
        let create = on.collections.create(&caller, &books, new(json!({"to": person}))?);
        let (created, deleted) = tokio::join!(create, on.delete(&people, &person));
        match (created, deleted) {
            (Ok(_), deletion) => refused(deletion, ErrorKind::Conflict, "document-is-referenced")?,
            (creation, Ok(())) => refused(creation, ErrorKind::Unprocessable, "reference-not-found")?,
            (Err(creation), Err(deletion)) => return Err(format!("both failed: {creation:?}, {deletion:?}")),
        }
    }
    Ok(())
}

async fn settings_are_for_documents_that_were_there_before(on: Fixture) -> Result<(), String> {
    let (people, books) = (collection()?, collection()?);
    on.make(&people, "ada", json!({})).await?;
    on.make(&people, "bob", json!({})).await?;
    for n in 0..250 {
        on.make(&books, &format!("b{n:03}"), json!({"to": if n == 249 { "ada" } else { "bob" }})).await?;
    }
    on.make(&books, "odd", json!({"to": {"no": "id"}})).await?;
    on.configure(&books, refers("to", &people, OnDelete::Refuse)).await?;
    while on.maintenance.maintain().await.map_err(failed)? {}
    refused(on.delete(&people, "ada").await, ErrorKind::Conflict, "document-is-referenced")?;
    on.delete(&books, "b249").await.map_err(failed)?;
    on.delete(&people, "ada").await.map_err(failed)?;
    // What has no consequence any more holds nothing.
    on.configure(&books, refers("to", &people, OnDelete::Nothing)).await?;
    on.delete(&people, "bob").await.map_err(failed)?;
    // What names nobody may stay as it is, and be changed otherwise.
    on.configure(&books, refers("to", &people, OnDelete::Cascade)).await?;
    while on.maintenance.maintain().await.map_err(failed)? {}
    on.patch(&books, "b000", json!({"n": 1})).await.map_err(failed)?;
    on.make(&people, "bob", json!({})).await?;
    on.delete(&people, "bob").await.map_err(failed)?;
    on.holds(&books, &["odd"]).await
}

async fn a_batch_and_a_filter_know_of_references(on: Fixture) -> Result<(), String> {
    let name = collection()?;
    on.configure(&name, refers("to", &name, OnDelete::Cascade)).await?;
    let create = |batch: Batch, key: &str, value| {
        let document = new(value)?.with_id(DocumentId::new(key).map_err(failed)?);
        Ok::<_, String>(batch.create(&name, document))
    };
    let right = create(create(Batch::new(), "a", json!({}))?, "b", json!({"to": "a"}))?;
    on.collections.batch(&admin(), right).await.map_err(failed)?;
    let wrong = create(create(Batch::new(), "c", json!({"to": "d"}))?, "d", json!({}))?;
    let outcome = on.collections.batch(&admin(), wrong).await;
    refused(outcome, ErrorKind::Unprocessable, "reference-not-found")?;
    on.make(&name, "c", json!({"to": "b"})).await?;
    let all = Matching::new(name.clone(), "true").map_err(failed)?;
    let gone = on.collections.write_where(&admin(), all, MatchingWrite::Delete).await.map_err(failed)?;
    check_eq(&gone.changed, &3)?;
    on.holds(&name, &[]).await
}
