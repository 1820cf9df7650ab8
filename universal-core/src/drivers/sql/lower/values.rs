//! Values of an expression as SQL.

use crate::{
    drivers::sql::{
        dialect::Dialect,
        lower::{
            condition::{Lowering, choice},
            postgres, postgres_values, sqlite_values,
            term::{Kind, Made, Member, Shape, Term},
        },
    },
    expr::{
        LONGEST_DURATION, LONGEST_PART, MOMENTS, Node, Operator, Place, Root, Search, Type, View, is_json, is_known,
        type_of, value,
    },
    json::value_to_text,
};

impl<'e> Lowering<'e> {
    /// A value.
    pub(super) fn term(&mut self, node: &'e Node) -> Term<'e> {
        if is_known(node) {
            let view = value(node, &self.environment);
            return self.known(view);
        }
        match node {
            Node::Place(place) => self.held(place),
            Node::Calculate { operator, sides } => {
                let [left, right] = &**sides;
                self.calculation(*operator, left, right)
            }
            Node::Negate(inner) => {
                let zero = Term::Known(View::Number(crate::json::order::Number::Integer(0)));
                let inner = self.term(inner);
                let sql = self.numbers(Operator::Subtract, zero, inner);
                Term::made(sql, Shape::Number)
            }
            Node::Size(inner) => {
                let inner = self.term(inner);
                let sql = self.named(vec![inner], |lowering, terms| match (terms, lowering.dialect) {
                    ([term], Dialect::Postgres) => postgres_values::size(&mut lowering.binds, term),
                    ([term], Dialect::Sqlite) => sqlite_values::size(&mut lowering.binds, term),
                    _ => lowering.error(),
                });
                Term::made(sql, Shape::Number)
            }
            Node::Choose { parts, .. } => {
                let [test, then, otherwise] = &**parts;
                self.choose(node, test, then, otherwise)
            }
            Node::Moment { text, .. } => self.term(text),
            Node::All(_)
            | Node::Any(_)
            | Node::Not(_)
            | Node::Compare { .. }
            | Node::In(_)
            | Node::Has(_)
            | Node::Search { .. } => Term::made(format!("({})", self.condition(node)), Shape::Bool),
            // Known, or refused before.
            Node::Literal(_) | Node::List(_) | Node::Matches { .. } | Node::Written { .. } => Term::Known(View::Error),
        }
    }

    /// What a name of the document stands for.
    pub(super) fn place(place: &Place) -> Term<'e> {
        match place {
            Place::Field(field) => Term::of_field(field),
            Place::Within(Root::Doc, path) => Term::Member(Member { body: "body".to_owned(), path: path.to_vec() }),
            // Bodies that are sent have no part in lists.
            Place::Within(..) | Place::CallerId | Place::Tenant | Place::Roles | Place::Now => Term::Known(View::Error),
        }
    }

    /// A known value; lists and objects are bound as JSON.
    pub(super) fn known(&mut self, view: View<'e>) -> Term<'e> {
        match view {
            View::Container(_) | View::Texts(_) | View::Literals(_) => match view.to_json() {
                Some(json) => {
                    let placeholder = self.binds.bind(value_to_text(&json));
                    Term::Member(Member::whole(match self.dialect {
                        // Read once a statement, not once a row.
                        Dialect::Postgres => format!("(SELECT {placeholder}::text::jsonb)"),
                        Dialect::Sqlite => placeholder,
                    }))
                }
                None => Term::Known(View::Error),
            },
            // No database holds such a text, and PostgreSQL takes none.
            View::Text(text) if text.contains('\0') => Term::Known(View::Error),
            view => Term::Known(view),
        }
    }

    /// A moment or a duration in microseconds.
    pub(super) fn time(&mut self, term: &Term<'_>) -> String {
        match term {
            Term::Moment(sql) => (*sql).to_owned(),
            Term::Made(Made { sql, shape: Shape::Time, .. }) => sql.clone(),
            Term::Known(View::Moment(micros) | View::Duration(micros)) => match self.dialect {
                Dialect::Postgres => postgres::integer(&mut self.binds, *micros),
                Dialect::Sqlite => self.binds.bind(*micros),
            },
            _ => match self.dialect {
                Dialect::Postgres => "NULL::bigint".to_owned(),
                Dialect::Sqlite => "NULL".to_owned(),
            },
        }
    }

    fn calculation(&mut self, operator: Operator, left: &'e Node, right: &'e Node) -> Term<'e> {
        let (left_type, right_type) = (type_of(left), type_of(right));
        let (left, right) = (self.term(left), self.term(right));
        if left_type.is_time() || right_type.is_time() {
            let bounds = match (operator, left_type, right_type) {
                (Operator::Add, Type::Duration, Type::Duration)
                | (Operator::Subtract, Type::Duration, _)
                | (Operator::Subtract, _, Type::Moment) => (-LONGEST_DURATION, LONGEST_DURATION),
                _ => MOMENTS,
            };
            let (left, right) = (self.time(&left), self.time(&right));
            return Term::made(self.bounded(operator, &left, &right, bounds), Shape::Time);
        }
        if operator != Operator::Add || left_type == Type::Number || right_type == Type::Number {
            return Term::made(self.numbers(operator, left, right), Shape::Number);
        }
        let texts = left_type == Type::Text || right_type == Type::Text;
        let sql = self.named(vec![left, right], |lowering, terms| match terms {
            [left, right] if texts => lowering.joined_texts(left, right),
            [left, right] => {
                let text = lowering.joined_texts(left, right);
                let number = lowering.numbers(Operator::Add, left.clone(), right.clone());
                match lowering.dialect {
                    Dialect::Postgres => format!("COALESCE(to_jsonb({number}), to_jsonb({text}))"),
                    Dialect::Sqlite => format!("COALESCE({number}, {text})"),
                }
            }
            _ => lowering.error(),
        });
        Term::made(sql, if texts { Shape::Text } else { Shape::Sum })
    }

    /// Moments and durations; within their bounds no sum of them leaves 64 bits.
    fn bounded(&mut self, operator: Operator, left: &str, right: &str, (least, most): (i64, i64)) -> String {
        self.names += 1;
        let row = format!("v{}", self.names);
        format!(
            "(SELECT CASE WHEN {row}.t BETWEEN {least} AND {most} THEN {row}.t END FROM (SELECT {left} {} {right} AS \
             t{}) AS {row})",
            operator.symbol(),
            self.fence()
        )
    }

    /// Arithmetic of numbers; NULL for anything else.
    fn numbers(&mut self, operator: Operator, left: Term<'e>, right: Term<'e>) -> String {
        if !left.may_be(Kind::Number) || !right.may_be(Kind::Number) {
            return self.no_number();
        }
        let (left, right) = (self.operand(left), self.operand(right));
        self.named(vec![left, right], |lowering, terms| match terms {
            [left, right] => {
                let (left, right) = (lowering.number(left), lowering.number(right));
                lowering.names += 2;
                let names = lowering.names;
                match lowering.dialect {
                    Dialect::Postgres => postgres_values::calculation(operator, &left, &right, &format!("v{names}")),
                    Dialect::Sqlite => sqlite_values::calculation(operator, &left, &right, names),
                }
            }
            _ => lowering.no_number(),
        })
    }

    /// A side of a calculation, which SQLite writes once. On PostgreSQL it is written often: what is no name is made a
    /// number that has to be given one.
    fn operand(&mut self, term: Term<'e>) -> Term<'e> {
        match (self.dialect, term) {
            (Dialect::Sqlite, Term::Made(Made { sql, shape: Shape::Number, .. })) => {
                Term::Made(Made { sql, shape: Shape::Number, named: true })
            }
            (Dialect::Sqlite, other) => other,
            (Dialect::Postgres, term @ (Term::Known(_) | Term::Made(Made { shape: Shape::Number, .. }))) => term,
            (Dialect::Postgres, term) if self.holds(&term) => {
                Term::Made(Made { sql: self.number(&term), shape: Shape::Number, named: true })
            }
            (Dialect::Postgres, term) => {
                let sql = self.named(vec![term], |lowering, terms| match terms {
                    [term] => lowering.number(term),
                    _ => lowering.no_number(),
                });
                Term::made(sql, Shape::Number)
            }
        }
    }

    fn no_number(&self) -> String {
        match self.dialect {
            Dialect::Postgres => "NULL::numeric".to_owned(),
            Dialect::Sqlite => "NULL".to_owned(),
        }
    }

    /// Two texts joined; NULL for anything else. The terms are named.
    fn joined_texts(&mut self, left: &Term<'_>, right: &Term<'_>) -> String {
        let (left, right) = (self.text(left), self.text(right));
        format!(
            "CASE WHEN octet_length({left}) + octet_length({right}) <= {} THEN {left} || {right} END",
            crate::expr::LONGEST_JOINED
        )
    }

    pub(super) fn search(&mut self, search: Search, text: Term<'e>, part: Term<'e>) -> String {
        if !text.may_be(Kind::Text) || !part.may_be(Kind::Text) {
            return self.error();
        }
        self.named(vec![text, part], |lowering, terms| {
            let [text_term, part_term] = terms else { return lowering.error() };
            let (text, part) = (lowering.text(text_term), lowering.text(part_term));
            let found = match (search, lowering.dialect) {
                (Search::Contains, Dialect::Postgres) => format!("strpos({text}, {part}) > 0"),
                (Search::Contains, Dialect::Sqlite) => format!("instr({text}, {part}) > 0"),
                (Search::StartsWith, Dialect::Postgres) => format!("starts_with({text}, {part})"),
                (Search::StartsWith, Dialect::Sqlite) => format!("substr({text}, 1, length({part})) = {part}"),
                (Search::EndsWith, Dialect::Postgres) => format!("right({text}, length({part})) = {part}"),
                (Search::EndsWith, Dialect::Sqlite) => format!(
                    "length({text}) >= length({part}) AND substr({text}, length({text}) - length({part}) + 1) = {part}"
                ),
            };
            match search {
                Search::Contains => format!("CASE WHEN octet_length({part}) <= {LONGEST_PART} THEN {found} END"),
                Search::StartsWith | Search::EndsWith => found,
            }
        })
    }

    fn choose(&mut self, node: &'e Node, test: &'e Node, then: &'e Node, otherwise: &'e Node) -> Term<'e> {
        if type_of(node) == Type::Bool {
            return Term::made(format!("({})", self.condition(node)), Shape::Bool);
        }
        let test = self.condition(test);
        let json = is_json(then) && is_json(otherwise);
        let (then_type, then, otherwise) = (type_of(then), self.term(then), self.term(otherwise));
        let mut branch = |term: Term<'e>| match then_type {
            _ if json => self.json(&term),
            Type::Text => self.plain(term, Self::text),
            Type::Moment | Type::Duration => self.time(&term),
            _ => self.plain(term, Self::number),
        };
        let sql = choice(&test, &branch(then), &branch(otherwise));
        let shape = match then_type {
            _ if json => Shape::Json,
            Type::Text => Shape::Text,
            Type::Moment | Type::Duration => Shape::Time,
            _ => Shape::Number,
        };
        Term::made(sql, shape)
    }

    /// A text or a number out of whatever holds it; the JSON of a choice within this one has a name first.
    fn plain(&mut self, term: Term<'e>, make: impl Fn(&mut Self, &Term<'e>) -> String) -> String {
        if !matches!(term, Term::Made(Made { shape: Shape::Json, .. })) {
            return make(self, &term);
        }
        self.named(vec![term], |lowering, terms| match terms {
            [term] => make(lowering, term),
            _ => lowering.error(),
        })
    }
}
