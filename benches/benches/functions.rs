//! The functions that every request or delivery runs, one by one: `cargo bench -p universal-benches`.
//!
//! With `-- <part of a name>` only some of them; `-- --save-baseline a` and `-- --baseline a` compare.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, Throughput};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use universal_core::{
    Backend,
    auth::{
        AuthKeys, AuthOptions,
        token::{AccessTokens, Subject},
    },
    caller::Caller,
    clock::Timestamp,
    collections::{Document, ListQuery, NewDocument, Sort, document::Revision, patch},
    cursor::Cursor,
    error::Result,
    expr::{CallerFacts, Environment, Expression, Field, Scope},
    id::{CollectionName, DocumentId, TenantId, UserId},
    json::{Object, order},
    secret::MasterKey,
};

const BODY: &str = r#"{"title": "Make tea for the visitors", "done": false, "priority": 4, "number": 17,
    "tags": ["kitchen", "visitors"], "due": "2026-03-01T16:30:00Z", "share": 0.125,
    "notes": "Two pots, one of them without caffeine; ask who takes milk before it is poured."}"#;
const FILTER: &str =
    r#"done == false && (priority > 3 || meta.owner == caller.id) && title in ["Make tea", "Wash up"]"#;
const MOMENT: i64 = 1_770_000_000_000_000;

fn main() -> Result<()> {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    texts(&mut criterion)?;
    expressions(&mut criterion)?;
    documents(&mut criterion)?;
    tokens(&mut criterion)?;
    backend(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// JSON in and out.
fn texts(criterion: &mut Criterion) -> Result<()> {
    let object = Object::parse(BODY.as_bytes())?;
    let stored = object.to_text();
    let large = Object::from_value(json!({ "items": vec![object.as_map().clone(); 250] }))?.to_text();
    let mut group = criterion.benchmark_group("json");
    for (size, text) in [("small", stored.as_str()), ("large", large.as_str())] {
        let object = Object::parse(text.as_bytes())?;
        group.throughput(Throughput::Bytes(u64::try_from(text.len()).unwrap_or(u64::MAX)));
        group.bench_function(format!("Object::parse/{size}"), |b| b.iter(|| Object::parse(black_box(text.as_bytes()))));
        group.bench_function(format!("Object::from_stored/{size}"), |b| {
            b.iter(|| Object::from_stored(black_box(text)));
        });
        group.bench_function(format!("Object::to_text/{size}"), |b| b.iter(|| black_box(&object).to_text()));
        // What the same text costs without our checks.
        group.bench_function(format!("serde_json::from_str/{size}"), |b| {
            b.iter(|| serde_json::from_str::<Value>(black_box(text)));
        });
    }
    group.finish();
    let (a, b) = (json!("Make tea for the visitors"), json!("Make tea for the visitor's guests"));
    criterion.bench_function("json/order::compare", |bench| {
        bench.iter(|| order::compare(black_box(Some(&a)), black_box(Some(&b))));
    });
    Ok(())
}

/// Filters, sort keys, cursors.
fn expressions(criterion: &mut Criterion) -> Result<()> {
    let object = Object::parse(BODY.as_bytes())?;
    let owner = "01890a5d-ac96-774b-bcce-b302099a8057";
    let moment = Timestamp::from_micros(MOMENT);
    let environment = Environment::new("tea", object.as_map())
        .with_owner(Some(owner))
        .with_moments(moment, moment)
        .with_caller(CallerFacts::nobody().with_id(Some(owner)));
    let (simple, long) = ("done == false", FILTER);
    for (name, text) in [("simple", simple), ("long", long)] {
        let expression = Expression::parse(text, Scope::Filter)?;
        criterion.bench_function(&format!("expr/Expression::parse/{name}"), |b| {
            b.iter(|| Expression::parse(black_box(text), Scope::Filter));
        });
        criterion.bench_function(&format!("expr/Expression::evaluate/{name}"), |b| {
            b.iter(|| black_box(&expression).evaluate(black_box(&environment)));
        });
    }
    let field = Field::parse("priority")?;
    criterion.bench_function("expr/Field::sort_key", |b| b.iter(|| field.sort_key(black_box(&environment))));
    criterion.bench_function("collections/Sort::parse", |b| b.iter(|| Sort::parse(black_box("-priority,title"))));
    criterion.bench_function("cursor/parse", |b| b.iter(|| black_box("0a1b2c3d4e5f.1234567").parse::<Cursor>()));
    let cursor = Cursor::new("0a1b2c3d4e5f", 1_234_567);
    criterion.bench_function("cursor/to_string", |b| b.iter(|| black_box(&cursor).to_string()));
    Ok(())
}

/// What a write decides, and what a read answers.
fn documents(criterion: &mut Criterion) -> Result<()> {
    let moment = Timestamp::from_micros(MOMENT);
    let user = UserId::generate();
    let object = Object::parse(BODY.as_bytes())?;
    let document = Document::new(
        CollectionName::new("todos")?,
        DocumentId::generate(),
        object.to_text(),
        Revision::stored("0123456789abcdef-7"),
        Some(user),
        (moment, moment),
    );
    criterion.bench_function("collections/Document::write_json", |b| {
        b.iter(|| {
            let mut out = String::new();
            black_box(&document).write_json(&mut out);
            out
        });
    });
    let change = Object::parse_patch(br#"{"done": true, "priority": {"$inc": 1}, "notes": null}"#)?;
    let members = Value::Object(object.as_map().clone());
    criterion.bench_function("collections/patch::apply", |b| {
        b.iter_batched(
            || members.clone(),
            |members| patch::apply(members, black_box(change.as_map()), moment),
            criterion::BatchSize::SmallInput,
        );
    });
    criterion.bench_function("id/DocumentId::generate", |b| b.iter(DocumentId::generate));
    Ok(())
}

/// The token of every request.
fn tokens(criterion: &mut Criterion) -> Result<()> {
    let keys = Arc::new(AuthKeys::derive(&MasterKey::generate()?)?);
    let tokens = AccessTokens::new(keys, &AuthOptions::default());
    let subject = Subject::new(TenantId::default_tenant(), UserId::generate(), "session", 1);
    let now = Timestamp::from_micros(MOMENT);
    let latest = now.plus(Duration::from_secs(3600));
    let (token, _) = tokens.issue(&subject, now, latest)?;
    criterion.bench_function("auth/AccessTokens::issue", |b| b.iter(|| tokens.issue(black_box(&subject), now, latest)));
    criterion.bench_function("auth/AccessTokens::verify", |b| {
        b.iter(|| tokens.verify(black_box(token.expose_secret()), now));
    });
    Ok(())
}

/// Whole calls on a backend in memory: no HTTP, nothing waits for the disk.
fn backend(criterion: &mut Criterion) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().map_err(universal_core::Error::internal)?;
    let backend = runtime.block_on(Backend::in_memory())?;
    let collections = backend.collections();
    let caller = Caller::user(TenantId::default_tenant(), UserId::generate());
    let (read, written) = (CollectionName::new("read")?, CollectionName::new("written")?);
    let object = Object::parse(BODY.as_bytes())?;
    let mut ids = Vec::new();
    for _ in 0..1000 {
        let created = collections.create(&caller, &read, NewDocument::new(object.clone()));
        ids.push(runtime.block_on(created)?.id);
    }
    let mut next = ids.iter().cycle();
    criterion.bench_function("backend/create", |b| {
        b.iter(|| runtime.block_on(collections.create(&caller, &written, NewDocument::new(object.clone()))));
    });
    if let Some(id) = ids.first() {
        criterion.bench_function("backend/get", |b| {
            b.iter(|| runtime.block_on(collections.get(&caller, &read, next.next().unwrap_or(id))));
        });
    }
    let plain = ListQuery::new();
    let filtered = ListQuery::new().with_filter(FILTER)?.with_sort("-priority")?;
    for (name, query) in [("plain", plain), ("filtered and sorted", filtered)] {
        criterion.bench_function(&format!("backend/list/{name}"), |b| {
            b.iter(|| runtime.block_on(collections.list(&caller, &read, black_box(&query))));
        });
    }
    runtime.block_on(backend.shutdown());
    Ok(())
}
