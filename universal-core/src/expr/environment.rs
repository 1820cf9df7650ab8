//! What an expression is evaluated about.

use serde_json::{Map, Value};

use crate::{caller::Caller, clock::Timestamp};

/// Who asks, as expressions see it: `caller.id`, `caller.roles`, `caller.claims`, `caller.tenant`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct CallerFacts<'a> {
    /// `caller.id`: the user's id; missing for a caller who is no user.
    pub id: Option<&'a str>,
    /// `caller.roles`: a list of texts.
    pub roles: &'a [String],
    /// `caller.claims`: what the credentials say beyond that; missing without any.
    pub claims: Option<&'a Map<String, Value>>,
    /// `caller.tenant`.
    pub tenant: &'a str,
}

impl<'a> CallerFacts<'a> {
    /// The facts of a caller.
    #[must_use]
    pub fn of(caller: &'a Caller) -> Self {
        Self {
            id: caller.user_id().map(|user| user.as_str()),
            roles: caller.roles(),
            claims: caller.claims(),
            tenant: caller.tenant().as_str(),
        }
    }

    /// Nobody in particular, of no tenant.
    #[must_use]
    pub fn nobody() -> Self {
        Self::default()
    }

    /// With this user's id.
    #[must_use]
    pub fn with_id(mut self, id: Option<&'a str>) -> Self {
        self.id = id;
        self
    }

    /// With these roles.
    #[must_use]
    pub fn with_roles(mut self, roles: &'a [String]) -> Self {
        self.roles = roles;
        self
    }

    /// With these claims.
    #[must_use]
    pub fn with_claims(mut self, claims: Option<&'a Map<String, Value>>) -> Self {
        self.claims = claims;
        self
    }

    /// Of this tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: &'a str) -> Self {
        self.tenant = tenant;
        self
    }
}

/// What is known before any document is looked at: who asks, and when.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Known<'a> {
    /// Who asks.
    pub caller: CallerFacts<'a>,
    /// `now`, which expressions see in whole milliseconds.
    pub now: Timestamp,
}

impl<'a> Known<'a> {
    /// What is known when `caller` asks at the moment `now`.
    #[must_use]
    pub fn new(caller: CallerFacts<'a>, now: Timestamp) -> Self {
        Self { caller, now }
    }

    /// What is known when `caller` asks at the moment `now`.
    #[must_use]
    pub fn of(caller: &'a Caller, now: Timestamp) -> Self {
        Self::new(CallerFacts::of(caller), now)
    }
}

/// What an expression is evaluated about: one document's row, what shall become of it, and who asks.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Environment<'a> {
    /// The document's id, `doc.id` and `after.id`.
    pub id: &'a str,
    /// `doc`: the members of the stored body; none before a creation.
    pub document: Option<&'a Map<String, Value>>,
    /// `input`: the members of the body as it was sent.
    pub input: Option<&'a Map<String, Value>>,
    /// `after`: the members of the body as it would be stored.
    pub after: Option<&'a Map<String, Value>>,
    /// `channel`: its `name` and its `segments`, for the rules of channels.
    pub channel: Option<&'a Map<String, Value>>,
    /// `meta.owner`: the owner, if it has one; before a creation, the owner it will have.
    pub owner: Option<&'a str>,
    /// `meta.revision`.
    pub revision: &'a str,
    /// `meta.created_at`.
    pub created_at: Timestamp,
    /// `meta.updated_at`.
    pub updated_at: Timestamp,
    /// Who asks, and when.
    pub known: Known<'a>,
}

impl<'a> Environment<'a> {
    /// A document without owner and revision, created and changed in 1970, for nobody, in 1970.
    #[must_use]
    pub fn new(id: &'a str, document: &'a Map<String, Value>) -> Self {
        Self { document: Some(document), ..Self::without_document(id) }
    }

    /// No document is stored under this id.
    #[must_use]
    pub fn without_document(id: &'a str) -> Self {
        let epoch = Timestamp::from_micros(0);
        Self {
            id,
            document: None,
            input: None,
            after: None,
            channel: None,
            owner: None,
            revision: "",
            created_at: epoch,
            updated_at: epoch,
            known: Known::new(CallerFacts::nobody(), epoch),
        }
    }

    /// With these members of the stored body.
    #[must_use]
    pub fn with_document(mut self, document: &'a Map<String, Value>) -> Self {
        self.document = Some(document);
        self
    }

    /// With this owner.
    #[must_use]
    pub fn with_owner(mut self, owner: Option<&'a str>) -> Self {
        self.owner = owner;
        self
    }

    /// With this revision.
    #[must_use]
    pub fn with_revision(mut self, revision: &'a str) -> Self {
        self.revision = revision;
        self
    }

    /// With these moments of creation and last change.
    #[must_use]
    pub fn with_moments(mut self, created_at: Timestamp, updated_at: Timestamp) -> Self {
        self.created_at = created_at;
        self.updated_at = updated_at;
        self
    }

    /// With this body as it was sent.
    #[must_use]
    pub fn with_input(mut self, input: &'a Map<String, Value>) -> Self {
        self.input = Some(input);
        self
    }

    /// With this body as it would be stored.
    #[must_use]
    pub fn with_after(mut self, after: &'a Map<String, Value>) -> Self {
        self.after = Some(after);
        self
    }

    /// About this channel: its `name` and its `segments`.
    #[must_use]
    pub fn with_channel(mut self, channel: &'a Map<String, Value>) -> Self {
        self.channel = Some(channel);
        self
    }

    /// For this caller.
    #[must_use]
    pub fn with_caller(mut self, caller: CallerFacts<'a>) -> Self {
        self.known.caller = caller;
        self
    }

    /// At this moment.
    #[must_use]
    pub fn with_now(mut self, now: Timestamp) -> Self {
        self.known.now = now;
        self
    }

    /// For this caller at this moment.
    #[must_use]
    pub fn with_known(mut self, known: Known<'a>) -> Self {
        self.known = known;
        self
    }
}
