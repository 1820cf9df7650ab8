//! Expressions made in Rust: the same tree as the text, without a text.
//!
//! ```
//! use universal_core::expr::{Expression, Scope, build::{caller_id, field, meta_owner}};
//!
//! let mine = field("priority").gt(3).and(field("done").eq(false)).or(meta_owner().eq(caller_id()));
//! let text = "(priority > 3 && done == false) || meta.owner == caller.id";
//! assert_eq!(mine.build(Scope::Filter)?, Expression::parse(text, Scope::Filter)?);
//!
//! // What users type is data, whatever it holds.
//! let typed = "\" || true || \"";
//! assert_eq!(field("title").eq(typed).filter()?.to_text(), r#"doc.title == "\" || true || \"""#);
//! # Ok::<(), universal_core::Error>(())
//! ```
//!
//! The limits and the meaning are those of the text. What is wrong is told when the expression is
//! [built](Condition::build), so that conditions can be put together without a `?` at each step.

use std::sync::Arc;

use crate::{
    error::{Error, Result},
    expr::{
        ast::{At, Comparison, Literal, Node, Operator, Place, Search, Step},
        beside,
        calls::{LONGEST_LIST, MOST_PATTERNS},
        eval::LONGEST_PART,
        expression::Expression,
        field::Field,
        parser::{Parsed, bounded},
        pattern::Pattern,
        scope::{Root, Scope},
        types::{Type, type_of},
    },
};

pub use crate::expr::build_terms::{
    after, after_path, caller_claim, caller_id, caller_roles, caller_tenant, field, id, input, input_path,
    meta_created_at, meta_owner, meta_revision, meta_updated_at, now, path, value,
};

/// The most names on the way to a field.
pub(super) const LONGEST_PATH: usize = 32;

/// A value: a field, a literal or what is made of them. It comes from [`field`] and its like, and from Rust's own values.
#[derive(Debug)]
#[must_use]
pub struct Term(pub(super) Result<Node>);

/// Something that is true or false. It comes from the methods of [`Term`].
#[derive(Debug)]
#[must_use]
pub struct Condition(Result<Node>);

impl Term {
    /// `self == other`.
    pub fn eq(self, other: impl Into<Self>) -> Condition {
        self.compare(Comparison::Equal, other.into())
    }

    /// `self != other`.
    pub fn ne(self, other: impl Into<Self>) -> Condition {
        self.compare(Comparison::NotEqual, other.into())
    }

    /// `self < other`.
    pub fn lt(self, other: impl Into<Self>) -> Condition {
        self.compare(Comparison::Less, other.into())
    }

    /// `self <= other`.
    pub fn le(self, other: impl Into<Self>) -> Condition {
        self.compare(Comparison::LessOrEqual, other.into())
    }

    /// `self > other`.
    pub fn gt(self, other: impl Into<Self>) -> Condition {
        self.compare(Comparison::Greater, other.into())
    }

    /// `self >= other`.
    pub fn ge(self, other: impl Into<Self>) -> Condition {
        self.compare(Comparison::GreaterOrEqual, other.into())
    }

    /// `self in [values]`, at most 200.
    pub fn is_in<V: Into<Self>>(self, values: impl IntoIterator<Item = V>) -> Condition {
        // One more than may be is enough to know that there are too many.
        let items: Result<Vec<Node>> = values.into_iter().take(LONGEST_LIST + 1).map(|value| value.into().0).collect();
        Condition(items.and_then(|items| {
            if items.len() > LONGEST_LIST {
                return Err(refused(format!("expected a list of at most {LONGEST_LIST} items")));
            }
            if items.iter().any(|item| matches!(item, Node::List(_) | Node::Literal(Literal::List(_)))) {
                return Err(refused("expected an item that is no list"));
            }
            let literals: Option<Vec<Literal>> = items
                .iter()
                .map(|item| if let Node::Literal(literal) = item { Some(literal.clone()) } else { None })
                .collect();
            let list = literals.map_or(Node::List(items), |literals| Node::Literal(Literal::List(literals.into())));
            beside::membership(Scope::Filter, parsed(self.0?), parsed(list), &[])
        }))
    }

    /// `item in self`: an item of an array, or the name of a member of an object.
    pub fn has_item(self, item: impl Into<Self>) -> Condition {
        let item = item.into();
        Condition(both(item, self).and_then(|(item, list)| beside::membership(Scope::Filter, item, list, &[])))
    }

    /// `has(self)`: whether the document has the field.
    pub fn has(self) -> Condition {
        Condition(self.0.and_then(|node| match node {
            Node::Place(place) if !place.ends_in_item() && place != Place::Now => Ok(Node::Has(place)),
            _ => Err(refused("expected a field within has(…)")),
        }))
    }

    /// `self.contains(part)`; a part that is a literal has at most 256 bytes.
    pub fn contains(self, part: impl Into<Self>) -> Condition {
        let part = part.into();
        if let Ok(Node::Literal(Literal::Text(text))) = &part.0
            && text.len() > LONGEST_PART
        {
            return Condition(Err(refused(format!("expected a text of at most {LONGEST_PART} bytes in contains(…)"))));
        }
        self.search(Search::Contains, part)
    }

    /// `self.startsWith(part)`.
    pub fn starts_with(self, part: impl Into<Self>) -> Condition {
        self.search(Search::StartsWith, part.into())
    }

    /// `self.endsWith(part)`.
    pub fn ends_with(self, part: impl Into<Self>) -> Condition {
        self.search(Search::EndsWith, part.into())
    }

    /// `self.matches(pattern)`: a regular expression of at most 256 bytes. Lists cannot ask it; rules and subscriptions
    /// can.
    pub fn matches(self, pattern: &str) -> Condition {
        Condition(self.0.and_then(|text| {
            let pattern = Pattern::new(pattern).map_err(refused)?;
            Ok(Node::Matches { text: Box::new(text), pattern, at: At::default() })
        }))
    }

    /// `self` alone: whether it is `true`.
    pub fn is_true(self) -> Condition {
        Condition(self.0.and_then(condition))
    }

    /// `size(self)`: characters of a text, items of an array, members of an object.
    pub fn size(self) -> Self {
        Self(self.0.map(|node| Node::Size(Box::new(node))))
    }

    fn compare(self, comparison: Comparison, other: Self) -> Condition {
        Condition(
            both(self, other).and_then(|(left, right)| beside::comparison(Scope::Filter, comparison, left, right)),
        )
    }

    fn search(self, search: Search, part: Self) -> Condition {
        Condition(both(self, part).map(|(text, part)| Node::Search { search, sides: Box::new([text.node, part.node]) }))
    }

    fn calculate(self, operator: Operator, other: Self) -> Self {
        Self(both(self, other).and_then(|(left, right)| beside::calculation(Scope::Filter, operator, left, right)))
    }
}

/// `self + other`: numbers, texts, moments and durations.
impl<T: Into<Self>> std::ops::Add<T> for Term {
    type Output = Self;

    fn add(self, other: T) -> Self {
        self.calculate(Operator::Add, other.into())
    }
}

/// `self - other`.
impl<T: Into<Self>> std::ops::Sub<T> for Term {
    type Output = Self;

    fn sub(self, other: T) -> Self {
        self.calculate(Operator::Subtract, other.into())
    }
}

/// `self * other`.
impl<T: Into<Self>> std::ops::Mul<T> for Term {
    type Output = Self;

    fn mul(self, other: T) -> Self {
        self.calculate(Operator::Multiply, other.into())
    }
}

/// `self / other`.
impl<T: Into<Self>> std::ops::Div<T> for Term {
    type Output = Self;

    fn div(self, other: T) -> Self {
        self.calculate(Operator::Divide, other.into())
    }
}

/// `self % other`.
impl<T: Into<Self>> std::ops::Rem<T> for Term {
    type Output = Self;

    fn rem(self, other: T) -> Self {
        self.calculate(Operator::Remainder, other.into())
    }
}

impl Condition {
    /// `self && other`.
    pub fn and(self, other: impl Into<Self>) -> Self {
        self.joined(other.into(), Node::All, |node| match node {
            Node::All(parts) => Ok(parts),
            node => Err(Box::new(node)),
        })
    }

    /// `self || other`.
    pub fn or(self, other: impl Into<Self>) -> Self {
        self.joined(other.into(), Node::Any, |node| match node {
            Node::Any(parts) => Ok(parts),
            node => Err(Box::new(node)),
        })
    }

    /// `!self`.
    #[expect(clippy::should_implement_trait, reason = "the operator is there too; the method reads on in a chain")]
    pub fn not(self) -> Self {
        Self(self.0.map(|node| Node::Not(Box::new(node))))
    }

    /// All of them; `true` of none.
    pub fn all(conditions: impl IntoIterator<Item = Self>) -> Self {
        let none = || Self(Ok(Node::Literal(Literal::Bool(true))));
        conditions.into_iter().reduce(Self::and).unwrap_or_else(none)
    }

    /// One of them at least; `false` of none.
    pub fn any(conditions: impl IntoIterator<Item = Self>) -> Self {
        let none = || Self(Ok(Node::Literal(Literal::Bool(false))));
        conditions.into_iter().reduce(Self::or).unwrap_or_else(none)
    }

    /// The expression, for a place where it may use the names of `scope`.
    ///
    /// # Errors
    /// What [`Expression::parse`] answers for the same text, without a position: `Invalid` with [`Scope::code`], or
    /// `invalid-field`.
    pub fn build(self, scope: Scope) -> Result<Expression> {
        let root = self.0.map_err(|error| match error.code() == Scope::Filter.code() {
            true => scope.told(Error::invalid(scope.code(), error.message().to_owned())),
            false => error,
        })?;
        let wrong = |message: String| scope.told(Error::invalid(scope.code(), message));
        if patterns(&root) > MOST_PATTERNS {
            return Err(wrong(format!("expected at most {MOST_PATTERNS} patterns")));
        }
        bounded(&root, scope).map_err(|error| wrong(error.message().to_owned()))?;
        names(&root, scope).map_err(wrong)?;
        let expression = Expression::of_tree(root, scope);
        let length = expression.to_text().len();
        if length > crate::expr::parser::LONGEST {
            return Err(wrong(format!("expected at most {} bytes, found {length}", crate::expr::parser::LONGEST)));
        }
        Ok(expression)
    }

    /// The expression as the filter of a list or a subscription.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn filter(self) -> Result<Expression> {
        self.build(Scope::Filter)
    }

    fn joined(self, other: Self, join: fn(Vec<Node>) -> Node, split: fn(Node) -> Result<Vec<Node>, Box<Node>>) -> Self {
        Self(self.0.and_then(|first| {
            let mut parts = split(first).unwrap_or_else(|node| vec![*node]);
            parts.extend(split(other.0?).unwrap_or_else(|node| vec![*node]));
            Ok(join(parts))
        }))
    }
}

impl std::ops::Not for Condition {
    type Output = Self;

    fn not(self) -> Self {
        Self::not(self)
    }
}

impl From<Term> for Condition {
    fn from(term: Term) -> Self {
        term.is_true()
    }
}

/// A condition as a value, to compare it.
impl From<Condition> for Term {
    fn from(condition: Condition) -> Self {
        Self(condition.0)
    }
}

/// What is wrong with a tree that is not yet known to stand in a scope.
pub(super) fn refused(message: impl Into<String>) -> Error {
    Error::invalid(Scope::Filter.code(), message)
}

fn parsed(node: Node) -> Parsed {
    Parsed { node, at: 0 }
}

fn both(left: Term, right: Term) -> Result<(Parsed, Parsed)> {
    Ok((parsed(left.0?), parsed(right.0?)))
}

fn condition(node: Node) -> Result<Node> {
    match type_of(&node) {
        Type::Any | Type::Bool => Ok(node),
        other => Err(refused(format!("expected a comparison or another condition, found {}", other.describe()))),
    }
}

fn patterns(node: &Node) -> usize {
    usize::from(matches!(node, Node::Matches { .. })) + node.children().iter().map(patterns).sum::<usize>()
}

/// That every name has a meaning in the scope.
fn names(node: &Node, scope: Scope) -> Result<(), String> {
    if let Node::Place(place) | Node::Has(place) = node {
        let (root, name) = match place {
            // The id is there before the document is.
            Place::Field(Field::Id) if scope != Scope::ChannelRule => return Ok(()),
            Place::Field(Field::Id) => (Root::Doc, "doc"),
            Place::Field(Field::Document(_)) => (Root::Doc, "doc"),
            Place::Field(_) => (Root::Meta, "meta"),
            Place::Within(Root::Input, _) => (Root::Input, "input"),
            Place::Within(Root::After, _) => (Root::After, "after"),
            Place::Within(Root::Channel, _) => (Root::Channel, "channel"),
            Place::Within(root, _) => (*root, "doc"),
            Place::CallerId | Place::Tenant | Place::Roles => (Root::Caller, "caller"),
            Place::Now => (Root::Now, "now"),
        };
        if !scope.has(root) {
            return Err(scope.lacks(name));
        }
    }
    node.children().iter().try_for_each(|child| names(child, scope))
}

/// The names that lead to a member, as those of a text are checked.
pub(super) fn steps<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Arc<[Arc<str>]>> {
    let mut steps: Vec<Arc<str>> = Vec::new();
    for name in names.into_iter().take(LONGEST_PATH + 1) {
        let name = name.as_ref();
        if name.chars().any(|c| c == '"' || c == '\\' || c.is_control()) {
            let message = "a field whose name has a quote, a backslash or a control character cannot be asked for";
            return Err(Error::invalid("invalid-field", message));
        }
        steps.push(name.into());
    }
    match steps.len() {
        1..=LONGEST_PATH => Ok(steps.into()),
        _ => Err(refused(format!("expected 1 to {LONGEST_PATH} names on the way to a field"))),
    }
}

/// The place of a member of a body or of the claims.
pub(super) fn within(root: Root, names: &[Arc<str>]) -> Place {
    match (root, names) {
        (Root::After, [name]) if **name == *"id" => Place::Field(Field::Id),
        _ => Place::Within(root, names.iter().cloned().map(Step::Name).collect()),
    }
}
