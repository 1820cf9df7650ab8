//! Pages of lists under ties, mixed types, other writers and foreign cursors.

use serde_json::{Value, json};

use super::scene::{Fixture, collection, ids, page, put, store, system, user};
use crate::{
    caller::Caller,
    collections::{ListQuery, Precondition},
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
    id::{CollectionName, DocumentId},
    json::order,
    page::Limit,
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(every_value_has_its_place_in_both_directions_and_on_every_page_size),
    case!(several_keys_order_with_ties_in_each),
    case!(a_document_that_is_written_while_others_page_is_seen_once_at_most),
    case!(new_documents_before_the_cursor_move_no_page),
    case!(a_cursor_of_a_row_that_is_gone_goes_on_in_both_directions),
    case!(a_cursor_is_for_its_tenant_and_any_caller_of_it_sees_by_its_own_rights),
    case!(a_cursor_cut_or_lengthened_is_refused),
    case!(the_place_of_texts_is_by_bytes_however_long),
    case!(pages_end_at_texts_of_any_length),
];

/// The ids of all pages to the end, and then of all pages back to the beginning.
async fn there_and_back(
    on: &Fixture,
    caller: &Caller,
    name: &CollectionName,
    query: &ListQuery,
) -> Result<(Vec<String>, Vec<String>), String> {
    let mut last = page(on, caller, name, query).await?;
    check(last.previous_cursor.is_none(), "the first page has one before it")?;
    let mut there = ids(&last);
    while let Some(cursor) = last.next_cursor.clone() {
        last = page(on, caller, name, &query.clone().with_cursor(cursor)).await?;
        there.extend(ids(&last));
    }
    let mut back = ids(&last);
    while let Some(cursor) = last.previous_cursor.clone() {
        last = page(on, caller, name, &query.clone().with_cursor(cursor)).await?;
        let mut earlier = ids(&last);
        earlier.extend(back);
        back = earlier;
    }
    Ok((there, back))
}

/// Values of every kind, some of them twice.
fn values() -> Vec<Option<Value>> {
    let some = [
        json!(null),
        json!(false),
        json!(true),
        json!(i64::MIN),
        json!(-1.5),
        json!(0),
        json!(1),
        json!(1.0),
        json!(9_007_199_254_740_992_i64),
        json!(9_007_199_254_740_993_i64),
        json!(i64::MAX),
        json!(1.7e203),
        json!(1.7000000000000002e203),
        json!(5e-324),
        json!(""),
        json!("A"),
        json!("a"),
        json!("a\u{1}"),
        json!("é"),
        json!("\u{FFFF}"),
        json!("\u{1F600}"),
        json!([]),
        json!({"a": 1}),
        json!("a"),
        json!(null),
    ];
    some.into_iter().map(Some).chain([None, None]).collect()
}

async fn every_value_has_its_place_in_both_directions_and_on_every_page_size(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let values = values();
    let bodies = values.iter().map(|value| value.as_ref().map_or(json!({}), |value| json!({"v": value})));
    store(&on, &caller, &name, bodies).await?;
    let mut order: Vec<usize> = (0..values.len()).collect();
    let compared = |a: &usize, b: &usize| {
        order::compare(values.get(*a).and_then(Option::as_ref), values.get(*b).and_then(Option::as_ref))
    };
    for (sort, down) in [("v", false), ("-v", true)] {
        // Ties are ordered by id in either direction.
        order.sort_by(|a, b| if down { compared(b, a) } else { compared(a, b) }.then(a.cmp(b)));
        let expected: Vec<String> = order.iter().map(|at| format!("{at:02}")).collect();
        for limit in [1, 2, 5, 500] {
            let query = ListQuery::new().with_sort(sort).map_err(failed)?;
            let query = query.with_limit(Limit::new(limit).map_err(failed)?);
            let (there, back) = there_and_back(&on, &caller, &name, &query).await?;
            check_eq(&(sort, limit, &there), &(sort, limit, &expected))?;
            check_eq(&(sort, limit, &back), &(sort, limit, &expected))?;
        }
    }
    Ok(())
}

async fn several_keys_order_with_ties_in_each(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let mut bodies = Vec::new();
    for n in 0..24_usize {
        let mut body = json!({"a": n % 2, "c": n % 3});
        if n % 4 != 0 {
            body["b"] = if n % 4 == 1 { json!(null) } else { json!(format!("t{}", n % 5)) };
        }
        bodies.push(body);
    }
    store(&on, &caller, &name, bodies.iter().cloned()).await?;
    for sort in ["a,-b,c", "-a,b", "b,-c,a,id", "-c,-b,-a,-id", "meta.owner,b"] {
        let query = ListQuery::new().with_sort(sort).map_err(failed)?;
        let mut expected: Vec<usize> = (0..bodies.len()).collect();
        expected.sort_by(|x, y| {
            let keys = sort.split(',').map(|key| {
                let (name, down) = key.strip_prefix('-').map_or((key, false), |name| (name, true));
                let ordering = match name {
                    "id" => x.cmp(y),
                    "meta.owner" => std::cmp::Ordering::Equal,
                    _ => order::compare(
                        bodies.get(*x).and_then(|body| body.get(name)),
                        bodies.get(*y).and_then(|body| body.get(name)),
                    ),
                };
                if down { ordering.reverse() } else { ordering }
            });
            keys.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then).then(x.cmp(y))
        });
        let expected: Vec<String> = expected.iter().map(|at| format!("{at:02}")).collect();
        let query = query.with_limit(Limit::new(5).map_err(failed)?);
        let (there, back) = there_and_back(&on, &caller, &name, &query).await?;
        check_eq(&(sort, &there), &(sort, &expected))?;
        check_eq(&(sort, &back), &(sort, &expected))?;
    }
    Ok(())
}

async fn a_document_that_is_written_while_others_page_is_seen_once_at_most(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, (0..40).map(|n| json!({"n": n, "seen": 0}))).await?;
    let query = ListQuery::new().with_sort("n").map_err(failed)?.with_limit(Limit::new(3).map_err(failed)?);
    let reading = async {
        let mut seen = Vec::new();
        let mut query = query.clone();
        loop {
            let found = page(&on, &caller, &name, &query).await?;
            seen.extend(ids(&found));
            match found.next_cursor {
                Some(cursor) => query = query.with_cursor(cursor),
                None => return Ok::<_, String>(seen),
            }
        }
    };
    // Writers change what is not sorted by, delete odd documents and create others behind.
    let writing = async {
        for n in 0..40 {
            let id = DocumentId::new(format!("{n:02}")).map_err(failed)?;
            if n % 2 == 1 {
                on.delete(&caller, &name, &id, Precondition::None).await.map_err(failed)?;
            } else {
                let patch = crate::json::Object::patch_from_value(json!({"seen": {"$inc": 1}})).map_err(failed)?;
                on.patch(&caller, &name, &id, patch, Precondition::None).await.map_err(failed)?;
            }
            put(&on, &caller, &name, &format!("new{n:02}"), json!({"n": 100 + n})).await?;
        }
        Ok::<_, String>(())
    };
    let (seen, written) = futures_util::future::join(reading, writing).await;
    let (seen, ()) = (seen?, written?);
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    check_eq(&once.len(), &seen.len())?;
    let missing: Vec<String> = (0..40).step_by(2).map(|n| format!("{n:02}")).filter(|id| !seen.contains(id)).collect();
    check(missing.is_empty(), &format!("{missing:?} were there all the time and not listed"))
}

async fn new_documents_before_the_cursor_move_no_page(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, (0..6).map(|n| json!({"n": n}))).await?;
    let query = ListQuery::new().with_sort("-n").map_err(failed)?.with_limit(Limit::new(2).map_err(failed)?);
    let first = page(&on, &caller, &name, &query).await?;
    check_eq(&ids(&first), &vec!["05".to_owned(), "04".to_owned()])?;
    for n in 6..9 {
        put(&on, &caller, &name, &format!("{n:02}"), json!({"n": n})).await?;
    }
    let next = query.clone().with_cursor(first.next_cursor.ok_or("there is a second page")?);
    let second = page(&on, &caller, &name, &next).await?;
    check_eq(&ids(&second), &vec!["03".to_owned(), "02".to_owned()])?;
    let back = query.with_cursor(second.previous_cursor.ok_or("there is a page before")?);
    check_eq(&ids(&page(&on, &caller, &name, &back).await?), &vec!["05".to_owned(), "04".to_owned()])
}

async fn a_cursor_of_a_row_that_is_gone_goes_on_in_both_directions(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, (0..7).map(|n| json!({"n": n / 2}))).await?;
    let query = ListQuery::new().with_sort("n").map_err(failed)?.with_limit(Limit::new(2).map_err(failed)?);
    let first = page(&on, &caller, &name, &query).await?;
    let next = query.clone().with_cursor(first.next_cursor.clone().ok_or("there is a second page")?);
    let second = page(&on, &caller, &name, &next).await?;
    for id in ids(&first).iter().chain(&ids(&second)).skip(1) {
        let id = DocumentId::new(id.as_str()).map_err(failed)?;
        on.delete(&caller, &name, &id, Precondition::None).await.map_err(failed)?;
    }
    check_eq(&ids(&page(&on, &caller, &name, &next).await?), &vec!["04".to_owned(), "05".to_owned()])?;
    let back = query.with_cursor(second.previous_cursor.ok_or("there is a page before")?);
    check_eq(&ids(&page(&on, &caller, &name, &back).await?), &vec!["00".to_owned()])
}

async fn a_cursor_is_for_its_tenant_and_any_caller_of_it_sees_by_its_own_rights(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, (0..4).map(|n| json!({"n": n}))).await?;
    let query = ListQuery::new().with_limit(Limit::new(2).map_err(failed)?);
    let cursor = page(&on, &caller, &name, &query).await?.next_cursor.ok_or("there is a second page")?;
    let query = query.with_cursor(cursor);
    check_eq(&page(&on, &user(), &name, &query).await?.items.len(), &0)?;
    check_eq(&page(&on, &system(), &name, &query).await?.items.len(), &2)?;
    let foreign = Caller::system(crate::id::TenantId::new("nobody-made-this").map_err(failed)?);
    let outcome = on.list(&foreign, &name, &query).await;
    match outcome {
        Err(error) if matches!(error.code(), "tenant-not-found" | "invalid-cursor") => Ok(()),
        other => Err(format!("a cursor of another tenant was answered {other:?}")),
    }
}

async fn a_cursor_cut_or_lengthened_is_refused(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    store(&on, &caller, &name, (0..3).map(|n| json!({"n": n}))).await?;
    let query = ListQuery::new().with_sort("n").map_err(failed)?.with_limit(Limit::new(1).map_err(failed)?);
    let cursor = page(&on, &caller, &name, &query).await?.next_cursor.ok_or("there is a second page")?;
    let cut = |by: usize| cursor.get(..cursor.len() - by).unwrap_or_default().to_owned();
    let forged = [
        cut(1),
        cut(4),
        cut(cursor.len() - 1),
        format!("{cursor}A"),
        format!("A{cursor}"),
        cursor.repeat(2),
        "=".into(),
    ];
    for forged in forged.into_iter().chain(["A".repeat(10_000), "\u{0}".to_owned(), "1; DROP TABLE x".to_owned()]) {
        let found = on.list(&caller, &name, &query.clone().with_cursor(forged.clone())).await;
        refused(found, ErrorKind::Invalid, "invalid-cursor").map_err(|wrong| format!("{forged}: {wrong}"))?;
    }
    Ok(())
}

async fn the_place_of_texts_is_by_bytes_however_long(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let long = "x".repeat(600);
    let texts = [format!("{long}a"), format!("{long}b"), long.clone(), format!("{long}a"), format!("{long}\u{1F600}")];
    store(&on, &caller, &name, texts.iter().map(|text| json!({"t": text}))).await?;
    let query = ListQuery::new().with_sort("t").map_err(failed)?.with_limit(Limit::new(1).map_err(failed)?);
    let (there, back) = there_and_back(&on, &caller, &name, &query).await?;
    check_eq(&there.join(","), &"02,00,03,01,04".to_owned())?;
    check_eq(&back, &there)
}

async fn pages_end_at_texts_of_any_length(on: Fixture) -> Result<(), String> {
    let (caller, name) = (user(), collection()?);
    let long = |n: u32| format!("{}{n}", "ä".repeat(10_000));
    store(&on, &caller, &name, (0..5).map(|n| json!({"title": long(n / 2), "n": n}))).await?;
    let query = ListQuery::new().with_sort("-title").map_err(failed)?.with_limit(Limit::new(1).map_err(failed)?);
    let first = page(&on, &caller, &name, &query).await?;
    let length = first.next_cursor.as_ref().map_or(0, String::len);
    check((1..2000).contains(&length), "a cursor does not fit into a URL")?;
    let (there, back) = there_and_back(&on, &caller, &name, &query).await?;
    check_eq(&there, &["04", "02", "03", "00", "01"].map(str::to_owned).to_vec())?;
    check_eq(&back, &there)
}
