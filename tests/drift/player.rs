//! One database on which a sequence is played, and its answers as values that the other's can be compared with.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use universal_core::{
    Caller, TenantId,
    collections::{
        Affected, AggregateQuery, Aggregates, Batch, BatchOperation, BatchResult, Collections, Counting, DistinctQuery,
        Document, DocumentWrite, ListQuery, Matching, NewDocument, Precondition,
    },
    cursor::Cursor,
    error::{Error, Result},
    expr::{Expression, Scope},
    id::{CollectionName, DocumentId, UserId},
    json::Object,
    page::Limit,
    realtime::{Change, Event, Feed, Realtime, Subscribe, Subscription},
};
use universal_tests::wait::until_some;

use super::drawn::{Call, Step, When, Who, Write};
use crate::conformance::subject::Subject;

/// How long a change may take to be numbered before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// An owner, another user and the program, in the order of [`Who`].
pub(super) fn callers() -> [Caller; 3] {
    let tenant = TenantId::default_tenant;
    [Caller::user(tenant(), UserId::generate()), Caller::user(tenant(), UserId::generate()), Caller::system(tenant())]
}

/// Plays steps on one database.
pub(super) struct Player {
    collections: Arc<dyn Collections>,
    feed: Arc<dyn Feed>,
    realtime: Arc<dyn Realtime>,
    callers: [Caller; 3],
    collection: CollectionName,
    /// The names of ids that the backend made, in the order in which it made them.
    made: HashMap<String, String>,
    revisions: BTreeMap<String, String>,
    after: i64,
}

impl Player {
    /// A player in a collection of its own, which has settings.
    pub(super) async fn new(subject: &Subject, callers: [Caller; 3], collection: CollectionName) -> Result<Self> {
        let feed = Arc::clone(subject.backend.feed());
        let after = feed.state(&TenantId::default_tenant()).await?.head;
        let collections = Arc::clone(subject.backend.collections());
        let realtime = Arc::clone(subject.backend.realtime());
        Ok(Self {
            collections,
            feed,
            realtime,
            callers,
            collection,
            made: HashMap::new(),
            revisions: BTreeMap::new(),
            after,
        })
    }

    /// The answer of one step, without what must differ: times, the random part of revisions, ids made by chance.
    pub(super) async fn play(&mut self, step: &Step) -> Value {
        let caller = self.caller(step.who).clone();
        match self.answer(&caller, &step.call).await {
            Ok(answer) => answer,
            Err(error) => refusal(&error),
        }
    }

    fn caller(&self, who: Who) -> &Caller {
        match who {
            Who::Owner => &self.callers[0],
            Who::Other => &self.callers[1],
            Who::System => &self.callers[2],
        }
    }

    async fn answer(&mut self, caller: &Caller, call: &Call) -> Result<Value> {
        let on = self.collection.clone();
        match call {
            Call::Write(write) => {
                let write = self.write(write)?;
                let written = self.collections.write(caller, write).await?;
                let created = written.is_created();
                Ok(json!({"created": created, "document": self.document(written.document())}))
            }
            Call::Get(id) => {
                let read = self.collections.get(caller, &on, &DocumentId::new(*id)?).await?;
                Ok(self.document(&read.value))
            }
            Call::Batch(writes) => {
                let mut batch = Batch::new();
                for write in writes {
                    batch = batch.with(BatchOperation::Write(self.write(write)?));
                }
                let results = self.collections.batch(caller, batch).await?;
                Ok(results.iter().filter_map(BatchResult::document).map(|document| self.document(document)).collect())
            }
            Call::List { filter, sort, limit, fields } => self.pages(caller, filter, sort, *limit, fields).await,
            Call::Aggregate { filter, group } => {
                let query = AggregateQuery::new().with_filter(filter)?.with_group(group)?;
                let query = query.with_select("sum:n,avg:n,min:n,max:nested.x,min:code")?;
                Ok(aggregates(&self.collections.aggregate(caller, &on, &query).await?.value))
            }
            Call::Distinct(filter, field) => {
                let query = DistinctQuery::new(field)?.with_filter(filter)?;
                let found = self.collections.distinct(caller, &on, &query).await?.value;
                Ok(json!({"values": found.values, "more": found.more}))
            }
            Call::UpdateWhere(filter, patch) => {
                let patch = Object::patch_from_value(patch.clone())?;
                let done = self.collections.update_where(caller, Matching::new(on, filter)?, patch).await?;
                Ok(affected(&done))
            }
            Call::DeleteWhere(filter) => {
                Ok(affected(&self.collections.delete_where(caller, Matching::new(on, filter)?).await?))
            }
        }
    }

    /// All pages of a list, each as it came.
    async fn pages(&mut self, caller: &Caller, filter: &str, sort: &str, limit: u32, fields: &str) -> Result<Value> {
        let mut query =
            ListQuery::new().with_filter(filter)?.with_limit(Limit::new(limit)?).with_count(Counting::Exact);
        if !sort.is_empty() {
            query = query.with_sort(sort)?;
        }
        if !fields.is_empty() {
            query = query.with_fields(fields)?;
        }
        let mut pages = Vec::new();
        loop {
            let page = self.collections.list(caller, &self.collection, &query).await?.value;
            let items: Vec<_> = page.items.iter().map(|document| self.document(document)).collect();
            pages.push(json!({"items": items, "count": page.count.map(|count| format!("{count:?}"))}));
            match page.next_cursor {
                Some(cursor) => query = query.with_cursor(cursor),
                None => return Ok(Value::Array(pages)),
            }
        }
    }

    /// Everything that is there, as the program sees it.
    pub(super) async fn everything(&mut self) -> BTreeMap<String, Value> {
        let query = ListQuery::new().with_limit(Limit::new(500).unwrap());
        let page = self.collections.list(&self.callers[2], &self.collection, &query).await.unwrap().value;
        assert!(page.next_cursor.is_none(), "a sequence makes fewer than 500 documents");
        page.items.iter().map(|document| (self.name(document.id.as_str()), body(&document.body))).collect()
    }

    /// The changes that the sequence left in the feed: `count` of them at least, or what is there now.
    pub(super) async fn changes(&self, count: usize) -> Vec<Change> {
        let (feed, after) = (&self.feed, self.after);
        let all = until_some("the changes of a sequence", PATIENCE, || async move {
            let (mut all, mut after) = (Vec::new(), after);
            loop {
                let page = feed.read(&TenantId::default_tenant(), after, 500).await.unwrap();
                match page.last() {
                    Some(last) => after = last.seq,
                    None => return (all.len() >= count).then_some(all),
                }
                all.extend(page);
            }
        });
        let all = all.await;
        let dense = all.iter().zip(self.after + 1..).all(|(change, seq)| change.seq == seq);
        assert!(dense, "the numbers have no gap");
        all
    }

    /// Watches the collection, from now or from where the sequence began.
    pub(super) async fn watch(&self, who: Who, filter: Option<&str>, from_begin: bool) -> Result<Subscription> {
        let mut subscribe = Subscribe::to(self.collection.clone());
        if let Some(filter) = filter {
            subscribe = subscribe.with_filter(Expression::parse(filter, Scope::Filter)?);
        }
        if from_begin {
            let epoch = self.feed.state(&TenantId::default_tenant()).await?.epoch;
            subscribe = subscribe.with_since(Cursor::new(epoch, self.after));
        }
        self.realtime.subscribe(self.caller(who), subscribe).await
    }

    /// One more change, after all others; the number that it has.
    pub(super) async fn last(&mut self) -> i64 {
        let id = DocumentId::new("zz-last").unwrap();
        let document = NewDocument::new(Object::from_value(json!({})).unwrap()).with_id(id.clone());
        self.collections.create(&self.callers[2], &self.collection, document).await.unwrap();
        let player = &*self;
        let number = until_some("the last change of a sequence", PATIENCE, || async {
            let changes = player.changes(0).await;
            let last = |change: &&Change| change.collection == player.collection && change.id.as_str() == "zz-last";
            changes.iter().find(last).map(|change| change.seq)
        });
        number.await
    }

    /// What a subscription tells up to the change with this number, byte for byte but for what must differ.
    pub(super) async fn told(&self, subscription: &mut Subscription, last: i64) -> Vec<String> {
        let (mut told, end) = (Vec::new(), Instant::now() + PATIENCE);
        while subscription.cursor().seq() < last {
            assert!(Instant::now() < end, "a subscription stays at {} of {last}", subscription.cursor());
            // A change that it does not tell of moves it on, and it waits for the next.
            let Ok(event) = timeout(Duration::from_millis(5), subscription.next()).await else { continue };
            let Event::Change(delivery) = event.unwrap() else { panic!("nothing was missed") };
            let (id, revision) = (delivery.id().as_str(), delivery.revision());
            let mut text = format!("{} {id} {revision} ", delivery.kind().as_str());
            delivery.write_document(&mut text);
            told.push(text.replace(revision, counter(revision)).replace(id, &self.name(id)));
        }
        told
    }

    /// A change without what must differ.
    pub(super) fn change(&self, change: &Change) -> Value {
        let image = |image: &Option<universal_core::realtime::change::Image>| {
            image.as_ref().map(|image| json!({"body": body(&image.body), "owner": image.owner}))
        };
        json!({
            "operation": change.operation.as_str(), "id": self.name(change.id.as_str()), "collection": change.collection.as_str(),
            "revision": counter(&change.revision), "before": image(&change.before), "after": image(&change.after),
            "actor": change.actor.as_deref(),
        })
    }

    fn write(&self, write: &Write) -> Result<DocumentWrite> {
        let collection = self.collection.clone();
        Ok(match write {
            Write::Create(id, body) => {
                let document = NewDocument::new(Object::from_value(body.clone())?);
                let document = match id {
                    Some(id) => document.with_id(DocumentId::new(*id)?),
                    None => document,
                };
                DocumentWrite::Create { collection, document }
            }
            Write::Replace(id, body, when) => {
                let body = Object::from_value(body.clone())?;
                DocumentWrite::Replace {
                    collection,
                    id: DocumentId::new(*id)?,
                    body,
                    precondition: self.when(id, *when),
                }
            }
            Write::Patch(id, patch, when) => {
                let patch = Object::patch_from_value(patch.clone())?;
                DocumentWrite::Patch {
                    collection,
                    id: DocumentId::new(*id)?,
                    patch,
                    precondition: self.when(id, *when),
                }
            }
            Write::Delete(id, when) => {
                DocumentWrite::Delete { collection, id: DocumentId::new(*id)?, precondition: self.when(id, *when) }
            }
        })
    }

    fn when(&self, id: &str, when: When) -> Precondition {
        match when {
            When::Always => Precondition::None,
            When::Exists => Precondition::Exists,
            When::Absent => Precondition::Absent,
            When::Known => Precondition::Revision(self.revisions.get(id).cloned().into_iter().collect()),
            When::Stale => Precondition::Revision(vec!["0000000000000000-1".to_owned()]),
        }
    }

    fn document(&mut self, document: &Document) -> Value {
        let id = document.id.as_str();
        if id.len() > 8 && !self.made.contains_key(id) {
            let name = format!("made {}", self.made.len());
            self.made.insert(id.to_owned(), name);
        }
        self.revisions.insert(id.to_owned(), document.revision.as_str().to_owned());
        json!({
            "id": self.name(id), "body": body(&document.body), "owner": document.owner,
            "revision": counter(document.revision.as_str()),
        })
    }

    fn name(&self, id: &str) -> String {
        self.made.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }
}

/// An error as both databases must tell it.
pub(super) fn refusal(error: &Error) -> Value {
    json!({"kind": format!("{:?}", error.kind()), "code": error.code(), "field": error.field(), "position": error.position()})
}

fn body(text: &str) -> Value {
    serde_json::from_str(text).expect("a stored document is JSON")
}

/// The part of a revision that counts.
fn counter(revision: &str) -> &str {
    revision.rsplit_once('-').map_or("", |(_, counter)| counter)
}

fn aggregates(found: &Aggregates) -> Value {
    let mut text = String::new();
    found.write_json(&mut text);
    serde_json::from_str(&text).expect("groups are JSON")
}

fn affected(done: &Affected) -> Value {
    json!({"matched": done.matched, "changed": done.changed, "more": done.next_cursor.is_some()})
}
