//! The documents of both tenants, and what becomes of a write.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use universal_core::clock::Timestamp;

use super::{
    drawn::{One, Place, Target, When, Who},
    value,
};

/// A document.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) body: Map<String, Value>,
    pub(super) owner: Option<String>,
    /// Which of all documents that ever were, and how often it was written.
    life: usize,
    version: usize,
    /// When it was created and last written, in microseconds.
    pub(super) created: i64,
    pub(super) updated: i64,
}

/// A refusal: its kind, its code, and which operation of a batch or line of an import it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    kind: &'static str,
    pub(super) code: &'static str,
    at: Option<usize>,
}

pub(super) fn refusal(kind: &'static str, code: &'static str) -> Refusal {
    Refusal { kind, code, at: None }
}

impl Refusal {
    pub(super) fn show(&self) -> Value {
        json!({"kind": self.kind, "code": self.code, "at": self.at})
    }

    /// The same, of an operation of a batch or a line of an import.
    pub(super) fn at(self, index: usize) -> Self {
        Self { at: Some(index), ..self }
    }

    /// What a write by filter tells of a document that the caller may list.
    pub(super) fn of_listed(self) -> Self {
        if self.kind == "NotFound" { refusal("Forbidden", "forbidden") } else { self }
    }
}

/// An image of a document in the feed: its members and its owner.
pub(super) type Image = Document;

/// One change of the feed.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) place: Place,
    pub(super) id: String,
    pub(super) operation: &'static str,
    pub(super) revision: String,
    pub(super) before: Option<Image>,
    pub(super) after: Option<Image>,
    pub(super) actor: Option<String>,
}

/// Where a document is: tenant, collection, id.
pub(super) type Key = (usize, Place, String);

/// Everything.
#[derive(Clone, Debug)]
pub(super) struct World {
    /// The ids of the three users.
    pub(super) users: [String; 3],
    /// The present moment, in microseconds.
    pub(super) now: i64,
    pub(super) documents: BTreeMap<Key, Document>,
    /// What became of each tenant's documents, in order.
    pub(super) feed: [Vec<Recorded>; 2],
    lives: usize,
    /// The names of the ids that the backend made.
    made: Vec<String>,
    /// The revisions that were told of a document: the first and the last.
    told: BTreeMap<Key, (String, String)>,
}

/// Who asks, as rules see it.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) tenant: usize,
    who: Who,
    pub(super) user: Option<String>,
}

impl Asker {
    pub(super) fn is_bound(&self) -> bool {
        matches!(self.who, Who::User(_) | Who::Nobody)
    }

    fn refused(&self) -> Refusal {
        match self.who {
            Who::Nobody => refusal("Unauthenticated", "sign-in-required"),
            _ => refusal("Forbidden", "forbidden"),
        }
    }

    /// Under the owner rule nobody comes in who is not signed in.
    pub(super) fn admitted(&self, place: Place) -> Result<(), Refusal> {
        if place == Place::Plain && self.who == Who::Nobody { Err(self.refused()) } else { Ok(()) }
    }

    /// Whether no rule binds them.
    pub(super) fn administers(&self) -> Result<(), Refusal> {
        match self.who {
            Who::Nobody => Err(self.refused()),
            Who::User(_) => Err(refusal("Forbidden", "admin-required")),
            Who::Admin | Who::System => Ok(()),
        }
    }

    fn owns(&self, document: &Document) -> bool {
        self.user.is_some() && self.user == document.owner
    }

    /// The rule `list`.
    pub(super) fn may_list(&self, place: Place, document: &Document) -> bool {
        let public = place == Place::Ruled && document.body.get("public") == Some(&json!(true));
        !self.is_bound() || self.owns(document) || public
    }

    /// The rule `get`: whoever knows the id of a document with the code `d` may read it.
    pub(super) fn may_get(&self, place: Place, document: &Document) -> bool {
        let known = place == Place::Ruled && document.body.get("code") == Some(&json!("d"));
        known || self.may_list(place, document)
    }

    fn may_create(&self, place: Place, after: &Map<String, Value>) -> bool {
        let is_allowed = self.user.is_some() && (place == Place::Plain || after.get("n") != Some(&json!(1.5)));
        !self.is_bound() || is_allowed
    }

    fn may_update(&self, place: Place, document: &Document, after: &Map<String, Value>) -> bool {
        let is_allowed = self.owns(document) && (place == Place::Plain || after.get("n") != Some(&json!(0)));
        !self.is_bound() || is_allowed
    }

    fn may_delete(&self, place: Place, document: &Document) -> bool {
        let is_kept = place == Place::Ruled && document.body.get("code") == Some(&json!("d"));
        !self.is_bound() || (self.owns(document) && !is_kept)
    }
}

impl Document {
    pub(super) fn revision(&self) -> String {
        format!("{}-{}", self.life, self.version)
    }

    /// The document as an answer shows it.
    pub(super) fn show(&self, id: &str) -> Value {
        let moment = |micros| Timestamp::from_micros(micros).to_string();
        json!({
            "id": id, "body": self.body, "owner": self.owner, "revision": self.revision(),
            "created": moment(self.created), "updated": moment(self.updated),
        })
    }
}

/// A precondition, with revisions as the model names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    Exists,
    Absent,
    Revision(Vec<String>),
}

impl Condition {
    fn holds(&self, document: &Document) -> Result<(), Refusal> {
        match self {
            Self::None | Self::Exists => Ok(()),
            Self::Absent => Err(refusal("PreconditionFailed", "document-exists")),
            Self::Revision(wanted) if wanted.contains(&document.revision()) => Ok(()),
            Self::Revision(_) => Err(refusal("PreconditionFailed", "stale-revision")),
        }
    }
}

/// An operation about one document as it is sent.
#[derive(Clone, Debug)]
pub(super) enum Sent {
    Create(Option<String>, Value),
    Replace(String, Value, Condition),
    Patch(String, Value, Condition),
    Delete(String, Condition),
    Get(String),
    Check(String, Condition),
}

fn not_found() -> Refusal {
    refusal("NotFound", "document-not-found")
}

impl World {
    pub(super) fn new(users: [String; 3], now: i64) -> Self {
        let documents = BTreeMap::new();
        Self { users, now, documents, feed: [vec![], vec![]], lives: 0, made: Vec::new(), told: BTreeMap::new() }
    }

    pub(super) fn asker(&self, tenant: usize, who: Who) -> Asker {
        let user = match who {
            Who::User(number) => Some(self.users[number].clone()),
            Who::Admin => Some("admin".to_owned()),
            Who::Nobody | Who::System => None,
        };
        Asker { tenant, who, user }
    }

    /// The name of a document. One that was made keeps its name in every tenant, where nobody may find it.
    fn id(&self, target: Target) -> String {
        match target {
            Target::Named(name) => name.to_owned(),
            Target::Made(_) if self.made.is_empty() => "nothing-was-made".to_owned(),
            Target::Made(number) => self.made[number % self.made.len()].clone(),
        }
    }

    fn condition(&self, key: &Key, when: When) -> Condition {
        let told = |pick: fn(&(String, String)) -> String| self.told.get(key).map(pick).into_iter().collect();
        match when {
            When::Always => Condition::None,
            When::Exists => Condition::Exists,
            When::Absent => Condition::Absent,
            When::Known => Condition::Revision(told(|(_, last)| last.clone())),
            When::Old => Condition::Revision(told(|(first, _)| first.clone())),
        }
    }

    /// An answer about a document, which tells its revision.
    pub(super) fn tell(&mut self, key: &Key, document: &Document) -> Value {
        let revision = document.revision();
        let told = self.told.entry(key.clone()).or_insert_with(|| (revision.clone(), revision.clone()));
        told.1 = revision;
        document.show(&key.2)
    }

    /// An operation with the ids and revisions as they are now.
    pub(super) fn resolve(&self, tenant: usize, place: Place, one: &One) -> Sent {
        let of = |target: &Target, when: &When| {
            let key = (tenant, place, self.id(*target));
            let condition = self.condition(&key, *when);
            (key.2, condition)
        };
        match one {
            One::Create(id, body) => Sent::Create(id.map(str::to_owned), body.clone()),
            One::Replace(target, body, when) => {
                let (id, condition) = of(target, when);
                Sent::Replace(id, body.clone(), condition)
            }
            One::Patch(target, patch, when) => {
                let (id, condition) = of(target, when);
                Sent::Patch(id, patch.clone(), condition)
            }
            One::Delete(target, when) => {
                let (id, condition) = of(target, when);
                Sent::Delete(id, condition)
            }
            One::Get(target) => Sent::Get(self.id(*target)),
            One::Check(target, when) => {
                let (id, condition) = of(target, when);
                Sent::Check(id, condition)
            }
        }
    }

    /// One operation about one document; what it answers.
    pub(super) fn one(&mut self, by: &Asker, place: Place, one: &Sent) -> Result<Value, Refusal> {
        let key = |id: &String| (by.tenant, place, id.clone());
        match one {
            Sent::Create(id, body) => {
                let (key, document) = self.create(by, place, id.as_ref().map(key), &members(body))?;
                Ok(json!({"did": "created", "document": self.tell(&key, &document)}))
            }
            Sent::Replace(id, body, condition) => {
                let key = key(id);
                let (document, is_new) = self.replace(by, &key, &members(body), condition)?;
                let did = if is_new { "created" } else { "updated" };
                Ok(json!({"did": did, "document": self.tell(&key, &document)}))
            }
            Sent::Patch(id, patch, condition) => {
                let key = key(id);
                let document = self.patch(by, &key, patch, condition)?;
                Ok(json!({"did": "updated", "document": self.tell(&key, &document)}))
            }
            Sent::Delete(id, condition) => {
                let key = key(id);
                let document = self.delete(by, &key, condition)?;
                Ok(json!({"did": "deleted", "document": self.tell(&key, &document)}))
            }
            Sent::Get(id) => {
                by.admitted(place)?;
                let key = key(id);
                let document = self.readable(by, &key).ok_or_else(not_found)?;
                Ok(json!({"did": "read", "document": self.tell(&key, &document)}))
            }
            Sent::Check(id, condition) => {
                by.admitted(place)?;
                let key = key(id);
                let revision = match self.readable(by, &key) {
                    Some(document) => {
                        condition.holds(&document)?;
                        Some(self.tell(&key, &document)["revision"].clone())
                    }
                    None if *condition == Condition::Absent => None,
                    None => return Err(not_found()),
                };
                Ok(json!({"did": "checked", "revision": revision}))
            }
        }
    }

    fn readable(&self, by: &Asker, key: &Key) -> Option<Document> {
        self.documents.get(key).filter(|document| by.may_get(key.1, document)).cloned()
    }

    pub(super) fn create(
        &mut self,
        by: &Asker,
        place: Place,
        key: Option<Key>,
        body: &Map<String, Value>,
    ) -> Result<(Key, Document), Refusal> {
        by.admitted(place)?;
        if !by.may_create(place, body) {
            return Err(by.refused());
        }
        let is_made = key.is_none();
        // An id of the backend's making begins with a digit: it stands before the names that are drawn.
        let key = key.unwrap_or_else(|| (by.tenant, place, format!("0-made-{:04}", self.made.len())));
        if self.documents.contains_key(&key) {
            return Err(refusal("Conflict", "document-exists"));
        }
        self.is_unique(&key, body)?;
        if is_made {
            self.made.push(key.2.clone());
        }
        self.lives += 1;
        let (owner, life, now) = (by.user.clone(), self.lives, self.now);
        let document = Document { body: body.clone(), owner, life, version: 1, created: now, updated: now };
        self.store(by, &key, Some(document.clone()));
        Ok((key, document))
    }

    /// The document, and whether it is new.
    pub(super) fn replace(
        &mut self,
        by: &Asker,
        key: &Key,
        body: &Map<String, Value>,
        condition: &Condition,
    ) -> Result<(Document, bool), Refusal> {
        by.admitted(key.1)?;
        if !self.documents.contains_key(key) {
            if matches!(condition, Condition::Exists | Condition::Revision(_)) {
                return Err(not_found());
            }
            return self.create(by, key.1, Some(key.clone()), body).map(|(_, document)| (document, true));
        }
        let Some(document) = self.readable(by, key) else {
            // Whoever asks for a free id learns that it is taken.
            return match condition {
                Condition::Absent => Err(refusal("PreconditionFailed", "document-exists")),
                _ => Err(not_found()),
            };
        };
        self.update(by, key, document, Ok(body.clone()), condition).map(|document| (document, false))
    }

    pub(super) fn patch(
        &mut self,
        by: &Asker,
        key: &Key,
        patch: &Value,
        condition: &Condition,
    ) -> Result<Document, Refusal> {
        by.admitted(key.1)?;
        let document = self.readable(by, key).ok_or_else(not_found)?;
        let mut after = document.body.clone();
        let now = Timestamp::from_micros(self.now).to_string();
        let after = value::merge(&mut after, patch.as_object().unwrap(), &now).map(|()| after);
        self.update(by, key, document, after, condition)
    }

    fn update(
        &mut self,
        by: &Asker,
        key: &Key,
        document: Document,
        after: Result<Map<String, Value>, Refusal>,
        condition: &Condition,
    ) -> Result<Document, Refusal> {
        // Where nobody knows what the document would be, a rule that asks for that is not what refuses.
        let is_allowed = match &after {
            Ok(after) => by.may_update(key.1, &document, after),
            Err(_) => key.1 == Place::Ruled || by.may_update(key.1, &document, &document.body),
        };
        if !is_allowed {
            return Err(by.refused());
        }
        condition.holds(&document)?;
        let after = after?;
        self.is_unique(key, &after)?;
        let updated = self.now.max(document.updated);
        let document = Document { body: after, version: document.version + 1, updated, ..document };
        self.store(by, key, Some(document.clone()));
        Ok(document)
    }

    pub(super) fn delete(&mut self, by: &Asker, key: &Key, condition: &Condition) -> Result<Document, Refusal> {
        by.admitted(key.1)?;
        let document = self.readable(by, key).ok_or_else(not_found)?;
        if !by.may_delete(key.1, &document) {
            return Err(by.refused());
        }
        condition.holds(&document)?;
        self.store(by, key, None);
        Ok(document)
    }

    /// No other document of the collection has the same `code`, unless it is missing or null.
    fn is_unique(&self, key: &Key, body: &Map<String, Value>) -> Result<(), Refusal> {
        let Some(code) = body.get("code").filter(|code| !code.is_null()) else { return Ok(()) };
        let same = |(other, document): (&Key, &Document)| {
            (other.0, other.1) == (key.0, key.1) && other.2 != key.2 && document.body.get("code") == Some(code)
        };
        let is_taken = key.1 == Place::Ruled && self.documents.iter().any(same);
        if is_taken { Err(refusal("Conflict", "unique-violation")) } else { Ok(()) }
    }

    /// Stores a document, or takes it away, with its change.
    fn store(&mut self, by: &Asker, key: &Key, after: Option<Document>) {
        let before = match &after {
            Some(document) => self.documents.insert(key.clone(), document.clone()),
            None => self.documents.remove(key),
        };
        let operation = match (&before, &after) {
            (None, _) => "create",
            (_, None) => "delete",
            _ => "update",
        };
        let subject = after.as_ref().or(before.as_ref()).unwrap();
        let actor = match by.who {
            Who::System => Some("system".to_owned()),
            _ => by.user.clone(),
        };
        let (place, id, revision) = (key.1, key.2.clone(), subject.revision());
        self.feed[key.0].push(Recorded { place, id, operation, revision, before, after, actor });
    }
}

pub(super) fn members(body: &Value) -> Map<String, Value> {
    match value::canonical(body) {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
