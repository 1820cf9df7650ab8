//! A whole expression as one SQL condition.

use sea_orm::Value;

use crate::{
    drivers::sql::{
        dialect::Dialect,
        lower::{
            binds::Binds,
            postgres, sqlite,
            term::{Kind, Term},
        },
    },
    error::{Error, Result},
    expr::{Comparison, Expression, Known, Literal, Node, Operand, View, compare},
};

/// The most values that a statement can bind on both databases.
const MOST_VALUES: usize = 32_766;

/// A condition and the values it binds, in the order of their placeholders.
#[derive(Clone, Debug)]
pub(crate) struct Lowered {
    /// TRUE, FALSE or, for an error of the expression, NULL; in parentheses, so that it can stand beside AND.
    pub(crate) sql: String,
    /// What it binds, from the first placeholder on.
    pub(crate) values: Vec<Value>,
}

/// The condition of an expression over a row's columns, for this caller and moment, its first value `$first_placeholder`.
///
/// # Errors
/// `Invalid` `invalid-filter` if the statement would bind more values than the databases can.
pub(crate) fn lower(
    expression: &Expression,
    dialect: Dialect,
    known: &Known<'_>,
    first_placeholder: usize,
) -> Result<Lowered> {
    let mut lowering = Lowering { dialect, known: *known, binds: Binds::new(first_placeholder) };
    let sql = format!("({})", lowering.node(expression.root()));
    let values = lowering.binds.into_values();
    if first_placeholder.saturating_add(values.len()) > MOST_VALUES {
        return Err(Error::invalid(
            "invalid-filter",
            "expected fewer literals: the databases bind 32766 values at most",
        ));
    }
    Ok(Lowered { sql, values })
}

struct Lowering<'e> {
    dialect: Dialect,
    known: Known<'e>,
    binds: Binds,
}

impl<'e> Lowering<'e> {
    fn node(&mut self, node: &'e Node) -> String {
        match node {
            Node::All(parts) => self.joined(parts, " AND "),
            Node::Any(parts) => self.joined(parts, " OR "),
            Node::Not(inner) => format!("NOT ({})", self.node(inner)),
            Node::Test(operand) => self.test(operand),
            Node::Compare { comparison, left, right } => self.comparison(*comparison, left, right),
            Node::In { needle, list } => self.membership(needle, list),
            Node::Has(operand) => self.has(operand),
        }
    }

    fn joined(&mut self, parts: &'e [Node], between: &str) -> String {
        let parts: Vec<String> = parts.iter().map(|part| format!("({})", self.node(part))).collect();
        parts.join(between)
    }

    fn term(&self, operand: &'e Operand) -> Term<'e> {
        Term::of(operand, &self.known)
    }

    fn error(&self) -> String {
        match self.dialect {
            Dialect::Postgres => postgres::ERROR.to_owned(),
            Dialect::Sqlite => sqlite::ERROR.to_owned(),
        }
    }

    fn known(&mut self, answer: Option<bool>) -> String {
        match self.dialect {
            Dialect::Postgres => postgres::known(&mut self.binds, answer),
            Dialect::Sqlite => sqlite::known(&mut self.binds, answer),
        }
    }

    fn json(&mut self, term: &Term<'_>) -> String {
        match self.dialect {
            Dialect::Postgres => postgres::json(&mut self.binds, term),
            Dialect::Sqlite => sqlite::json(&mut self.binds, term),
        }
    }

    fn text(&mut self, text: &str) -> String {
        match self.dialect {
            Dialect::Postgres => postgres::text(&mut self.binds, text),
            Dialect::Sqlite => self.binds.bind(text),
        }
    }

    fn integer(&mut self, value: i64) -> String {
        match self.dialect {
            Dialect::Postgres => postgres::integer(&mut self.binds, value),
            Dialect::Sqlite => self.binds.bind(value),
        }
    }

    fn test(&mut self, operand: &'e Operand) -> String {
        match self.term(operand) {
            Term::Known(View::Bool(value)) => self.known(Some(value)),
            Term::Member { body, path } => match self.dialect {
                Dialect::Postgres => postgres::test(&mut self.binds, body, path),
                Dialect::Sqlite => sqlite::test(&mut self.binds, body, path),
            },
            _ => self.error(),
        }
    }

    fn has(&mut self, operand: &'e Operand) -> String {
        match self.term(operand) {
            Term::Known(view) => self.known(Some(!matches!(view, View::Missing))),
            Term::Member { body, path } => match self.dialect {
                Dialect::Postgres => postgres::has(&mut self.binds, body, path),
                Dialect::Sqlite => sqlite::has(&mut self.binds, body, path),
            },
            Term::Text(_) | Term::NullableText(_) | Term::Moment(_) => self.known(Some(true)),
        }
    }

    fn comparison(&mut self, comparison: Comparison, left: &'e Operand, right: &'e Operand) -> String {
        let (left, right) = (self.term(left), self.term(right));
        match (&left, &right) {
            (Term::Known(View::Missing), _) | (_, Term::Known(View::Missing)) => return self.error(),
            (Term::Known(a), Term::Known(b)) => {
                let answer = compare(comparison, *a, *b).to_option();
                return self.known(answer);
            }
            _ => {}
        }
        if matches!(left, Term::Moment(_)) || matches!(right, Term::Moment(_)) {
            return self.moments(comparison, &left, &right);
        }
        match comparison {
            Comparison::Equal => self.equal(&left, &right),
            Comparison::NotEqual => format!("NOT ({})", self.equal(&left, &right)),
            _ => self.ordered(comparison, &left, &right),
        }
    }

    /// Moments compare with moments only; the parser saw to that.
    fn moments(&mut self, comparison: Comparison, left: &Term<'_>, right: &Term<'_>) -> String {
        let symbol = if comparison == Comparison::Equal { "=" } else { comparison.symbol() };
        let (Some(left), Some(right)) = (self.moment(left), self.moment(right)) else { return self.error() };
        format!("{left} {symbol} {right}")
    }

    fn moment(&mut self, term: &Term<'_>) -> Option<String> {
        match term {
            Term::Moment(sql) => Some((*sql).to_owned()),
            Term::Known(View::Moment(micros)) => Some(self.integer(*micros)),
            _ => None,
        }
    }

    fn equal(&mut self, left: &Term<'_>, right: &Term<'_>) -> String {
        // A column beside a known value is compared as it is, so that an index can serve.
        match (left, right) {
            (Term::Text(column), Term::Known(view)) | (Term::Known(view), Term::Text(column)) => match view {
                View::Text(text) => format!("{column} = {}", self.text(text)),
                _ => self.known(Some(false)),
            },
            (Term::NullableText(column), Term::Known(view)) | (Term::Known(view), Term::NullableText(column)) => {
                match view {
                    View::Text(text) => format!("({column} IS NOT NULL AND {column} = {})", self.text(text)),
                    View::Null => format!("{column} IS NULL"),
                    _ => self.known(Some(false)),
                }
            }
            _ => {
                let left = self.json(left);
                let right = self.json(right);
                format!("{left} = {right}")
            }
        }
    }

    /// One branch for each kind that both sides can hold; NULL for the rest.
    fn ordered(&mut self, comparison: Comparison, left: &Term<'_>, right: &Term<'_>) -> String {
        let mut branches = String::new();
        for kind in Kind::ALL.into_iter().filter(|kind| left.may_be(*kind) && right.may_be(*kind)) {
            let binds = &mut self.binds;
            let (checks, compared) = match self.dialect {
                Dialect::Postgres => (
                    [postgres::is(binds, left, kind), postgres::is(binds, right, kind)],
                    postgres::ordered(binds, kind, left, comparison.symbol(), right),
                ),
                Dialect::Sqlite => (
                    [sqlite::is(binds, left, kind), sqlite::is(binds, right, kind)],
                    sqlite::ordered(binds, kind, left, comparison.symbol(), right),
                ),
            };
            let checks: Vec<String> = checks.into_iter().flatten().collect();
            if checks.is_empty() {
                return compared;
            }
            branches.push_str(&format!(" WHEN {} THEN {compared}", checks.join(" AND ")));
        }
        if branches.is_empty() { self.error() } else { format!("CASE{branches} END") }
    }

    fn membership(&mut self, needle: &'e Operand, list: &'e [Literal]) -> String {
        let needle = self.term(needle);
        let items: Vec<Term<'e>> = list.iter().map(Term::of_literal).collect();
        match &needle {
            Term::Known(View::Missing) => self.error(),
            Term::Known(needle) => {
                let found = items.iter().any(|item| match item {
                    Term::Known(item) => compare(Comparison::Equal, *needle, *item).to_option() == Some(true),
                    _ => false,
                });
                self.known(Some(found))
            }
            Term::Moment(sql) => {
                let items: Vec<String> = items.iter().filter_map(|item| self.moment(item)).collect();
                self.one_of(sql, &items)
            }
            Term::Text(column) => {
                let items = self.texts(&items);
                self.one_of(column, &items)
            }
            Term::NullableText(column) => {
                let null = items.iter().any(|item| matches!(item, Term::Known(View::Null)));
                let items = self.texts(&items);
                let found = self.one_of(column, &items);
                let or_null = if null { format!("{column} IS NULL OR ") } else { String::new() };
                format!("{or_null}({column} IS NOT NULL AND {found})")
            }
            Term::Member { .. } => {
                let member = self.json(&needle);
                if items.is_empty() {
                    return format!("({member} IS NULL AND {})", self.error());
                }
                let items: Vec<String> = items.iter().map(|item| self.json(item)).collect();
                format!("{member} IN ({})", items.join(", "))
            }
        }
    }

    /// The texts among literals, bound.
    fn texts(&mut self, items: &[Term<'_>]) -> Vec<String> {
        let texts = items.iter().filter_map(|item| match item {
            Term::Known(View::Text(text)) => Some(*text),
            _ => None,
        });
        let texts: Vec<&str> = texts.collect();
        texts.into_iter().map(|text| self.text(text)).collect()
    }

    /// Whether a column that is not NULL is one of the items.
    fn one_of(&mut self, column: &str, items: &[String]) -> String {
        if items.is_empty() { self.known(Some(false)) } else { format!("{column} IN ({})", items.join(", ")) }
    }
}
