//! References followed.

use serde_json::{Value, json};

use super::scene::{Fixture, admin, collection, configure, page, put, shown, user};
use crate::{
    caller::Caller,
    collections::{CollectionSettings, GetQuery, ListQuery, Reference, Rules},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
    id::{CollectionName, DocumentId},
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(a_reference_is_followed_to_one_document_or_several),
    case!(references_are_followed_four_deep),
    case!(what_the_caller_may_not_read_is_absent),
    case!(a_followed_document_hides_what_its_collection_hides),
    case!(a_selection_does_not_need_the_reference),
    case!(only_references_are_followed),
    case!(too_many_documents_are_refused),
    case!(too_many_bytes_are_refused),
];

async fn get(on: &Fixture, caller: &Caller, name: &CollectionName, id: &str, expand: &str) -> Result<Value, String> {
    let query = GetQuery::new().with_expand(expand).map_err(failed)?;
    let id = DocumentId::new(id).map_err(failed)?;
    shown(&on.get_with(caller, name, &id, &query).await.map_err(failed)?.value)
}

fn to(collection: &CollectionName) -> Reference {
    Reference::to(collection.as_str())
}

fn open() -> CollectionSettings {
    CollectionSettings::new().with_rules(Rules::default().with_list("true").with_get("true"))
}

async fn a_reference_is_followed_to_one_document_or_several(on: Fixture) -> Result<(), String> {
    let (caller, books, people) = (user(), collection()?, collection()?);
    let settings = CollectionSettings::new().with_reference("author", to(&people));
    configure(&on, &books, settings.with_reference("by.editors", to(&people))).await?;
    for name in ["jane", "john"] {
        put(&on, &caller, &people, name, json!({"name": name})).await?;
    }
    let body = json!({"author": "jane", "by": {"editors": ["john", "nobody", 7, "jane", "john"]}});
    put(&on, &caller, &books, "a", body).await?;
    put(&on, &caller, &books, "b", json!({"author": null, "by": {"editors": []}})).await?;
    put(&on, &caller, &books, "c", json!({"author": "nobody"})).await?;
    let found = get(&on, &caller, &books, "a", "author,by.editors").await?;
    check_eq(&found["_expand"]["author"]["id"], &json!("jane"))?;
    check_eq(&found["_expand"]["author"]["name"], &json!("jane"))?;
    check(found["_expand"]["author"]["_meta"]["revision"].is_string(), "a followed document has its `_meta`")?;
    let editors = found["_expand"]["by.editors"].as_array().into_iter().flatten();
    let names: Vec<_> = editors.filter_map(|one| one["name"].as_str()).collect();
    check_eq(&names, &vec!["john", "jane", "john"])?;
    check_eq(&found["author"], &json!("jane"))?;
    // The same in a list; what leads nowhere is absent.
    let query = ListQuery::new().with_expand("author,by.editors").map_err(failed)?;
    let listed = page(&on, &caller, &books, &query).await?.items;
    let listed = listed.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
    check_eq(&listed.first(), &Some(&found))?;
    check_eq(&listed.get(1).map(|item| &item["_expand"]), &Some(&json!({"by.editors": []})))?;
    check_eq(&listed.get(2).map(|item| item.get("_expand")), &Some(None))
}

async fn references_are_followed_four_deep(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    configure(&on, &name, CollectionSettings::new().with_reference("next", to(&name))).await?;
    for n in 0..6 {
        put(&on, &caller, &name, &format!("{n}"), json!({"n": n, "next": format!("{}", (n + 1) % 6)})).await?;
    }
    let found = get(&on, &caller, &name, "3", "next,next.next.next.next").await?;
    let deepest = "/_expand/next/_expand/next/_expand/next/_expand/next";
    check_eq(&found.pointer(&format!("{deepest}/n")), &Some(&json!(1)))?;
    check_eq(&found.pointer(&format!("{deepest}/_expand")), &None)?;
    let query = GetQuery::new().with_expand("next.next.next.next.next").map_err(failed)?;
    let id = DocumentId::new("3").map_err(failed)?;
    refused(on.get_with(&caller, &name, &id, &query).await, ErrorKind::Invalid, "invalid-expand")
}

async fn what_the_caller_may_not_read_is_absent(on: Fixture) -> Result<(), String> {
    let (caller, other, books, people) = (user(), user(), collection()?, collection()?);
    configure(&on, &books, open().with_reference("author", to(&people)).with_reference("all", to(&people))).await?;
    put(&on, &other, &people, "theirs", json!({"name": "theirs"})).await?;
    put(&on, &caller, &people, "mine", json!({"name": "mine"})).await?;
    put(&on, &caller, &books, "a", json!({"author": "theirs", "all": ["theirs", "mine"]})).await?;
    let expanded = |found: &Value| {
        let all = found["_expand"]["all"].as_array().into_iter().flatten();
        let all: Vec<_> = all.filter_map(|one| Some(one["id"].as_str()?.to_owned())).collect();
        (found["_expand"]["author"]["id"].as_str().map(str::to_owned), all)
    };
    let theirs = || Some("theirs".to_owned());
    check_eq(&expanded(&get(&on, &caller, &books, "a", "author,all").await?), &(None, vec!["mine".to_owned()]))?;
    check_eq(&expanded(&get(&on, &other, &books, "a", "author,all").await?), &(theirs(), vec!["theirs".to_owned()]))?;
    let both = vec!["theirs".to_owned(), "mine".to_owned()];
    check_eq(&expanded(&get(&on, &admin(), &books, "a", "author,all").await?), &(theirs(), both))?;
    let anonymous = Caller::anonymous(crate::id::TenantId::default_tenant());
    check_eq(&expanded(&get(&on, &anonymous, &books, "a", "author,all").await?), &(None, vec![]))?;
    // The rule for reading by id decides, not the one for lists.
    configure(&on, &people, CollectionSettings::new().with_rules(Rules::default().with_get("doc.name == \"theirs\"")))
        .await?;
    check_eq(&expanded(&get(&on, &anonymous, &books, "a", "author,all").await?), &(theirs(), vec!["theirs".to_owned()]))
}

async fn a_followed_document_hides_what_its_collection_hides(on: Fixture) -> Result<(), String> {
    let (caller, books, people) = (user(), collection()?, collection()?);
    configure(&on, &people, open().with_hidden("secret")).await?;
    let settings =
        open().with_reference("author", to(&people)).with_reference("inner", to(&people)).with_hidden("inner");
    configure(&on, &books, settings).await?;
    put(&on, &admin(), &people, "jane", json!({"name": "Jane", "secret": 1})).await?;
    put(&on, &admin(), &books, "a", json!({"author": "jane", "inner": "jane"})).await?;
    let found = get(&on, &caller, &books, "a", "author").await?;
    check_eq(&found["_expand"]["author"]["name"], &json!("Jane"))?;
    check_eq(&found["_expand"]["author"].get("secret"), &None)?;
    let found = get(&on, &admin(), &books, "a", "author,inner").await?;
    check_eq(&found["_expand"]["inner"]["secret"], &json!(1))?;
    // A hidden reference is none, for whoever it is hidden from.
    let query = GetQuery::new().with_expand("inner").map_err(failed)?;
    let id = DocumentId::new("a").map_err(failed)?;
    refused(on.get_with(&caller, &books, &id, &query).await, ErrorKind::Invalid, "invalid-expand")
}

async fn a_selection_does_not_need_the_reference(on: Fixture) -> Result<(), String> {
    let (caller, books) = (user(), collection()?);
    configure(&on, &books, CollectionSettings::new().with_reference("author", to(&books))).await?;
    put(&on, &caller, &books, "a", json!({"author": "a", "title": "Emma", "n": 1})).await?;
    let query = ListQuery::new().with_fields("title").and_then(|query| query.with_expand("author")).map_err(failed)?;
    let listed = page(&on, &caller, &books, &query).await?.items;
    let found = listed.first().map(shown).transpose()?.unwrap_or_default();
    check_eq(&(found.get("author"), &found["title"]), &(None, &json!("Emma")))?;
    check_eq(&found["_expand"]["author"]["n"], &json!(1))
}

async fn only_references_are_followed(on: Fixture) -> Result<(), String> {
    let (caller, books) = (user(), collection()?);
    configure(&on, &books, CollectionSettings::new().with_reference("author", to(&books))).await?;
    put(&on, &caller, &books, "a", json!({"author": "a", "title": "a"})).await?;
    for expand in ["title", "authors", "author.title", "author.author.none"] {
        let query = ListQuery::new().with_expand(expand).map_err(failed)?;
        refused(on.list(&caller, &books, &query).await, ErrorKind::Invalid, "invalid-expand")?;
    }
    let query = ListQuery::new().with_expand("author").map_err(failed)?;
    refused(on.list(&caller, &collection()?, &query).await, ErrorKind::Invalid, "invalid-expand")
}

async fn too_many_documents_are_refused(on: Fixture) -> Result<(), String> {
    let (caller, books) = (user(), collection()?);
    configure(&on, &books, CollectionSettings::new().with_reference("all", to(&books))).await?;
    let many = |n: usize| json!({"all": (0..n).map(|n| format!("x{n}")).collect::<Vec<_>>()});
    put(&on, &caller, &books, "enough", many(1000)).await?;
    check_eq(&get(&on, &caller, &books, "enough", "all").await?["_expand"], &json!({"all": []}))?;
    put(&on, &caller, &books, "many", many(1001)).await?;
    let query = GetQuery::new().with_expand("all").map_err(failed)?;
    let id = DocumentId::new("many").map_err(failed)?;
    refused(on.get_with(&caller, &books, &id, &query).await, ErrorKind::Invalid, "expand-too-large")
}

async fn too_many_bytes_are_refused(on: Fixture) -> Result<(), String> {
    let (caller, books) = (user(), collection()?);
    configure(&on, &books, CollectionSettings::new().with_reference("all", to(&books))).await?;
    // One document of little more than 100 bytes, a thousand times in itself, and so on: each is read once.
    put(&on, &caller, &books, "bomb", json!({"all": vec!["bomb"; 1000]})).await?;
    let id = DocumentId::new("bomb").map_err(failed)?;
    for expand in ["all", "all.all", "all.all.all.all"] {
        let query = GetQuery::new().with_expand(expand).map_err(failed)?;
        let outcome = on.get_with(&caller, &books, &id, &query).await;
        match expand {
            "all" => check(outcome.is_ok(), "7 KB a thousand times are less than 8 MiB")?,
            _ => refused(outcome, ErrorKind::Invalid, "expand-too-large")?,
        }
    }
    Ok(())
}
