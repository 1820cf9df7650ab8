//! One database: plays what the model plays, and answers in the model's form.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use universal_core::{
    Caller, TenantId,
    clock::ManualClock,
    collections::{
        Affected, AggregateQuery, Batch, BatchOperation, BatchResult, CollectionSettings, Collections, Counting,
        DistinctQuery, Document, DocumentWrite, GroupLimit, ImportMeta, ImportMode, ImportOptions, IndexSettings,
        IndexState, ListQuery, Matching, MatchingWrite, NewDocument, OnError, Precondition, Rules, Written,
    },
    error::{Error, Result},
    expr::{Expression, Scope},
    id::{CollectionName, DocumentId, UserId},
    json::Object,
    page::{Limit, Page, Precision},
    realtime::{Change as Recorded, Event, Feed, Realtime, Subscribe, Subscription},
};
use universal_tests::wait::{until, until_some};

use super::{
    drawn::{Change, List, Place, Watch, Who},
    filter::Filter,
    lines::Import,
    world::{Condition, Sent},
};
use crate::conformance::subject::Subject;

/// How long a change may take to be numbered and told before the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The tenants of a sequence.
const TENANTS: [&str; 2] = ["default", "other"];

/// One database.
pub(super) struct Side {
    collections: Arc<dyn Collections>,
    realtime: Arc<dyn Realtime>,
    feed: Arc<dyn Feed>,
    users: [UserId; 3],
    pub(super) clock: Arc<ManualClock>,
    /// What the model calls an id or a revision, and what it is here.
    real: HashMap<String, String>,
    names: HashMap<String, String>,
    /// The last change of each tenant before the sequence.
    heads: [i64; 2],
    /// How many calls it has answered.
    pub(super) calls: usize,
}

/// The page of a list, in the model's form, and its cursors.
pub(super) struct Paged {
    pub(super) shown: Value,
    pub(super) next: Option<String>,
    pub(super) previous: Option<String>,
}

impl Side {
    pub(super) async fn new(subject: &Subject, users: [UserId; 3]) -> Self {
        let backend = &subject.backend;
        backend.create_tenant(&TenantId::new(TENANTS[1]).unwrap()).await.unwrap();
        let side = Self {
            collections: Arc::clone(backend.collections()),
            realtime: Arc::clone(backend.realtime()),
            feed: Arc::clone(backend.feed()),
            users,
            clock: Arc::clone(&subject.clock),
            real: HashMap::new(),
            names: HashMap::new(),
            heads: [0, 0],
            calls: 0,
        };
        for tenant in 0..2 {
            side.configure(tenant).await;
        }
        side
    }

    async fn configure(&self, tenant: usize) {
        let (system, ruled) = (self.caller(tenant, Who::System), collection(Place::Ruled));
        let listed = "doc.public == true || meta.owner == caller.id";
        let rules = Rules::default()
            .with_list(listed)
            .with_get(format!("{listed} || doc.code == \"d\""))
            .with_create("has(caller.id) && (!has(after.n) || after.n != 1.5)")
            .with_update("meta.owner == caller.id && (!has(after.n) || after.n != 0)")
            .with_delete("meta.owner == caller.id && (!has(doc.code) || doc.code != \"d\")");
        let settings = CollectionSettings::new()
            .with_rules(rules)
            .with_index("code", IndexSettings::on(["code"]).unique())
            .with_index("order", IndexSettings::on(["public", "-n"]))
            .with_index("mine", IndexSettings::on(["meta.owner", "text"]));
        self.collections.configure(&system, &ruled, settings, None).await.unwrap();
        until("the indexes are built", PATIENCE, || async {
            let info = self.collections.settings(&system, &ruled).await.unwrap();
            info.indexes.iter().all(|index| index.state == IndexState::Ready)
        })
        .await;
    }

    /// Takes away what the sequence before has left, and finds the place in the feed where the next begins.
    pub(super) async fn clean(&mut self) {
        (self.real, self.names) = (HashMap::new(), HashMap::new());
        for tenant in 0..2 {
            let system = self.caller(tenant, Who::System);
            for place in [Place::Plain, Place::Ruled] {
                let all = || Matching::new(collection(place), "true").unwrap();
                while self.collections.delete_where(&system, all()).await.unwrap().next_cursor.is_some() {}
            }
            // Changes are numbered in the order of commits: when this one is, all before it are.
            let plain = collection(Place::Plain);
            let last = NewDocument::new(Object::from_value(json!({})).unwrap());
            let last = self.collections.create(&system, &plain, last).await.unwrap();
            self.collections.delete(&system, &plain, &last.id, Precondition::None).await.unwrap();
            let (side, id) = (&*self, &last.id);
            let head = until_some("the changes of the sequence before", PATIENCE, || async move {
                let changes = side.read(tenant).await;
                let gone = changes.iter().find(|change| change.id == *id && change.after.is_none());
                gone.map(|change| change.seq)
            });
            self.heads[tenant] = head.await;
        }
    }

    /// The feed of a tenant after the place where the sequence began.
    async fn read(&self, tenant: usize) -> Vec<Recorded> {
        let caller = self.caller(tenant, Who::System);
        let (mut all, mut after) = (Vec::new(), self.heads[tenant]);
        loop {
            let page = self.feed.read(caller.tenant(), after, 500).await.unwrap();
            match page.last() {
                Some(last) => after = last.seq,
                None => return all,
            }
            all.extend(page);
        }
    }

    pub(super) fn caller(&self, tenant: usize, who: Who) -> Caller {
        let tenant = TenantId::new(TENANTS[tenant]).unwrap();
        match who {
            Who::User(number) => Caller::user(tenant, self.users[number].clone()),
            Who::Nobody => Caller::anonymous(tenant),
            Who::Admin => Caller::user(tenant, UserId::new("admin").unwrap()).with_roles(["admin"]),
            Who::System => Caller::system(tenant),
        }
    }

    /// Gives an answer the model's names, where they stand for what they stood for before.
    pub(super) fn named(&mut self, expected: &Value, mut answer: Value) -> Value {
        self.name(expected, &mut answer);
        answer
    }

    fn name(&mut self, expected: &Value, answer: &mut Value) {
        match (expected, answer) {
            (Value::Object(expected), Value::Object(answer)) => {
                for (key, value) in answer {
                    let Some(expected) = expected.get(key) else { continue };
                    match (key.as_str(), expected.as_str(), value.as_str()) {
                        ("id" | "revision", Some(name), Some(real)) if name != real => {
                            let is_new = !self.real.contains_key(name) && !self.names.contains_key(real);
                            let is_made = key == "revision" || name.starts_with("0-made-");
                            if is_new && is_made {
                                self.real.insert(name.to_owned(), real.to_owned());
                                self.names.insert(real.to_owned(), name.to_owned());
                            }
                            if let Some(name) = self.names.get(real) {
                                *value = name.as_str().into();
                            }
                        }
                        _ => self.name(expected, value),
                    }
                }
            }
            (Value::Array(expected), Value::Array(answer)) => {
                for (expected, answer) in expected.iter().zip(answer) {
                    self.name(expected, answer);
                }
            }
            _ => {}
        }
    }

    fn id(&self, name: &str) -> DocumentId {
        DocumentId::new(self.real.get(name).map_or(name, String::as_str)).unwrap()
    }

    fn condition(&self, condition: &Condition) -> Precondition {
        match condition {
            Condition::None => Precondition::None,
            Condition::Exists => Precondition::Exists,
            Condition::Absent => Precondition::Absent,
            Condition::Revision(names) => {
                let real = |name: &String| self.real.get(name).expect("a revision that was told").clone();
                Precondition::Revision(names.iter().map(real).collect())
            }
        }
    }

    fn operation(&self, place: Place, sent: &Sent) -> Result<BatchOperation> {
        let collection = collection(place);
        let write = match sent {
            Sent::Create(id, body) => {
                let document = NewDocument::new(Object::from_value(body.clone())?);
                let document = match id {
                    Some(id) => document.with_id(self.id(id)),
                    None => document,
                };
                DocumentWrite::Create { collection, document }
            }
            Sent::Replace(id, body, condition) => {
                let (id, body, precondition) =
                    (self.id(id), Object::from_value(body.clone())?, self.condition(condition));
                DocumentWrite::Replace { collection, id, body, precondition }
            }
            Sent::Patch(id, patch, condition) => {
                let (id, patch, precondition) =
                    (self.id(id), Object::patch_from_value(patch.clone())?, self.condition(condition));
                DocumentWrite::Patch { collection, id, patch, precondition }
            }
            Sent::Delete(id, condition) => {
                DocumentWrite::Delete { collection, id: self.id(id), precondition: self.condition(condition) }
            }
            Sent::Get(id) => {
                return Ok(BatchOperation::Get { collection, id: self.id(id), precondition: Precondition::None });
            }
            Sent::Check(id, condition) => {
                let (id, precondition) = (self.id(id), self.condition(condition));
                return Ok(BatchOperation::Check { collection, id, precondition });
            }
        };
        Ok(BatchOperation::Write(write))
    }

    pub(super) async fn one(&mut self, caller: &Caller, place: Place, sent: &Sent) -> Result<Value> {
        self.calls += 1;
        match self.operation(place, sent)? {
            BatchOperation::Write(write) => Ok(written(&self.collections.write(caller, write).await?)),
            BatchOperation::Get { collection, id, .. } => {
                let read = self.collections.get(caller, &collection, &id).await?.value;
                Ok(json!({"did": "read", "document": shown(&read)}))
            }
            _ => panic!("a check stands in a batch"),
        }
    }

    pub(super) async fn batch(&mut self, caller: &Caller, sent: &[(Place, Sent)]) -> Result<Value> {
        self.calls += 1;
        let mut batch = Batch::new();
        for (place, sent) in sent {
            batch = batch.with(self.operation(*place, sent)?);
        }
        let results = self.collections.batch(caller, batch).await?;
        let results = results.iter().map(|result| match result {
            BatchResult::Written(done) => written(done),
            BatchResult::Read(document) => json!({"did": "read", "document": shown(document)}),
            BatchResult::Checked(revision) => {
                json!({"did": "checked", "revision": revision.as_ref().map(|revision| revision.as_str().to_owned())})
            }
            other => panic!("{other:?}"),
        });
        Ok(results.collect())
    }

    pub(super) async fn page(
        &mut self,
        caller: &Caller,
        place: Place,
        list: &List,
        cursor: Option<&str>,
    ) -> Result<Paged> {
        self.calls += 1;
        let mut query = ListQuery::new().with_filter(&list.filter.text())?.with_limit(Limit::new(list.limit)?);
        if !list.sort.is_empty() {
            query = query.with_sort(list.sort)?;
        }
        query = match list.counted {
            None => query,
            Some(u64::MAX) => query.with_count(Counting::Exact),
            Some(cap) => query.with_count(Counting::Capped(u32::try_from(cap).unwrap())),
        };
        if let Some(cursor) = cursor {
            query = query.with_cursor(cursor);
        }
        let Page { items, next_cursor: next, previous_cursor: previous, count, .. } =
            self.collections.list(caller, &collection(place), &query).await?.value;
        let count = count.map(|count| match count.precision {
            Precision::AtLeast => format!("at-least {}", count.value),
            _ => format!("{} {}", count.precision.as_str(), count.value),
        });
        let items: Vec<_> = items.iter().map(shown).collect();
        let shown = json!({"items": items, "next": next.is_some(), "previous": previous.is_some(), "count": count});
        Ok(Paged { shown, next, previous })
    }

    pub(super) async fn distinct(
        &mut self,
        caller: &Caller,
        place: Place,
        filter: &Filter,
        path: &str,
        limit: u32,
    ) -> Result<Value> {
        self.calls += 1;
        let query = DistinctQuery::new(path)?.with_filter(&filter.text())?.with_limit(GroupLimit::new(limit)?);
        let found = self.collections.distinct(caller, &collection(place), &query).await?.value;
        Ok(json!({"values": found.values, "more": found.more}))
    }

    pub(super) async fn groups(&mut self, caller: &Caller, place: Place, filter: &Filter, path: &str) -> Result<Value> {
        self.calls += 1;
        let query = AggregateQuery::new().with_filter(&filter.text())?.with_group(path)?.with_select("min:n,max:n")?;
        let found = self.collections.aggregate(caller, &collection(place), &query).await?.value;
        let mut text = String::new();
        found.write_json(&mut text);
        Ok(serde_json::from_str(&text).unwrap())
    }

    pub(super) async fn matching(
        &mut self,
        caller: &Caller,
        place: Place,
        (filter, change, limit): (&Filter, &Change, u32),
        cursor: Option<&str>,
    ) -> Result<(Value, Option<String>)> {
        self.calls += 1;
        let mut matching = Matching::new(collection(place), &filter.text())?.with_limit(Limit::new(limit)?);
        if let Some(cursor) = cursor {
            matching = matching.with_cursor(cursor);
        }
        let write = match change {
            Change::Patch(patch) => MatchingWrite::Patch(Object::patch_from_value(patch.clone())?),
            Change::Delete => MatchingWrite::Delete,
        };
        let Affected { matched, changed, next_cursor, .. } =
            self.collections.write_where(caller, matching, write).await?;
        Ok((json!({"matched": matched, "changed": changed, "next": next_cursor.is_some()}), next_cursor))
    }

    pub(super) async fn import(&mut self, caller: &Caller, place: Place, import: &Import) -> Result<Value> {
        self.calls += 1;
        let options = ImportOptions::new()
            .with_mode(if import.upsert { ImportMode::Upsert } else { ImportMode::Insert })
            .with_on_error(if import.whole { OnError::Abort } else { OnError::Report })
            .with_meta(if import.keep { ImportMeta::Keep } else { ImportMeta::Ignore });
        let users = self.users.clone().map(|user| user.as_str().to_owned());
        let pieces: Vec<_> =
            import.text(&users).as_bytes().chunks(100).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let report = self.collections.import(caller, &collection(place), stream::iter(pieces).boxed(), options).await?;
        let errors: Vec<_> =
            report.errors.iter().map(|error| json!({"line": error.line, "code": error.code})).collect();
        Ok(json!({
            "lines": report.lines, "created": report.created, "updated": report.updated, "failed": report.failed,
            "errors": errors,
        }))
    }

    /// Begins to watch, from now or from where the sequence began.
    pub(super) async fn watch(&self, watch: &Watch, replayed: bool) -> Result<Subscription> {
        let caller = self.caller(watch.tenant, watch.who);
        let mut subscribe = Subscribe::to(collection(watch.place));
        if let Some(id) = watch.id {
            subscribe = subscribe.with_id(DocumentId::new(id)?);
        }
        if let Some(filter) = &watch.filter {
            subscribe = subscribe.with_filter(Expression::parse(&filter.text(), Scope::Filter)?);
        }
        if replayed {
            let epoch = self.feed.state(caller.tenant()).await?.epoch;
            subscribe = subscribe.with_since(universal_core::cursor::Cursor::new(epoch, self.heads[watch.tenant]));
        }
        self.realtime.subscribe(&caller, subscribe).await
    }

    /// What a subscription tells of the first `changes` changes of the sequence.
    pub(super) async fn events(&self, tenant: usize, subscription: &mut Subscription, changes: usize) -> Vec<Value> {
        let (head, mut events) = (self.heads[tenant], Vec::new());
        let (end, target) = (Instant::now() + PATIENCE, head + i64::try_from(changes).unwrap());
        while subscription.cursor().seq() < target {
            assert!(Instant::now() < end, "a subscription stays at {} of {target}", subscription.cursor().seq());
            // A change that it does not tell of moves it on, and it waits for the next.
            let Ok(event) = timeout(Duration::from_millis(5), subscription.next()).await else { continue };
            match event.unwrap() {
                Event::Change(delivery) => {
                    let mut text = String::new();
                    let document = delivery.write_document(&mut text).then(|| unfolded(&text));
                    events.push(json!({
                        "number": delivery.cursor().seq() - head, "op": delivery.kind().as_str(),
                        "id": delivery.id().as_str(), "revision": delivery.revision(), "document": document,
                    }));
                }
                other => panic!("{other:?}"),
            }
        }
        events
    }

    /// The changes of the sequence as the feed has them: `count`, or more.
    pub(super) async fn changes(&self, tenant: usize, count: usize) -> Vec<Value> {
        let all = until_some("the changes of a sequence", PATIENCE, || async {
            let all = self.read(tenant).await;
            (all.len() >= count).then_some(all)
        });
        let all = all.await;
        assert!(all.iter().zip(self.heads[tenant] + 1..).all(|(change, seq)| change.seq == seq), "a gap in the feed");
        all.iter().map(recorded).collect()
    }
}

fn collection(place: Place) -> CollectionName {
    CollectionName::new(if place == Place::Plain { "plain" } else { "ruled" }).unwrap()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("a stored document is JSON")
}

fn shown(document: &Document) -> Value {
    json!({
        "id": document.id.as_str(), "body": parsed(&document.body), "owner": document.owner,
        "revision": document.revision.as_str(), "created": document.created_at.to_string(),
        "updated": document.updated_at.to_string(),
    })
}

/// A document as it is told, in the form of one that is read.
fn unfolded(text: &str) -> Value {
    let Value::Object(mut body) = parsed(text) else { panic!("{text}") };
    let (id, meta) = (body.remove("id"), body.remove("_meta").unwrap());
    json!({
        "id": id, "body": body, "owner": meta["owner"], "revision": meta["revision"],
        "created": meta["created_at"], "updated": meta["updated_at"],
    })
}

fn written(written: &Written) -> Value {
    let did = match written {
        Written::Created(_) => "created",
        Written::Updated(_) => "updated",
        _ => "deleted",
    };
    json!({"did": did, "document": shown(written.document())})
}

fn recorded(change: &Recorded) -> Value {
    let image = |image: &Option<universal_core::realtime::change::Image>| {
        image.as_ref().map(|image| json!({"body": parsed(&image.body), "owner": image.owner}))
    };
    let place = if change.collection == collection(Place::Plain) { Place::Plain } else { Place::Ruled };
    json!({
        "place": format!("{place:?}"), "op": change.operation.as_str(), "id": change.id.as_str(),
        "revision": &*change.revision, "before": image(&change.before), "after": image(&change.after),
        "actor": change.actor.as_deref(),
    })
}

/// An error in the model's form.
pub(super) fn refused(error: &Error) -> Value {
    let number = |field: &str, of: &str| field.strip_prefix(of)?.split('/').next()?.parse::<usize>().ok();
    let at = error.field().and_then(|field| number(field, "/operations/").or_else(|| number(field, "/lines/")));
    json!({"kind": format!("{:?}", error.kind()), "code": error.code(), "at": at})
}
