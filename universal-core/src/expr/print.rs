//! The normal form of expressions.

use std::{fmt::Write as _, sync::Arc};

use crate::{
    expr::{
        ast::{Literal, Node, Operand},
        check::is_keyword,
        field::Field,
    },
    json::{number, order::Number},
};

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

fn write_node(out: &mut String, node: &Node) {
    match node {
        Node::All(parts) => write_joined(out, parts, " && "),
        Node::Any(parts) => write_joined(out, parts, " || "),
        Node::Not(inner) => {
            let plain = matches!(**inner, Node::Not(_) | Node::Test(_) | Node::Has(_));
            out.push_str(if plain { "!" } else { "!(" });
            write_node(out, inner);
            out.push_str(if plain { "" } else { ")" });
        }
        Node::Test(operand) => write_operand(out, operand),
        Node::Compare { comparison, left, right } => {
            write_operand(out, left);
            let _ = write!(out, " {} ", comparison.symbol());
            write_operand(out, right);
        }
        Node::In { needle, list } => {
            write_operand(out, needle);
            out.push_str(" in [");
            for (index, literal) in list.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_literal(out, literal);
            }
            out.push(']');
        }
        Node::Has(operand) => {
            out.push_str("has(");
            write_operand(out, operand);
            out.push(')');
        }
    }
}

fn write_joined(out: &mut String, parts: &[Node], between: &str) {
    for (index, part) in parts.iter().enumerate() {
        out.push_str(if index > 0 { between } else { "" });
        let parentheses = matches!(part, Node::All(_) | Node::Any(_));
        out.push_str(if parentheses { "(" } else { "" });
        write_node(out, part);
        out.push_str(if parentheses { ")" } else { "" });
    }
}

fn write_operand(out: &mut String, operand: &Operand) {
    match operand {
        Operand::Field(field) => write_field(out, field),
        Operand::Input(path) => write_path(out, "input", path),
        Operand::After(path) => write_path(out, "after", path),
        Operand::Caller => out.push_str("caller.id"),
        Operand::Tenant => out.push_str("caller.tenant"),
        Operand::Claim(path) => write_path(out, "caller.claims", path),
        Operand::Now => out.push_str("now"),
        Operand::Literal(literal) => write_literal(out, literal),
    }
}

fn write_field(out: &mut String, field: &Field) {
    match field {
        Field::Id => out.push_str("doc.id"),
        Field::Owner => out.push_str("meta.owner"),
        Field::Revision => out.push_str("meta.revision"),
        Field::CreatedAt => out.push_str("meta.created_at"),
        Field::UpdatedAt => out.push_str("meta.updated_at"),
        Field::Document(path) => write_path(out, "doc", path),
    }
}

fn write_path(out: &mut String, root: &str, path: &[Arc<str>]) {
    out.push_str(root);
    for name in path {
        if is_name(name) {
            out.push('.');
            out.push_str(name);
        } else {
            out.push('[');
            write_text(out, name);
            out.push(']');
        }
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
        Literal::Text(text) | Literal::Moment { text, .. } => write_text(out, text),
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
