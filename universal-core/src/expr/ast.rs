//! The tree of an expression.

use std::sync::Arc;

use crate::{
    expr::{field::Field, pattern::Pattern, scope::Root},
    json::order::Number,
};

/// A part of an expression: a value, or an error.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// A literal.
    Literal(Literal),
    /// What a name stands for.
    Place(Place),
    /// `[a, b, …]` with something that is no literal; only after `in`.
    List(Vec<Node>),
    /// `a && b && …`, two or more.
    All(Vec<Node>),
    /// `a || b || …`, two or more.
    Any(Vec<Node>),
    /// `!a`.
    Not(Box<Node>),
    /// `condition ? then : otherwise`.
    Choose { parts: Box<[Node; 3]>, at: At },
    /// `a == b` and the like.
    Compare { comparison: Comparison, sides: Box<[Node; 2]> },
    /// `a in b`: needle and list.
    In(Box<[Node; 2]>),
    /// `has(a.b)`.
    Has(Place),
    /// `a + b` and the like.
    Calculate { operator: Operator, sides: Box<[Node; 2]> },
    /// `-a`; of a number's literal it is part of the literal.
    Negate(Box<Node>),
    /// `size(a)`.
    Size(Box<Node>),
    /// `a.contains(b)` and the like.
    Search { search: Search, sides: Box<[Node; 2]> },
    /// `a.matches("…")`.
    Matches { text: Box<Node>, pattern: Pattern, at: At },
    /// `timestamp(a)` of something that is no literal.
    Moment { text: Box<Node>, at: At },
    /// `string(a)` of a moment.
    Written { moment: Box<Node>, at: At },
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    /// A field of the stored document or of its row.
    Field(Field),
    /// A member or an item of a body, or (with the root `Caller`) of `caller.claims`. Of the stored document only paths
    /// with an item are here; the others are fields.
    Within(Root, Arc<[Step]>),
    /// `caller.id`.
    CallerId,
    /// `caller.tenant`.
    Tenant,
    /// `caller.roles`.
    Roles,
    /// `now`.
    Now,
}

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// A member of an object.
    Name(Arc<str>),
    /// An item of an array, from 0.
    Item(u32),
}

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Arc<str>),
    /// A moment: `timestamp("…")`, or a text beside a moment.
    Moment {
        /// Microseconds since 1970.
        micros: i64,
        /// As it was written.
        text: Arc<str>,
        /// Written with `timestamp`.
        named: bool,
    },
    /// `duration("…")`.
    Duration {
        /// Microseconds.
        micros: i64,
        /// As it was written.
        text: Arc<str>,
    },
    /// `[a, b, …]`
    List(Arc<[Literal]>),
}

/// Where a part begins in the text it was read from; trees are equal wherever their parts stood.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct At(pub(crate) usize);

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// As it is written, in CEL and, except for `==`, in SQL.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The comparison that a symbol stands for.
    pub(crate) fn of(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// The comparison with its sides exchanged.
    pub(crate) fn reversed(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    /// Whether values in this order satisfy it.
    pub(crate) fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// Arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `+`, which also joins texts.
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

impl Operator {
    /// As it is written, in CEL and in SQL.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// A search in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// `contains`
    Contains,
    /// `startsWith`
    StartsWith,
    /// `endsWith`
    EndsWith,
}

impl Search {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
        }
    }

    /// The search of a name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        [Self::Contains, Self::StartsWith, Self::EndsWith].into_iter().find(|search| search.name() == name)
    }
}

impl Node {
    /// The nodes right below, but for places.
    pub(crate) fn children(&self) -> &[Node] {
        match self {
            Self::Literal(_) | Self::Place(_) | Self::Has(_) => &[],
            Self::List(parts) | Self::All(parts) | Self::Any(parts) => parts,
            Self::Not(inner) | Self::Negate(inner) | Self::Size(inner) => std::slice::from_ref(&**inner),
            Self::Matches { text: inner, .. }
            | Self::Moment { text: inner, .. }
            | Self::Written { moment: inner, .. } => std::slice::from_ref(&**inner),
            Self::Choose { parts, .. } => &**parts,
            Self::In(sides)
            | Self::Compare { sides, .. }
            | Self::Calculate { sides, .. }
            | Self::Search { sides, .. } => &**sides,
        }
    }

    /// How deep the tree is; a comparison of fields and literals is 1.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Literal(_) | Self::Place(_) => 0,
            _ => 1 + self.children().iter().map(Self::depth).max().unwrap_or(0),
        }
    }

    /// How many nodes the tree has: operations, fields, literals; a list of literals is one.
    pub(crate) fn size(&self) -> usize {
        let place = usize::from(matches!(self, Self::Has(_)));
        1 + place + self.children().iter().map(Self::size).sum::<usize>()
    }
}
