//! Which names there are and what may be compared with what.

use std::sync::Arc;

use crate::{
    error::{Error, Result},
    expr::{
        ast::{Comparison, Literal, Node, Operand},
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

/// Whether a name cannot follow a dot.
pub(super) fn is_keyword(name: &str) -> bool {
    KEYWORDS.contains(&name)
}

/// What a name with the names after it stands for.
pub(super) fn resolve(root: Name, path: Vec<Name>, scope: Scope) -> Result<Operand> {
    let position = root.position;
    if let Some(known) = Root::of(&root.text) {
        // The id is there before the document is.
        let id = known == Root::Doc && matches!(path.as_slice(), [name] if name.text == "id");
        if !scope.has(known) && !id {
            return Err(scope.invalid(position, scope.lacks(&root.text)));
        }
        return match known {
            Root::Doc => document(path, position, scope).map(Operand::Field),
            Root::Meta => meta(position, &path, scope).map(Operand::Field),
            Root::Input => Ok(Operand::Input(members(path, position, "input", scope)?)),
            Root::After => match path.as_slice() {
                [name] if name.text == "id" => Ok(Operand::Field(Field::Id)),
                _ => Ok(Operand::After(members(path, position, "after", scope)?)),
            },
            Root::Caller => caller(path, position, scope),
            Root::Now => match path.first() {
                None => Ok(Operand::Now),
                Some(name) => Err(scope.invalid(name.position, "expected nothing after 'now', which is a moment")),
            },
        };
    }
    if RESERVED.contains(&root.text.as_str()) || is_keyword(&root.text) {
        let name = &root.text;
        let message =
            format!("expected a field: '{name}' is reserved; write doc.{name} or doc[\"{name}\"] for the member");
        return Err(scope.invalid(position, message));
    }
    if scope != Scope::Filter {
        let name = &root.text;
        return Err(
            scope.invalid(position, format!("expected a root: rules name their fields in full, as in doc.{name}"))
        );
    }
    document(std::iter::once(root).chain(path).collect(), position, scope).map(Operand::Field)
}

fn document(path: Vec<Name>, position: usize, scope: Scope) -> Result<Field> {
    if path.first().is_some_and(|name| name.text == "id") {
        return match path.get(1) {
            None => Ok(Field::Id),
            Some(name) => {
                Err(scope.invalid(name.position, "expected nothing after the document's id, which is a text"))
            }
        };
    }
    members(path, position, "doc", scope).map(Field::Document)
}

fn members(path: Vec<Name>, position: usize, root: &str, scope: Scope) -> Result<Arc<[Arc<str>]>> {
    if path.is_empty() {
        return Err(scope.invalid(position, format!("expected a member of {root}, for example {root}.title")));
    }
    if path.len() > LONGEST_PATH {
        return Err(scope.invalid(position, format!("expected at most {LONGEST_PATH} names on the way to a field")));
    }
    path.into_iter().map(segment).collect::<Result<Vec<_>>>().map(Into::into)
}

fn caller(mut path: Vec<Name>, position: usize, scope: Scope) -> Result<Operand> {
    let first = if path.is_empty() { String::new() } else { path.remove(0).text };
    match (first.as_str(), path.is_empty()) {
        ("id", true) => Ok(Operand::Caller),
        ("tenant", true) => Ok(Operand::Tenant),
        ("claims", false) => Ok(Operand::Claim(members(path, position, "caller.claims", scope)?)),
        _ => {
            Err(scope.invalid(position, "expected caller.id, caller.roles, caller.tenant or a member of caller.claims"))
        }
    }
}

/// The names that both databases find alike.
fn segment(name: Name) -> Result<Arc<str>> {
    if name.text.chars().any(|c| c == '"' || c == '\\' || c.is_control()) {
        let message = "a field whose name has a quote, a backslash or a control character cannot be asked for";
        return Err(Error::invalid("invalid-field", message).with_position(name.position));
    }
    Ok(name.text.into())
}

fn meta(position: usize, path: &[Name], scope: Scope) -> Result<Field> {
    let name = if let [name] = path { name.text.as_str() } else { "" };
    match name {
        "owner" => Ok(Field::Owner),
        "revision" => Ok(Field::Revision),
        "created_at" => Ok(Field::CreatedAt),
        "updated_at" => Ok(Field::UpdatedAt),
        _ => {
            let message = "expected meta.owner, meta.revision, meta.created_at or meta.updated_at";
            Err(scope.invalid(position, message))
        }
    }
}

/// A comparison, with texts beside moments read as moments.
pub(super) fn comparison(
    scope: Scope,
    comparison: Comparison,
    (left, left_at): (Operand, usize),
    (right, right_at): (Operand, usize),
) -> Result<Node> {
    let (left, right) = match (is_moment(&left), is_moment(&right)) {
        (true, false) => (left, moment_operand(right, right_at, scope)?),
        (false, true) => (moment_operand(left, left_at, scope)?, right),
        _ => (left, right),
    };
    Ok(Node::Compare { comparison, left, right })
}

/// `needle in list`, with texts beside a moment read as moments.
pub(super) fn membership(scope: Scope, needle: Operand, list: Vec<(Literal, usize)>) -> Result<Node> {
    let moments = is_moment(&needle);
    let list = list
        .into_iter()
        .map(|(literal, position)| if moments { moment(literal, position, scope) } else { Ok(literal) })
        .collect::<Result<Vec<_>>>()?;
    Ok(Node::In { needle, list })
}

fn is_moment(operand: &Operand) -> bool {
    matches!(operand, Operand::Field(Field::CreatedAt | Field::UpdatedAt) | Operand::Now)
}

fn moment_operand(operand: Operand, position: usize, scope: Scope) -> Result<Operand> {
    match operand {
        Operand::Literal(literal) => Ok(Operand::Literal(moment(literal, position, scope)?)),
        _ => Err(expected_moment(position, scope)),
    }
}

fn moment(literal: Literal, position: usize, scope: Scope) -> Result<Literal> {
    let Literal::Text(text) = literal else { return Err(expected_moment(position, scope)) };
    match chrono::DateTime::parse_from_rfc3339(&text) {
        Ok(moment) => Ok(Literal::Moment { micros: moment.timestamp_micros(), text }),
        Err(_) => Err(expected_moment(position, scope)),
    }
}

fn expected_moment(position: usize, scope: Scope) -> Error {
    scope.invalid(position, "expected a moment in RFC 3339, for example \"2026-01-02T03:04:05Z\"")
}
