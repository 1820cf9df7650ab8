//! An expression as the rest of the crate holds it.

use std::{fmt, sync::Arc};

use crate::{
    error::Result,
    expr::{
        ast::Node,
        environment::Environment,
        eval::{Truth, condition},
        listable,
        parser::parse,
        print,
        scope::Scope,
    },
};

/// A checked expression; cheap to clone.
///
/// ```
/// use universal_core::expr::{Environment, Expression, Scope, Truth};
/// let filter = Expression::parse("done == false && priority > 3", Scope::Filter)?;
/// let document = serde_json::json!({"done": false, "priority": 4});
/// let environment = Environment::new("a", document.as_object().unwrap());
/// assert_eq!(filter.evaluate(&environment), Truth::True);
/// assert_eq!(filter.to_text(), "doc.done == false && doc.priority > 3");
/// # Ok::<(), universal_core::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Expression {
    root: Arc<Node>,
    scope: Scope,
}

impl Expression {
    /// Reads an expression of at most 4 KiB, depth 32 and 256 nodes, with lists of at most 200 literals, that asks for no more
    /// work than `docs/expressions.md` allows.
    ///
    /// # Errors
    /// `Invalid` with [`Scope::code`], or `invalid-field` for a field's name that cannot be asked for, with the byte
    /// position and what was expected.
    pub fn parse(text: &str, scope: Scope) -> Result<Self> {
        Ok(Self { root: Arc::new(parse(text, scope)?), scope })
    }

    /// An expression whose tree was made and checked.
    pub(super) fn of_tree(root: Node, scope: Scope) -> Self {
        Self { root: Arc::new(root), scope }
    }

    /// Evaluates it in memory; it matches only if the answer is [`Truth::True`].
    #[must_use]
    pub fn evaluate(&self, environment: &Environment<'_>) -> Truth {
        condition(&self.root, environment)
    }

    /// Whether it matches.
    #[must_use]
    pub fn matches(&self, environment: &Environment<'_>) -> bool {
        self.evaluate(environment) == Truth::True
    }

    /// The normal form: bare names written as `doc.`, one spelling of literals and spaces. Parsing it gives an equal
    /// expression.
    #[must_use]
    pub fn to_text(&self) -> String {
        print::node(&self.root)
    }

    /// Whether the databases can answer it, so that it can be a list's filter or the rule `list`.
    ///
    /// # Errors
    /// `Invalid` with [`Scope::code`], the position and what only memory can do.
    pub fn listable(&self) -> Result<()> {
        listable::check(&self.root)
            .map_err(|(position, message)| self.scope.told(self.scope.invalid(position, message)))
    }

    /// Where it stands.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The same with another tree.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_root(&self, root: Node) -> Self {
        Self { root: Arc::new(root), scope: self.scope }
    }

    /// The tree.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.to_text()).finish()
    }
}
