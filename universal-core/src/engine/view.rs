//! Which changes a subscriber wants and may see.

use std::{borrow::Cow, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    caller::Caller,
    clock::{SharedClock, Timestamp},
    collections::{
        configured::Configured,
        port::Configurations,
        rule::{Action, Rule},
    },
    engine::log::Entry,
    error::{Error, Result},
    expr::{CallerFacts, Environment, Field, Truth},
    id::DocumentId,
    json::Object,
    realtime::{
        change::{Change, Image, Operation},
        feed::Present,
        subscription::{DeliveryKind, Subscribe},
    },
};

/// Where rules come from, and the time that they may ask for.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) configurations: Arc<dyn Configurations>,
    pub(crate) clock: SharedClock,
}

/// What a subscriber asked for, and who it is.
#[derive(Debug)]
pub(crate) struct View {
    caller: Caller,
    subscribe: Subscribe,
    rules: Rules,
}

impl View {
    pub(crate) fn new(caller: Caller, subscribe: Subscribe, rules: Rules) -> Self {
        Self { caller, subscribe, rules }
    }

    /// Whether the subscription can be had at all.
    ///
    /// # Errors
    /// `Unauthenticated` and `Forbidden` by the rule; `Invalid` for a filter that a subscription cannot have.
    pub(crate) async fn check(&self) -> Result<()> {
        let judge = self.judge().await?;
        judge.rule().visible(&self.caller, judge.now)?;
        let Some(filter) = &self.subscribe.filter else { return Ok(()) };
        if [Field::Revision, Field::UpdatedAt].iter().any(|field| filter.mentions(field)) {
            return Err(Error::invalid(
                "invalid-filter",
                "a subscription's filter cannot use `meta.revision` or `meta.updated_at`: a change says them only of the document after it",
            )
            .with_field("filter"));
        }
        judge.configured.may_ask(&self.caller, filter)
    }

    /// What decides about the next changes: the rules as they are now.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    pub(crate) async fn judge(&self) -> Result<Judge<'_>> {
        let configured = self.rules.configurations.configured(self.caller.tenant(), &self.subscribe.collection).await?;
        // A member of the filter may be hidden by now: then nothing is told any more.
        let is_allowed = match &self.subscribe.filter {
            Some(filter) => configured.may_ask(&self.caller, filter).is_ok(),
            None => true,
        };
        Ok(Judge { view: self, configured, now: self.rules.clock.now(), is_allowed })
    }
}

/// Decides about changes by the rules of one moment.
#[derive(Debug)]
pub(crate) struct Judge<'v> {
    view: &'v View,
    configured: Arc<Configured>,
    now: Timestamp,
    /// Whether the subscription could be had today.
    is_allowed: bool,
}

impl Judge<'_> {
    /// What the subscriber sees of a change, if anything.
    pub(crate) fn of(&self, entry: &Entry) -> Option<DeliveryKind> {
        let change = &*entry.change;
        let subscribe = &self.view.subscribe;
        let concerns =
            change.collection == subscribe.collection && subscribe.id.as_ref().is_none_or(|id| *id == change.id);
        if !concerns || !self.is_allowed {
            return None;
        }
        let saw = change.before.as_ref().is_some_and(|image| self.shows(change, image, || entry.before()));
        let sees = change.after.as_ref().is_some_and(|image| self.shows(change, image, || entry.after()));
        match (change.operation, saw, sees) {
            (Operation::Create, _, true) => Some(DeliveryKind::Create),
            (Operation::Update, _, true) => Some(DeliveryKind::Update),
            (Operation::Update, true, false) => Some(DeliveryKind::Leave),
            (Operation::Delete, true, _) => Some(DeliveryKind::Delete),
            _ => None,
        }
    }

    /// Whether the document as it stands today, or stood when it was deleted, may be seen at all.
    pub(crate) fn may_see(&self, id: &DocumentId, present: Option<&Present>) -> Result<bool> {
        let Some(present) = present else { return Ok(false) };
        let caller = &self.view.caller;
        let members = match self.rule().looks_at_members(caller) {
            true => Some(Object::from_stored(&present.body)?.into_map()),
            false => None,
        };
        let environment = Environment::without_document(id.as_str())
            .with_owner(present.owner.as_ref().map(|owner| owner.as_str()))
            .with_revision(&present.revision)
            .with_moments(present.created_at, present.updated_at)
            .with_caller(CallerFacts::of(caller))
            .with_now(self.now);
        Ok(match &members {
            Some(members) => self.rule().allows(caller, &environment.with_document(members)),
            None => self.rule().allows(caller, &environment),
        })
    }

    /// The body that the subscriber sees in place of the change's own, where something in it is hidden.
    pub(crate) fn shown(&self, change: &Change, kind: DeliveryKind) -> Result<Option<Arc<str>>> {
        match (&change.after, kind) {
            (Some(image), DeliveryKind::Create | DeliveryKind::Update) => {
                Ok(self.configured.shown_body(&self.view.caller, &image.body)?.map(Arc::from))
            }
            _ => Ok(None),
        }
    }

    /// One document is read by its id; several are a list.
    fn rule(&self) -> &Rule {
        let action = if self.view.subscribe.id.is_some() { Action::Get } else { Action::List };
        self.configured.rule(action)
    }

    fn shows<'e>(
        &self,
        change: &'e Change,
        image: &'e Image,
        members: impl FnOnce() -> Option<&'e Map<String, Value>>,
    ) -> bool {
        let caller = &self.view.caller;
        let filter = self.view.subscribe.filter.as_ref();
        let environment = Environment::without_document(change.id.as_str())
            .with_owner(image.owner.as_ref().map(|owner| owner.as_str()))
            .with_revision(&change.revision)
            .with_moments(change.created_at, change.at)
            .with_caller(CallerFacts::of(caller))
            .with_now(self.now);
        if filter.is_none() && !self.rule().looks_at_members(caller) {
            return self.rule().allows(caller, &environment);
        }
        let none = Map::new();
        let members = members().map_or(Cow::Owned(none), Cow::Borrowed);
        let environment = environment.with_document(&members);
        self.rule().allows(caller, &environment)
            && filter.is_none_or(|filter| filter.evaluate(&environment) == Truth::True)
    }
}
