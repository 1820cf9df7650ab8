//! Which fields an expression asks for.

use crate::expr::{
    ast::{Node, Operand},
    expression::Expression,
    field::Field,
    scope::Root,
};

impl Expression {
    /// Whether it asks for `field` of the stored document or its row anywhere.
    #[must_use]
    pub fn mentions(&self, field: &Field) -> bool {
        self.fields().iter().any(|(root, found)| matches!(root, Root::Doc | Root::Meta) && found == field)
    }

    /// Every field it asks for, each with the root it is asked of: `Doc` and `Meta` for the stored document,
    /// `Input` and `After` for bodies. What is within an item of an array counts as the array.
    #[must_use]
    pub fn fields(&self) -> Vec<(Root, Field)> {
        let mut found = Vec::new();
        collect(self.root(), &mut found);
        found
    }
}

fn collect(node: &Node, found: &mut Vec<(Root, Field)>) {
    match node {
        Node::All(parts) | Node::Any(parts) => parts.iter().for_each(|part| collect(part, found)),
        Node::Not(part) => collect(part, found),
        Node::Test(operand) | Node::Has(operand) | Node::In { needle: operand, .. } => operand_field(operand, found),
        Node::Compare { left, right, .. } => {
            operand_field(left, found);
            operand_field(right, found);
        }
    }
}

fn operand_field(operand: &Operand, found: &mut Vec<(Root, Field)>) {
    let field = match operand {
        Operand::Field(field @ (Field::Id | Field::Document(_))) => (Root::Doc, field.clone()),
        Operand::Field(field) => (Root::Meta, field.clone()),
        Operand::Input(path) => (Root::Input, Field::Document(path.clone())),
        Operand::After(path) => (Root::After, Field::Document(path.clone())),
        Operand::Caller | Operand::Tenant | Operand::Claim(_) | Operand::Now | Operand::Literal(_) => return,
    };
    if !found.contains(&field) {
        found.push(field);
    }
}
