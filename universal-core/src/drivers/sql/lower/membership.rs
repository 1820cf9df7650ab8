//! `in` as SQL.

use crate::{
    drivers::sql::{
        dialect::Dialect,
        lower::{
            condition::{Lowering, is_time},
            postgres_values, sqlite, sqlite_values,
            term::{Made, Shape, Term},
        },
    },
    expr::{Comparison, Literal, Node, View},
};

impl<'e> Lowering<'e> {
    /// `needle in list`.
    pub(super) fn membership(&mut self, needle: &'e Node, list: &'e Node) -> String {
        let needle = self.term(needle);
        if matches!(needle, Term::Known(View::Error)) {
            return self.error();
        }
        match list {
            Node::Literal(Literal::List(literals)) => self.one_of_literals(needle, literals),
            Node::List(nodes) => self.one_of_values(needle, nodes),
            _ => {
                let list = self.term(list);
                if matches!(list, Term::Known(_)) {
                    return self.error();
                }
                self.within(needle, list)
            }
        }
    }

    /// A list of literals: each is bound.
    fn one_of_literals(&mut self, needle: Term<'e>, literals: &'e [Literal]) -> String {
        let items: Vec<Term<'e>> = literals.iter().map(|literal| self.known(View::literal(literal))).collect();
        match &needle {
            _ if is_time(&needle) => {
                let sql = self.time(&needle);
                let items: Vec<String> = items.iter().map(|item| self.time(item)).collect();
                self.one_of(&sql, &items)
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
            Term::Made(Made { sql, shape: Shape::Number | Shape::Sum, .. }) if self.dialect == Dialect::Sqlite => {
                let native = items.iter().filter(|item| matches!(item, Term::Known(View::Number(_) | View::Text(_))));
                let items: Vec<String> = native.map(|item| sqlite::value(&mut self.binds, item)).collect();
                self.one_of(sql, &items)
            }
            _ => {
                let value = self.json(&needle);
                let items: Vec<String> = items.iter().map(|item| self.json(item)).collect();
                self.one_of(&value, &items)
            }
        }
    }

    /// The texts among literals, bound.
    fn texts(&mut self, items: &[Term<'_>]) -> Vec<String> {
        let texts = items.iter().filter_map(|item| match item {
            Term::Known(View::Text(text)) => Some(&**text),
            _ => None,
        });
        texts.map(|text| self.bound_text(text)).collect()
    }

    /// Whether a value is one of the items; NULL if it is NULL.
    fn one_of(&mut self, value: &str, items: &[String]) -> String {
        if items.is_empty() {
            return format!("({value} IS NULL AND {})", self.error());
        }
        format!("{value} IN ({})", items.join(", "))
    }

    /// A list of values that may be errors: each answer is 1, 0 or NULL, and so their sum is NULL if one of them is.
    fn one_of_values(&mut self, needle: Term<'e>, nodes: &'e [Node]) -> String {
        let items: Vec<Term<'e>> = nodes.iter().map(|node| self.term(node)).collect();
        self.named(vec![needle], |lowering, terms| {
            let [needle] = terms else { return lowering.error() };
            let answers: Vec<String> = items
                .into_iter()
                .map(|item| {
                    let answer = lowering.comparison(Comparison::Equal, needle.clone(), item);
                    match lowering.dialect {
                        Dialect::Postgres => format!("({answer})::int"),
                        Dialect::Sqlite => format!("({answer})"),
                    }
                })
                .collect();
            format!("({}) > 0", answers.join(" + "))
        })
    }

    /// A list or an object of the document, or of the caller.
    fn within(&mut self, needle: Term<'e>, list: Term<'e>) -> String {
        self.named(vec![needle, list], |lowering, terms| {
            let [needle, list] = terms else { return lowering.error() };
            lowering.names += 1;
            let names = lowering.names;
            match (list, lowering.dialect) {
                (list, Dialect::Postgres) => postgres_values::within(&mut lowering.binds, needle, list, names),
                (Term::Member(list), Dialect::Sqlite) => {
                    sqlite_values::within(&mut lowering.binds, needle, list, names)
                }
                _ => lowering.error(),
            }
        })
    }
}
