//! Which fields an expression asks for.

use std::sync::Arc;

use crate::expr::{
    ast::{Node, Place, Step},
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

    /// Whether it asks for the caller, so that its answer may differ between callers.
    #[must_use]
    pub fn mentions_caller(&self) -> bool {
        let of_caller = |place: &Place| {
            matches!(place, Place::Within(Root::Caller, _) | Place::CallerId | Place::Tenant | Place::Roles)
        };
        mentions(self.root(), &of_caller)
    }

    /// Whether it asks what time it is, so that its answer may change while nothing else does.
    #[must_use]
    pub fn mentions_now(&self) -> bool {
        mentions(self.root(), &|place| matches!(place, Place::Now))
    }
}

fn collect(node: &Node, found: &mut Vec<(Root, Field)>) {
    if let Node::Place(place) | Node::Has(place) = node
        && let Some(field) = field_of(place)
        && !found.contains(&field)
    {
        found.push(field);
    }
    node.children().iter().for_each(|child| collect(child, found));
}

fn field_of(place: &Place) -> Option<(Root, Field)> {
    match place {
        Place::Field(field @ (Field::Id | Field::Document(_))) => Some((Root::Doc, field.clone())),
        Place::Field(field) => Some((Root::Meta, field.clone())),
        Place::Within(Root::Caller | Root::Channel, _)
        | Place::CallerId
        | Place::Tenant
        | Place::Roles
        | Place::Now => None,
        Place::Within(root, path) => {
            let names = path.iter().map_while(|step| match step {
                Step::Name(name) => Some(name.clone()),
                Step::Item(_) => None,
            });
            Some((*root, Field::Document(names.collect::<Vec<Arc<str>>>().into())))
        }
    }
}

fn mentions(node: &Node, wanted: &impl Fn(&Place) -> bool) -> bool {
    match node {
        Node::Place(place) | Node::Has(place) if wanted(place) => true,
        _ => node.children().iter().any(|child| mentions(child, wanted)),
    }
}
