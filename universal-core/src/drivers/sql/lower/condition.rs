//! A whole expression as one SQL condition.

use sea_orm::Value;

use crate::{
    drivers::sql::{
        dialect::Dialect,
        lower::{
            binds::Binds,
            held::Held,
            postgres, sqlite,
            term::{Kind, Made, Member, Shape, Term},
        },
    },
    error::{Error, Result},
    expr::{Comparison, Environment, Expression, Known, Node, Place, View, condition, is_known},
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
/// `Invalid` with the code of its scope for what a database cannot do as memory does it, and if the statement would bind
/// more values than the databases can.
pub(crate) fn lower(
    expression: &Expression,
    dialect: Dialect,
    known: &Known<'_>,
    first_placeholder: usize,
) -> Result<Lowered> {
    expression.listable()?;
    let environment = Environment::without_document("").with_known(*known);
    let binds = Binds::new(first_placeholder);
    let mut lowering = Lowering { dialect, environment, binds, names: 0, members: Held::default() };
    let sql = format!("({})", lowering.whole(expression.root()));
    let (sql, values) = lowering.binds.finish(sql);
    if first_placeholder.saturating_add(values.len()) > MOST_VALUES {
        return Err(Error::invalid(
            expression.scope().code(),
            "expected fewer literals: the databases bind 32766 values at most",
        ));
    }
    Ok(Lowered { sql, values })
}

pub(super) struct Lowering<'e> {
    pub(super) dialect: Dialect,
    /// What is known; without a document.
    pub(super) environment: Environment<'e>,
    pub(super) binds: Binds,
    /// How many names were given.
    pub(super) names: usize,
    /// Members that are read once a row.
    pub(super) members: Held,
}

impl<'e> Lowering<'e> {
    /// Something that is true, false or an error.
    pub(super) fn condition(&mut self, node: &'e Node) -> String {
        if is_known(node) {
            let answer = condition(node, &self.environment).to_option();
            return self.answer(answer);
        }
        match node {
            Node::All(parts) => self.joined(parts, " AND "),
            Node::Any(parts) => self.joined(parts, " OR "),
            Node::Not(inner) => format!("NOT ({})", self.condition(inner)),
            Node::Choose { parts, .. } => {
                let [test, then, otherwise] = &**parts;
                let (test, then, otherwise) = (self.condition(test), self.condition(then), self.condition(otherwise));
                choice(&test, &then, &otherwise)
            }
            Node::Compare { comparison, sides } => {
                let [left, right] = &**sides;
                let (left, right) = (self.term(left), self.term(right));
                self.comparison(*comparison, left, right)
            }
            Node::In(sides) => {
                let [needle, list] = &**sides;
                self.membership(needle, list)
            }
            Node::Search { search, sides } => {
                let [text, part] = &**sides;
                let (text, part) = (self.term(text), self.term(part));
                self.search(*search, text, part)
            }
            Node::Has(place) => self.has(place),
            Node::Place(_) => {
                let term = self.term(node);
                self.test(&term)
            }
            // Numbers, texts and moments are no conditions; `matches` is refused before.
            Node::Literal(_)
            | Node::List(_)
            | Node::Calculate { .. }
            | Node::Negate(_)
            | Node::Size(_)
            | Node::Matches { .. }
            | Node::Moment { .. }
            | Node::Written { .. } => self.error(),
        }
    }

    fn joined(&mut self, parts: &'e [Node], between: &str) -> String {
        let parts: Vec<String> = parts.iter().map(|part| format!("({})", self.condition(part))).collect();
        parts.join(between)
    }

    pub(super) fn error(&self) -> String {
        match self.dialect {
            Dialect::Postgres => postgres::ERROR.to_owned(),
            Dialect::Sqlite => sqlite::ERROR.to_owned(),
        }
    }

    /// A known answer, bound.
    pub(super) fn answer(&mut self, answer: Option<bool>) -> String {
        match self.dialect {
            Dialect::Postgres => postgres::answer(&mut self.binds, answer),
            Dialect::Sqlite => sqlite::answer(&mut self.binds, answer),
        }
    }

    pub(super) fn json(&mut self, term: &Term<'_>) -> String {
        match self.dialect {
            Dialect::Postgres => postgres::json(&mut self.binds, term),
            Dialect::Sqlite => sqlite::json(&mut self.binds, term),
        }
    }

    pub(super) fn bound_text(&mut self, text: &str) -> String {
        match self.dialect {
            Dialect::Postgres => postgres::bound_text(&mut self.binds, text),
            Dialect::Sqlite => self.binds.bind(text),
        }
    }

    fn test(&mut self, term: &Term<'e>) -> String {
        match (term, self.dialect) {
            (Term::Member(member), Dialect::Postgres) => postgres::test(&mut self.binds, member),
            (Term::Member(member), Dialect::Sqlite) => sqlite::test(&mut self.binds, member),
            _ => self.error(),
        }
    }

    fn has(&mut self, place: &'e Place) -> String {
        match (Self::place(place), self.dialect) {
            (Term::Member(member), Dialect::Postgres) => postgres::has(&mut self.binds, &member),
            (Term::Member(member), Dialect::Sqlite) => sqlite::has(&mut self.binds, &member),
            (Term::Known(_), _) => self.error(),
            _ => self.answer(Some(true)),
        }
    }

    pub(super) fn comparison(&mut self, comparison: Comparison, left: Term<'e>, right: Term<'e>) -> String {
        if matches!(left, Term::Known(View::Error)) || matches!(right, Term::Known(View::Error)) {
            return self.error();
        }
        if is_time(&left) || is_time(&right) {
            let symbol = if comparison == Comparison::Equal { "=" } else { comparison.symbol() };
            let (left, right) = (self.time(&left), self.time(&right));
            return format!("{left} {symbol} {right}");
        }
        match comparison {
            Comparison::Equal => self.equal(left, right),
            Comparison::NotEqual => format!("NOT ({})", self.equal(left, right)),
            _ => self.named(vec![left, right], |lowering, terms| match terms {
                [left, right] => lowering.ordered(comparison, left, right),
                _ => lowering.error(),
            }),
        }
    }

    fn equal(&mut self, left: Term<'e>, right: Term<'e>) -> String {
        // A column beside a known value is compared as it is, so that an index can serve.
        match (&left, &right) {
            (Term::Text(column), Term::Known(view)) | (Term::Known(view), Term::Text(column)) => match view {
                View::Text(text) => format!("{column} = {}", self.bound_text(text)),
                _ => self.answer(Some(false)),
            },
            (Term::NullableText(column), Term::Known(view)) | (Term::Known(view), Term::NullableText(column)) => {
                match view {
                    View::Text(text) => format!("({column} IS NOT NULL AND {column} = {})", self.bound_text(text)),
                    View::Null => format!("{column} IS NULL"),
                    _ => self.answer(Some(false)),
                }
            }
            _ if self.dialect == Dialect::Sqlite && (is_native(&left) || is_native(&right)) => {
                self.named(vec![left, right], |lowering, terms| match terms {
                    [left, right] => sqlite::equal(&mut lowering.binds, left, right),
                    _ => lowering.error(),
                })
            }
            _ => {
                let left = self.json(&left);
                let right = self.json(&right);
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

    /// The SQL that `template` makes of terms, in which it may write each as often as it likes: what SQL makes is made once,
    /// in a subquery, and named. Otherwise the text would grow with each level of the tree.
    pub(super) fn named(
        &mut self,
        terms: Vec<Term<'e>>,
        template: impl FnOnce(&mut Self, &[Term<'e>]) -> String,
    ) -> String {
        if !terms.iter().any(Term::is_unnamed) {
            return template(self, &terms);
        }
        self.names += 1;
        let row = format!("v{}", self.names);
        let mut columns = Vec::new();
        let terms: Vec<Term<'e>> = terms
            .into_iter()
            .enumerate()
            .map(|(index, term)| match term {
                Term::Made(made) if !made.named => {
                    let name = format!("{row}.c{index}");
                    columns.push(format!("{} AS c{index}", made.sql));
                    self.name_of(name, made.shape)
                }
                other => other,
            })
            .collect();
        let sql = template(self, &terms);
        format!("(SELECT {sql} FROM (SELECT {}{}) AS {row})", columns.join(", "), self.fence())
    }

    /// What a named value is.
    fn name_of(&self, name: String, shape: Shape) -> Term<'e> {
        match (shape, self.dialect) {
            (Shape::Json, _) | (Shape::Sum, Dialect::Postgres) => Term::Member(Member::whole(name)),
            _ => Term::Made(Made { sql: name, shape, named: true }),
        }
    }

    /// Keeps a subquery from being merged into the query around it, which would write its parts often again. SQLite does
    /// not merge a subquery without FROM.
    pub(super) fn fence(&self) -> &'static str {
        match self.dialect {
            Dialect::Postgres => " OFFSET 0",
            Dialect::Sqlite => "",
        }
    }
}

/// `test ? then : otherwise`, in which each is written once.
pub(super) fn choice(test: &str, then: &str, otherwise: &str) -> String {
    format!("CASE ({test}) WHEN TRUE THEN ({then}) WHEN FALSE THEN ({otherwise}) END")
}

pub(super) fn is_time(term: &Term<'_>) -> bool {
    matches!(
        term,
        Term::Moment(_)
            | Term::Known(View::Moment(_) | View::Duration(_))
            | Term::Made(Made { shape: Shape::Time, .. })
    )
}

/// Whether SQLite has it as a number or a text of its own, and not as JSON.
fn is_native(term: &Term<'_>) -> bool {
    matches!(term, Term::Made(Made { shape: Shape::Number | Shape::Sum, .. }))
}
