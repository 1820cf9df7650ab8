//! Which fields an expression asks for.

use crate::expr::{
    ast::{Node, Operand},
    expression::Expression,
    field::Field,
};

impl Expression {
    /// Whether it asks for `field` anywhere.
    #[must_use]
    pub fn mentions(&self, field: &Field) -> bool {
        node_mentions(self.root(), field)
    }
}

fn node_mentions(node: &Node, field: &Field) -> bool {
    let is = |operand: &Operand| matches!(operand, Operand::Field(found) if found == field);
    match node {
        Node::All(parts) | Node::Any(parts) => parts.iter().any(|part| node_mentions(part, field)),
        Node::Not(part) => node_mentions(part, field),
        Node::Test(operand) | Node::Has(operand) | Node::In { needle: operand, .. } => is(operand),
        Node::Compare { left, right, .. } => is(left) || is(right),
    }
}
