//! Which names there are and what may be compared with what.

use std::sync::Arc;

use crate::{
    error::{Error, Result},
    expr::{
        ast::{Place, Step},
        field::Field,
        scope::{Root, Scope},
    },
};

/// The most names on the way to a field; documents are no deeper.
const LONGEST_PATH: usize = 32;

/// Words of CEL that can never be a name.
const KEYWORDS: [&str; 4] = ["true", "false", "null", "in"];

/// Names that a bare field cannot have: ours, CEL's reserved words, its functions, macros and types.
const RESERVED: [&str; 49] = [
    "request",
    "collection",
    "old",
    "new",
    "params",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "has",
    "size",
    "type",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "dyn",
    "timestamp",
    "duration",
    "list",
    "map",
    "null_type",
    "matches",
    "contains",
    "startsWith",
    "endsWith",
    "all",
    "exists",
    "exists_one",
    "filter",
    "optional",
    "cel",
    "in",
    "_meta",
];

/// A name and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) position: usize,
}

/// What follows a name on the way to a value, and where it stands.
#[derive(Clone, Debug)]
pub(super) enum Follow {
    /// `.name` or `["name"]`.
    Name(Name),
    /// `[3]`.
    Item(u32, usize),
}

impl Follow {
    fn position(&self) -> usize {
        match self {
            Self::Name(name) => name.position,
            Self::Item(_, position) => *position,
        }
    }

    fn is(&self, text: &str) -> bool {
        matches!(self, Self::Name(name) if name.text == text)
    }
}

/// Whether a name cannot follow a dot.
pub(super) fn is_keyword(name: &str) -> bool {
    KEYWORDS.contains(&name)
}

/// What a name with what follows it stands for.
pub(super) fn resolve(root: Name, path: Vec<Follow>, scope: Scope) -> Result<Place> {
    let position = root.position;
    if let Some(known) = Root::of(&root.text, scope) {
        // The id is there before the document is.
        let id =
            known == Root::Doc && scope != Scope::ChannelRule && matches!(path.as_slice(), [name] if name.is("id"));
        if !scope.has(known) && !id {
            return Err(scope.invalid(position, scope.lacks(&root.text)));
        }
        return match known {
            Root::Doc => document(path, position, scope),
            Root::Meta => meta(position, &path, scope),
            Root::Input => within(Root::Input, path, position, scope),
            Root::Channel => channel(path, position, scope),
            Root::After => match path.as_slice() {
                [name] if name.is("id") => Ok(Place::Field(Field::Id)),
                _ => within(Root::After, path, position, scope),
            },
            Root::Caller => caller(path, position, scope),
            Root::Now => match path.first() {
                None => Ok(Place::Now),
                Some(name) => Err(scope.invalid(name.position(), "expected nothing after 'now', which is a moment")),
            },
        };
    }
    let name = &root.text;
    if RESERVED.contains(&name.as_str()) || is_keyword(name) {
        let message =
            format!("expected a field: '{name}' is reserved; write doc.{name} or doc[\"{name}\"] for the member");
        return Err(scope.invalid(position, message));
    }
    if scope != Scope::Filter {
        let message = format!("expected a root: rules name their fields in full, as in doc.{name}");
        return Err(scope.invalid(position, message));
    }
    document(std::iter::once(Follow::Name(root)).chain(path).collect(), position, scope)
}

fn document(path: Vec<Follow>, position: usize, scope: Scope) -> Result<Place> {
    if path.first().is_some_and(|first| first.is("id")) {
        return match path.get(1) {
            None => Ok(Place::Field(Field::Id)),
            Some(next) => {
                Err(scope.invalid(next.position(), "expected nothing after the document's id, which is a text"))
            }
        };
    }
    within(Root::Doc, path, position, scope)
}

/// A path into a body or into the claims.
fn within(root: Root, path: Vec<Follow>, position: usize, scope: Scope) -> Result<Place> {
    match path.first() {
        Some(Follow::Name(_)) => {}
        Some(Follow::Item(_, at)) => return Err(scope.invalid(*at, "expected a member's name: it is an object")),
        None => {
            let name = match root {
                Root::Input => "input",
                Root::After => "after",
                Root::Caller => "caller.claims",
                Root::Channel => "channel",
                Root::Doc | Root::Meta | Root::Now => "doc",
            };
            return Err(scope.invalid(position, format!("expected a member of {name}, for example {name}.title")));
        }
    }
    if path.len() > LONGEST_PATH {
        return Err(scope.invalid(position, format!("expected at most {LONGEST_PATH} names on the way to a field")));
    }
    let steps = path.into_iter().map(step).collect::<Result<Vec<Step>>>()?;
    let names: Option<Vec<Arc<str>>> = steps
        .iter()
        .map(|step| match step {
            Step::Name(name) => Some(name.clone()),
            Step::Item(_) => None,
        })
        .collect();
    Ok(match (root, names) {
        (Root::Doc, Some(names)) => Place::Field(Field::Document(names.into())),
        _ => Place::Within(root, steps.into()),
    })
}

fn channel(path: Vec<Follow>, position: usize, scope: Scope) -> Result<Place> {
    let known = match path.as_slice() {
        [name] => name.is("name") || name.is("segments"),
        [name, Follow::Item(..)] => name.is("segments"),
        _ => false,
    };
    match known {
        true => within(Root::Channel, path, position, scope),
        false => Err(scope.invalid(position, "expected channel.name, channel.segments or channel.segments[0]")),
    }
}

fn caller(mut path: Vec<Follow>, position: usize, scope: Scope) -> Result<Place> {
    let rest = if path.is_empty() { Vec::new() } else { path.split_off(1) };
    match (path.first(), rest.is_empty()) {
        (Some(name), true) if name.is("id") => Ok(Place::CallerId),
        (Some(name), true) if name.is("tenant") => Ok(Place::Tenant),
        (Some(name), true) if name.is("roles") => Ok(Place::Roles),
        (Some(name), _) if name.is("claims") => within(Root::Caller, rest, position, scope),
        _ => {
            Err(scope.invalid(position, "expected caller.id, caller.roles, caller.tenant or a member of caller.claims"))
        }
    }
}

/// The names that both databases find alike.
fn step(step: Follow) -> Result<Step> {
    match step {
        Follow::Item(index, _) => Ok(Step::Item(index)),
        Follow::Name(name) => {
            if name.text.chars().any(|c| c == '"' || c == '\\' || c.is_control()) {
                let message = "a field whose name has a quote, a backslash or a control character cannot be asked for";
                return Err(Error::invalid("invalid-field", message).with_position(name.position));
            }
            Ok(Step::Name(name.text.into()))
        }
    }
}

fn meta(position: usize, path: &[Follow], scope: Scope) -> Result<Place> {
    let name = if let [Follow::Name(name)] = path { name.text.as_str() } else { "" };
    Ok(Place::Field(match name {
        "owner" => Field::Owner,
        "revision" => Field::Revision,
        "created_at" => Field::CreatedAt,
        "updated_at" => Field::UpdatedAt,
        _ => {
            let message = "expected meta.owner, meta.revision, meta.created_at or meta.updated_at";
            return Err(scope.invalid(position, message));
        }
    }))
}
