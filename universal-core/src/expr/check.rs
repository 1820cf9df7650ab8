//! Which names there are and what may be compared with what.

use std::sync::Arc;

use crate::{
    error::{Error, Result},
    expr::{
        ast::{Comparison, Literal, Node, Operand},
        expression::Scope,
        field::Field,
        lexer::invalid,
    },
};

/// The most names on the way to a field; documents are no deeper.
const LONGEST_PATH: usize = 32;

/// Words of CEL that can never be a name.
const KEYWORDS: [&str; 4] = ["true", "false", "null", "in"];

/// Names that a bare field cannot have: ours, CEL's reserved words, its functions, macros and types.
const RESERVED: [&str; 52] = [
    "after",
    "input",
    "now",
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
    // Rules and triggers will have more roots; filters have these.
    let Scope::Filter = scope;
    let field = match root.text.as_str() {
        "doc" => document(path, root.position)?,
        "meta" => meta(&root, &path)?,
        "caller" => {
            return match path.as_slice() {
                [name] if name.text == "id" => Ok(Operand::Caller),
                _ => Err(invalid(root.position, "expected caller.id, the one thing a filter knows of its caller")),
            };
        }
        name if RESERVED.contains(&name) || is_keyword(name) => {
            let message =
                format!("expected a field: '{name}' is reserved; write doc.{name} or doc[\"{name}\"] for the member");
            return Err(invalid(root.position, message));
        }
        _ => {
            let position = root.position;
            document(std::iter::once(root).chain(path).collect(), position)?
        }
    };
    Ok(Operand::Field(field))
}

fn document(path: Vec<Name>, position: usize) -> Result<Field> {
    if path.is_empty() {
        return Err(invalid(position, "expected a field of the document, for example doc.title"));
    }
    if path.len() > LONGEST_PATH {
        return Err(invalid(position, format!("expected at most {LONGEST_PATH} names on the way to a field")));
    }
    if path.first().is_some_and(|name| name.text == "id") {
        return match path.get(1) {
            None => Ok(Field::Id),
            Some(name) => Err(invalid(name.position, "expected nothing after the document's id, which is a text")),
        };
    }
    let names = path.into_iter().map(segment).collect::<Result<Vec<_>>>()?;
    Ok(Field::Document(names.into()))
}

/// The names that both databases find alike.
fn segment(name: Name) -> Result<Arc<str>> {
    if name.text.chars().any(|c| c == '"' || c == '\\' || c.is_control()) {
        let message = "a field whose name has a quote, a backslash or a control character cannot be asked for";
        return Err(Error::invalid("invalid-field", message).with_position(name.position));
    }
    Ok(name.text.into())
}

fn meta(root: &Name, path: &[Name]) -> Result<Field> {
    let name = if let [name] = path { name.text.as_str() } else { "" };
    match name {
        "owner" => Ok(Field::Owner),
        "revision" => Ok(Field::Revision),
        "created_at" => Ok(Field::CreatedAt),
        "updated_at" => Ok(Field::UpdatedAt),
        _ => {
            let message = "expected meta.owner, meta.revision, meta.created_at or meta.updated_at";
            Err(invalid(root.position, message))
        }
    }
}

/// A comparison, with texts beside moments read as moments.
pub(super) fn comparison(
    comparison: Comparison,
    (left, left_at): (Operand, usize),
    (right, right_at): (Operand, usize),
) -> Result<Node> {
    let (left, right) = match (is_moment(&left), is_moment(&right)) {
        (true, false) => (left, moment_operand(right, right_at)?),
        (false, true) => (moment_operand(left, left_at)?, right),
        _ => (left, right),
    };
    Ok(Node::Compare { comparison, left, right })
}

/// `needle in list`, with texts beside a moment read as moments.
pub(super) fn membership(needle: Operand, list: Vec<(Literal, usize)>) -> Result<Node> {
    let moments = is_moment(&needle);
    let list = list
        .into_iter()
        .map(|(literal, position)| if moments { moment(literal, position) } else { Ok(literal) })
        .collect::<Result<Vec<_>>>()?;
    Ok(Node::In { needle, list })
}

fn is_moment(operand: &Operand) -> bool {
    matches!(operand, Operand::Field(Field::CreatedAt | Field::UpdatedAt))
}

fn moment_operand(operand: Operand, position: usize) -> Result<Operand> {
    match operand {
        Operand::Literal(literal) => Ok(Operand::Literal(moment(literal, position)?)),
        Operand::Field(_) | Operand::Caller => Err(expected_moment(position)),
    }
}

fn moment(literal: Literal, position: usize) -> Result<Literal> {
    let Literal::Text(text) = literal else { return Err(expected_moment(position)) };
    match chrono::DateTime::parse_from_rfc3339(&text) {
        Ok(moment) => Ok(Literal::Moment { micros: moment.timestamp_micros(), text }),
        Err(_) => Err(expected_moment(position)),
    }
}

fn expected_moment(position: usize) -> Error {
    invalid(position, "expected a moment in RFC 3339, for example \"2026-01-02T03:04:05Z\"")
}
