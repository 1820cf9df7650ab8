//! Why a rule allows or refuses: the decision of a caller's action about a document, explained and not carried out.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{
    caller::Caller,
    collections::{
        decide::{self, Stored, Writing},
        document::{Document, Revision},
        patch,
        rule::{Action, Rule},
    },
    error::{Error, Result},
    expr::{Clause, Decider, Environment, Explanation, Expression, Truth},
    id::{CollectionName, DocumentId},
    json::Object,
};

/// The owner rule, as an expression.
const OWNER: &str = "meta.owner == caller.id";

/// What is to be explained: who would do what.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use]
pub struct ExplainRule {
    /// Where.
    pub collection: CollectionName,
    /// What.
    pub action: Action,
    /// Who.
    pub caller: Caller,
    /// With which document; every action but a creation and a list needs one.
    pub document: Option<DocumentId>,
    /// With what: the members of a creation, the patch of an update (or what replaces the document).
    pub input: Option<Object>,
    /// Whether the update replaces the document.
    pub replaces: bool,
}

impl ExplainRule {
    /// What `caller` may do, as to the rule of `action`.
    pub fn new(collection: CollectionName, action: Action, caller: Caller) -> Self {
        Self { collection, action, caller, document: None, input: None, replaces: false }
    }

    /// With this document.
    pub fn with_document(mut self, document: DocumentId) -> Self {
        self.document = Some(document);
        self
    }

    /// With these members, or this patch.
    pub fn with_input(mut self, input: Object) -> Self {
        self.input = Some(input);
        self
    }

    /// With members that take the place of the document's.
    pub fn with_replacement(mut self, input: Object) -> Self {
        self.input = Some(input);
        self.replaces = true;
        self
    }
}

/// Why a rule allows or refuses.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct RuleExplanation {
    /// Whether the caller may. That the input fits the collection is another matter.
    pub allowed: bool,
    /// The rule, in its normal form; the owner rule as `meta.owner == caller.id`.
    pub rule: String,
    /// Whether it is the owner rule, which collections have that nobody gave another.
    pub is_owner_rule: bool,
    /// Whether rules do not bind the caller, who is an administrator.
    pub bypassed: bool,
    /// Whether the rule `get` shows the document to the caller: if not, the answer is 404 whatever this rule says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readable: Option<bool>,
    /// The part of the rule that settles it.
    pub decided_by: Decider,
    /// The parts of the rule that `&&`, `||` and `!` join.
    pub clauses: Vec<Clause>,
}

/// Explains the rule of the action; `current` is the document that was asked for.
///
/// # Errors
/// `NotFound` for a document that is not there; `Invalid` `missing-document` for an action that needs one, and for
/// input from which no document can be made.
pub(crate) fn explain(cx: &Writing<'_>, ask: &ExplainRule, current: Option<&Document>) -> Result<RuleExplanation> {
    match (ask.action, current) {
        (Action::Create, _) => creation(cx, ask),
        (_, Some(current)) => about_one(cx, ask, current),
        (Action::List, None) if ask.document.is_none() => Ok(told(cx, ask.action, None, &environment_of_none(cx))?),
        (_, None) if ask.document.is_none() => {
            let message = "say which document: the rule decides about one";
            Err(Error::invalid("missing-document", message).with_field("/document"))
        }
        (_, None) => Err(decide::not_found()),
    }
}

fn creation(cx: &Writing<'_>, ask: &ExplainRule) -> Result<RuleExplanation> {
    let id = ask.document.clone().unwrap_or_else(DocumentId::generate);
    let owner = ask.caller.user_id().cloned();
    let document = Document::new(ask.collection.clone(), id, "", Revision::first()?, owner, (cx.now, cx.now));
    let empty = Map::new();
    let input = ask.input.as_ref().map_or(&empty, Object::as_map);
    let after = cx.configured.completed(cx.caller, Cow::Borrowed(input), None, cx.now)?;
    let environment = decide::about(cx, &document).with_input(input).with_after(&after);
    told(cx, Action::Create, None, &environment)
}

fn about_one(cx: &Writing<'_>, ask: &ExplainRule, current: &Document) -> Result<RuleExplanation> {
    let mut stored = Stored::of(cx, current)?;
    stored.parse()?;
    let readable = stored.readable(cx)?;
    let environment = stored.environment(cx);
    if ask.action != Action::Update {
        return told(cx, ask.action, Some(readable), &environment);
    }
    let empty = Map::new();
    let before = stored.members().unwrap_or(&empty);
    let input = ask.input.as_ref().map_or(&empty, Object::as_map);
    let after: Cow<'_, Map<String, Value>> = if ask.replaces {
        Cow::Borrowed(input)
    } else {
        let patched = patch::apply(Value::Object(before.clone()), input, cx.now)?;
        Cow::Owned(Object::from_value(patched)?.into_map())
    };
    let after = cx.configured.completed(cx.caller, after, Some(before), cx.now)?;
    told(cx, Action::Update, Some(readable), &environment.with_input(input).with_after(&after))
}

/// Of a list nobody has looked at a document yet: what asks for one is missing.
fn environment_of_none<'e>(cx: &Writing<'e>) -> Environment<'e> {
    use crate::expr::CallerFacts;
    Environment::without_document("").with_caller(CallerFacts::of(cx.caller)).with_now(cx.now)
}

fn told(
    cx: &Writing<'_>,
    action: Action,
    readable: Option<bool>,
    environment: &Environment<'_>,
) -> Result<RuleExplanation> {
    let (rule, is_owner_rule) = match cx.configured.rule(action) {
        Rule::Expression(rule) => (rule.clone(), false),
        Rule::Owner => (Expression::parse(OWNER, action.scope())?, true),
    };
    let bypassed = cx.caller.bypasses_rules();
    let Explanation { truth, decided_by, clauses } = rule.explain(environment);
    let allowed = bypassed || truth == Truth::True;
    Ok(RuleExplanation { allowed, rule: rule.to_text(), is_owner_rule, bypassed, readable, decided_by, clauses })
}
