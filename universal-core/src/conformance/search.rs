//! What every implementation of [`Collections`] promises about full-text search. The words of documents and of searches
//! are made in one place, so that every implementation finds the same.

#![expect(
    clippy::indexing_slicing,
    reason = "a member of a JSON value that is not there is null, and words are drawn from within their list"
)]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    caller::{Caller, ROLE_ADMIN},
    collections::{
        CollectionSettings, Collections, ImportOptions, ListQuery, Precondition, Rules, SearchLanguage, SearchSettings,
        count::Counting, search::Searchable,
    },
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    error::{Error, ErrorKind},
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::Object,
    page::{Limit, Page},
};

/// What a case runs on: an implementation whose tenant `default` may hold anything already. Every case
/// uses collections of its own.
pub type Fixture = Arc<dyn Collections>;

/// Every promise.
pub const CASES: &[Case<Fixture>] = &[
    case!(a_search_finds_words_phrases_and_beginnings),
    case!(a_search_finds_exactly_what_the_words_say),
    case!(what_fits_best_comes_first),
    case!(a_search_has_pages_in_both_directions),
    case!(a_search_follows_every_write),
    case!(a_search_goes_with_rule_filter_sort_and_count),
    case!(documents_that_were_there_are_found),
    case!(a_search_knows_the_stems_of_its_language),
    case!(a_search_finds_nothing_of_another_collection),
    case!(what_is_hidden_cannot_be_searched),
    case!(a_search_that_is_none_has_an_answer),
];

/// How long words may take to be collected on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

fn user() -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::generate())
}

fn admin() -> Caller {
    user().with_roles([ROLE_ADMIN])
}

fn name() -> Result<CollectionName, String> {
    CollectionName::new(format!("s{}", crate::id::random_hex(6).map_err(failed)?)).map_err(failed)
}

fn settings() -> CollectionSettings {
    CollectionSettings::new().with_search(SearchSettings::new(["title", "tags"]))
}

async fn configure(on: &Fixture, name: &CollectionName, settings: CollectionSettings) -> Result<(), String> {
    on.configure(&admin(), name, settings, None).await.map(|_| ()).map_err(failed)?;
    let end = Instant::now() + PATIENCE;
    loop {
        match on.list(&admin(), name, &ListQuery::new().with_search("x")).await {
            Err(error) if error.code() == "search-not-ready" => {
                check(error.retry_after().is_some(), "it does not say when to try again")?;
                check(Instant::now() < end, "the words are not collected")?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) if error.code() == "not-searchable" => return Ok(()),
            outcome => return outcome.map(|_| ()).map_err(failed),
        }
    }
}

async fn searchable(on: &Fixture) -> Result<CollectionName, String> {
    let name = name()?;
    configure(on, &name, settings()).await?;
    Ok(name)
}

async fn put(on: &Fixture, caller: &Caller, name: &CollectionName, id: &str, members: Value) -> Result<(), String> {
    let (id, body) = (DocumentId::new(id).map_err(failed)?, Object::from_value(members).map_err(failed)?);
    on.replace(caller, name, &id, body, Precondition::None).await.map(|_| ()).map_err(failed)
}

fn ids(page: &Page<crate::collections::Document>) -> Vec<String> {
    page.items.iter().map(|document| document.id.to_string()).collect()
}

async fn list(on: &Fixture, caller: &Caller, name: &CollectionName, query: ListQuery) -> Result<Vec<String>, String> {
    Ok(ids(&on.list(caller, name, &query).await.map_err(failed)?.value))
}

async fn found(on: &Fixture, caller: &Caller, name: &CollectionName, text: &str) -> Result<BTreeSet<String>, String> {
    let query = ListQuery::new().with_search(text).with_limit(Limit::new(500).map_err(failed)?);
    Ok(list(on, caller, name, query).await?.into_iter().collect())
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

async fn a_search_finds_words_phrases_and_beginnings(on: Fixture) -> Result<(), String> {
    let name = searchable(&on).await?;
    let ada = user();
    put(&on, &ada, &name, "a", json!({"title": "Green tea, and biscuits!", "tags": ["Warm", "Crème brûlée"]})).await?;
    put(&on, &ada, &name, "b", json!({"title": "Tea green", "other": "biscuits"})).await?;
    put(&on, &ada, &name, "c", json!({"title": "e-mail: o'neil@example.org 2²", "tags": "teapot"})).await?;
    put(&on, &ada, &name, "d", json!({"title": ["one", ["two three"], {"x": "four"}], "tags": 5})).await?;
    for (text, expected) in [
        ("tea", set(&["a", "b"])),
        ("TEA green", set(&["a", "b"])),
        ("\"green tea\"", set(&["a"])),
        ("tea -biscuits", set(&["b"])),
        ("-tea", set(&["c", "d"])),
        ("te*", set(&["a", "b", "c"])),
        ("\"green te\"*", set(&["a"])),
        ("creme brulée", set(&["a"])),
        ("e-mail", set(&["c"])),
        ("mail-e", set(&[])),
        ("neil@example.org", set(&["c"])),
        ("tea teapot", set(&[])),
        ("two", set(&["d"])),
        ("four", set(&[])),
        ("5", set(&[])),
        ("\"one two\"", set(&[])),
        ("\"two three\" one", set(&["d"])),
        ("biscuits warm", set(&["a"])),
        ("\"biscuits warm\"", set(&[])),
    ] {
        check(found(&on, &ada, &name, text).await? == expected, &format!("{text} does not find {expected:?}"))?;
    }
    Ok(())
}

/// A small source of numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        // Numbers of the first 64-bit linear generator in Knuth, TAOCP 2, 3.3.4 (MMIX).
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }
}

async fn a_search_finds_exactly_what_the_words_say(on: Fixture) -> Result<(), String> {
    const WORDS: [&str; 14] =
        ["tea", "Tea", "teapot", "milk", "not", "AND", "or", "near", "a", "ab", "abc", "b2", "x", "scope"];
    let name = searchable(&on).await?;
    let ada = user();
    let mut numbers = Numbers(7);
    let text = |numbers: &mut Numbers, most: usize| {
        let words = (0..numbers.below(most)).map(|_| WORDS[numbers.below(WORDS.len())].to_owned());
        words.collect::<Vec<_>>().join([" ", ", ", "-", "; \"", ".\n"][most % 5])
    };
    let documents: Vec<Value> = (0..300)
        .map(|n| json!({"id": format!("d{n:03}"), "title": text(&mut numbers, 2 + n % 7), "tags": [text(&mut numbers, 3), text(&mut numbers, 4)]}))
        .collect();
    let lines: String = documents.iter().map(|document| format!("{document}\n")).collect();
    let body = stream::iter([Ok(lines.into())]).boxed();
    check_eq(&on.import(&ada, &name, body, ImportOptions::new()).await.map_err(failed)?.created, &300)?;
    let reference = Searchable::compile(&SearchSettings::new(["title", "tags"]), &[]).map_err(failed)?;
    let words: Vec<_> = documents.iter().filter_map(|document| Some(reference.words(document.as_object()?))).collect();
    for round in 0..400 {
        let terms: Vec<String> = (0..1 + numbers.below(3))
            .map(|_| {
                let word = WORDS[numbers.below(WORDS.len())];
                let next = WORDS[numbers.below(WORDS.len())];
                match numbers.below(6) {
                    0 => format!("-{word}"),
                    1 => format!("{}*", &word[..1]),
                    2 => format!("\"{word} {next}\""),
                    3 => format!("-\"{word} {next}\"*"),
                    _ => word.to_owned(),
                }
            })
            .collect();
        let text = terms.join(" ");
        let search = reference.search(&text).map_err(failed)?;
        let expected: BTreeSet<String> = documents
            .iter()
            .zip(&words)
            .filter(|(_, words)| search.finds(words))
            .filter_map(|(document, _)| document["id"].as_str().map(str::to_owned))
            .collect();
        let found = found(&on, &ada, &name, &text).await?;
        if found != expected {
            let missing: Vec<_> = expected.difference(&found).take(3).collect();
            let wrong: Vec<_> = found.difference(&expected).take(3).collect();
            return Err(format!("round {round}, {text}: {missing:?} are missing, {wrong:?} too many"));
        }
    }
    Ok(())
}

async fn what_fits_best_comes_first(on: Fixture) -> Result<(), String> {
    let name = searchable(&on).await?;
    let ada = user();
    put(&on, &ada, &name, "a", json!({"title": "tea in one place and much else that is said at some length here"}))
        .await?;
    put(
        &on,
        &ada,
        &name,
        "b",
        json!({"title": "tea tea tea tea tea and tea in many places, much else is said here too"}),
    )
    .await?;
    put(&on, &ada, &name, "c", json!({"title": "milk"})).await?;
    put(&on, &ada, &name, "d", json!({"title": "tea", "tags": ["tea tea"]})).await?;
    let by_rank = list(&on, &ada, &name, ListQuery::new().with_search("tea")).await?;
    check_eq(&by_rank.last().map(String::as_str), &Some("a"))?;
    check_eq(&by_rank.len(), &3)?;
    // What fits alike is in the order of the ids.
    let same = searchable(&on).await?;
    for id in ["z", "m", "b"] {
        put(&on, &ada, &same, id, json!({"title": "just tea"})).await?;
    }
    check_eq(
        &list(&on, &ada, &same, ListQuery::new().with_search("tea")).await?,
        &vec!["b".into(), "m".into(), "z".into()],
    )
}

async fn a_search_has_pages_in_both_directions(on: Fixture) -> Result<(), String> {
    let name = searchable(&on).await?;
    let ada = user();
    for n in 0..40 {
        let title = format!("{} {}", "tea ".repeat(1 + n % 5), "milk ".repeat(n % 3));
        put(&on, &ada, &name, &format!("d{n:02}"), json!({"title": title})).await?;
    }
    let whole = list(&on, &ada, &name, ListQuery::new().with_search("tea")).await?;
    check_eq(&whole.len(), &40)?;
    let query = || Limit::new(7).map(|limit| ListQuery::new().with_search("tea").with_limit(limit)).map_err(failed);
    let (mut seen, mut cursor, mut pages) = (Vec::new(), None::<String>, Vec::new());
    loop {
        let query = match cursor.take() {
            Some(from) => query()?.with_cursor(from),
            None => query()?,
        };
        let page = on.list(&ada, &name, &query).await.map_err(failed)?.value;
        seen.extend(ids(&page));
        cursor.clone_from(&page.next_cursor);
        pages.push(page);
        if cursor.is_none() {
            break;
        }
    }
    check_eq(&seen, &whole)?;
    check_eq(&pages.len(), &6)?;
    let back = pages.last().and_then(|page| page.previous_cursor.clone()).ok_or("the last page has no way back")?;
    let before = on.list(&ada, &name, &query()?.with_cursor(&back)).await.map_err(failed)?.value;
    check_eq(&Some(ids(&before)), &pages.get(4).map(ids))?;
    // A cursor goes with its search alone.
    let other = ListQuery::new().with_search("milk").with_cursor(&back);
    refused(on.list(&ada, &name, &other).await, ErrorKind::Invalid, "invalid-cursor")?;
    let other = ListQuery::new().with_cursor(&back);
    refused(on.list(&ada, &name, &other).await, ErrorKind::Invalid, "invalid-cursor")
}

async fn a_search_follows_every_write(on: Fixture) -> Result<(), String> {
    let name = searchable(&on).await?;
    let ada = user();
    put(&on, &ada, &name, "a", json!({"title": "first words"})).await?;
    let id = DocumentId::new("a").map_err(failed)?;
    check_eq(&found(&on, &ada, &name, "first").await?, &set(&["a"]))?;
    put(&on, &ada, &name, "a", json!({"title": "second words"})).await?;
    check_eq(&found(&on, &ada, &name, "first").await?, &set(&[]))?;
    check_eq(&found(&on, &ada, &name, "second").await?, &set(&["a"]))?;
    let patch = |value: Value| Object::patch_from_value(value).map_err(failed);
    on.patch(&ada, &name, &id, patch(json!({"tags": ["third"]}))?, Precondition::None).await.map_err(failed)?;
    check_eq(&found(&on, &ada, &name, "second third").await?, &set(&["a"]))?;
    on.patch(&ada, &name, &id, patch(json!({"title": null, "tags": null}))?, Precondition::None)
        .await
        .map_err(failed)?;
    check_eq(&found(&on, &ada, &name, "words").await?, &set(&[]))?;
    put(&on, &ada, &name, "a", json!({"title": "fourth"})).await?;
    on.delete(&ada, &name, &id, Precondition::None).await.map_err(failed)?;
    check_eq(&found(&on, &ada, &name, "fourth").await?, &set(&[]))?;
    put(&on, &ada, &name, "a", json!({"title": "fifth"})).await?;
    check_eq(&found(&on, &ada, &name, "fourth").await?, &set(&[]))?;
    check_eq(&found(&on, &ada, &name, "fifth").await?, &set(&["a"]))
}

async fn a_search_goes_with_rule_filter_sort_and_count(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let rule = "doc.public == true || meta.owner == caller.id";
    configure(&on, &name, settings().with_rules(Rules::default().with_list(rule))).await?;
    let (ada, bob) = (user(), user());
    for n in 0..6 {
        let document = json!({"title": "tea", "n": n, "public": n % 2 == 0});
        put(&on, &ada, &name, &format!("d{n}"), document).await?;
    }
    check_eq(&found(&on, &ada, &name, "tea").await?.len(), &6)?;
    check_eq(&found(&on, &bob, &name, "tea").await?, &set(&["d0", "d2", "d4"]))?;
    let filtered = ListQuery::new().with_search("tea").with_filter("n >= 2").map_err(failed)?;
    check_eq(&list(&on, &bob, &name, filtered.clone()).await?, &vec!["d2".into(), "d4".into()])?;
    let sorted = filtered.with_sort("-n").map_err(failed)?.with_count(Counting::Exact);
    let page =
        on.list(&bob, &name, &sorted.clone().with_limit(Limit::new(1).map_err(failed)?)).await.map_err(failed)?.value;
    check_eq(&ids(&page), &vec!["d4".to_owned()])?;
    check_eq(&page.count.map(|count| count.value), &Some(2))?;
    let next = page.next_cursor.ok_or("there is no next page")?;
    check_eq(&list(&on, &bob, &name, sorted.with_cursor(next)).await?, &vec!["d2".to_owned()])?;
    let counted = ListQuery::new().with_search("tea").with_count(Counting::Exact);
    let count = on.list(&bob, &name, &counted).await.map_err(failed)?.value.count;
    check_eq(&count.map(|count| count.value), &Some(3))
}

async fn documents_that_were_there_are_found(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let ada = user();
    let lines: String =
        (0..900).map(|n| format!("{{\"id\":\"d{n:03}\",\"title\":\"tea {n}\",\"text\":\"milk\"}}\n")).collect();
    on.import(&ada, &name, stream::iter([Ok(lines.into())]).boxed(), ImportOptions::new()).await.map_err(failed)?;
    let tea = ListQuery::new().with_search("tea");
    refused(on.list(&ada, &name, &tea).await, ErrorKind::Invalid, "not-searchable")?;
    configure(&on, &name, settings()).await?;
    let counted = |text: &str| {
        let (on, name, ada) = (Arc::clone(&on), name.clone(), ada.clone());
        let query = ListQuery::new().with_search(text).with_count(Counting::Exact);
        async move {
            let count = on.list(&ada, &name, &query).await.map_err(failed)?.value.count;
            Ok::<_, String>(count.map_or(0, |count| count.value))
        }
    };
    check_eq(&counted("tea").await?, &900)?;
    check_eq(&counted("milk").await?, &0)?;
    check_eq(&found(&on, &ada, &name, "tea 7").await?, &set(&["d007"]))?;
    // Other members: what stood in those before is not found any more.
    let other = CollectionSettings::new().with_search(SearchSettings::new(["text"]));
    configure(&on, &name, other).await?;
    check_eq(&counted("milk").await?, &900)?;
    check_eq(&counted("tea").await?, &0)?;
    configure(&on, &name, CollectionSettings::new()).await?;
    refused(on.list(&ada, &name, &tea).await, ErrorKind::Invalid, "not-searchable")?;
    put(&on, &ada, &name, "d000", json!({"title": "coffee"})).await?;
    configure(&on, &name, settings()).await?;
    check_eq(&counted("tea").await?, &899)?;
    check_eq(&found(&on, &ada, &name, "coffee").await?, &set(&["d000"]))
}

async fn a_search_knows_the_stems_of_its_language(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let english = SearchSettings::new(["title"]).with_language(SearchLanguage::English);
    configure(&on, &name, CollectionSettings::new().with_search(english)).await?;
    let ada = user();
    put(&on, &ada, &name, "a", json!({"title": "Running through libraries"})).await?;
    put(&on, &ada, &name, "b", json!({"title": "he runs"})).await?;
    for (text, expected) in [
        ("run", set(&["a", "b"])),
        ("runs library", set(&["a"])),
        ("\"running through\"", set(&["a"])),
        ("librar*", set(&["a"])),
        ("ran", set(&[])),
    ] {
        check(found(&on, &ada, &name, text).await? == expected, &format!("{text} does not find {expected:?}"))?;
    }
    Ok(())
}

async fn a_search_finds_nothing_of_another_collection(on: Fixture) -> Result<(), String> {
    let (one, two) = (searchable(&on).await?, searchable(&on).await?);
    let ada = user();
    put(&on, &ada, &one, "a", json!({"title": "shared words"})).await?;
    put(&on, &ada, &two, "a", json!({"title": "other words"})).await?;
    check_eq(&found(&on, &ada, &one, "shared").await?, &set(&["a"]))?;
    check_eq(&found(&on, &ada, &two, "shared").await?, &set(&[]))?;
    check_eq(&found(&on, &ada, &two, "-shared").await?, &set(&["a"]))?;
    put(&on, &user(), &one, "b", json!({"title": "shared words"})).await?;
    check_eq(&found(&on, &ada, &one, "shared").await?, &set(&["a"]))
}

async fn what_is_hidden_cannot_be_searched(on: Fixture) -> Result<(), String> {
    let name = name()?;
    for hidden in ["title", "title.inner"] {
        let outcome = on.configure(&admin(), &name, settings().with_hidden(hidden), None).await;
        check_eq(&outcome.as_ref().err().and_then(Error::field), &Some("/search/fields/0"))?;
        refused(outcome, ErrorKind::Invalid, "invalid-field")?;
    }
    for fields in [vec![], vec!["meta.owner"], vec!["x"; 17]] {
        let outcome = on
            .configure(&admin(), &name, CollectionSettings::new().with_search(SearchSettings::new(fields)), None)
            .await;
        check(outcome.is_err_and(|error| error.kind() == ErrorKind::Invalid), "these members can be searched")?;
    }
    Ok(())
}

async fn a_search_that_is_none_has_an_answer(on: Fixture) -> Result<(), String> {
    let name = searchable(&on).await?;
    let ada = user();
    put(&on, &ada, &name, "a", json!({"title": "tea and milk, or near a column"})).await?;
    let many = "tea ".repeat(33);
    let long = "x".repeat(1025);
    for text in ["", " ", "*", "-", "\"\"", "'", "\\", ":*", "& | ! ( )", "\u{0}", "\u{202e}", &many, &long] {
        let outcome = on.list(&ada, &name, &ListQuery::new().with_search(text)).await;
        refused(outcome, ErrorKind::Invalid, "invalid-search").map_err(|found| format!("{text:?}: {found}"))?;
    }
    // What would be syntax elsewhere is plain text here.
    for text in [
        "tea'); DROP TABLE universal_search; --",
        "tea & !milk",
        "tea <-> milk",
        "scope : tea",
        "NEAR(tea milk, 2)",
        "{words} : tea",
        "^tea",
        "tea:*A",
        "tea\0",
        "'tea':1A",
        "\\'tea",
        "\"tea\" OR \"\"\"",
        "tea NOT milk",
        "日本語 ტექსტი",
        "\u{fffd}",
        "te\u{301}a",
    ] {
        match on.list(&ada, &name, &ListQuery::new().with_search(text)).await {
            Ok(_) => {}
            Err(error) => check(error.code() == "invalid-search", &format!("{text:?}: {error:?}"))?,
        }
    }
    check_eq(&found(&on, &ada, &name, "tea & or NEAR").await?, &set(&["a"]))?;
    check_eq(&found(&on, &ada, &name, "tea:milk").await?, &set(&[]))
}
