//! The decision of a write: the locked row, the input and the caller in; what to store, or why not, out.
//!
//! The order of refusals is the same everywhere: unreadable or absent (404), then not permitted
//! (403), then a precondition that does not hold (412), then what is wrong with the input (409, 422, 400).

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        configured::Configured,
        document::{Document, Revision},
        patch,
        rule::{Action, refused},
        write::{NewDocument, Precondition},
    },
    error::{Error, ErrorKind, Result},
    expr::{CallerFacts, Environment},
    id::{CollectionName, DocumentId},
    json::{Object, members_to_text},
};

/// Who writes where, by which settings, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writing<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) configured: &'a Configured,
    pub(crate) now: Timestamp,
    /// Whether the members before an update are wanted in any case, for index entries.
    pub(crate) wants_before: bool,
}

/// What a write is to store.
#[derive(Clone, Debug)]
pub(crate) struct Decided<'a> {
    /// The document as it will be.
    pub(crate) document: Document,
    /// Its members, parsed.
    pub(crate) members: Cow<'a, Map<String, Value>>,
    /// The members of the document before, if they were parsed.
    pub(crate) before: Option<Map<String, Value>>,
}

/// Decides a creation. Whether the id is free is decided by the insert itself.
///
/// # Errors
/// `Unauthenticated` and `Forbidden` by the rule, `Unprocessable` and `Invalid` for the input, `TooLarge`.
pub(crate) fn create<'a>(
    cx: &Writing<'_>,
    collection: &CollectionName,
    document: &'a NewDocument,
) -> Result<Decided<'a>> {
    cx.configured.rule(Action::Create).admits(cx.caller)?;
    let id = document.id.clone().unwrap_or_else(DocumentId::generate);
    fresh(cx, collection, id, &document.body)
}

/// Decides a replacement. `current` is the locked row; `None` says that there is none, and the
/// answer is then a document to insert.
///
/// # Errors
/// `Unauthenticated`, `NotFound`, `Forbidden`, `PreconditionFailed`, `Unprocessable`, `Invalid`, `TooLarge`, in this order.
pub(crate) fn replace<'a>(
    cx: &Writing<'_>,
    (collection, id): (&CollectionName, &DocumentId),
    current: Option<&Document>,
    body: &'a Object,
    precondition: &Precondition,
) -> Result<Decided<'a>> {
    cx.configured.rule(Action::Update).admits(cx.caller)?;
    let Some(current) = current else {
        if matches!(precondition, Precondition::Exists | Precondition::Revision(_)) {
            return Err(not_found());
        }
        return fresh(cx, collection, id.clone(), body);
    };
    let stored = Stored::of(cx, current)?;
    if !stored.readable(cx)? {
        // Whoever asks for a free id learns that it is taken, as with a creation.
        let taken = *precondition == Precondition::Absent;
        return Err(if taken { stale(precondition) } else { not_found() });
    }
    changed(cx, stored, (body.as_map(), Ok(Cow::Borrowed(body.as_map()))), precondition)
}

/// Decides a patch of the locked row.
///
/// # Errors
/// `Unauthenticated`, `NotFound`, `Forbidden`, `PreconditionFailed`, then `Invalid` for an operation that does
/// not fit the field and `Unprocessable` for a result that does not fit the collection, in this order.
pub(crate) fn patch(
    cx: &Writing<'_>,
    current: Option<&Document>,
    patch: &Object,
    precondition: &Precondition,
) -> Result<Decided<'static>> {
    cx.configured.rule(Action::Update).admits(cx.caller)?;
    let mut stored = Stored::of(cx, current.ok_or_else(not_found)?)?;
    if !stored.readable(cx)? {
        return Err(not_found());
    }
    stored.parse()?;
    let before = Value::Object(stored.members.clone().unwrap_or_default());
    let patched = patch::apply(before, patch.as_map(), cx.now).and_then(Object::from_value);
    let members = patched.map(|patched| Cow::Owned(patched.into_map()));
    changed(cx, stored, (patch.as_map(), members), precondition)
}

/// Decides a deletion of the locked row; answers the members of the document if they were parsed.
///
/// # Errors
/// `Unauthenticated`, `NotFound`, `Forbidden`, `PreconditionFailed`, in this order.
pub(crate) fn delete(
    cx: &Writing<'_>,
    current: Option<&Document>,
    precondition: &Precondition,
) -> Result<Option<Map<String, Value>>> {
    let rule = cx.configured.rule(Action::Delete);
    rule.admits(cx.caller)?;
    let mut stored = Stored::of(cx, current.ok_or_else(not_found)?)?;
    if !stored.readable(cx)? {
        return Err(not_found());
    }
    if rule.looks_at_members(cx.caller) || cx.wants_before {
        stored.parse()?;
    }
    if !rule.allows(cx.caller, &stored.environment(cx)) {
        return Err(refused(cx.caller));
    }
    stored.meets(precondition)?;
    Ok(stored.members)
}

/// What a read of `current` answers.
///
/// # Errors
/// `Unauthenticated` for an anonymous caller under the owner rule; `NotFound` if there is none that the caller may read.
pub(crate) fn read(
    caller: &Caller,
    configured: &Configured,
    current: Option<Document>,
    now: Timestamp,
) -> Result<Document> {
    configured.rule(Action::Get).admits(caller)?;
    let current = current.ok_or_else(not_found)?;
    let cx = Writing { caller, configured, now, wants_before: false };
    if !Stored::of(&cx, &current)?.readable(&cx)? {
        return Err(not_found());
    }
    configured.shown(caller, current)
}

/// What a read of `current` answers if the precondition holds.
///
/// # Errors
/// As [`read`], and `PreconditionFailed`.
pub(crate) fn read_if(cx: &Writing<'_>, current: Option<Document>, precondition: &Precondition) -> Result<Document> {
    let current = read(cx.caller, cx.configured, current, cx.now)?;
    if precondition.is_met_by(Some(&current.revision)) { Ok(current) } else { Err(stale(precondition)) }
}

/// Whether the precondition holds of what the caller may read; the revision of that, if there is something.
///
/// # Errors
/// `Unauthenticated`; `NotFound` if the document must be there and the caller may not read it; `PreconditionFailed`.
pub(crate) fn check(
    cx: &Writing<'_>,
    current: Option<&Document>,
    precondition: &Precondition,
) -> Result<Option<Revision>> {
    cx.configured.rule(Action::Get).admits(cx.caller)?;
    let stored = current.map(|current| Stored::of(cx, current)).transpose()?;
    // What the caller may not read is not there for it: its revision must not be told either.
    match stored {
        Some(stored) if stored.readable(cx)? => {
            stored.meets(precondition)?;
            Ok(Some(stored.document.revision.clone()))
        }
        _ if *precondition == Precondition::Absent => Ok(None),
        _ => Err(not_found()),
    }
}

/// The answer to a creation whose id is taken.
#[must_use]
pub(crate) fn taken() -> Error {
    Error::new(ErrorKind::Conflict, "document-exists", "a document with this id exists already").with_field("id")
}

/// A locked row, with its members where somebody asked for them.
pub(super) struct Stored<'d> {
    document: &'d Document,
    members: Option<Map<String, Value>>,
}

impl<'d> Stored<'d> {
    pub(super) fn of(cx: &Writing<'_>, document: &'d Document) -> Result<Self> {
        let mut stored = Self { document, members: None };
        if cx.configured.rule(Action::Get).looks_at_members(cx.caller) {
            stored.parse()?;
        }
        Ok(stored)
    }

    pub(super) fn parse(&mut self) -> Result<()> {
        if self.members.is_none() {
            self.members = Some(Object::from_stored(&self.document.body)?.into_map());
        }
        Ok(())
    }

    /// The members, if somebody asked for them.
    pub(super) fn members(&self) -> Option<&Map<String, Value>> {
        self.members.as_ref()
    }

    pub(super) fn environment<'e>(&'e self, cx: &Writing<'e>) -> Environment<'e> {
        let environment = about(cx, self.document);
        match &self.members {
            Some(members) => environment.with_document(members),
            None => environment,
        }
    }

    pub(super) fn readable(&self, cx: &Writing<'_>) -> Result<bool> {
        Ok(cx.configured.rule(Action::Get).allows(cx.caller, &self.environment(cx)))
    }

    fn meets(&self, precondition: &Precondition) -> Result<()> {
        if precondition.is_met_by(Some(&self.document.revision)) { Ok(()) } else { Err(stale(precondition)) }
    }
}

/// What rules know of a document's row and of who asks.
pub(super) fn about<'e>(cx: &Writing<'e>, document: &'e Document) -> Environment<'e> {
    Environment::without_document(document.id.as_str())
        .with_owner(document.owner.as_ref().map(|owner| owner.as_str()))
        .with_revision(document.revision.as_str())
        .with_moments(document.created_at, document.updated_at)
        .with_caller(CallerFacts::of(cx.caller))
        .with_now(cx.now)
}

fn fresh<'a>(cx: &Writing<'_>, collection: &CollectionName, id: DocumentId, body: &'a Object) -> Result<Decided<'a>> {
    let input = body.as_map();
    let owner = cx.caller.user_id().cloned();
    let revision = Revision::first()?;
    let mut document = Document::new(collection.clone(), id, "", revision, owner, (cx.now, cx.now));
    let rule = cx.configured.rule(Action::Create);
    rule.admits(cx.caller)?;
    cx.configured.is_open()?;
    let members = cx.configured.completed(cx.caller, Cow::Borrowed(input), None, cx.now);
    let environment = about(cx, &document).with_input(input);
    let allowed = match &members {
        Ok(members) => rule.allows(cx.caller, &environment.with_after(members)),
        Err(_) => rule.allows(cx.caller, &environment),
    };
    if !allowed {
        return Err(refused(cx.caller));
    }
    without_id(input)?;
    cx.configured.may_send(cx.caller, input)?;
    let members = members?;
    cx.configured.fits(cx.caller, &members, None)?;
    document.body = members_to_text(&members).into();
    Ok(Decided { document, members, before: None })
}

/// The members of a document, which the input lends where nothing is added to them.
type Members<'a> = Cow<'a, Map<String, Value>>;

/// A change of a readable row: `input` as it was sent, `members` as they would be without what the backend adds.
fn changed<'a>(
    cx: &Writing<'_>,
    mut stored: Stored<'_>,
    (input, members): (&Map<String, Value>, Result<Members<'a>>),
    precondition: &Precondition,
) -> Result<Decided<'a>> {
    let rule = cx.configured.rule(Action::Update);
    if rule.looks_at_members(cx.caller) || cx.configured.looks_back(cx.caller) || cx.wants_before {
        stored.parse()?;
    }
    // A hidden member that is sent is refused whatever its value: that it is the stored one must not show.
    let sendable = cx.configured.may_send(cx.caller, input);
    let members = sendable
        .and(members)
        .and_then(|members| cx.configured.completed(cx.caller, members, stored.members.as_ref(), cx.now));
    let environment = stored.environment(cx).with_input(input);
    let allowed = match &members {
        Ok(members) => rule.allows(cx.caller, &environment.with_after(members)),
        // Nobody knows what the document would be: a rule that asks for it is not what refuses.
        Err(_) => rule.asks_for_after() || rule.allows(cx.caller, &environment),
    };
    if !allowed {
        return Err(refused(cx.caller));
    }
    stored.meets(precondition)?;
    let members = members?;
    without_id(&members)?;
    cx.configured.fits(cx.caller, &members, stored.members.as_ref())?;
    let mut document = stored.document.clone();
    document.body = members_to_text(&members).into();
    document.revision = document.revision.next();
    document.updated_at = cx.now.max(document.updated_at);
    Ok(Decided { document, members, before: stored.members })
}

/// The id stands beside the members, not among them: an answer would show it twice.
pub(crate) fn without_id(members: &Map<String, Value>) -> Result<()> {
    if members.contains_key("id") {
        return Err(
            Error::invalid("reserved-key", "`id` is the document's id; take it out of the members").with_field("/id")
        );
    }
    Ok(())
}

pub(crate) fn not_found() -> Error {
    Error::not_found("document-not-found", "there is no such document, or you may not read it")
}

fn stale(precondition: &Precondition) -> Error {
    let (code, message) = match precondition {
        Precondition::Absent => ("document-exists", "a document with this id exists already"),
        _ => ("stale-revision", "the document has another revision by now; read it again"),
    };
    Error::new(ErrorKind::PreconditionFailed, code, message)
}
