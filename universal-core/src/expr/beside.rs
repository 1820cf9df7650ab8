//! What may stand beside what: moments and durations keep to themselves, and texts beside moments are read as moments.
//! Everything else may stand beside everything else; types that do not go together are errors when it is evaluated.

use crate::{
    error::{Error, Result},
    expr::{
        ast::{Comparison, Literal, Node, Operator},
        parser::Parsed,
        scope::Scope,
        time,
        types::{Type, literal_type, sum_type, type_of},
    },
};

/// A comparison.
pub(super) fn comparison(scope: Scope, comparison: Comparison, left: Parsed, right: Parsed) -> Result<Node> {
    let (left_type, right_type) = (type_of(&left.node), type_of(&right.node));
    let sides = match (left_type.is_time(), right_type.is_time()) {
        (true, _) => [left.node, as_time(scope, left_type, right)?],
        (false, true) => [as_time(scope, right_type, left)?, right.node],
        (false, false) => [left.node, right.node],
    };
    Ok(Node::Compare { comparison, sides: Box::new(sides) })
}

/// `needle in list`.
pub(super) fn membership(scope: Scope, needle: Parsed, list: Parsed, items_at: &[usize]) -> Result<Node> {
    let needle_type = type_of(&needle.node);
    let list_at = list.at;
    let at = |index: usize| items_at.get(index).copied().unwrap_or(list_at);
    let list = match list.node {
        Node::Literal(Literal::List(items)) => {
            let item = |(index, literal): (usize, &Literal)| {
                if needle_type.is_time() || literal_type(literal).is_time() {
                    literal_as_time(scope, needle_type, literal.clone(), at(index))
                } else {
                    Ok(literal.clone())
                }
            };
            Node::Literal(Literal::List(items.iter().enumerate().map(item).collect::<Result<_>>()?))
        }
        Node::List(nodes) => {
            let item = |(index, node): (usize, Node)| {
                let node_type = type_of(&node);
                if needle_type.is_time() || node_type.is_time() {
                    as_time(scope, needle_type, Parsed { node, at: at(index) })
                } else {
                    Ok(node)
                }
            };
            Node::List(nodes.into_iter().enumerate().map(item).collect::<Result<_>>()?)
        }
        node => {
            if needle_type.is_time() {
                return Err(expected(scope, list_at, needle_type));
            }
            match type_of(&node) {
                Type::Any | Type::List => node,
                other => {
                    let message = format!("expected a list or an object after 'in', found {}", other.describe());
                    return Err(scope.invalid(list_at, message));
                }
            }
        }
    };
    Ok(Node::In(Box::new([needle.node, list])))
}

/// `left + right` and the like.
pub(super) fn calculation(scope: Scope, operator: Operator, left: Parsed, right: Parsed) -> Result<Node> {
    let (left_type, right_type) = (type_of(&left.node), type_of(&right.node));
    if sum_type(operator, left_type, right_type).is_none() {
        let message = format!(
            "expected a moment or a duration with a duration beside '{}', found {} and {}; a moment minus a moment is \
             a duration",
            operator.symbol(),
            left_type.describe(),
            right_type.describe()
        );
        return Err(scope.invalid(left.at, message));
    }
    Ok(Node::Calculate { operator, sides: Box::new([left.node, right.node]) })
}

/// `-inner`.
pub(super) fn negation(scope: Scope, inner: &Parsed) -> Result<()> {
    if type_of(&inner.node).is_time() {
        return Err(scope.invalid(inner.at, "expected a number after '-'"));
    }
    Ok(())
}

/// `… ? then : otherwise`.
pub(super) fn choice(scope: Scope, then: &Parsed, otherwise: &Parsed) -> Result<()> {
    let (then_type, otherwise_type) = (type_of(&then.node), type_of(&otherwise.node));
    if then_type != otherwise_type && (then_type.is_time() || otherwise_type.is_time()) {
        let message = format!(
            "expected {} on both sides of ':', found {}",
            if then_type.is_time() { then_type.describe() } else { otherwise_type.describe() },
            if then_type.is_time() { otherwise_type.describe() } else { then_type.describe() },
        );
        return Err(scope.invalid(otherwise.at, message));
    }
    Ok(())
}

/// A node as a moment or a duration.
fn as_time(scope: Scope, wanted: Type, parsed: Parsed) -> Result<Node> {
    match parsed.node {
        Node::Literal(literal) => literal_as_time(scope, wanted, literal, parsed.at).map(Node::Literal),
        node if wanted.is_time() && type_of(&node) == wanted => Ok(node),
        _ => Err(expected(scope, parsed.at, wanted)),
    }
}

fn literal_as_time(scope: Scope, wanted: Type, literal: Literal, at: usize) -> Result<Literal> {
    match literal {
        Literal::Text(text) if wanted == Type::Moment => match time::moment(&text) {
            Some(micros) => Ok(Literal::Moment { micros, text, named: false }),
            None => Err(expected(scope, at, wanted)),
        },
        literal if wanted.is_time() && literal_type(&literal) == wanted => Ok(literal),
        _ => Err(expected(scope, at, wanted)),
    }
}

fn expected(scope: Scope, at: usize, wanted: Type) -> Error {
    let message = match wanted {
        Type::Moment => {
            "expected a moment in RFC 3339, for example \"2026-01-02T03:04:05Z\"; timestamp(x) reads a text as one"
        }
        Type::Duration => "expected a duration, for example duration(\"1h30m\")",
        _ => "expected no moment and no duration here: they compare with their like only",
    };
    scope.invalid(at, message)
}
