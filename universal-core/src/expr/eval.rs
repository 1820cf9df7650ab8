//! Evaluation in memory: the meaning that the SQL of both databases must have.

use std::{borrow::Cow, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    clock::Timestamp,
    expr::{
        arithmetic::{calculate, negate},
        ast::{Literal, Node, Place, Search, Step},
        environment::Environment,
        field::Field,
        scope::Root,
        time,
        value::{View, compare, items, same},
    },
    json::{number::has_exponent, order::Number},
};

/// The longest text that `contains` looks for, in bytes: databases search in the time of text × part.
pub(crate) const LONGEST_PART: usize = 256;

/// The answer of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// A field is missing, or something could not be done with values of these types; counts as not matching.
    Error,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl Truth {
    /// `true`, `false`, or `None` for an error, as SQL says it.
    #[must_use]
    pub fn to_option(self) -> Option<bool> {
        match self {
            Self::True => Some(true),
            Self::False => Some(false),
            Self::Error => None,
        }
    }

    pub(super) fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Error => Self::Error,
        }
    }

    fn view<'a>(self) -> View<'a> {
        self.to_option().map_or(View::Error, View::Bool)
    }
}

/// Evaluates a condition; the recursion is as deep as the tree, at most 32.
pub(crate) fn condition<'a>(node: &'a Node, environment: &Environment<'a>) -> Truth {
    match node {
        Node::All(parts) => join(parts, environment, Truth::False),
        Node::Any(parts) => join(parts, environment, Truth::True),
        Node::Not(inner) => condition(inner, environment).not(),
        Node::Compare { comparison, sides } => {
            let [left, right] = &**sides;
            compare(*comparison, &value(left, environment), &value(right, environment))
        }
        Node::In(sides) => {
            let [needle, list] = &**sides;
            member_of(&value(needle, environment), list, environment)
        }
        Node::Has(place) => has(place, environment),
        Node::Search { search, sides } => {
            let [text, part] = &**sides;
            find(*search, &value(text, environment), &value(part, environment))
        }
        Node::Matches { text, pattern, .. } => match value(text, environment) {
            View::Text(text) => pattern.is_match(&text).map_or(Truth::Error, Truth::from),
            _ => Truth::Error,
        },
        Node::Choose { parts, .. } => {
            let [test, then, otherwise] = &**parts;
            match condition(test, environment) {
                Truth::True => condition(then, environment),
                Truth::False => condition(otherwise, environment),
                Truth::Error => Truth::Error,
            }
        }
        Node::Literal(_)
        | Node::Place(_)
        | Node::List(_)
        | Node::Calculate { .. }
        | Node::Negate(_)
        | Node::Size(_)
        | Node::Moment { .. }
        | Node::Written { .. } => value(node, environment).truth(),
    }
}

/// Evaluates a value.
pub(crate) fn value<'a>(node: &'a Node, environment: &Environment<'a>) -> View<'a> {
    match node {
        Node::Literal(literal) => View::literal(literal),
        Node::Place(place) => look(place, environment),
        Node::Calculate { operator, sides } => {
            let [left, right] = &**sides;
            calculate(*operator, &value(left, environment), &value(right, environment))
        }
        Node::Negate(inner) => negate(&value(inner, environment)),
        Node::Size(inner) => size(&value(inner, environment)),
        Node::Choose { parts, .. } => {
            let [test, then, otherwise] = &**parts;
            match condition(test, environment) {
                Truth::True => value(then, environment),
                Truth::False => value(otherwise, environment),
                Truth::Error => View::Error,
            }
        }
        Node::Moment { text, .. } => match value(text, environment) {
            View::Text(text) => time::moment(&text).map_or(View::Error, View::Moment),
            View::Moment(micros) => View::Moment(micros),
            _ => View::Error,
        },
        Node::Written { moment, .. } => match value(moment, environment) {
            View::Moment(micros) => View::Text(Cow::Owned(time::written(micros))),
            _ => View::Error,
        },
        // It stands after `in` only, where its items are looked at one by one.
        Node::List(_) => View::Error,
        Node::All(_)
        | Node::Any(_)
        | Node::Not(_)
        | Node::Compare { .. }
        | Node::In(_)
        | Node::Has(_)
        | Node::Search { .. }
        | Node::Matches { .. } => condition(node, environment).view(),
    }
}

/// `&&` is decided by the first false, `||` by the first true; an error remains only if nothing decides.
fn join<'a>(parts: &'a [Node], environment: &Environment<'a>, decides: Truth) -> Truth {
    let mut answer = decides.not();
    for part in parts {
        match condition(part, environment) {
            truth if truth == decides => return decides,
            Truth::Error => answer = Truth::Error,
            _ => {}
        }
    }
    answer
}

/// `needle in list`: an item of a list, or the name of a member of an object.
fn member_of<'a>(needle: &View<'a>, list: &'a Node, environment: &Environment<'a>) -> Truth {
    if matches!(needle, View::Error) {
        return Truth::Error;
    }
    if let Node::List(nodes) = list {
        let mut found = false;
        for node in nodes {
            match value(node, environment) {
                View::Error => return Truth::Error,
                item => found |= same(needle, &item),
            }
        }
        return found.into();
    }
    if let Node::Literal(Literal::List(literals)) = list {
        return literals.iter().any(|literal| same(needle, &View::literal(literal))).into();
    }
    // SQLite cannot look for such a number in time (see `arithmetic` for the bounds).
    if matches!(needle, View::Number(Number::Double(number)) if has_exponent(*number)) {
        return Truth::Error;
    }
    match value(list, environment) {
        View::Container(Value::Object(members)) => match needle {
            View::Text(name) => members.contains_key(&**name).into(),
            _ => Truth::False,
        },
        list => match items(&list) {
            Some(mut items) => items.any(|item| same(needle, &item)).into(),
            None => Truth::Error,
        },
    }
}

fn find(search: Search, text: &View<'_>, part: &View<'_>) -> Truth {
    let (View::Text(text), View::Text(part)) = (text, part) else { return Truth::Error };
    match search {
        Search::Contains if part.len() > LONGEST_PART => return Truth::Error,
        Search::Contains => text.contains(&**part),
        Search::StartsWith => text.starts_with(&**part),
        Search::EndsWith => text.ends_with(&**part),
    }
    .into()
}

/// Code points of a text, items of a list, members of an object.
fn size<'a>(view: &View<'_>) -> View<'a> {
    let size = match view {
        View::Text(text) => text.chars().count(),
        View::Container(Value::Object(members)) => members.len(),
        other => match items(other) {
            Some(items) => items.len(),
            None => return View::Error,
        },
    };
    i64::try_from(size).map_or(View::Error, |size| View::Number(Number::Integer(size)))
}

/// As CEL's macro: an error unless what holds the field is an object.
fn has(place: &Place, environment: &Environment<'_>) -> Truth {
    match place {
        Place::CallerId => environment.known.caller.id.is_some().into(),
        Place::Field(Field::Document(path)) => {
            let found = path
                .split_last()
                .and_then(|(last, holder)| Some(walk(environment.document?, holder)?.contains_key(&**last)));
            found.map_or(Truth::Error, Truth::from)
        }
        Place::Within(root, path) => {
            let Some((Step::Name(last), holder)) = path.split_last() else { return Truth::Error };
            let members = match holder {
                [] => body(*root, environment),
                _ => within(body(*root, environment), holder).and_then(Value::as_object),
            };
            members.map_or(Truth::Error, |members| members.contains_key(&**last).into())
        }
        Place::Field(_) | Place::Tenant | Place::Roles | Place::Now => Truth::True,
    }
}

fn body<'a>(root: Root, environment: &Environment<'a>) -> Option<&'a Map<String, Value>> {
    match root {
        Root::Doc => environment.document,
        Root::Input => environment.input,
        Root::After => environment.after,
        Root::Caller => environment.known.caller.claims,
        Root::Channel => environment.channel,
        Root::Meta | Root::Now => None,
    }
}

/// The object at the end of a path.
fn walk<'d>(document: &'d Map<String, Value>, path: &[Arc<str>]) -> Option<&'d Map<String, Value>> {
    path.iter().try_fold(document, |members, name| members.get(&**name)?.as_object())
}

/// The value at the end of a path with items.
fn within<'d>(body: Option<&'d Map<String, Value>>, path: &[Step]) -> Option<&'d Value> {
    let (first, rest) = path.split_first()?;
    let Step::Name(first) = first else { return None };
    rest.iter().try_fold(body?.get(&**first)?, |value, step| match step {
        Step::Name(name) => value.as_object()?.get(&**name),
        Step::Item(index) => value.as_array()?.get(usize::try_from(*index).ok()?),
    })
}

/// The value of what a name stands for.
fn look<'a>(place: &'a Place, environment: &Environment<'a>) -> View<'a> {
    match place {
        Place::Field(field) => look_field(field, environment),
        Place::Within(root, path) => View::of(within(body(*root, environment), path)),
        Place::CallerId => environment.known.caller.id.map_or(View::Error, View::text),
        Place::Tenant => View::text(environment.known.caller.tenant),
        Place::Roles => View::Texts(environment.known.caller.roles),
        Place::Now => moment(environment.known.now),
    }
}

/// The value of a field.
pub(super) fn look_field<'a>(field: &Field, environment: &Environment<'a>) -> View<'a> {
    match field {
        Field::Id => View::text(environment.id),
        Field::Owner => environment.owner.map_or(View::Null, View::text),
        Field::Revision => View::text(environment.revision),
        Field::CreatedAt => moment(environment.created_at),
        Field::UpdatedAt => moment(environment.updated_at),
        Field::Document(path) => {
            let found = path.split_last().and_then(|(last, holder)| walk(environment.document?, holder)?.get(&**last));
            View::of(found)
        }
    }
}

/// Whole milliseconds, as answers show moments.
fn moment(timestamp: Timestamp) -> View<'static> {
    View::Moment(timestamp.as_micros() / 1000 * 1000)
}
