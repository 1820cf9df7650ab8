//! The tree of an expression.

use std::sync::Arc;

use crate::{expr::field::Field, json::order::Number};

/// A part that is true, false or an error.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// `a && b && …`, two or more.
    All(Vec<Node>),
    /// `a || b || …`, two or more.
    Any(Vec<Node>),
    /// `!a`.
    Not(Box<Node>),
    /// A field or a literal that must itself be true.
    Test(Operand),
    /// `a == b` and the like.
    Compare { comparison: Comparison, left: Operand, right: Operand },
    /// `a in [..]`.
    In { needle: Operand, list: Vec<Literal> },
    /// `has(a)`; never of a literal.
    Has(Operand),
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    /// A field of the document or of its row.
    Field(Field),
    /// A member of the body as it was sent.
    Input(Arc<[Arc<str>]>),
    /// A member of the body as it would be stored.
    After(Arc<[Arc<str>]>),
    /// `caller.id`.
    Caller,
    /// `caller.tenant`.
    Tenant,
    /// A member of `caller.claims`.
    Claim(Arc<[Arc<str>]>),
    /// `now`.
    Now,
    /// A literal.
    Literal(Literal),
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
    /// A text in RFC 3339 that is compared with `meta.created_at` or `meta.updated_at`.
    Moment {
        /// Microseconds since 1970.
        micros: i64,
        /// As it was written.
        text: Arc<str>,
    },
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

impl Node {
    /// How deep the tree is; a comparison alone is 1.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => 1 + parts.iter().map(Self::depth).max().unwrap_or(0),
            Self::Not(inner) => 1 + inner.depth(),
            Self::Test(_) | Self::Compare { .. } | Self::In { .. } | Self::Has(_) => 1,
        }
    }

    /// How many nodes the tree has: operations, fields, literals; a list is one.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => 1 + parts.iter().map(Self::size).sum::<usize>(),
            Self::Not(inner) => 1 + inner.size(),
            Self::Test(_) => 1,
            Self::Has(_) => 2,
            Self::Compare { .. } | Self::In { .. } => 3,
        }
    }
}
