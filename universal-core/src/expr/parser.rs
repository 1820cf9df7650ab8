//! From tokens to the tree. The grammar is that part of CEL's which the subset has.

use crate::{
    error::{Error, Result},
    expr::{
        ast::{At, Comparison, Literal, Node, Operator, Place},
        beside,
        check::{self, Follow, Name},
        cost::{DEAREST, cost},
        field::Field,
        lexer::{Token, tokens},
        scope::Scope,
        types::{Type, type_of},
    },
    json::order::Number,
};

/// The longest text, in bytes.
pub(super) const LONGEST: usize = 4 * 1024;
/// The deepest nesting of parentheses and negations, and the deepest tree.
const DEEPEST: usize = 32;
/// The most nodes.
const LARGEST: usize = 256;

/// Reads a whole expression.
pub(super) fn parse(text: &str, scope: Scope) -> Result<Node> {
    parse_all(text, scope).map_err(|error| scope.told(error))
}

fn parse_all(text: &str, scope: Scope) -> Result<Node> {
    let mut parser = Parser::new(text, scope)?;
    let root = parser.expression()?;
    let root = parser.condition(root)?;
    parser.end()?;
    bounded(&root, scope)?;
    Ok(root)
}

/// That a tree is neither too deep nor too large, and does not cost too much.
pub(super) fn bounded(root: &Node, scope: Scope) -> Result<()> {
    if root.depth() > DEEPEST {
        return Err(too_deep(scope, 0));
    }
    let size = root.size();
    if size > LARGEST {
        return Err(
            scope.invalid(0, format!("expected at most {LARGEST} operations, fields and literals, found {size}"))
        );
    }
    let cost = cost(root);
    if cost > DEAREST {
        let message = format!(
            "expected at most {DEAREST} units of work for a document, found {cost} (a comparison is 1, a calculation 8, \
             a search in a text 3, a look into an array 16)"
        );
        return Err(scope.invalid(0, message));
    }
    Ok(())
}

fn too_deep(scope: Scope, position: usize) -> Error {
    scope.invalid(position, format!("expected at most {DEEPEST} parentheses and operations within each other"))
}

/// Reads a field alone.
pub(super) fn parse_field(text: &str, scope: Scope) -> Result<Field> {
    let mut parser = Parser::new(text, scope)?;
    let parsed = parser.member()?;
    parser.end()?;
    match parsed.node {
        Node::Place(Place::Field(field)) => Ok(field),
        _ => Err(scope.invalid(0, "expected a field")),
    }
}

/// A part of the text, and where it begins.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    pub(super) at: usize,
}

pub(super) struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
    pub(super) scope: Scope,
    /// How many patterns were read.
    pub(super) patterns: usize,
    /// Where the items of the last list begin.
    pub(super) items: Vec<usize>,
}

impl Parser {
    fn new(text: &str, scope: Scope) -> Result<Self> {
        if text.len() > LONGEST {
            let message = format!("expected at most {LONGEST} bytes, found {}", text.len());
            return Err(scope.invalid(LONGEST, message));
        }
        Ok(Self { tokens: tokens(text, scope)?, next: 0, depth: 0, scope, patterns: 0, items: Vec::new() })
    }

    pub(super) fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    /// The token after the next.
    fn peek_second(&self) -> &Token {
        self.tokens.get(self.next + 1).map_or(&Token::End, |(_, token)| token)
    }

    pub(super) fn position(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |(position, _)| *position)
    }

    pub(super) fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(found) if *found == symbol)
    }

    pub(super) fn take_symbol(&mut self, symbol: &str) -> bool {
        let taken = self.is_symbol(symbol);
        self.next += usize::from(taken);
        taken
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<()> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.expected(&format!("'{symbol}'"))) }
    }

    pub(super) fn expected(&self, what: &str) -> Error {
        self.scope.invalid(self.position(), format!("expected {what}, found {}", self.peek().describe()))
    }

    pub(super) fn invalid(&self, position: usize, message: impl Into<String>) -> Error {
        self.scope.invalid(position, message)
    }

    fn too_deep(&self, position: usize) -> Error {
        too_deep(self.scope, position)
    }

    fn end(&self) -> Result<()> {
        match self.peek() {
            Token::End => Ok(()),
            _ => Err(self.expected("an operator or the end")),
        }
    }

    /// As something that is true or false.
    fn condition(&self, parsed: Parsed) -> Result<Node> {
        match type_of(&parsed.node) {
            Type::Any | Type::Bool => Ok(parsed.node),
            other => {
                let message = format!("expected a comparison or another condition, found {}", other.describe());
                Err(self.invalid(parsed.at, message))
            }
        }
    }

    /// As a value: a list of fields is none.
    pub(super) fn value(&self, parsed: Parsed) -> Result<Parsed> {
        if matches!(parsed.node, Node::List(_)) {
            return Err(self.invalid(parsed.at, "expected a list of literals: a list of fields stands after 'in' only"));
        }
        Ok(parsed)
    }

    /// `a ? b : c`
    pub(super) fn expression(&mut self) -> Result<Parsed> {
        let test = self.either()?;
        if !self.is_symbol("?") {
            return Ok(test);
        }
        let at = test.at;
        let test = self.condition(test)?;
        self.next += 1;
        let then = self.either()?;
        let then = self.value(then)?;
        self.expect(":")?;
        let otherwise = self.nested(at, Self::expression)?;
        let otherwise = self.value(otherwise)?;
        beside::choice(self.scope, &then, &otherwise)?;
        Ok(Parsed { node: Node::Choose { parts: Box::new([test, then.node, otherwise.node]), at: At(at) }, at })
    }

    /// `a || b || …`
    fn either(&mut self) -> Result<Parsed> {
        self.joined("||", Self::both, Node::Any, |node| match node {
            Node::Any(parts) => Ok(parts),
            other => Err(Box::new(other)),
        })
    }

    /// `a && b && …`
    fn both(&mut self) -> Result<Parsed> {
        self.joined("&&", Self::relation, Node::All, |node| match node {
            Node::All(parts) => Ok(parts),
            other => Err(Box::new(other)),
        })
    }

    /// Parts joined by an operator; parts that are joined by the same one are taken into the list.
    fn joined(
        &mut self,
        symbol: &str,
        part: fn(&mut Self) -> Result<Parsed>,
        join: fn(Vec<Node>) -> Node,
        split: fn(Node) -> Result<Vec<Node>, Box<Node>>,
    ) -> Result<Parsed> {
        let first = part(self)?;
        if !self.is_symbol(symbol) {
            return Ok(first);
        }
        let at = first.at;
        let mut parts = Vec::new();
        let mut add = |node: Node| match split(node) {
            Ok(more) => parts.extend(more),
            Err(one) => parts.push(*one),
        };
        add(self.condition(first)?);
        while self.take_symbol(symbol) {
            let next = part(self)?;
            add(self.condition(next)?);
        }
        Ok(Parsed { node: join(parts), at })
    }

    /// A comparison, or what may stand on one side of it.
    fn relation(&mut self) -> Result<Parsed> {
        let left = self.sum()?;
        let at = left.at;
        let node = if let Some(comparison) = self.comparison() {
            let left = self.value(left)?;
            self.next += 1;
            let right = self.sum()?;
            let right = self.value(right)?;
            beside::comparison(self.scope, comparison, left, right)?
        } else if self.is_in() {
            let left = self.value(left)?;
            self.next += 1;
            let right = self.sum()?;
            beside::membership(self.scope, left, right, &self.items)?
        } else {
            return Ok(left);
        };
        if self.comparison().is_some() || self.is_in() {
            return Err(self.expected("'&&' or '||' (comparisons cannot be chained)"));
        }
        Ok(Parsed { node, at })
    }

    fn comparison(&self) -> Option<Comparison> {
        if let Token::Symbol(symbol) = self.peek() { Comparison::of(symbol) } else { None }
    }

    fn is_in(&self) -> bool {
        matches!(self.peek(), Token::Name(name) if name == "in")
    }

    /// `a + b - …`
    fn sum(&mut self) -> Result<Parsed> {
        self.calculation(Self::product, &[Operator::Add, Operator::Subtract])
    }

    /// `a * b / …`
    fn product(&mut self) -> Result<Parsed> {
        self.calculation(Self::unary, &[Operator::Multiply, Operator::Divide, Operator::Remainder])
    }

    fn calculation(&mut self, part: fn(&mut Self) -> Result<Parsed>, operators: &[Operator]) -> Result<Parsed> {
        let mut left = part(self)?;
        while let Some(operator) = operators.iter().find(|operator| self.is_symbol(operator.symbol())) {
            let at = left.at;
            self.next += 1;
            let value = self.value(left)?;
            let right = part(self)?;
            let right = self.value(right)?;
            left = Parsed { node: beside::calculation(self.scope, *operator, value, right)?, at };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Parsed> {
        let at = self.position();
        if self.is_symbol("!") {
            return self.nested(at, Self::not);
        }
        if self.is_symbol("-") && !self.is_negative_number() {
            return self.nested(at, Self::negative);
        }
        self.member()
    }

    /// After `!`: another, or what a member is. As in CEL, `!-a` needs parentheses.
    fn not(&mut self) -> Result<Parsed> {
        let at = self.position();
        self.next += 1;
        let inner = if self.is_symbol("!") { self.nested(at, Self::not)? } else { self.member()? };
        Ok(Parsed { node: Node::Not(Box::new(self.condition(inner)?)), at })
    }

    fn negative(&mut self) -> Result<Parsed> {
        let at = self.position();
        self.next += 1;
        let again = self.is_symbol("-") && !self.is_negative_number();
        let inner = if again { self.nested(at, Self::negative)? } else { self.member()? };
        let inner = self.value(inner)?;
        beside::negation(self.scope, &inner)?;
        Ok(Parsed { node: Node::Negate(Box::new(inner.node)), at })
    }

    fn is_negative_number(&self) -> bool {
        self.is_symbol("-") && matches!(self.peek_second(), Token::Integer(_) | Token::Double(_))
    }

    /// Reads within something else.
    pub(super) fn nested(&mut self, position: usize, read: fn(&mut Self) -> Result<Parsed>) -> Result<Parsed> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.too_deep(position));
        }
        let parsed = read(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    /// A field, a literal, a call or parentheses, and the calls that follow it.
    fn member(&mut self) -> Result<Parsed> {
        let mut parsed = self.primary()?;
        loop {
            if self.is_symbol(".") {
                parsed = self.method(parsed)?;
            } else if self.is_symbol("[") {
                return Err(self.expected("an operator: only fields have members and items"));
            } else {
                return Ok(parsed);
            }
        }
    }

    fn primary(&mut self) -> Result<Parsed> {
        let at = self.position();
        if self.is_negative_number() {
            self.next += 1;
            let number = match self.take() {
                Token::Integer(size) => 0_i64.checked_sub_unsigned(size).map(Number::Integer),
                Token::Double(value) => Some(Number::double(-value)),
                _ => None,
            };
            return self.number(number, at);
        }
        let literal = match self.peek().clone() {
            Token::Integer(size) => {
                self.next += 1;
                return self.number(i64::try_from(size).ok().map(Number::Integer), at);
            }
            Token::Double(value) => {
                self.next += 1;
                return self.number(Some(Number::double(value)), at);
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
                let inner = self.nested(at, Self::expression)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Symbol("[") => return self.list(),
            _ => return Err(self.expected("a field, a literal, '!', '-', '(' or '['")),
        };
        self.next += 1;
        Ok(Parsed { node: Node::Literal(literal), at })
    }

    fn number(&self, number: Option<Number>, at: usize) -> Result<Parsed> {
        match number {
            Some(number) => Ok(Parsed { node: Node::Literal(Literal::Number(number)), at }),
            None => Err(self.invalid(at, "expected an integer between -9223372036854775808 and 9223372036854775807")),
        }
    }

    /// A field or a call.
    fn name(&mut self, root: String) -> Result<Parsed> {
        let at = self.position();
        self.next += 1;
        if self.is_symbol("(") {
            return self.call(&root, at);
        }
        let path = self.path()?;
        let place = check::resolve(Name { text: root, position: at }, path, self.scope)?;
        Ok(Parsed { node: Node::Place(place), at })
    }

    /// `.a["b"][3]…`, up to a call.
    fn path(&mut self) -> Result<Vec<Follow>> {
        let mut path = Vec::new();
        loop {
            let call = matches!(self.tokens.get(self.next + 2), Some((_, Token::Symbol("("))));
            if self.is_symbol(".") && !(call && matches!(self.peek_second(), Token::Name(_))) {
                self.next += 1;
                let position = self.position();
                match self.take() {
                    Token::Name(text) if !check::is_keyword(&text) => path.push(Follow::Name(Name { text, position })),
                    Token::Name(name) => {
                        let message = format!("expected a field's name, found '{name}'; write [\"{name}\"]");
                        return Err(self.invalid(position, message));
                    }
                    other => {
                        let message = format!("expected a field's name after '.', found {}", other.describe());
                        return Err(self.invalid(position, message));
                    }
                }
            } else if self.take_symbol("[") {
                let position = self.position();
                match self.take() {
                    Token::Text(text) => path.push(Follow::Name(Name { text, position })),
                    Token::Integer(index) => {
                        let index = u32::try_from(index).ok().filter(|index| *index <= i32::MAX.unsigned_abs());
                        let Some(index) = index else {
                            return Err(self.invalid(position, "expected an item's number below 2147483648"));
                        };
                        path.push(Follow::Item(index, position));
                    }
                    _ => {
                        let message =
                            "expected a member's name in quotes or an item's number, for example [\"a-b\"] or [0]";
                        return Err(self.invalid(position, message));
                    }
                }
                self.expect("]")?;
            } else {
                return Ok(path);
            }
        }
    }
}
