//! What the databases cannot do as memory does it, and so refuse: a list never approximates.

use crate::{
    expr::{
        ast::{At, Literal, Node, Place},
        scope::Root,
        types::{Type, type_of},
    },
    json::{number::has_exponent, order::Number},
};

/// Finds the first part that the databases cannot do: where it stands, and what it is.
pub(super) fn check(root: &Node) -> Result<(), (usize, String)> {
    check_node(root, true)
}

/// `condition` says that the part stands where only its truth counts.
fn check_node(node: &Node, condition: bool) -> Result<(), (usize, String)> {
    if is_known(node) {
        return Ok(());
    }
    match node {
        Node::Matches { at, .. } => {
            return Err(refused(*at, "matches(…)", "startsWith, endsWith and contains are"));
        }
        Node::Moment { at, text } if type_of(text) != Type::Moment => {
            return Err(refused(
                *at,
                "timestamp(…) of a field",
                "texts in RFC 3339 in UTC sort by time and can be compared with string(now)",
            ));
        }
        Node::Written { at, .. } => {
            return Err(refused(*at, "string(…) of a moment of the document", "compare the moments themselves"));
        }
        Node::Choose { parts, at } if !condition && type_of(node) != Type::Bool && !same_shape(parts) => {
            return Err(refused(*at, "this '? :'", "fields, literals, or two values of one known type beside ':' are"));
        }
        _ => {}
    }
    match node {
        Node::Choose { parts, .. } => {
            let [test, then, otherwise] = &**parts;
            check_node(test, true)?;
            check_node(then, condition)?;
            check_node(otherwise, condition)
        }
        Node::All(parts) | Node::Any(parts) => parts.iter().try_for_each(|part| check_node(part, true)),
        Node::Not(inner) => check_node(inner, true),
        _ => node.children().iter().try_for_each(|child| check_node(child, false)),
    }
}

fn refused(at: At, what: &str, instead: &str) -> (usize, String) {
    (at.0, format!("expected something that databases can answer: {what} is not part of lists; {instead}"))
}

/// Whether a node depends on nothing but literals, the caller and the moment.
pub(crate) fn is_known(node: &Node) -> bool {
    match node {
        Node::Place(place) | Node::Has(place) => match place {
            Place::Field(_) => false,
            Place::Within(root, _) => *root == Root::Caller,
            Place::CallerId | Place::Tenant | Place::Roles | Place::Now => true,
        },
        _ => node.children().iter().all(is_known),
    }
}

/// Whether SQL has one type for the values of both branches: that of JSON, or the one they have.
fn same_shape(parts: &[Node; 3]) -> bool {
    let [_, then, otherwise] = parts;
    let (then_type, otherwise_type) = (type_of(then), type_of(otherwise));
    is_json(then) && is_json(otherwise)
        || then_type == otherwise_type
            && matches!(then_type, Type::Number | Type::Text | Type::Moment | Type::Duration)
            && is_plain(then)
            && is_plain(otherwise)
}

/// Whether a number is one that calculations give (see `arithmetic`).
fn is_plain(node: &Node) -> bool {
    match node {
        Node::Literal(Literal::Number(Number::Double(number))) => !has_exponent(*number),
        Node::Choose { parts, .. } => parts.iter().all(is_plain),
        _ => true,
    }
}

/// Whether SQL has the value as JSON.
pub(crate) fn is_json(node: &Node) -> bool {
    match node {
        Node::Place(_) => !type_of(node).is_time(),
        Node::Literal(literal) => !matches!(literal, Literal::Moment { .. } | Literal::Duration { .. }),
        Node::Choose { parts, .. } => {
            let [_, then, otherwise] = &**parts;
            is_json(then) && is_json(otherwise)
        }
        _ => false,
    }
}
