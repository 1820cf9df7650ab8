//! What an administrator decides about a collection, in the one form that Rust, the table and the route share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::collections::{search::SearchSettings, state::CollectionState};

/// The settings of a collection. Everything is optional: a collection without settings has the owner
/// rule and takes any document.
///
/// ```
/// use universal_core::collections::CollectionSettings;
/// let settings: CollectionSettings = serde_json::from_str(r#"{
///     "rules": {"list": "doc.public == true || meta.owner == caller.id", "get": "doc.public == true || meta.owner == caller.id"},
///     "schema": {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}},
///     "hidden": ["internal_note"],
///     "immutable": ["slug"],
///     "server_set": {"edited_by": "caller"}
/// }"#)?;
/// assert!(settings.rules.create.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CollectionSettings {
    /// Who may do what.
    pub rules: Rules,
    /// A JSON Schema (draft 2020-12) that each stored document fits; at most 64 KiB. References go to places within
    /// the schema itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Members that hold the id of a document, or an array of such ids: by the member's path (`author`, `meta.author`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, Reference>,
    /// Paths of members that only administrators and the program see, write and ask for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<String>,
    /// Paths of members that keep the value they were created with; administrators and the program may change them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub immutable: Vec<String>,
    /// Members whose value the backend sets, by path; what a caller sends for them is ignored.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub server_set: BTreeMap<String, ServerValue>,
    /// What full-text search finds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchSettings>,
    /// When a document's time is over; the backend then deletes it, usually within a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_live: Option<TimeToLive>,
    /// Indexes by name; at most 16. A new one is built while reads and writes go on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub indexes: BTreeMap<String, IndexSettings>,
}

/// The rules of a collection, each an expression. A rule that is not given is the owner rule: a signed-in caller may
/// create and owns what it creates; the owner alone reads, changes and deletes. `true` opens to everybody, `false`
/// leaves administrators and the program, whom no rule binds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Rules {
    /// Which documents a list and a subscription show; names: `doc`, `meta`, `caller`, `now`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Which documents may be read by id; a document that may not be read does not exist for the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get: Option<String>,
    /// Which documents may be created; names: `input`, `after`, `meta`, `caller`, `now`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create: Option<String>,
    /// Which changes may be made; names: `doc`, `input`, `after`, `meta`, `caller`, `now`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<String>,
    /// Which documents may be deleted; names: `doc`, `meta`, `caller`, `now`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete: Option<String>,
}

impl Rules {
    /// The same rules with this one for lists.
    #[must_use]
    pub fn with_list(mut self, rule: impl Into<String>) -> Self {
        self.list = Some(rule.into());
        self
    }

    /// The same rules with this one for reads by id.
    #[must_use]
    pub fn with_get(mut self, rule: impl Into<String>) -> Self {
        self.get = Some(rule.into());
        self
    }

    /// The same rules with this one for creations.
    #[must_use]
    pub fn with_create(mut self, rule: impl Into<String>) -> Self {
        self.create = Some(rule.into());
        self
    }

    /// The same rules with this one for changes.
    #[must_use]
    pub fn with_update(mut self, rule: impl Into<String>) -> Self {
        self.update = Some(rule.into());
        self
    }

    /// The same rules with this one for deletions.
    #[must_use]
    pub fn with_delete(mut self, rule: impl Into<String>) -> Self {
        self.delete = Some(rule.into());
        self
    }
}

/// What a member refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Reference {
    /// The collection of the documents that it names.
    pub collection: String,
    /// What happens to this document when the one it names is deleted.
    #[serde(default)]
    pub on_delete: OnDelete,
}

impl Reference {
    /// A reference to documents of `collection` that their deletion leaves as it is.
    #[must_use]
    pub fn to(collection: impl Into<String>) -> Self {
        Self { collection: collection.into(), on_delete: OnDelete::Nothing }
    }

    /// The same with another consequence of a deletion.
    #[must_use]
    pub fn with_on_delete(mut self, on_delete: OnDelete) -> Self {
        self.on_delete = on_delete;
        self
    }
}

/// What the deletion of a document does to those that refer to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// They keep the id of a document that is gone. Whether the document is there is not checked on writing either.
    #[default]
    Nothing,
    /// The deletion is refused while there are any.
    Refuse,
    /// They are deleted in the same commit.
    Cascade,
}

/// An index: which fields, in which order, and whether their values are unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct IndexSettings {
    /// One to four fields as in `sort`: `-priority`, `author.name`, `meta.owner`.
    pub fields: Vec<String>,
    /// Whether no two documents may have the same values. Documents in which one of them is missing or null are not
    /// held to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unique: bool,
}

impl IndexSettings {
    /// An index of these fields.
    #[must_use]
    pub fn on<F: Into<String>>(fields: impl IntoIterator<Item = F>) -> Self {
        Self { fields: fields.into_iter().map(Into::into).collect(), unique: false }
    }

    /// The same, and no two documents may have the same values.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }
}

/// A value that the backend sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServerValue {
    /// The moment of creation, in RFC 3339.
    NowOnCreate,
    /// The moment of the last write, in RFC 3339.
    Now,
    /// The id of the user who created it, or null.
    CallerOnCreate,
    /// The id of the user who wrote it last, or null.
    Caller,
}

/// When a document's time is over: so many seconds after a moment that it holds.
///
/// ```
/// use universal_core::collections::TimeToLive;
/// let at_its_own_moment: TimeToLive = serde_json::from_str(r#"{"field": "expires_at"}"#)?;
/// assert_eq!(at_its_own_moment, TimeToLive::at("expires_at"));
/// let after_an_hour: TimeToLive = serde_json::from_str(r#"{"field": "meta.updated_at", "seconds": 3600}"#)?;
/// assert_eq!(after_an_hour, TimeToLive::at("meta.updated_at").with_seconds(3600));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TimeToLive {
    /// Where the moment stands: a member that holds one in RFC 3339 (`expires_at`), `meta.created_at` or
    /// `meta.updated_at`. A document in which the member is missing or null stays.
    pub field: String,
    /// How many seconds after that moment; 0 unless said.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seconds: u32,
}

impl TimeToLive {
    /// Until the moment in `field`.
    #[must_use]
    pub fn at(field: impl Into<String>) -> Self {
        Self { field: field.into(), seconds: 0 }
    }

    /// So many seconds longer.
    #[must_use]
    pub fn with_seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
        self
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(seconds: &u32) -> bool {
    *seconds == 0
}

impl CollectionSettings {
    /// Settings that leave everything as it is without.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With these rules.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// With a JSON Schema for the documents.
    #[must_use]
    pub fn with_schema(mut self, schema: Value) -> Self {
        self.schema = Some(schema);
        self
    }

    /// With a reference at `path`.
    #[must_use]
    pub fn with_reference(mut self, path: impl Into<String>, reference: Reference) -> Self {
        self.references.insert(path.into(), reference);
        self
    }

    /// With a member that only administrators see.
    #[must_use]
    pub fn with_hidden(mut self, path: impl Into<String>) -> Self {
        self.hidden.push(path.into());
        self
    }

    /// With a member that keeps its first value.
    #[must_use]
    pub fn with_immutable(mut self, path: impl Into<String>) -> Self {
        self.immutable.push(path.into());
        self
    }

    /// With full-text search.
    #[must_use]
    pub fn with_search(mut self, search: SearchSettings) -> Self {
        self.search = Some(search);
        self
    }

    /// With a member that the backend sets.
    #[must_use]
    pub fn with_server_set(mut self, path: impl Into<String>, value: ServerValue) -> Self {
        self.server_set.insert(path.into(), value);
        self
    }

    /// With a time after which documents are deleted.
    #[must_use]
    pub fn with_time_to_live(mut self, time_to_live: TimeToLive) -> Self {
        self.time_to_live = Some(time_to_live);
        self
    }

    /// What is written beside each document because of these settings: whoever changes it must see to the documents
    /// that are there.
    pub(crate) fn written_beside(&self) -> (Vec<(&str, &str)>, Option<&TimeToLive>) {
        let binding = self.references.iter().filter(|(_, reference)| reference.on_delete != OnDelete::Nothing);
        let references = binding.map(|(path, reference)| (path.as_str(), reference.collection.as_str()));
        (references.collect(), self.time_to_live.as_ref())
    }

    /// With an index of this name.
    #[must_use]
    pub fn with_index(mut self, name: impl Into<String>, index: IndexSettings) -> Self {
        self.indexes.insert(name.into(), index);
        self
    }
}

/// A collection and its settings, as an administrator sees them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CollectionInfo {
    /// The name.
    pub name: crate::id::CollectionName,
    /// The settings; the default ones if nobody has configured the collection.
    pub settings: CollectionSettings,
    /// How often the settings were changed; 0 for a collection that nobody has configured.
    pub version: i64,
    /// What it is going through.
    pub state: CollectionState,
    /// How far each index is; empty where many collections are listed.
    pub indexes: Vec<IndexInfo>,
}

/// How far an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexInfo {
    /// Its name.
    pub name: String,
    /// What can be done with it.
    pub state: IndexState,
    /// How many documents have been gone through to build it. Those written meanwhile are not counted.
    pub documents: i64,
    /// Why it could not be built.
    pub reason: Option<String>,
}

impl IndexInfo {
    /// For implementations.
    #[must_use]
    pub fn new(name: impl Into<String>, state: IndexState, documents: i64, reason: Option<String>) -> Self {
        Self { name: name.into(), state, documents, reason }
    }
}

/// What can be done with an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexState {
    /// Writes maintain it, the documents that were there before are being added; no list uses it yet.
    Building,
    /// It holds every document.
    Ready,
    /// It could not be built, because documents have the same values; nothing maintains it. To try again, store the
    /// settings again.
    Failed,
}

impl CollectionInfo {
    /// For implementations.
    #[must_use]
    pub fn new(name: crate::id::CollectionName, settings: CollectionSettings, version: i64) -> Self {
        Self { name, settings, version, state: CollectionState::Active, indexes: Vec::new() }
    }

    /// The same, going through something.
    #[must_use]
    pub fn with_state(mut self, state: CollectionState) -> Self {
        self.state = state;
        self
    }

    /// With how far its indexes are.
    #[must_use]
    pub fn with_indexes(mut self, indexes: Vec<IndexInfo>) -> Self {
        self.indexes = indexes;
        self
    }
}
