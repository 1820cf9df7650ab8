//! Decides what a subscriber sees of changes, by the rules of one moment.

use std::{borrow::Cow, sync::Arc};

use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};

use crate::{
    clock::Timestamp,
    collections::configured::Configured,
    cursor::Cursor,
    engine::{
        class::{Class, ClassKey},
        entry::Entry,
        view::View,
    },
    error::Result,
    expr::{CallerFacts, Environment, Truth},
    id::DocumentId,
    json::Object,
    realtime::{
        change::{Change, Image, Operation},
        delivery::{Delivery, DeliveryKind},
        feed::Present,
    },
};

/// The rules of one moment for one subscriber. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Judge(Option<Bound>);

/// What binds a subscriber to a collection.
#[derive(Clone, Debug)]
struct Bound {
    configured: Arc<Configured>,
    /// By which the rules are known to be these.
    stamp: u64,
    class: Arc<Class>,
    /// Whether time alone decides which documents are seen.
    mentions_now: bool,
    /// For a watch: on what it depends which documents are seen, in short.
    basis: Option<Arc<str>>,
}

impl Judge {
    pub(crate) fn new(
        view: &View,
        (configured, stamp): (Arc<Configured>, u64),
        class: Arc<Class>,
        key: &ClassKey,
    ) -> Self {
        let basis = view.watches.then(|| key.digest(view.rules.basis_key.expose_secret()));
        let mentions_now = view.mentions_now(&configured);
        Self(Some(Bound { configured, stamp, class, mentions_now, basis }))
    }

    /// For whoever sees everything.
    pub(crate) fn of_everything() -> Self {
        Self(None)
    }

    /// Whether the subscription could be had today: a member of the filter may be hidden by now.
    ///
    /// # Errors
    /// `Invalid` `invalid-field`: the subscription is over.
    pub(crate) fn check(&self, view: &View) -> Result<()> {
        match (&self.0, &view.subscribe.filter) {
            (Some(bound), Some(filter)) => bound.configured.may_ask(&view.caller, filter),
            _ => Ok(()),
        }
    }

    /// Whether it decides by the rules with this stamp.
    pub(crate) fn is_by(&self, stamp: u64) -> bool {
        self.stamp() == Some(stamp)
    }

    /// The stamp of its rules; none where everything is seen.
    pub(crate) fn stamp(&self) -> Option<u64> {
        self.0.as_ref().map(|bound| bound.stamp)
    }

    /// For a watch: on what it depends which documents are seen, in short.
    pub(crate) fn basis(&self) -> Option<&Arc<str>> {
        self.0.as_ref().and_then(|bound| bound.basis.as_ref())
    }

    /// What the subscriber is told of a change, if anything.
    ///
    /// # Errors
    /// `Internal` for a stored document that is none.
    pub(crate) fn sees(&self, view: &View, entry: &Entry, cursor: Cursor) -> Result<Option<Delivery>> {
        if !view.concerns(&entry.change) {
            return Ok(None);
        }
        let Some(bound) = &self.0 else {
            return Ok(Some(entry.delivery(cursor, plain(entry.change.operation))));
        };
        bound.class.sees(&cursor, || bound.decide(view, entry, cursor.clone()))
    }

    /// Whether the document as it stands today, or stood when it was deleted, may be seen at all.
    ///
    /// # Errors
    /// `Internal` for a stored document that is none.
    pub(crate) fn may_see(&self, view: &View, id: &DocumentId, present: Option<&Present>) -> Result<bool> {
        let Some(present) = present else { return Ok(false) };
        let Some(bound) = &self.0 else { return Ok(true) };
        let caller = &view.caller;
        let rule = bound.configured.rule(view.action());
        let members = match rule.looks_at_members(caller) {
            true => Some(Object::from_stored(&present.body)?.into_map()),
            false => None,
        };
        let environment = Environment::without_document(id.as_str())
            .with_owner(present.owner.as_ref().map(|owner| owner.as_str()))
            .with_revision(&present.revision)
            .with_moments(present.created_at, present.updated_at)
            .with_caller(CallerFacts::of(caller))
            .with_now(view.rules.clock.now());
        Ok(match &members {
            Some(members) => rule.allows(caller, &environment.with_document(members)),
            None => rule.allows(caller, &environment),
        })
    }
}

impl Bound {
    fn decide(&self, view: &View, entry: &Entry, cursor: Cursor) -> Result<Option<Delivery>> {
        let Some(kind) = self.kind(view, entry) else { return Ok(None) };
        let change = &entry.change;
        let body = match &change.after {
            Some(image) if kind.carries_document() => self.configured.shown_body(&view.caller, &image.body)?,
            _ => None,
        };
        Ok(Some(match body {
            Some(body) => Delivery::new(cursor, kind, Arc::clone(change), Some(body.into())),
            None => entry.delivery(cursor, kind),
        }))
    }

    fn kind(&self, view: &View, entry: &Entry) -> Option<DeliveryKind> {
        let change = &*entry.change;
        let now = view.rules.clock.now();
        let shown_at =
            |at| change.before.as_ref().is_some_and(|image| self.shows(view, (change, image, at), || entry.before()));
        // What was shown when it began, and would not be today, is still held by who saw it.
        let saw = shown_at(now) || (self.mentions_now && shown_at(view.begun));
        let sees = change.after.as_ref().is_some_and(|image| self.shows(view, (change, image, now), || entry.after()));
        match (change.operation, saw, sees, view.watches) {
            (Operation::Update, true, true, _) | (Operation::Update, false, true, false) => Some(DeliveryKind::Update),
            (Operation::Create | Operation::Update, _, true, true) => Some(DeliveryKind::Enter),
            (Operation::Create, _, true, false) => Some(DeliveryKind::Create),
            (Operation::Delete, true, _, false) => Some(DeliveryKind::Delete),
            (Operation::Update, true, false, _) | (Operation::Delete, true, _, true) => Some(DeliveryKind::Leave),
            _ => None,
        }
    }

    fn shows<'e>(
        &self,
        view: &View,
        (change, image, now): (&'e Change, &'e Image, Timestamp),
        members: impl FnOnce() -> Option<&'e Map<String, Value>>,
    ) -> bool {
        let (caller, rule) = (&view.caller, self.configured.rule(view.action()));
        let filter = view.subscribe.filter.as_ref();
        let environment = Environment::without_document(change.id.as_str())
            .with_owner(image.owner.as_ref().map(|owner| owner.as_str()))
            .with_revision(&change.revision)
            .with_moments(change.created_at, change.at)
            .with_caller(CallerFacts::of(caller))
            .with_now(now);
        if filter.is_none() && !rule.looks_at_members(caller) {
            return rule.allows(caller, &environment);
        }
        let none = Map::new();
        let members = members().map_or(Cow::Owned(none), Cow::Borrowed);
        let environment = environment.with_document(&members);
        rule.allows(caller, &environment) && filter.is_none_or(|filter| filter.evaluate(&environment) == Truth::True)
    }
}

fn plain(operation: Operation) -> DeliveryKind {
    match operation {
        Operation::Create => DeliveryKind::Create,
        Operation::Update => DeliveryKind::Update,
        Operation::Delete => DeliveryKind::Delete,
    }
}
