//! What every implementation of [`Collections`] promises about imports and exports.

#![expect(clippy::indexing_slicing, reason = "a member of a JSON value that is not there is null")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use crate::{
    caller::{Caller, ROLE_ADMIN},
    collections::{
        CollectionSettings, Collections, ExportQuery, ImportMeta, ImportMode, ImportOptions, ImportReport, NewDocument,
        OnError, Rules,
        transfer::{MAX_REPORTED, MAX_WHOLE_BYTES, NdjsonStream},
    },
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    error::{Error, ErrorKind},
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::Object,
};

/// What a case runs on: an implementation whose tenant `default` may hold anything already. Every case
/// uses collections of its own.
pub type Fixture = Arc<dyn Collections>;

/// Every promise.
pub const CASES: &[Case<Fixture>] = &[
    case!(an_export_holds_what_the_caller_may_list_in_the_order_of_ids),
    case!(an_export_hides_what_is_hidden),
    case!(an_export_is_read_page_by_page_as_it_is_wanted),
    case!(an_export_holds_documents_of_the_largest_size),
    case!(what_was_exported_can_be_imported_elsewhere),
    case!(an_import_reports_every_line_that_is_refused),
    case!(an_import_decides_each_line_by_rules_and_schema),
    case!(an_import_replaces_where_it_is_asked_to),
    case!(an_import_lists_a_thousand_errors_and_counts_all),
    case!(an_import_of_all_or_nothing_leaves_nothing_behind),
    case!(an_import_of_all_or_nothing_has_limits),
    case!(an_import_keeps_what_was_committed_when_its_stream_breaks),
    case!(an_import_is_refused_before_a_line_is_read),
    case!(administrators_may_keep_owners_and_moments),
    case!(every_document_of_an_import_is_in_the_order_of_its_lines),
];

fn user() -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::generate())
}

fn admin() -> Caller {
    user().with_roles([ROLE_ADMIN])
}

fn name() -> Result<CollectionName, String> {
    CollectionName::new(format!("t{}", crate::id::random_hex(6).map_err(failed)?)).map_err(failed)
}

async fn configured(on: &Fixture, settings: CollectionSettings) -> Result<CollectionName, String> {
    let name = name()?;
    on.configure(&admin(), &name, settings, None).await.map_err(failed)?;
    Ok(name)
}

/// A body in pieces that end where they will.
fn body(text: &str) -> NdjsonStream {
    let pieces: Vec<_> = text.as_bytes().chunks(997).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

fn ndjson(lines: impl IntoIterator<Item = Value>) -> String {
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

async fn import(
    on: &Fixture,
    caller: &Caller,
    name: &CollectionName,
    text: &str,
    options: ImportOptions,
) -> Result<ImportReport, Error> {
    on.import(caller, name, body(text), options).await
}

/// The documents as an answer shows them.
async fn export(on: &Fixture, caller: &Caller, name: &CollectionName) -> Result<Vec<Value>, String> {
    let found = on.export(caller, name, &ExportQuery::new()).await.map_err(failed)?.value;
    let pages: Vec<_> = found.try_collect().await.map_err(failed)?;
    let shown = pages.iter().flatten().map(|document| {
        let mut text = String::new();
        document.write_json(&mut text);
        serde_json::from_str(&text).map_err(failed)
    });
    shown.collect()
}

fn without_meta(documents: &[Value]) -> Vec<Value> {
    let stripped = documents.iter().cloned().map(|mut document| {
        if let Some(members) = document.as_object_mut() {
            members.remove("_meta");
        }
        document
    });
    stripped.collect()
}

fn counts(report: &ImportReport) -> [u64; 4] {
    [report.lines, report.created, report.updated, report.failed]
}

async fn an_export_holds_what_the_caller_may_list_in_the_order_of_ids(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let (ada, bob) = (user(), user());
    for (caller, n) in [(&ada, 2), (&bob, 3), (&ada, 1), (&ada, 4)] {
        let document = NewDocument::new(Object::from_value(json!({"n": n})).map_err(failed)?);
        let id = DocumentId::new(format!("d{n}")).map_err(failed)?;
        on.create(caller, &name, document.with_id(id)).await.map_err(failed)?;
    }
    let ids = |documents: &[Value]| documents.iter().map(|document| document["id"].clone()).collect::<Vec<_>>();
    check_eq(&ids(&export(&on, &ada, &name).await?), &vec![json!("d1"), json!("d2"), json!("d4")])?;
    check_eq(&ids(&export(&on, &bob, &name).await?), &vec![json!("d3")])?;
    check_eq(&export(&on, &admin(), &name).await?.len(), &4)?;
    check_eq(&export(&on, &user(), &name).await?.len(), &0)?;
    let filtered = ExportQuery::new().with_filter("n > 1").map_err(failed)?;
    let found: Vec<_> =
        on.export(&ada, &name, &filtered).await.map_err(failed)?.value.try_collect().await.map_err(failed)?;
    check_eq(&found.iter().map(Vec::len).sum::<usize>(), &2)?;
    let anonymous = Caller::anonymous(TenantId::default_tenant());
    let outcome = on.export(&anonymous, &name, &ExportQuery::new()).await;
    refused(outcome.map(|_| ()), ErrorKind::Unauthenticated, "sign-in-required")
}

async fn an_export_hides_what_is_hidden(on: Fixture) -> Result<(), String> {
    let name = configured(&on, CollectionSettings::new().with_hidden("secret")).await?;
    let ada = user();
    let document = NewDocument::new(Object::from_value(json!({"n": 1})).map_err(failed)?);
    let made = on.create(&ada, &name, document).await.map_err(failed)?;
    let secret = Object::from_value(json!({"secret": 7})).map_err(failed)?;
    on.patch(&admin(), &name, &made.id, secret, crate::collections::Precondition::None).await.map_err(failed)?;
    let shown = without_meta(&export(&on, &ada, &name).await?);
    check_eq(&shown, &vec![json!({"id": made.id.as_str(), "n": 1})])?;
    check_eq(&export(&on, &admin(), &name).await?.first().map(|first| first["secret"].clone()), &Some(json!(7)))?;
    let asked = ExportQuery::new().with_filter("secret == 7").map_err(failed)?;
    refused(on.export(&ada, &name, &asked).await.map(|_| ()), ErrorKind::Invalid, "invalid-field")
}

async fn an_export_is_read_page_by_page_as_it_is_wanted(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let ada = user();
    let lines = (0..1200).map(|n| json!({"id": format!("d{n:04}"), "n": n}));
    let report = import(&on, &ada, &name, &ndjson(lines), ImportOptions::new()).await.map_err(failed)?;
    check_eq(&counts(&report), &[1200, 1200, 0, 0])?;
    let mut pages = on.export(&ada, &name, &ExportQuery::new()).await.map_err(failed)?.value;
    let first = pages.try_next().await.map_err(failed)?.unwrap_or_default();
    check(!first.is_empty() && first.len() < 1200, "the first page is all there is")?;
    // What the reader has not come to yet is read when it comes there.
    let last = DocumentId::new("d1199").map_err(failed)?;
    on.delete(&ada, &name, &last, crate::collections::Precondition::None).await.map_err(failed)?;
    let rest: Vec<_> = pages.try_collect().await.map_err(failed)?;
    let all: Vec<_> = first.iter().chain(rest.iter().flatten()).map(|document| document.id.to_string()).collect();
    check_eq(&all.len(), &1199)?;
    check(all.is_sorted(), "the documents are not in the order of their ids")?;
    check_eq(&all.iter().collect::<BTreeSet<_>>().len(), &1199)
}

async fn an_export_holds_documents_of_the_largest_size(on: Fixture) -> Result<(), String> {
    let (from, to) = (name()?, name()?);
    let ada = user();
    let long = json!({"a": "x".repeat(1024 * 1024 - 8)});
    let mut wide = serde_json::Map::new();
    for n in 0..1000 {
        wide.insert(format!("m{n}"), json!(n));
    }
    for members in [long, Value::Object(wide)] {
        let document = NewDocument::new(Object::from_value(members).map_err(failed)?);
        on.create(&ada, &from, document).await.map_err(failed)?;
    }
    let exported = export(&on, &ada, &from).await?;
    let report = import(&on, &ada, &to, &ndjson(exported.clone()), ImportOptions::new()).await.map_err(failed)?;
    check_eq(&counts(&report), &[2, 2, 0, 0])?;
    check(without_meta(&export(&on, &ada, &to).await?) == without_meta(&exported), "they came back changed")?;
    let too_long = json!({"a": "x".repeat(1024 * 1024 - 7)}).to_string();
    let report = import(&on, &ada, &to, &too_long, ImportOptions::new()).await.map_err(failed)?;
    check_eq(&report.errors.first().map(|error| error.code), &Some("document-too-large"))
}

async fn what_was_exported_can_be_imported_elsewhere(on: Fixture) -> Result<(), String> {
    let (from, to) = (name()?, name()?);
    let ada = user();
    let lines = [
        json!({"id": "ü/1", "text": "a\nb\u{2028}\"\\", "n": -0.5, "big": i64::MAX, "deep": {"a": [1, null, {"b": true}]}}),
        json!({"id": "b", "e": 1e300, "empty": {}, "list": []}),
        json!({"id": "a"}),
    ];
    import(&on, &ada, &from, &ndjson(lines), ImportOptions::new()).await.map_err(failed)?;
    let exported = export(&on, &ada, &from).await?;
    check_eq(&exported.len(), &3)?;
    let report = import(&on, &ada, &to, &ndjson(exported.clone()), ImportOptions::new()).await.map_err(failed)?;
    check_eq(&counts(&report), &[3, 3, 0, 0])?;
    check_eq(&without_meta(&export(&on, &ada, &to).await?), &without_meta(&exported))
}

async fn an_import_reports_every_line_that_is_refused(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let ada = user();
    let text = concat!(
        "{\"id\":\"a\",\"n\":1}\n",
        "\n",
        "{\"id\":\"a\",\"n\":2}\n",
        "not json\n",
        "{\"id\":\"_x\"}\r\n",
        "{\"x\":{\"$inc\":1}}\n",
        "{\"n\":1,\"n\":2}\n",
        "\u{feff}{}\n",
        "[]\n",
        "{\"n\":9223372036854775808}\n",
        "{\"id\":\"b\"}"
    );
    let report = import(&on, &ada, &name, text, ImportOptions::new()).await.map_err(failed)?;
    check_eq(&counts(&report), &[10, 2, 0, 8])?;
    let found: Vec<_> = report.errors.iter().map(|error| (error.line, error.code, error.pointer.as_deref())).collect();
    let expected = vec![
        (3, "document-exists", Some("/id")),
        (4, "invalid-json", None),
        (5, "invalid-id", Some("/id")),
        (6, "reserved-key", Some("/x/$inc")),
        (7, "duplicate-key", Some("/n")),
        (8, "invalid-json", None),
        (9, "not-an-object", None),
        (10, "integer-out-of-range", Some("/n")),
    ];
    check_eq(&found, &expected)?;
    check_eq(&report.errors.get(1).and_then(|error| error.position), &Some(0))?;
    check_eq(&without_meta(&export(&on, &ada, &name).await?), &vec![json!({"id": "a", "n": 1}), json!({"id": "b"})])?;
    let bytes: NdjsonStream = stream::iter([Ok(Bytes::from_static(b"{\"a\":\"\xff\"}\n{\"id\":\"c\"}\n"))]).boxed();
    let report = on.import(&ada, &name, bytes, ImportOptions::new()).await.map_err(failed)?;
    check_eq(
        &report.errors.iter().map(|error| (error.line, error.code)).collect::<Vec<_>>(),
        &vec![(1, "invalid-text")],
    )?;
    check_eq(&counts(&report), &[2, 1, 0, 1])
}

async fn an_import_decides_each_line_by_rules_and_schema(on: Fixture) -> Result<(), String> {
    let rules = Rules::default().with_create("after.ok == true").with_update("doc.open == true");
    let settings = CollectionSettings::new().with_rules(rules).with_schema(json!({"required": ["n"]}));
    let name = configured(&on, settings).await?;
    let ada = user();
    let lines = [
        json!({"id": "a", "ok": true, "n": 1, "open": true}),
        json!({"id": "b", "ok": false, "n": 1}),
        json!({"id": "c", "ok": true}),
        json!({"id": "d", "ok": true, "n": 1}),
        json!({"id": "a", "ok": false, "n": 2}),
        json!({"id": "d", "ok": true, "n": 2}),
    ];
    let upsert = ImportOptions::new().with_mode(ImportMode::Upsert);
    let report = import(&on, &ada, &name, &ndjson(lines.clone()), upsert).await.map_err(failed)?;
    check_eq(&counts(&report), &[6, 2, 1, 3])?;
    let found: Vec<_> = report.errors.iter().map(|error| (error.line, error.code)).collect();
    check_eq(&found, &vec![(2, "forbidden"), (3, "schema-violation"), (6, "forbidden")])?;
    // Somebody else's documents cannot be read, so they are not there and not free.
    let report = import(&on, &user(), &name, &ndjson(lines), upsert).await.map_err(failed)?;
    check_eq(&report.errors.first().map(|error| (error.line, error.code)), &Some((1, "document-not-found")))?;
    check_eq(&report.created, &0)
}

async fn an_import_replaces_where_it_is_asked_to(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let ada = user();
    let lines = |n: i64| ndjson([json!({"id": "a", "n": n}), json!({"n": n}), json!({"id": "b", "n": n})]);
    let upsert = ImportOptions::new().with_mode(ImportMode::Upsert);
    let report = import(&on, &ada, &name, &lines(1), upsert).await.map_err(failed)?;
    check_eq(&counts(&report), &[3, 3, 0, 0])?;
    let report = import(&on, &ada, &name, &lines(2), upsert).await.map_err(failed)?;
    check_eq(&counts(&report), &[3, 1, 2, 0])?;
    let report = import(&on, &ada, &name, &lines(3), ImportOptions::new()).await.map_err(failed)?;
    check_eq(&counts(&report), &[3, 1, 0, 2])?;
    let all = export(&on, &ada, &name).await?;
    let a = all.iter().find(|document| document["id"] == "a").ok_or("a is gone")?;
    check_eq(&a["n"], &json!(2))?;
    check(a["_meta"]["revision"].as_str().is_some_and(|revision| revision.ends_with("-2")), "a was not replaced once")
}

async fn an_import_lists_a_thousand_errors_and_counts_all(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let text = "x\n".repeat(MAX_REPORTED + 5);
    let report = import(&on, &user(), &name, &text, ImportOptions::new()).await.map_err(failed)?;
    check_eq(&counts(&report), &[MAX_REPORTED as u64 + 5, 0, 0, MAX_REPORTED as u64 + 5])?;
    check_eq(&report.errors.len(), &MAX_REPORTED)?;
    check_eq(&report.errors.last().map(|error| error.line), &Some(MAX_REPORTED as u64))
}

async fn an_import_of_all_or_nothing_leaves_nothing_behind(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let ada = user();
    let whole = ImportOptions::new().with_on_error(OnError::Abort);
    let good = || (0..600).map(|n| json!({"id": format!("d{n}"), "n": n}));
    // On reading, the last line; on writing, the last line.
    for (last, kind, code, field) in [
        (json!([]), ErrorKind::Invalid, "not-an-object", "/lines/601"),
        (json!({"id": "d5"}), ErrorKind::Conflict, "document-exists", "/lines/601/id"),
    ] {
        let text = ndjson(good().chain([last]));
        let outcome = import(&on, &ada, &name, &text, whole).await;
        check_eq(&outcome.as_ref().err().and_then(Error::field), &Some(field))?;
        refused(outcome, kind, code)?;
        check_eq(&export(&on, &ada, &name).await?.len(), &0)?;
    }
    let broken = [Ok(Bytes::from_static(b"{\"id\":\"a\"}\n")), Err(Error::invalid("body-broken", "gone"))];
    let outcome = on.import(&ada, &name, stream::iter(broken).boxed(), whole).await;
    refused(outcome, ErrorKind::Invalid, "body-broken")?;
    check_eq(&export(&on, &ada, &name).await?.len(), &0)?;
    let report = import(&on, &ada, &name, &ndjson(good()), whole).await.map_err(failed)?;
    check_eq(&counts(&report), &[600, 600, 0, 0])?;
    let upsert = whole.with_mode(ImportMode::Upsert);
    let report =
        import(&on, &ada, &name, &ndjson(good().chain([json!({"id": "new"})])), upsert).await.map_err(failed)?;
    check_eq(&counts(&report), &[601, 1, 600, 0])?;
    check_eq(&export(&on, &ada, &name).await?.len(), &601)
}

async fn an_import_of_all_or_nothing_has_limits(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let whole = ImportOptions::new().with_on_error(OnError::Abort);
    let piece = Bytes::from(format!("{{\"a\":\"{}\"}}\n", "x".repeat(1_000_000)));
    let taken = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&taken);
    let pieces = stream::repeat_with(move || {
        seen.fetch_add(1, Ordering::Relaxed);
        Ok(piece.clone())
    });
    refused(on.import(&user(), &name, pieces.boxed(), whole).await, ErrorKind::TooLarge, "body-too-large")?;
    let most = usize::try_from(MAX_WHOLE_BYTES / 1_000_000).map_err(failed)? + 2;
    check(taken.load(Ordering::Relaxed) <= most, "it went on reading behind its limit")?;
    let lines = stream::repeat_with(|| Ok(Bytes::from("{}\n".repeat(10_000)))).boxed();
    refused(on.import(&user(), &name, lines, whole).await, ErrorKind::TooLarge, "too-many-lines")?;
    check_eq(&export(&on, &admin(), &name).await?.len(), &0)
}

async fn an_import_keeps_what_was_committed_when_its_stream_breaks(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let ada = user();
    let lines = ndjson((0..1000).map(|n| json!({"n": n})));
    let pieces = [Ok(Bytes::from(lines)), Err(Error::invalid("body-broken", "gone"))];
    let outcome = on.import(&ada, &name, stream::iter(pieces).boxed(), ImportOptions::new()).await;
    refused(outcome, ErrorKind::Invalid, "body-broken")?;
    let kept = export(&on, &ada, &name).await?.len();
    check(kept > 0 && kept <= 1000, &format!("{kept} documents are there"))?;
    let limited = ImportOptions::new().with_max_bytes(100);
    let outcome = import(&on, &ada, &name, &ndjson((0..100).map(|n| json!({"n": n}))), limited).await;
    refused(outcome, ErrorKind::TooLarge, "body-too-large")
}

async fn an_import_is_refused_before_a_line_is_read(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let unread = || stream::once(async { Err(Error::invalid("body-broken", "it was read")) }).boxed();
    let anonymous = Caller::anonymous(TenantId::default_tenant());
    for on_error in [OnError::Report, OnError::Abort] {
        let options = ImportOptions::new().with_on_error(on_error);
        let outcome = on.import(&anonymous, &name, unread(), options).await;
        refused(outcome, ErrorKind::Unauthenticated, "sign-in-required")?;
        let outcome = on.import(&user(), &name, unread(), options.with_meta(ImportMeta::Keep)).await;
        refused(outcome, ErrorKind::Forbidden, "admin-required")?;
    }
    Ok(())
}

async fn administrators_may_keep_owners_and_moments(on: Fixture) -> Result<(), String> {
    let (from, to) = (name()?, name()?);
    let (ada, bob) = (user(), user());
    import(&on, &ada, &from, &ndjson([json!({"id": "a", "n": 1})]), ImportOptions::new()).await.map_err(failed)?;
    import(&on, &bob, &from, &ndjson([json!({"id": "b", "n": 2})]), ImportOptions::new()).await.map_err(failed)?;
    let old = json!({"id": "c", "_meta": {"owner": null, "created_at": "2001-02-03T04:05:06.789Z", "updated_at": "2002-02-03T04:05:06.789Z"}});
    let mut exported = export(&on, &admin(), &from).await?;
    exported.push(old);
    let keep = ImportOptions::new().with_meta(ImportMeta::Keep).with_mode(ImportMode::Upsert);
    for (created, on_error) in [(3, OnError::Report), (0, OnError::Abort)] {
        let options = keep.with_on_error(on_error);
        let report = import(&on, &admin(), &to, &ndjson(exported.clone()), options).await.map_err(failed)?;
        check_eq(&counts(&report), &[3, created, 3 - created, 0])?;
        let mut restored = export(&on, &admin(), &to).await?;
        for (was, is) in exported.iter().zip(&mut restored) {
            for meta in ["owner", "created_at", "updated_at"] {
                check_eq(&is["_meta"][meta], &was["_meta"][meta])?;
            }
        }
    }
    check_eq(&without_meta(&export(&on, &ada, &to).await?), &vec![json!({"id": "a", "n": 1})])?;
    // Without it, the administrator owns what is new.
    let fresh = name()?;
    let caller = admin();
    import(&on, &caller, &fresh, &ndjson(exported), ImportOptions::new()).await.map_err(failed)?;
    let owner = caller.user_id().map(ToString::to_string);
    let all = export(&on, &caller, &fresh).await?;
    check(all.iter().all(|document| document["_meta"]["owner"] == json!(owner)), "a line's owner was kept")
}

async fn every_document_of_an_import_is_in_the_order_of_its_lines(on: Fixture) -> Result<(), String> {
    let name = name()?;
    let ada = user();
    let lines = (0..700).map(|n| json!({"id": format!("d{}", n % 7), "n": n}));
    let upsert = ImportOptions::new().with_mode(ImportMode::Upsert);
    let report = import(&on, &ada, &name, &ndjson(lines), upsert).await.map_err(failed)?;
    check_eq(&counts(&report), &[700, 7, 693, 0])?;
    for document in export(&on, &ada, &name).await? {
        let last = document["n"].as_i64().unwrap_or_default();
        check(last >= 693, &format!("an earlier line stands: {document}"))?;
        check(document["_meta"]["revision"].as_str().is_some_and(|text| text.ends_with("-100")), "a line is missing")?;
    }
    Ok(())
}
