//! Where a text can come in, and with which codes it may be refused there.

use std::time::Duration;

use serde_json::{Value, json};
use universal_core::{
    Backend, Caller, TenantId,
    collections::{
        AggregateQuery, CollectionSettings, Command, DistinctQuery, Document, DocumentWrite, ExportQuery, GetQuery,
        IdempotencyKey, IndexSettings, ListQuery, Matching, NewDocument, Precondition, SearchSettings,
    },
    error::{Error, Result},
    expr::{Expression, Scope},
    id::{CollectionName, DocumentId, UserId},
    json::Object,
    realtime::Subscribe,
};
use universal_tests::wait::until;

/// A place, and the codes of docs/errors.md with which a text may be refused there.
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) codes: &'static [&'static str],
}

const fn place(name: &'static str, codes: &'static [&'static str]) -> Place {
    Place { name, codes }
}

/// All places.
pub(super) const PLACES: [Place; 24] = [
    place("the text of a filter", &["invalid-filter"]),
    place("a value of a filter", &["invalid-filter"]),
    place("a name in a filter", &["invalid-field", "invalid-filter"]),
    place("an argument of a function", &["invalid-filter"]),
    place("sort", &["invalid-sort"]),
    place("a quoted name in sort", &["invalid-sort"]),
    place("fields", &["invalid-fields"]),
    place("expand", &["invalid-expand"]),
    place("a cursor", &["invalid-cursor"]),
    place("a search", &["invalid-search"]),
    place("group", &["invalid-group"]),
    place("a quoted name in select", &["invalid-field", "invalid-select"]),
    place("distinct", &["invalid-field"]),
    place("an id that is read", &["document-not-found", "invalid-id"]),
    place("a collection", &["invalid-collection"]),
    place("a member that is incremented", &["invalid-text", "misplaced-operation", "reserved-key"]),
    place("the field of an index", &["invalid-index"]),
    place("the name of an index", &["invalid-index"]),
    place("an update by filter", &["invalid-filter", "invalid-text"]),
    place("a cursor of a deletion by filter", &["invalid-cursor"]),
    place("an idempotency key", &["invalid-idempotency-key"]),
    place("the filter of a subscription", &["invalid-filter"]),
    place("the filter of an export", &["invalid-filter"]),
    place("a name and a value that are stored", &["invalid-text", "reserved-key"]),
];

/// The user who sends them all.
pub(super) fn eve() -> Caller {
    Caller::user(TenantId::default_tenant(), UserId::new("eve").unwrap())
}

pub(super) fn targets() -> CollectionName {
    CollectionName::new("targets").unwrap()
}

fn shown(items: &[Document]) -> Value {
    let shown = items.iter().map(|item| {
        let body: Value = serde_json::from_str(&item.body).unwrap();
        json!({"id": item.id.as_str(), "body": body, "owner": item.owner})
    });
    shown.collect()
}

/// Sends a text to one of the places.
pub(super) async fn send(backend: &Backend, place: usize, text: &str) -> Result<Value> {
    let (caller, on) = (eve(), targets());
    let (collections, system) = (backend.collections(), Caller::system(TenantId::default_tenant()));
    let quoted = serde_json::to_string(text).map_err(|error| Error::invalid("text", error.to_string()))?;
    let list = |query: Result<ListQuery>| async move {
        Ok::<_, Error>(shown(&collections.list(&eve(), &targets(), &query?).await?.value.items))
    };
    Ok(match place {
        0 => list(ListQuery::new().with_filter(text)).await?,
        1 => list(ListQuery::new().with_filter(&format!("name == {quoted}"))).await?,
        2 => list(ListQuery::new().with_filter(&format!("doc[{quoted}] == 1"))).await?,
        3 => list(ListQuery::new().with_filter(&format!("name.contains({quoted})"))).await?,
        4 => list(ListQuery::new().with_sort(text)).await?,
        5 => list(ListQuery::new().with_sort(&format!("-doc[{quoted}]"))).await?,
        6 => list(ListQuery::new().with_fields(text)).await?,
        7 => list(ListQuery::new().with_expand(text)).await?,
        8 => list(Ok(ListQuery::new().with_cursor(text))).await?,
        9 => list(Ok(ListQuery::new().with_search(text))).await?,
        10 | 11 => {
            let query = match place {
                10 => AggregateQuery::new().with_group(text)?,
                _ => AggregateQuery::new().with_select(&format!("max:doc[{quoted}]"))?,
            };
            let mut shown = String::new();
            collections.aggregate(&caller, &on, &query).await?.value.write_json(&mut shown);
            shown.into()
        }
        12 => json!(collections.distinct(&caller, &on, &DistinctQuery::new(text)?).await?.value.values),
        13 => {
            let read = collections.get_with(&caller, &on, &DocumentId::new(text)?, &GetQuery::new()).await?;
            shown(&[read.value])
        }
        14 => shown(&collections.list(&caller, &CollectionName::new(text)?, &ListQuery::new()).await?.value.items),
        15 => {
            let body = Object::patch_from_value(json!({ text: {"$inc": 1} }))?;
            let id = DocumentId::new("patched")?;
            shown(&[collections.patch(&caller, &on, &id, body, Precondition::None).await?])
        }
        16 | 17 => {
            let (name, field) =
                if place == 16 { ("hostile", format!("doc[{quoted}]")) } else { (text, "n".to_owned()) };
            let settings = CollectionSettings::new().with_index(name, IndexSettings::on([field]));
            let info = collections.configure(&system, &CollectionName::new("shaped")?, settings, None).await?;
            json!(info.indexes.len())
        }
        18 => {
            let patch = Object::patch_from_value(json!({"touched": text}))?;
            let matching = Matching::new(on, &format!("name == {quoted}"))?;
            json!(collections.update_where(&caller, matching, patch).await?.changed)
        }
        19 => {
            let matching = Matching::new(on, "name == \"nothing\"")?.with_cursor(text);
            json!(collections.delete_where(&caller, matching).await?.changed)
        }
        20 => {
            let patch = Object::patch_from_value(json!({"once": true}))?;
            let (id, precondition) = (DocumentId::new("patched")?, Precondition::None);
            let write = DocumentWrite::Patch { collection: on, id, patch, precondition };
            let once = collections.once(&caller, &IdempotencyKey::new(text)?, Command::Write(write)).await?;
            json!(once.replayed)
        }
        21 => {
            let filter = Expression::parse(&format!("name == {quoted} || {text}"), Scope::Filter)?;
            let subscribed = backend.realtime().subscribe(&caller, Subscribe::to(on).with_filter(filter)).await?;
            json!(subscribed.recovered())
        }
        22 => {
            let exported = collections.export(&caller, &on, &ExportQuery::new().with_filter(text)?).await?;
            drop(exported);
            Value::Null
        }
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

/// The collection that texts are sent to, with the documents of the one who sends them.
pub(super) async fn prepare(backend: &Backend) {
    let (collections, system) = (backend.collections(), Caller::system(TenantId::default_tenant()));
    let settings = CollectionSettings::new().with_search(SearchSettings::new(["name"]));
    collections.configure(&system, &targets(), settings, None).await.unwrap();
    for id in ["patched", "plain"] {
        let document = NewDocument::new(Object::from_value(json!({"name": "target", "n": 1})).unwrap());
        let document = document.with_id(DocumentId::new(id).unwrap());
        collections.create(&eve(), &targets(), document).await.unwrap();
    }
    until("the words are collected", Duration::from_secs(30), || async {
        collections.list(&system, &targets(), &ListQuery::new().with_search("target")).await.is_ok()
    })
    .await;
}
