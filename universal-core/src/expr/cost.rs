//! What an expression costs: an upper bound of the work for one document, known before anything is asked.
//!
//! The number of nodes does not say it. A comparison takes a database a quarter of a microsecond or so; a calculation,
//! which must be exact and must not raise, several times as much; a look into an array takes as long as the array is.
//! The unit is about what a comparison with a literal takes the slower of both databases, for a document of some hundred
//! bytes.

use crate::expr::{
    ast::{Literal, Node, Operator},
    listable::is_known,
    types::{Type, type_of},
};

/// The most that an expression may cost: a list of some thousand documents that asks it of each of them, and counts them,
/// takes less than 200 ms on either database.
pub(super) const DEAREST: usize = 128;
/// How many literals of a list cost as much as a comparison.
const LITERALS: usize = 16;

/// The cost of a tree.
pub(super) fn cost(node: &Node) -> usize {
    own(node) + node.children().iter().map(cost).sum::<usize>()
}

/// What a node adds to what is below it.
fn own(node: &Node) -> usize {
    match node {
        Node::Literal(Literal::List(literals)) => literals.len().div_ceil(LITERALS),
        Node::Literal(_) | Node::Place(_) | Node::All(_) | Node::Any(_) | Node::Not(_) => 0,
        Node::Has(_) | Node::Moment { .. } | Node::Written { .. } => 1,
        // Each is compared with what is looked for, and a member is read first.
        Node::List(items) => items.iter().map(|item| if matches!(item, Node::Literal(_)) { 1 } else { 3 }).sum(),
        Node::Compare { sides, .. } => match &**sides {
            [Node::Literal(_), _] | [_, Node::Literal(_)] => 1,
            _ => 3,
        },
        Node::Choose { .. } => 2,
        Node::Search { .. } => 3,
        Node::Size(_) => 6,
        Node::Negate(_) => 8,
        Node::Calculate { operator, sides } => calculation(*operator, sides),
        Node::In(sides) => match &**sides {
            [_, Node::List(_)] => 1,
            [_, list] if is_known(list) => 1,
            _ => 16,
        },
        Node::Matches { .. } => 16,
    }
}

fn calculation(operator: Operator, sides: &[Node; 2]) -> usize {
    let [left, right] = sides;
    match (operator, type_of(left), type_of(right)) {
        (_, left, right) if left.is_time() || right.is_time() => 1,
        // They may be numbers or texts: both are tried.
        (Operator::Add, Type::Any | Type::Sum, Type::Any | Type::Sum) => 10,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{Expression, Scope};

    fn of(text: &str) -> usize {
        cost(Expression::parse(text, Scope::Filter).unwrap().root())
    }

    #[test]
    fn what_takes_longer_costs_more() {
        assert_eq!(of("done == false && priority > 3"), 2);
        assert_eq!(of("has(due) || !done"), 1);
        assert_eq!(of("status in [\"open\", \"late\"]"), 2);
        assert_eq!(of("title.contains(\"x\")"), 3);
        assert_eq!(of("price * count > 100"), 9);
        assert_eq!(of("a + b == c"), 13);
        assert_eq!(of("a + 1 == 2"), 9);
        assert_eq!(of("meta.created_at > now - duration(\"1h\")"), 4);
        assert_eq!(of("\"x\" in doc.tags"), 16);
        assert_eq!(of("\"x\" in caller.roles"), 1);
        assert_eq!(of("size(doc.tags) > 2"), 7);
        assert_eq!(of("caller.id in [doc.author, doc.editor]"), 7);
        assert_eq!(of("text.matches(\"^a\")"), 16);
    }

    #[test]
    fn every_scope_refuses_what_costs_too_much() {
        let dear = |count: usize| vec!["\"x\" in doc.tags"; count].join(" || ");
        let most = DEAREST / 16;
        for scope in [Scope::Filter, Scope::ListRule, Scope::UpdateRule, Scope::DeleteRule, Scope::Trigger] {
            Expression::parse(&dear(most), scope).unwrap();
            let error = Expression::parse(&dear(most + 1), scope).unwrap_err();
            assert_eq!((error.code(), error.position()), (scope.code(), Some(0)));
            let message = format!("expected at most {DEAREST} units of work for a document, found {}", (most + 1) * 16);
            assert_eq!(error.message().split(" (").next(), Some(message.as_str()));
        }
    }
}
