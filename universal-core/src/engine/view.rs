//! What a subscriber asked for, who it is, and what decides which changes it sees.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretBox};

use crate::{
    caller::Caller,
    clock::{SharedClock, Timestamp},
    collections::{
        Document,
        configured::Configured,
        port::Configurations,
        rule::{Action, Rule},
    },
    engine::{class::ClassKey, judge::Judge, ruling::Ruling},
    error::{Error, ErrorKind, Result},
    expr::{CallerFacts, Environment, Field, Truth},
    json::Object,
    realtime::{change::Change, subscribe::Subscribe},
};

/// Where rules come from, and the time that they may ask for.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) configurations: Arc<dyn Configurations>,
    pub(crate) clock: SharedClock,
    /// With which a basis is made: who does not have it cannot try which rules make it.
    pub(crate) basis_key: Arc<SecretBox<[u8; 32]>>,
}

/// What a subscriber asked for, and who it is.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) caller: Caller,
    pub(crate) subscribe: Subscribe,
    /// Whether it holds the documents themselves, and hears of them as they enter, change and leave.
    pub(crate) watches: bool,
    pub(crate) rules: Rules,
    /// When it began.
    pub(crate) begun: Timestamp,
    /// The rules of the collection; none for a whole tenant, which only those see whom no rule binds.
    ruling: Option<Arc<Ruling>>,
}

impl View {
    /// # Errors
    /// `Unauthenticated` and `Forbidden` by the rule; `Invalid` for a filter that a subscription cannot have.
    pub(crate) async fn open(
        (caller, subscribe, watches): (&Caller, Subscribe, bool),
        rules: Rules,
        ruling: Option<Arc<Ruling>>,
    ) -> Result<Self> {
        let begun = rules.clock.now();
        let view = Self { caller: caller.clone(), subscribe, watches, rules, begun, ruling };
        view.check().await?;
        Ok(view)
    }

    /// Whether the subscription can be had at all.
    ///
    /// # Errors
    /// As [`open`](Self::open); `Unavailable` and `Busy` from the database.
    pub(crate) async fn check(&self) -> Result<()> {
        let Some(ruling) = &self.ruling else { return self.check_tenant() };
        let configured = ruling.now(&*self.rules.configurations).await?;
        configured.rule(self.action()).visible(&self.caller, self.rules.clock.now())?;
        let Some(filter) = &self.subscribe.filter else { return Ok(()) };
        if [Field::Revision, Field::UpdatedAt].iter().any(|field| filter.mentions(field)) {
            return Err(Error::invalid(
                "invalid-filter",
                "a subscription's filter cannot use `meta.revision` or `meta.updated_at`: a change says them only of the document after it",
            )
            .with_field("filter"));
        }
        configured.may_ask(&self.caller, filter)
    }

    fn check_tenant(&self) -> Result<()> {
        if !self.caller.bypasses_rules() {
            let message = "only administrators subscribe to all collections; name one";
            return Err(Error::new(ErrorKind::Forbidden, "admin-required", message).with_field("collection"));
        }
        if self.watches || self.subscribe.id.is_some() || self.subscribe.filter.is_some() {
            let message = "a document, a filter and a watch need a collection";
            return Err(Error::invalid("missing-parameter", message).with_field("collection"));
        }
        Ok(())
    }

    /// What decides about the next changes: the rules as they are now; nothing if `last` still does.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    pub(crate) async fn judge(&self, last: Option<Judge>) -> Result<Option<Judge>> {
        let Some(ruling) = &self.ruling else { return Ok(last.is_none().then(Judge::of_everything)) };
        let (configured, stamp) = ruling.stamped(&*self.rules.configurations).await?;
        if last.is_some_and(|last| last.is_by(stamp)) {
            return Ok(None);
        }
        let key = self.key(&configured);
        let class = ruling.class(key.clone());
        Ok(Some(Judge::new(self, (configured, stamp), class, &key)))
    }

    /// Whether `judge` decides by the rules of the last few seconds.
    pub(crate) fn holds(&self, judge: &Judge) -> bool {
        self.ruling.as_ref().is_none_or(|ruling| judge.stamp().is_some_and(|stamp| ruling.holds(stamp)))
    }

    /// Whether no other rules are known than those by which `judge` decides.
    pub(crate) fn is_latest(&self, judge: &Judge) -> bool {
        self.ruling.as_ref().is_none_or(|ruling| judge.stamp().is_some_and(|stamp| ruling.is_latest(stamp)))
    }

    /// For a watch: the version of the tenant's settings, and what they show documents on.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    pub(crate) async fn basis(&self) -> Result<(i64, Arc<str>)> {
        let Some(ruling) = &self.ruling else { return Err(Error::internal("a whole tenant is not watched")) };
        let (version, configured) = ruling.at_version(&*self.rules.configurations).await?;
        Ok((version, self.key(&configured).digest(self.rules.basis_key.expose_secret())))
    }

    /// For a watch: what the rules of the last few seconds show documents on.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    pub(crate) async fn basis_of_now(&self) -> Result<Arc<str>> {
        let Some(ruling) = &self.ruling else { return Err(Error::internal("a whole tenant is not watched")) };
        let configured = ruling.now(&*self.rules.configurations).await?;
        Ok(self.key(&configured).digest(self.rules.basis_key.expose_secret()))
    }

    /// One document is read by its id; several are a list.
    pub(crate) fn action(&self) -> Action {
        if self.subscribe.id.is_some() { Action::Get } else { Action::List }
    }

    /// Whether time alone decides which documents are seen.
    pub(crate) fn mentions_now(&self, configured: &Configured) -> bool {
        configured.rule(self.action()).mentions_now(&self.caller)
            || self.subscribe.filter.as_ref().is_some_and(|filter| filter.mentions_now())
    }

    pub(crate) fn concerns(&self, change: &Change) -> bool {
        let Subscribe { collection, id, .. } = &self.subscribe;
        collection.as_ref().is_none_or(|name| *name == change.collection)
            && id.as_ref().is_none_or(|id| *id == change.id)
    }

    /// Whether the filter lets a document in.
    ///
    /// # Errors
    /// `Internal` for a stored document that is none.
    pub(crate) fn matches(&self, document: &Document) -> Result<bool> {
        let Some(filter) = &self.subscribe.filter else { return Ok(true) };
        let members = Object::from_stored(&document.body)?.into_map();
        let environment = Environment::without_document(document.id.as_str())
            .with_owner(document.owner.as_ref().map(|owner| owner.as_str()))
            .with_revision(document.revision.as_str())
            .with_moments(document.created_at, document.updated_at)
            .with_caller(CallerFacts::of(&self.caller))
            .with_now(self.rules.clock.now());
        Ok(filter.evaluate(&environment.with_document(&members)) == Truth::True)
    }

    /// Everything on which it depends what the subscriber sees of a change in its collection.
    fn key(&self, configured: &Configured) -> ClassKey {
        let (caller, rule) = (&self.caller, configured.rule(self.action()));
        let filter = self.subscribe.filter.as_ref();
        let asks = rule.mentions_caller(caller) || filter.is_some_and(|filter| filter.mentions_caller());
        let facts = asks.then(|| (caller.user_id(), caller.roles(), caller.claims()));
        let bound =
            (!caller.bypasses_rules()).then(|| (self.action(), Rule::to_text(rule), &configured.settings.hidden));
        // Who began at another time may hold other documents.
        let begun = self.mentions_now(configured).then(|| self.begun.as_micros());
        let wanted = (begun, self.watches, &self.subscribe.id, filter.map(|filter| filter.to_text()));
        ClassKey::new(format!("{:?}", (wanted, bound, facts, configured.state())))
    }
}
