//! From tokens to the tree. The grammar is that part of CEL's which the subset has.

use crate::{
    error::{Error, Result},
    expr::{
        ast::{Comparison, Literal, Node, Operand},
        check::{self, Name},
        field::Field,
        lexer::{Token, tokens},
        scope::Scope,
    },
    json::order::Number,
};

/// The longest text, in bytes.
const LONGEST: usize = 4 * 1024;
/// The deepest nesting of parentheses and negations, and the deepest tree.
const DEEPEST: usize = 32;
/// The most nodes.
const LARGEST: usize = 256;
/// The longest list.
const LONGEST_LIST: usize = 200;

/// Reads a whole expression.
pub(super) fn parse(text: &str, scope: Scope) -> Result<Node> {
    parse_all(text, scope).map_err(|error| scope.told(error))
}

fn parse_all(text: &str, scope: Scope) -> Result<Node> {
    let mut parser = Parser::new(text, scope)?;
    let root = parser.either()?.into_node(scope)?;
    parser.end()?;
    if root.depth() > DEEPEST {
        return Err(too_deep(scope, 0));
    }
    let size = root.size();
    if size > LARGEST {
        return Err(
            scope.invalid(0, format!("expected at most {LARGEST} comparisons, fields and literals, found {size}"))
        );
    }
    Ok(root)
}

/// Reads a field alone.
pub(super) fn parse_field(text: &str, scope: Scope) -> Result<Field> {
    let mut parser = Parser::new(text, scope)?;
    let parsed = parser.primary()?;
    parser.end()?;
    match parsed {
        Parsed::Operand(Operand::Field(field), _) => Ok(field),
        Parsed::Operand(..) | Parsed::Node(..) => Err(scope.invalid(0, "expected a field")),
    }
}

/// What a part of the text turned out to be.
enum Parsed {
    /// A field or literal that stands at the position.
    Operand(Operand, usize),
    /// Something that is true or false.
    Node(Node, usize),
}

impl Parsed {
    /// As something that is true or false.
    fn into_node(self, scope: Scope) -> Result<Node> {
        match self {
            Self::Node(node, _) => Ok(node),
            Self::Operand(Operand::Literal(Literal::Bool(value)), _) => {
                Ok(Node::Test(Operand::Literal(Literal::Bool(value))))
            }
            Self::Operand(Operand::Literal(_), position) => {
                Err(scope.invalid(position, "expected a comparison, found a literal alone"))
            }
            Self::Operand(operand, _) => Ok(Node::Test(operand)),
        }
    }

    /// As one side of a comparison.
    fn into_operand(self, scope: Scope, beside: &str) -> Result<(Operand, usize)> {
        match self {
            Self::Operand(operand, position) => Ok((operand, position)),
            Self::Node(_, position) => {
                let message = format!(
                    "expected a field or a literal beside '{beside}', found a condition; join conditions with && and ||, and \
                     write !(a {beside} b) to negate one"
                );
                Err(scope.invalid(position, message))
            }
        }
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
    scope: Scope,
}

impl Parser {
    fn new(text: &str, scope: Scope) -> Result<Self> {
        if text.len() > LONGEST {
            let message = format!("expected at most {LONGEST} bytes, found {}", text.len());
            return Err(scope.invalid(LONGEST, message));
        }
        Ok(Self { tokens: tokens(text, scope)?, next: 0, depth: 0, scope })
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn position(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |(position, _)| *position)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let taken = matches!(self.peek(), Token::Symbol(found) if *found == symbol);
        self.next += usize::from(taken);
        taken
    }

    fn expect(&mut self, symbol: &str) -> Result<()> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.expected(&format!("'{symbol}'"))) }
    }

    fn expected(&self, what: &str) -> Error {
        self.scope.invalid(self.position(), format!("expected {what}, found {}", self.peek().describe()))
    }

    fn end(&self) -> Result<()> {
        match self.peek() {
            Token::End => Ok(()),
            Token::Symbol("+" | "-" | "*" | "/" | "%" | "?") => {
                Err(self.expected("'&&', '||' or the end (arithmetic and conditions are not part of filters)"))
            }
            _ => Err(self.expected("'&&', '||' or the end")),
        }
    }

    /// `a || b || …`
    fn either(&mut self) -> Result<Parsed> {
        self.joined("||", Self::both, Node::Any, |node| match node {
            Node::Any(parts) => Ok(parts),
            other => Err(other),
        })
    }

    /// `a && b && …`
    fn both(&mut self) -> Result<Parsed> {
        self.joined("&&", Self::relation, Node::All, |node| match node {
            Node::All(parts) => Ok(parts),
            other => Err(other),
        })
    }

    /// Parts joined by an operator; parts that are joined by the same one are taken into the list.
    fn joined(
        &mut self,
        symbol: &str,
        part: fn(&mut Self) -> Result<Parsed>,
        join: fn(Vec<Node>) -> Node,
        split: fn(Node) -> Result<Vec<Node>, Node>,
    ) -> Result<Parsed> {
        let position = self.position();
        let first = part(self)?;
        if !matches!(self.peek(), Token::Symbol(found) if *found == symbol) {
            return Ok(first);
        }
        let mut parts = Vec::new();
        let mut add = |node: Node| match split(node) {
            Ok(more) => parts.extend(more),
            Err(one) => parts.push(one),
        };
        add(first.into_node(self.scope)?);
        while self.take_symbol(symbol) {
            let next = part(self)?.into_node(self.scope)?;
            add(next);
        }
        Ok(Parsed::Node(join(parts), position))
    }

    /// A comparison, or what may stand on one side of it.
    fn relation(&mut self) -> Result<Parsed> {
        let position = self.position();
        let left = self.unary()?;
        let node = match self.peek().clone() {
            Token::Symbol(symbol) => {
                let Some(comparison) = Comparison::of(symbol) else { return Ok(left) };
                let left = left.into_operand(self.scope, symbol)?;
                self.next += 1;
                let right = self.unary()?.into_operand(self.scope, symbol)?;
                check::comparison(self.scope, comparison, left, right)?
            }
            Token::Name(name) if name == "in" => {
                let (needle, _) = left.into_operand(self.scope, "in")?;
                self.next += 1;
                let list = self.list()?;
                check::membership(self.scope, needle, list)?
            }
            _ => return Ok(left),
        };
        let chained = match self.peek() {
            Token::Symbol(symbol) => Comparison::of(symbol).is_some(),
            Token::Name(name) => name == "in",
            _ => false,
        };
        if chained {
            return Err(self.expected("'&&' or '||' (comparisons cannot be chained)"));
        }
        Ok(Parsed::Node(node, position))
    }

    /// `[literal, …]`
    fn list(&mut self) -> Result<Vec<(Literal, usize)>> {
        let start = self.position();
        if !self.take_symbol("[") {
            return Err(self.expected("a list of literals after 'in', for example [1, 2]"));
        }
        let mut items = Vec::new();
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
            let position = self.position();
            match self.unary()? {
                Parsed::Operand(Operand::Literal(literal), _) => items.push((literal, position)),
                _ => return Err(self.scope.invalid(position, "expected a literal: a list after 'in' holds no fields")),
            }
            if items.len() > LONGEST_LIST {
                return Err(self.scope.invalid(start, format!("expected a list of at most {LONGEST_LIST} literals")));
            }
        }
        Ok(items)
    }

    fn unary(&mut self) -> Result<Parsed> {
        let position = self.position();
        if self.take_symbol("!") {
            let inner = self.nested(position, Self::unary)?.into_node(self.scope)?;
            return Ok(Parsed::Node(Node::Not(Box::new(inner)), position));
        }
        if self.take_symbol("-") {
            let number = match self.peek() {
                Token::Integer(size) => 0_i64.checked_sub_unsigned(*size).map(Number::Integer),
                Token::Double(value) => Some(Number::double(-*value)),
                _ => return Err(self.expected("a number after '-'")),
            };
            self.next += 1;
            return literal_number(self.scope, number, position);
        }
        self.primary()
    }

    /// Reads within parentheses or a negation.
    fn nested(&mut self, position: usize, read: fn(&mut Self) -> Result<Parsed>) -> Result<Parsed> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(too_deep(self.scope, position));
        }
        let parsed = read(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    fn primary(&mut self) -> Result<Parsed> {
        let position = self.position();
        let literal = match self.peek().clone() {
            Token::Integer(size) => {
                self.next += 1;
                return literal_number(self.scope, i64::try_from(size).ok().map(Number::Integer), position);
            }
            Token::Double(value) => {
                self.next += 1;
                return literal_number(self.scope, Some(Number::double(value)), position);
            }
            Token::Text(text) => Literal::Text(text.into()),
            Token::Name(name) => match name.as_str() {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                "null" => Literal::Null,
                _ => return self.name(name),
            },
            Token::Symbol("(") => {
                self.next += 1;
                let inner = self.nested(position, Self::either)?;
                self.expect(")")?;
                return Ok(inner);
            }
            _ => return Err(self.expected("a field, a literal, '!' or '('")),
        };
        self.next += 1;
        Ok(Parsed::Operand(Operand::Literal(literal), position))
    }

    /// A field, `caller.id` or `has(..)`.
    fn name(&mut self, root: String) -> Result<Parsed> {
        let position = self.position();
        self.next += 1;
        if matches!(self.peek(), Token::Symbol("(")) {
            if root != "has" {
                let message = format!("expected a field: the one function of filters is has(field), not {root}(…)");
                return Err(self.scope.invalid(position, message));
            }
            self.next += 1;
            let inner = self.primary()?;
            self.expect(")")?;
            return match inner {
                Parsed::Operand(
                    operand @ (Operand::Field(_)
                    | Operand::Input(_)
                    | Operand::After(_)
                    | Operand::Caller
                    | Operand::Claim(_)),
                    _,
                ) => Ok(Parsed::Node(Node::Has(operand), position)),
                _ => Err(self.scope.invalid(position, "expected a field within has(…)")),
            };
        }
        let mut path = Vec::new();
        loop {
            if self.take_symbol(".") {
                let at = self.position();
                match self.take() {
                    Token::Name(name) if !check::is_keyword(&name) => path.push(Name { text: name, position: at }),
                    Token::Name(name) => {
                        return Err(self
                            .scope
                            .invalid(at, format!("expected a field's name, found '{name}'; write [\"{name}\"]")));
                    }
                    other => {
                        return Err(self
                            .scope
                            .invalid(at, format!("expected a field's name after '.', found {}", other.describe())));
                    }
                }
                if matches!(self.peek(), Token::Symbol("(")) {
                    return Err(self.expected("a comparison (functions of values are not part of filters)"));
                }
            } else if self.take_symbol("[") {
                let at = self.position();
                let Token::Text(text) = self.take() else {
                    return Err(self.scope.invalid(
                        at,
                        "expected a field's name in quotes: items of arrays cannot be asked for by number",
                    ));
                };
                path.push(Name { text, position: at });
                self.expect("]")?;
            } else {
                break;
            }
        }
        let operand = check::resolve(Name { text: root, position }, path, self.scope)?;
        Ok(Parsed::Operand(operand, position))
    }
}

fn literal_number(scope: Scope, number: Option<Number>, position: usize) -> Result<Parsed> {
    match number {
        Some(number) => Ok(Parsed::Operand(Operand::Literal(Literal::Number(number)), position)),
        None => {
            Err(scope.invalid(position, "expected an integer between -9223372036854775808 and 9223372036854775807"))
        }
    }
}

fn too_deep(scope: Scope, position: usize) -> Error {
    scope.invalid(position, format!("expected at most {DEEPEST} parentheses and negations within each other"))
}
