//! Functions and lists.

use crate::{
    error::Result,
    expr::{
        ast::{At, Literal, Node, Place, Search, Step},
        eval::LONGEST_PART,
        field::Field,
        lexer::Token,
        parser::{Parsed, Parser},
        pattern::Pattern,
        time,
        types::{Type, type_of},
    },
};

/// The longest list.
pub(super) const LONGEST_LIST: usize = 200;
/// The most patterns: each may take the time of text × program.
pub(super) const MOST_PATTERNS: usize = 8;
/// Functions and macros of CEL that are not part of the subset.
const OTHERS: [&str; 28] = [
    "all",
    "exists",
    "exists_one",
    "filter",
    "map",
    "int",
    "uint",
    "double",
    "bytes",
    "bool",
    "dyn",
    "type",
    "list",
    "min",
    "max",
    "optional",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "orValue",
    "format",
];

impl Parser {
    /// `name(argument)`; the name is taken.
    pub(super) fn call(&mut self, name: &str, at: usize) -> Result<Parsed> {
        match name {
            "has" => self.has(at),
            "size" => {
                let argument = self.argument()?;
                Ok(Parsed { node: Node::Size(Box::new(argument.node)), at })
            }
            "timestamp" => self.timestamp(at),
            "duration" => self.duration(at),
            "string" => {
                let argument = self.argument()?;
                if type_of(&argument.node) != Type::Moment {
                    let message = "expected a moment in string(…), for example string(now)";
                    return Err(self.invalid(argument.at, message));
                }
                Ok(Parsed { node: Node::Written { moment: Box::new(argument.node), at: At(at) }, at })
            }
            "contains" | "startsWith" | "endsWith" | "matches" => {
                Err(self.invalid(at, format!("expected a text before it, for example doc.title.{name}(\"x\")")))
            }
            _ => Err(self.invalid(at, unknown(name))),
        }
    }

    /// `receiver.name(argument)`; the dot is next.
    pub(super) fn method(&mut self, receiver: Parsed) -> Result<Parsed> {
        let receiver = self.value(receiver)?;
        let at = receiver.at;
        self.expect(".")?;
        let name_at = self.position();
        let Token::Name(name) = self.peek().clone() else {
            return Err(self.expected("a function's name after '.'"));
        };
        self.take();
        if !self.is_symbol("(") {
            return Err(self.invalid(name_at, "expected an operator or a function: only fields have members"));
        }
        let text = Box::new(receiver.node);
        if let Some(search) = Search::of(&name) {
            let part = self.argument()?;
            if let (Search::Contains, Node::Literal(Literal::Text(text))) = (search, &part.node)
                && text.len() > LONGEST_PART
            {
                let message = format!("expected a text of at most {LONGEST_PART} bytes in contains(…)");
                return Err(self.invalid(part.at, message));
            }
            return Ok(Parsed { node: Node::Search { search, sides: Box::new([*text, part.node]) }, at });
        }
        match name.as_str() {
            "matches" => {
                let pattern = self.argument()?;
                let Node::Literal(Literal::Text(source)) = &pattern.node else {
                    return Err(self.invalid(pattern.at, "expected a pattern in quotes in matches(…)"));
                };
                self.patterns += 1;
                if self.patterns > MOST_PATTERNS {
                    return Err(self.invalid(name_at, format!("expected at most {MOST_PATTERNS} patterns")));
                }
                let pattern = Pattern::new(source).map_err(|message| self.invalid(pattern.at, message))?;
                Ok(Parsed { node: Node::Matches { text, pattern, at: At(name_at) }, at })
            }
            "size" => {
                self.expect("(")?;
                self.expect(")")?;
                Ok(Parsed { node: Node::Size(text), at })
            }
            _ => Err(self.invalid(name_at, unknown(&name))),
        }
    }

    /// `(value)`
    fn argument(&mut self) -> Result<Parsed> {
        let at = self.position();
        self.expect("(")?;
        let argument = self.nested(at, Self::expression)?;
        self.expect(")")?;
        self.value(argument)
    }

    fn has(&mut self, at: usize) -> Result<Parsed> {
        let argument = self.argument()?;
        match argument.node {
            Node::Place(
                place @ (Place::Field(_) | Place::Within(..) | Place::CallerId | Place::Tenant | Place::Roles),
            ) if !place.ends_in_item() => Ok(Parsed { node: Node::Has(place), at }),
            _ => Err(self.invalid(at, "expected a field within has(…)")),
        }
    }

    /// `timestamp("…")` is a literal; of anything else it is read when it is evaluated.
    fn timestamp(&mut self, at: usize) -> Result<Parsed> {
        let argument = self.argument()?;
        let node = match argument.node {
            Node::Literal(Literal::Text(text)) => match time::moment(&text) {
                Some(micros) => Node::Literal(Literal::Moment { micros, text, named: true }),
                None => {
                    let message = "expected a moment in RFC 3339, for example \"2026-01-02T03:04:05Z\"";
                    return Err(self.invalid(argument.at, message));
                }
            },
            node => match type_of(&node) {
                Type::Any | Type::Text | Type::Sum | Type::Moment => Node::Moment { text: Box::new(node), at: At(at) },
                other => {
                    let message = format!("expected a text in timestamp(…), found {}", other.describe());
                    return Err(self.invalid(argument.at, message));
                }
            },
        };
        Ok(Parsed { node, at })
    }

    fn duration(&mut self, at: usize) -> Result<Parsed> {
        let argument = self.argument()?;
        if let Node::Literal(Literal::Text(text)) = argument.node
            && let Some(micros) = time::duration(&text)
        {
            return Ok(Parsed { node: Node::Literal(Literal::Duration { micros, text }), at });
        }
        let message =
            "expected a duration in quotes, in whole microseconds and at most 10000 years, for example \"1h30m\"";
        Err(self.invalid(argument.at, message))
    }

    /// `[a, b, …]`
    pub(super) fn list(&mut self) -> Result<Parsed> {
        let at = self.position();
        self.expect("[")?;
        let mut items = Vec::new();
        let mut positions = Vec::new();
        while !self.take_symbol("]") {
            if !items.is_empty() {
                if !self.take_symbol(",") {
                    return Err(self.expected("',' or ']'"));
                }
                // CEL allows a comma after the last item.
                if self.take_symbol("]") {
                    break;
                }
            }
            let item = self.nested(at, Self::expression)?;
            let item = self.value(item)?;
            items.push(item.node);
            positions.push(item.at);
            if items.len() > LONGEST_LIST {
                return Err(self.invalid(at, format!("expected a list of at most {LONGEST_LIST} items")));
            }
        }
        self.items = positions;
        let literals: Option<Vec<Literal>> = items
            .iter()
            .map(|item| if let Node::Literal(literal) = item { Some(literal.clone()) } else { None })
            .collect();
        let node = literals.map_or(Node::List(items), |literals| Node::Literal(Literal::List(literals.into())));
        Ok(Parsed { node, at })
    }
}

impl Place {
    pub(super) fn ends_in_item(&self) -> bool {
        matches!(self, Self::Within(_, path) if matches!(path.last(), Some(Step::Item(_))))
            || matches!(self, Self::Field(Field::Document(path)) if path.is_empty())
    }
}

fn unknown(name: &str) -> String {
    let known =
        "has, size, timestamp, duration and string, and contains, startsWith, endsWith, matches and size of a value";
    if OTHERS.contains(&name) {
        format!("expected another function: {name}(…) of CEL is not part of this subset, which has {known}")
    } else {
        format!("expected a function: there are {known}, not {name}")
    }
}
