//! Who may do what to a document.

use crate::{
    caller::Caller,
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    expr::{Environment, Expression, Field, Known, Root, Scope, Truth},
    id::UserId,
};

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// To find documents: lists, aggregates, subscriptions to a collection.
    List,
    /// To read one by its id.
    Get,
    /// To create one.
    Create,
    /// To replace or patch one.
    Update,
    /// To delete one.
    Delete,
}

impl Action {
    /// Its name in settings and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// The action of a name.
    ///
    /// # Errors
    /// `Invalid` `invalid-action` for another name.
    pub fn parse(name: &str) -> Result<Self> {
        let all = [Self::List, Self::Get, Self::Create, Self::Update, Self::Delete];
        all.into_iter().find(|action| action.as_str() == name).ok_or_else(|| {
            Error::invalid("invalid-action", "an action is list, get, create, update or delete").with_field("/action")
        })
    }

    /// The names that its rule may use.
    pub(crate) fn scope(self) -> Scope {
        match self {
            Self::List | Self::Get => Scope::ListRule,
            Self::Create => Scope::CreateRule,
            Self::Update => Scope::UpdateRule,
            Self::Delete => Scope::DeleteRule,
        }
    }
}

/// A rule, ready to decide.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rule {
    /// A signed-in caller may create and owns what it creates; the owner alone reads, changes and deletes.
    Owner,
    /// Whatever makes the expression true.
    Expression(Expression),
}

impl Rule {
    /// Reads the rule of an action.
    ///
    /// # Errors
    /// `Invalid` `invalid-rule` with the place and the position.
    pub(crate) fn parse(action: Action, text: &str) -> Result<Self> {
        let place = || format!("/rules/{}", action.as_str());
        let parsed = Expression::parse(text, action.scope()).map_err(|error| error.with_field(place()))?;
        if action == Action::List {
            parsed.listable().map_err(|error| error.with_field(place()))?;
        }
        // A change tells them only of the document after it, and lists and subscriptions must agree.
        let versions = [Field::Revision, Field::UpdatedAt];
        if matches!(action, Action::List | Action::Get) && versions.iter().any(|field| parsed.mentions(field)) {
            let message = "rules for `list` and `get` cannot use `meta.revision` or `meta.updated_at`";
            return Err(Error::invalid("invalid-rule", message).with_field(place()));
        }
        Ok(Self::Expression(parsed))
    }

    /// Its text; `owner` for the owner rule.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Owner => "owner".to_owned(),
            Self::Expression(rule) => rule.to_text(),
        }
    }

    /// Whether it must be asked about the members of a document.
    pub(crate) fn looks_at_members(&self, caller: &Caller) -> bool {
        matches!(self, Self::Expression(_)) && !caller.bypasses_rules()
    }

    /// Whether what it answers depends on who asks.
    pub(crate) fn mentions_caller(&self, caller: &Caller) -> bool {
        match self {
            _ if caller.bypasses_rules() => false,
            Self::Owner => true,
            Self::Expression(rule) => rule.mentions_caller(),
        }
    }

    /// Whether what it answers may change with time alone.
    pub(crate) fn mentions_now(&self, caller: &Caller) -> bool {
        matches!(self, Self::Expression(rule) if rule.mentions_now()) && !caller.bypasses_rules()
    }

    /// Whether it asks for the document as it will be, or for what was sent.
    pub(crate) fn asks_for_after(&self) -> bool {
        match self {
            Self::Owner => false,
            Self::Expression(rule) => rule.fields().iter().any(|(root, _)| matches!(root, Root::After | Root::Input)),
        }
    }

    /// Refuses whoever the rule can never allow because nobody is signed in.
    ///
    /// # Errors
    /// `Unauthenticated` for an anonymous caller under the owner rule.
    pub(crate) fn admits(&self, caller: &Caller) -> Result<()> {
        match self {
            Self::Owner => signed_in(caller),
            Self::Expression(_) => Ok(()),
        }
    }

    /// Whether it allows `caller` what `environment` describes.
    pub(crate) fn allows(&self, caller: &Caller, environment: &Environment<'_>) -> bool {
        if caller.bypasses_rules() {
            return true;
        }
        match self {
            Self::Owner => owns(caller, environment.owner),
            Self::Expression(expression) => expression.evaluate(environment) == Truth::True,
        }
    }

    /// Which rows it shows to `caller`.
    ///
    /// # Errors
    /// `Unauthenticated` or `Forbidden` if it can show none, whatever they hold.
    pub(crate) fn visible(&self, caller: &Caller, now: Timestamp) -> Result<Visible> {
        self.admits(caller)?;
        if caller.bypasses_rules() {
            return Ok(Visible::All);
        }
        match (self, caller.user_id()) {
            (Self::Owner, Some(user)) => Ok(Visible::OwnedBy(user.clone())),
            (Self::Owner, None) => Err(refused(caller)),
            (Self::Expression(rule), _) => match rule.constant(&Known::of(caller, now)) {
                Some(Truth::True) => Ok(Visible::All),
                Some(_) => Err(refused(caller)),
                None => Ok(Visible::Where(rule.clone())),
            },
        }
    }
}

/// What the rule demands of the rows of a list or a feed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Visible {
    /// All rows.
    All,
    /// Rows of this owner.
    OwnedBy(UserId),
    /// Rows for which this rule is true.
    Where(Expression),
}

fn owns(caller: &Caller, owner: Option<&str>) -> bool {
    owner.is_some() && owner == caller.user_id().map(|user| user.as_str())
}

/// Refuses a caller without credentials.
///
/// # Errors
/// `Unauthenticated` for an anonymous caller.
pub fn signed_in(caller: &Caller) -> Result<()> {
    if caller.is_anonymous() {
        return Err(Error::new(
            ErrorKind::Unauthenticated,
            "sign-in-required",
            "sign in first: this collection is not open to anonymous callers",
        ));
    }
    Ok(())
}

/// Refuses whoever is no administrator of the tenant.
///
/// # Errors
/// `Unauthenticated` for an anonymous caller, `Forbidden` for a user.
pub fn administers(caller: &Caller) -> Result<()> {
    if caller.bypasses_rules() {
        return Ok(());
    }
    signed_in(caller)?;
    Err(Error::new(ErrorKind::Forbidden, "admin-required", "this is for administrators of the tenant"))
}

/// What a rule answers that does not allow.
pub(crate) fn refused(caller: &Caller) -> Error {
    match signed_in(caller) {
        Err(error) => error,
        Ok(()) => Error::new(ErrorKind::Forbidden, "forbidden", "the rules of this collection do not allow it"),
    }
}
