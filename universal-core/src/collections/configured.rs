//! The settings of a collection made ready to decide: rules parsed, the schema compiled, paths read.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Map, Value};

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        document::Document,
        expiry::Expiry,
        fields::Fields,
        index::{Index, MAX_INDEXES, parse_fields},
        member::Path,
        rule::{Action, Rule},
        schema::Schema,
        search::{Search, Searchable},
        settings::{CollectionSettings, OnDelete, ServerValue},
        state::CollectionState,
    },
    error::{Error, ErrorKind, Result},
    expr::{Expression, Field},
    id::CollectionName,
    json::Object,
};

/// How many paths a setting names at most.
const MOST_PATHS: usize = 64;

/// A collection as it is configured: its settings, checked and made ready to decide.
#[derive(Debug)]
pub struct Configured {
    pub(crate) settings: CollectionSettings,
    /// How often it was configured; 0 if never.
    pub(crate) version: i64,
    /// Whether no document may be created, because nobody has configured it and that is demanded.
    closed: bool,
    list: Rule,
    get: Rule,
    create: Rule,
    update: Rule,
    delete: Rule,
    schema: Option<Schema>,
    hidden: Vec<Path>,
    immutable: Vec<Path>,
    server_set: Vec<(Path, ServerValue)>,
    references: Vec<(Path, CollectionName, OnDelete)>,
    expiry: Option<Expiry>,
    state: CollectionState,
    searchable: Option<Searchable>,
    /// The indexes that writes maintain.
    indexes: Vec<Index>,
}

impl Configured {
    /// Checks settings and makes them ready.
    ///
    /// # Errors
    /// `Invalid` with the place (`/rules/list`, `/hidden/0`) and what was expected there.
    pub(crate) fn compile(settings: CollectionSettings, version: i64) -> Result<Self> {
        let rule = |action: Action, text: &Option<String>| match text {
            None => Ok(Rule::Owner),
            Some(text) => Rule::parse(action, text),
        };
        let rules = &settings.rules;
        let hidden = paths("hidden", &settings.hidden)?;
        let searchable = settings.search.as_ref().map(|search| Searchable::compile(search, &hidden)).transpose()?;
        Ok(Self {
            list: rule(Action::List, &rules.list)?,
            get: rule(Action::Get, &rules.get)?,
            create: rule(Action::Create, &rules.create)?,
            update: rule(Action::Update, &rules.update)?,
            delete: rule(Action::Delete, &rules.delete)?,
            schema: settings.schema.as_ref().map(Schema::compile).transpose()?,
            hidden,
            immutable: paths("immutable", &settings.immutable)?,
            server_set: by_path("server_set", &settings.server_set)?
                .into_iter()
                .map(|(path, value)| (path, *value))
                .collect(),
            indexes: check_indexes(&settings)?,
            references: by_path("references", &settings.references)?
                .into_iter()
                .zip(settings.references.keys())
                .map(|((path, reference), text)| {
                    let place = format!("/references/{text}/collection");
                    let target =
                        CollectionName::new(reference.collection.clone()).map_err(|error| error.with_field(place))?;
                    Ok((path, target, reference.on_delete))
                })
                .collect::<Result<_>>()?,
            expiry: settings.time_to_live.as_ref().map(Expiry::compile).transpose()?,
            searchable,
            settings,
            version,
            closed: false,
            state: CollectionState::Active,
        })
    }

    /// A collection that nobody has configured.
    pub(crate) fn unconfigured(closed: bool) -> Self {
        Self {
            settings: CollectionSettings::default(),
            version: 0,
            closed,
            list: Rule::Owner,
            get: Rule::Owner,
            create: Rule::Owner,
            update: Rule::Owner,
            delete: Rule::Owner,
            schema: None,
            hidden: Vec::new(),
            immutable: Vec::new(),
            server_set: Vec::new(),
            references: Vec::new(),
            searchable: None,
            indexes: Vec::new(),
            expiry: None,
            state: CollectionState::Active,
        }
    }

    /// The same, while the collection goes through something.
    pub(crate) fn with_state(mut self, state: CollectionState) -> Self {
        self.state = state;
        self
    }

    /// What the collection is going through.
    pub(crate) fn state(&self) -> CollectionState {
        self.state
    }

    /// Refuses writes while the collection is dropped or renamed.
    ///
    /// # Errors
    /// `Conflict` `collection-closed`.
    pub(crate) fn takes_writes(&self) -> Result<()> {
        match self.state {
            CollectionState::Active | CollectionState::Building => Ok(()),
            CollectionState::Dropping | CollectionState::Renaming => Err(closed()),
        }
    }

    /// The same with its indexes as the database has them.
    pub(crate) fn with_indexes(mut self, indexes: Vec<Index>) -> Self {
        self.indexes = indexes;
        self
    }

    /// The indexes that writes maintain.
    pub(crate) fn indexes(&self) -> &[Index] {
        &self.indexes
    }

    /// Whether `caller` may not see a field of an index.
    pub(crate) fn hides(&self, caller: &Caller, index: &Index) -> bool {
        let hidden = self.hidden_from(caller);
        index.fields.iter().any(|part| hidden.iter().any(|path| path.touches(&part.field)))
    }

    /// The rule of an action.
    pub(crate) fn rule(&self, action: Action) -> &Rule {
        match action {
            Action::List => &self.list,
            Action::Get => &self.get,
            Action::Create => &self.create,
            Action::Update => &self.update,
            Action::Delete => &self.delete,
        }
    }

    /// Refuses creations where collections must be configured first.
    ///
    /// # Errors
    /// `Forbidden` `undeclared-collection`.
    pub(crate) fn is_open(&self) -> Result<()> {
        if self.closed {
            let message =
                "this collection is not declared, and undeclared ones are closed; an administrator configures it";
            return Err(Error::new(ErrorKind::Forbidden, "undeclared-collection", message));
        }
        Ok(())
    }

    /// Whether a creation writes nothing but the document and its change, so that it can be stored together with others.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "only PostgreSQL stores creations together"))]
    pub(crate) fn creates_alone(&self) -> bool {
        self.searchable.is_none()
            && self.indexes.is_empty()
            && self.expiry.is_none()
            && !self.binds_references()
            && self.takes_writes().is_ok()
    }

    /// When documents expire, if they do.
    pub(crate) fn expiry(&self) -> Option<&Expiry> {
        self.expiry.as_ref()
    }

    /// Whether a reference must name a document that is there.
    pub(crate) fn binds_references(&self) -> bool {
        self.references.iter().any(|(.., on_delete)| *on_delete != OnDelete::Nothing)
    }

    /// Whether a change must know the members before it, for what is written beside the document.
    pub(crate) fn compares_members(&self) -> bool {
        !self.indexes.is_empty()
            || self.binds_references()
            || self.expiry.as_ref().is_some_and(Expiry::asks_for_members)
    }

    /// The members that refer to documents: path, collection, what their deletion does.
    pub(crate) fn references(&self) -> &[(Path, CollectionName, OnDelete)] {
        &self.references
    }

    /// What full-text search finds, if there is one.
    pub(crate) fn searchable(&self) -> Option<&Searchable> {
        self.searchable.as_ref()
    }

    /// Reads a search.
    ///
    /// # Errors
    /// `Invalid` `not-searchable` where nothing can be searched, `invalid-search` for one without a word.
    pub(crate) fn search(&self, text: &str) -> Result<Search> {
        let message = "this collection cannot be searched; an administrator sets `search` in its settings";
        let searchable =
            self.searchable().ok_or_else(|| Error::invalid("not-searchable", message).with_field("search"))?;
        searchable.search(text)
    }

    /// The members that are hidden from `caller`.
    pub(crate) fn hidden_from(&self, caller: &Caller) -> &[Path] {
        if caller.bypasses_rules() { &[] } else { &self.hidden }
    }

    /// The document as `caller` may see it. Every way out of the collection goes through here.
    ///
    /// # Errors
    /// `Internal` for a stored body that is no object.
    pub(crate) fn shown(&self, caller: &Caller, mut document: Document) -> Result<Document> {
        if let Some(body) = self.shown_body(caller, &document.body)? {
            document.body = body.into();
        }
        Ok(document)
    }

    /// The body without what is hidden from `caller`; `None` if nothing is, and the text passes through.
    ///
    /// # Errors
    /// `Internal` for a stored body that is no object.
    pub(crate) fn shown_body(&self, caller: &Caller, body: &str) -> Result<Option<String>> {
        let hidden = self.hidden_from(caller);
        if hidden.is_empty() {
            return Ok(None);
        }
        let mut members = Object::from_stored(body)?.into_map();
        let mut found = false;
        for path in hidden {
            found |= path.remove(&mut members).is_some();
        }
        if !found {
            return Ok(None);
        }
        Ok(Some(crate::json::value_to_text(&Value::Object(members))))
    }

    /// Refuses a query that asks for a member which is hidden from `caller`.
    ///
    /// # Errors
    /// `Invalid` `invalid-field`.
    pub(crate) fn may_ask(&self, caller: &Caller, expression: &Expression) -> Result<()> {
        let hidden = self.hidden_from(caller);
        if hidden.is_empty() {
            return Ok(());
        }
        // What was asked for is named, and not what is hidden within it.
        let fields = expression.fields();
        match fields.iter().find(|(_, field)| hidden.iter().any(|path| path.touches(field))) {
            Some((_, field)) => Err(unknown_field(field).with_field("filter")),
            None => Ok(()),
        }
    }

    /// Refuses a field which is hidden from `caller`; `parameter` names the input that asks for it.
    ///
    /// # Errors
    /// `Invalid` `invalid-field`.
    pub(crate) fn may_name(&self, caller: &Caller, field: &Field, parameter: &str) -> Result<()> {
        match self.hidden_from(caller).iter().any(|path| path.touches(field)) {
            true => Err(unknown_field(field).with_field(parameter)),
            false => Ok(()),
        }
    }

    /// Refuses a selection of a member which is hidden from `caller`. One that holds a hidden member may be selected: it
    /// is shown without it.
    ///
    /// # Errors
    /// `Invalid` `invalid-field`.
    pub(crate) fn may_select(&self, caller: &Caller, fields: &Fields) -> Result<()> {
        let hidden = self.hidden_from(caller);
        match fields.iter().find(|field| hidden.iter().any(|path| path.covers(field))) {
            Some(field) => Err(unknown_field(field).with_field("fields")),
            None => Ok(()),
        }
    }

    /// Refuses an input that names a member which is hidden from `caller`.
    pub(crate) fn may_send(&self, caller: &Caller, input: &Map<String, Value>) -> Result<()> {
        match self.hidden_from(caller).iter().find(|path| path.get(input).is_some()) {
            Some(path) => Err(unknown_field(&path.field()).with_field(path.pointer())),
            None => Ok(()),
        }
    }

    /// The members that a write of `caller` will store: hidden ones are kept, those that the backend sets are set.
    ///
    /// # Errors
    /// `Invalid` if a value would take the place of what holds a hidden member.
    pub(crate) fn completed<'m>(
        &self,
        caller: &Caller,
        mut members: Cow<'m, Map<String, Value>>,
        before: Option<&Map<String, Value>>,
        now: Timestamp,
    ) -> Result<Cow<'m, Map<String, Value>>> {
        for path in self.hidden_from(caller) {
            // Whatever way it came: by an operation, or within a value.
            let sent = path.get(&members);
            if sent.is_some() && sent != before.and_then(|before| path.get(before)) {
                return Err(unknown_field(&path.field()).with_field(path.pointer()));
            }
            if let Some(kept) = before.and_then(|before| path.get(before))
                && !path.set(members.to_mut(), kept.clone())
            {
                let message = "a value cannot take the place of an object that holds members you may not see";
                return Err(Error::invalid("invalid-field", message).with_field(path.pointer()));
            }
        }
        for (path, value) in &self.server_set {
            // Administrators may bring values along, for example with an import.
            if caller.bypasses_rules() && path.get(&members).is_some() {
                continue;
            }
            let kept = before.and_then(|before| path.get(before)).cloned();
            let value = match (value, kept, before.is_some()) {
                (ServerValue::NowOnCreate | ServerValue::CallerOnCreate, kept, true) => kept,
                (ServerValue::Now | ServerValue::NowOnCreate, ..) => Some(Value::from(now.to_string())),
                (ServerValue::Caller | ServerValue::CallerOnCreate, ..) => {
                    Some(caller.user_id().map_or(Value::Null, |user| Value::from(user.as_str())))
                }
            };
            let placed = match value {
                Some(value) => path.get(&members) == Some(&value) || path.set(members.to_mut(), value),
                None => {
                    if path.get(&members).is_some() {
                        path.remove(members.to_mut());
                    }
                    true
                }
            };
            if !placed {
                let message = "the backend sets this member, and what was sent stands where its object must be";
                return Err(Error::invalid("invalid-field", message).with_field(path.pointer()));
            }
        }
        Ok(members)
    }

    /// Whether the members fit what is asked of every document.
    ///
    /// # Errors
    /// `Unprocessable` with the member: `immutable-field`, `schema-violation`.
    pub(crate) fn fits(
        &self,
        caller: &Caller,
        members: &Map<String, Value>,
        before: Option<&Map<String, Value>>,
    ) -> Result<()> {
        if let Some(before) = before
            && !caller.bypasses_rules()
        {
            let changed = |path: &&Path| match (path.get(before), path.get(members)) {
                (Some(before), Some(after)) => !crate::json::order::equal(before, after),
                (None, None) => false,
                _ => true,
            };
            if let Some(path) = self.immutable.iter().find(changed) {
                let message = "this member keeps the value that the document was created with";
                return Err(Error::new(ErrorKind::Unprocessable, "immutable-field", message).with_field(path.pointer()));
            }
        }
        self.schema.as_ref().map_or(Ok(()), |schema| schema.check(members, self.hidden_from(caller)))
    }

    /// Whether an update must know the members of the document before it.
    pub(crate) fn looks_back(&self, caller: &Caller) -> bool {
        !self.server_set.is_empty()
            || !(caller.bypasses_rules() || (self.hidden.is_empty() && self.immutable.is_empty()))
    }
}

fn paths(setting: &str, texts: &[String]) -> Result<Vec<Path>> {
    if texts.len() > MOST_PATHS {
        return Err(too_many(setting));
    }
    let path = |(index, text): (usize, &String)| {
        Path::parse(text).map_err(|error| {
            Error::invalid("invalid-field", error.message().to_owned()).with_field(format!("/{setting}/{index}"))
        })
    };
    texts.iter().enumerate().map(path).collect()
}

fn by_path<'s, T>(setting: &str, values: &'s BTreeMap<String, T>) -> Result<Vec<(Path, &'s T)>> {
    if values.len() > MOST_PATHS {
        return Err(too_many(setting));
    }
    let path = |(text, value): (&String, &'s T)| match Path::parse(text) {
        Ok(path) => Ok((path, value)),
        Err(error) => {
            Err(Error::invalid("invalid-field", error.message().to_owned()).with_field(format!("/{setting}/{text}")))
        }
    };
    values.iter().map(path).collect()
}

/// The error of a write to a collection that is dropped or renamed.
pub(crate) fn closed() -> Error {
    let message =
        "the collection is being dropped or renamed and takes no writes until that is done; look at its state";
    Error::new(ErrorKind::Conflict, "collection-closed", message)
}

/// Checks what indexes the settings ask for; which there are is the database's to say.
fn check_indexes(settings: &CollectionSettings) -> Result<Vec<Index>> {
    if settings.indexes.len() > MAX_INDEXES {
        let message = format!("a collection has at most {MAX_INDEXES} indexes");
        return Err(Error::invalid("invalid-index", message).with_field("/indexes"));
    }
    for (name, index) in &settings.indexes {
        let place = format!("/indexes/{}", name.replace('~', "~0").replace('/', "~1"));
        if CollectionName::new(name.clone()).is_err() {
            let message =
                "an index is named like a collection: lower-case letters, digits, `-` and `_`, first a letter";
            return Err(Error::invalid("invalid-index", message).with_field(place));
        }
        parse_fields(&index.fields).map_err(|error| error.with_field(format!("{place}/fields")))?;
    }
    Ok(Vec::new())
}

fn too_many(setting: &str) -> Error {
    Error::invalid("invalid-settings", format!("expected at most {MOST_PATHS} members"))
        .with_field(format!("/{setting}"))
}

fn unknown_field(field: &Field) -> Error {
    Error::invalid("invalid-field", format!("there is no member `{field}` that you could name"))
}
