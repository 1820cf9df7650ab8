//! The normal form of expressions.

use std::{fmt::Write as _, sync::Arc};

use crate::{
    expr::{
        ast::{Literal, Node, Operator, Place, Step},
        check::is_keyword,
        field::Field,
        scope::Root,
    },
    json::{number, order::Number},
};

/// How strongly a part holds together; what stands within a stronger one needs parentheses.
mod strength {
    pub(super) const CHOICE: u8 = 0;
    pub(super) const ANY: u8 = 1;
    pub(super) const ALL: u8 = 2;
    pub(super) const RELATION: u8 = 3;
    pub(super) const SUM: u8 = 4;
    pub(super) const PRODUCT: u8 = 5;
    pub(super) const UNARY: u8 = 6;
    pub(super) const MEMBER: u8 = 7;
}

/// The text of a tree.
pub(super) fn node(node: &Node) -> String {
    let mut out = String::new();
    write_node(&mut out, node);
    out
}

/// The text of a field.
pub(super) fn field(field: &Field) -> String {
    let mut out = String::new();
    write_field(&mut out, field);
    out
}

fn strength_of(node: &Node) -> u8 {
    match node {
        Node::Choose { .. } => strength::CHOICE,
        Node::Any(_) => strength::ANY,
        Node::All(_) => strength::ALL,
        Node::Compare { .. } | Node::In(_) => strength::RELATION,
        Node::Calculate { operator: Operator::Add | Operator::Subtract, .. } => strength::SUM,
        Node::Calculate { .. } => strength::PRODUCT,
        Node::Not(_) | Node::Negate(_) => strength::UNARY,
        Node::Literal(Literal::Number(number)) if *number < Number::Integer(0) => strength::UNARY,
        _ => strength::MEMBER,
    }
}

/// Writes a part that needs parentheses if it is weaker than `least`.
fn write_within(out: &mut String, node: &Node, least: u8) {
    let parentheses = strength_of(node) < least;
    out.push_str(if parentheses { "(" } else { "" });
    write_node(out, node);
    out.push_str(if parentheses { ")" } else { "" });
}

fn write_node(out: &mut String, node: &Node) {
    match node {
        Node::Literal(literal) => write_literal(out, literal),
        Node::Place(place) => write_place(out, place),
        Node::List(nodes) => {
            out.push('[');
            for (index, node) in nodes.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_node(out, node);
            }
            out.push(']');
        }
        Node::All(parts) => write_joined(out, parts, " && "),
        Node::Any(parts) => write_joined(out, parts, " || "),
        Node::Not(inner) => {
            out.push('!');
            let again = matches!(**inner, Node::Not(_));
            write_within(out, inner, if again { strength::UNARY } else { strength::MEMBER });
        }
        Node::Choose { parts, .. } => {
            let [test, then, otherwise] = &**parts;
            write_within(out, test, strength::ANY);
            out.push_str(" ? ");
            write_within(out, then, strength::ANY);
            out.push_str(" : ");
            write_node(out, otherwise);
        }
        Node::Compare { comparison, sides } => write_between(out, sides, comparison.symbol(), strength::RELATION),
        Node::In(sides) => write_between(out, sides, "in", strength::RELATION),
        Node::Has(place) => {
            out.push_str("has(");
            write_place(out, place);
            out.push(')');
        }
        Node::Calculate { operator, sides } => {
            let [left, right] = &**sides;
            let own = strength_of(node);
            write_within(out, left, own);
            let _ = write!(out, " {} ", operator.symbol());
            write_within(out, right, own + 1);
        }
        Node::Negate(inner) => {
            out.push('-');
            // A number would become part of the literal.
            let bare = !matches!(**inner, Node::Literal(Literal::Number(_)));
            write_within(out, inner, if bare { strength::MEMBER } else { strength::MEMBER + 1 });
        }
        Node::Size(inner) => write_call(out, "size", inner),
        Node::Search { search, sides } => {
            let [text, part] = &**sides;
            write_within(out, text, strength::MEMBER);
            let _ = write!(out, ".{}(", search.name());
            write_node(out, part);
            out.push(')');
        }
        Node::Matches { text, pattern, .. } => {
            write_within(out, text, strength::MEMBER);
            out.push_str(".matches(");
            write_text(out, pattern.text());
            out.push(')');
        }
        Node::Moment { text, .. } => write_call(out, "timestamp", text),
        Node::Written { moment, .. } => write_call(out, "string", moment),
    }
}

fn write_call(out: &mut String, name: &str, argument: &Node) {
    out.push_str(name);
    out.push('(');
    write_node(out, argument);
    out.push(')');
}

fn write_between(out: &mut String, sides: &[Node; 2], symbol: &str, own: u8) {
    let [left, right] = sides;
    write_within(out, left, own + 1);
    let _ = write!(out, " {symbol} ");
    write_within(out, right, own + 1);
}

fn write_joined(out: &mut String, parts: &[Node], between: &str) {
    for (index, part) in parts.iter().enumerate() {
        out.push_str(if index > 0 { between } else { "" });
        write_within(out, part, strength::RELATION);
    }
}

fn write_place(out: &mut String, place: &Place) {
    match place {
        Place::Field(field) => write_field(out, field),
        Place::Within(root, path) => {
            out.push_str(match root {
                Root::Doc => "doc",
                Root::Input => "input",
                Root::After => "after",
                Root::Caller => "caller.claims",
                Root::Meta => "meta",
                Root::Now => "now",
                Root::Channel => "channel",
            });
            for step in path.iter() {
                match step {
                    Step::Name(name) => write_step(out, name),
                    Step::Item(index) => {
                        let _ = write!(out, "[{index}]");
                    }
                }
            }
        }
        Place::CallerId => out.push_str("caller.id"),
        Place::Tenant => out.push_str("caller.tenant"),
        Place::Roles => out.push_str("caller.roles"),
        Place::Now => out.push_str("now"),
    }
}

fn write_field(out: &mut String, field: &Field) {
    match field {
        Field::Id => out.push_str("doc.id"),
        Field::Owner => out.push_str("meta.owner"),
        Field::Revision => out.push_str("meta.revision"),
        Field::CreatedAt => out.push_str("meta.created_at"),
        Field::UpdatedAt => out.push_str("meta.updated_at"),
        Field::Document(path) => {
            out.push_str("doc");
            path.iter().for_each(|name: &Arc<str>| write_step(out, name));
        }
    }
}

fn write_step(out: &mut String, name: &str) {
    if is_name(name) {
        out.push('.');
        out.push_str(name);
    } else {
        out.push('[');
        write_text(out, name);
        out.push(']');
    }
}

/// Whether it can follow a dot.
fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !is_keyword(text)
}

fn write_literal(out: &mut String, literal: &Literal) {
    match literal {
        Literal::Null => out.push_str("null"),
        Literal::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Literal::Number(Number::Integer(value)) => {
            let _ = write!(out, "{value}");
        }
        Literal::Number(Number::Double(value)) => number::write_f64(out, *value),
        Literal::Text(text) | Literal::Moment { text, named: false, .. } => write_text(out, text),
        Literal::Moment { text, named: true, .. } => {
            out.push_str("timestamp(");
            write_text(out, text);
            out.push(')');
        }
        Literal::Duration { text, .. } => {
            out.push_str("duration(");
            write_text(out, text);
            out.push(')');
        }
        Literal::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_literal(out, item);
            }
            out.push(']');
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
