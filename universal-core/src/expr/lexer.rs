//! From text to tokens.

use crate::{
    error::{Error, Result},
    expr::scope::Scope,
};

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name or a keyword.
    Name(String),
    /// The digits of an integer; the sign is a symbol before it.
    Integer(u64),
    /// A finite double, without sign.
    Double(f64),
    /// A text with its escapes resolved.
    Text(String),
    /// Punctuation.
    Symbol(&'static str),
    /// The end of the text.
    End,
}

impl Token {
    /// What an error message calls it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("'{name}'"),
            Self::Integer(_) | Self::Double(_) => "a number".to_owned(),
            Self::Text(_) => "a text".to_owned(),
            Self::Symbol(symbol) => format!("'{symbol}'"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Longer symbols first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ",", ".", "-", "+", "*", "/", "%", "?", ":",
    "{", "}",
];

/// Cuts a text into tokens, each with the byte at which it begins; the last is [`Token::End`].
pub(super) fn tokens(text: &str, scope: Scope) -> Result<Vec<(usize, Token)>> {
    let mut lexer = Lexer { text, position: 0, scope };
    let mut out = Vec::new();
    loop {
        lexer.space();
        let start = lexer.position;
        let token = lexer.token()?;
        let ended = token == Token::End;
        out.push((start, token));
        if ended {
            return Ok(out);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    position: usize,
    scope: Scope,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.position += next.map_or(0, char::len_utf8);
        next
    }

    /// Skips white space and comments (`// …` to the end of the line).
    fn space(&mut self) {
        loop {
            if self.rest().starts_with("//") {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.next();
                }
            } else if matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r' | '\u{c}')) {
                self.next();
            } else {
                return;
            }
        }
    }

    /// Skips while `keep` holds and gives what was skipped.
    fn run(&mut self, keep: fn(&char) -> bool) -> &'t str {
        let rest = self.rest();
        let length = rest.find(|c| !keep(&c)).unwrap_or(rest.len());
        self.position += length;
        rest.get(..length).unwrap_or_default()
    }

    fn token(&mut self) -> Result<Token> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(Token::Name(self.run(|c| c.is_ascii_alphanumeric() || *c == '_').to_owned()));
        }
        let fraction = first == '.' && self.rest().chars().nth(1).is_some_and(|c| c.is_ascii_digit());
        if first.is_ascii_digit() || fraction {
            return self.number();
        }
        if first == '"' || first == '\'' {
            return self.string(first);
        }
        match SYMBOLS.into_iter().find(|symbol| self.rest().starts_with(symbol)) {
            Some(symbol) => {
                self.position += symbol.len();
                Ok(Token::Symbol(symbol))
            }
            None => Err(self.scope.invalid(self.position, self.unknown(first))),
        }
    }

    fn unknown(&self, found: char) -> String {
        match found {
            '=' => "expected '==' (a comparison is written with two '=')".to_owned(),
            '&' => "expected '&&'".to_owned(),
            '|' => "expected '||'".to_owned(),
            _ => format!("expected a field, a literal or an operator, found {found:?}"),
        }
    }

    fn number(&mut self) -> Result<Token> {
        let start = self.position;
        let scope = self.scope;
        let out_of_range =
            || scope.invalid(start, "expected an integer between -9223372036854775808 and 9223372036854775807");
        let token = if self.rest().starts_with("0x") || self.rest().starts_with("0X") {
            self.position += 2;
            let digits = self.run(char::is_ascii_hexdigit);
            if digits.is_empty() {
                return Err(self.scope.invalid(self.position, "expected hexadecimal digits after 0x"));
            }
            Token::Integer(u64::from_str_radix(digits, 16).map_err(|_| out_of_range())?)
        } else {
            self.decimal(start)?.map_or_else(|| Err(out_of_range()), Ok)?
        };
        match self.peek() {
            Some('u' | 'U') => {
                Err(self.scope.invalid(self.position, "expected an integer without 'u': numbers have one kind here"))
            }
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => {
                Err(self.scope.invalid(self.position, format!("expected the end of the number, found {c:?}")))
            }
            _ => Ok(token),
        }
    }

    /// A decimal number, or `None` for an integer that is too large.
    fn decimal(&mut self, start: usize) -> Result<Option<Token>> {
        self.run(char::is_ascii_digit);
        let mut integer = true;
        let mut after = self.rest().chars();
        if after.next() == Some('.') && after.next().is_some_and(|c| c.is_ascii_digit()) {
            integer = false;
            self.next();
            self.run(char::is_ascii_digit);
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            integer = false;
            self.next();
            if matches!(self.peek(), Some('+' | '-')) {
                self.next();
            }
            if self.run(char::is_ascii_digit).is_empty() {
                return Err(self.scope.invalid(self.position, "expected digits in the exponent"));
            }
        }
        let text = self.text.get(start..self.position).unwrap_or_default();
        if integer {
            return Ok(text.parse().ok().map(Token::Integer));
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Some(Token::Double(value))),
            _ => Err(self.scope.invalid(start, "expected a number whose size is less than 1.8e308")),
        }
    }

    fn string(&mut self, quote: char) -> Result<Token> {
        let start = self.position;
        self.next();
        let mut out = String::new();
        loop {
            let position = self.position;
            match self.next() {
                None | Some('\n' | '\r') => {
                    return Err(self
                        .scope
                        .invalid(start, format!("expected a closing {quote} for the text that begins here")));
                }
                Some('\0') => return Err(self.nul(position)),
                Some('\\') => out.push(self.escape(position)?),
                Some(c) if c == quote => return Ok(Token::Text(out)),
                Some(c) => out.push(c),
            }
        }
    }

    /// An escape of CEL; `start` is the position of its backslash.
    fn escape(&mut self, start: usize) -> Result<char> {
        let code = match self.next() {
            Some(c @ ('\\' | '?' | '"' | '\'' | '`')) => return Ok(c),
            Some('a') => 0x07,
            Some('b') => 0x08,
            Some('f') => 0x0C,
            Some('n') => 0x0A,
            Some('r') => 0x0D,
            Some('t') => 0x09,
            Some('v') => 0x0B,
            Some('x' | 'X') => self.digits(start, 2, 16)?,
            Some('u') => self.digits(start, 4, 16)?,
            Some('U') => self.digits(start, 8, 16)?,
            Some('0'..='3') => {
                self.position -= 1;
                self.digits(start, 3, 8)?
            }
            _ => {
                let message = "expected an escape of CEL: \\\\ \\\" \\' \\` \\? \\a \\b \\f \\n \\r \\t \\v \\xHH \\uHHHH \\UHHHHHHHH \\OOO";
                return Err(self.scope.invalid(start, message));
            }
        };
        match char::from_u32(code) {
            Some('\0') => Err(self.nul(start)),
            Some(c) => Ok(c),
            None => Err(self.scope.invalid(start, "expected an escape that stands for a character")),
        }
    }

    fn digits(&mut self, start: usize, count: usize, radix: u32) -> Result<u32> {
        let mut code: u32 = 0;
        for _ in 0..count {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(radix)) else {
                let kind = if radix == 8 { "octal" } else { "hexadecimal" };
                return Err(self.scope.invalid(start, format!("expected {count} {kind} digits in this escape")));
            };
            self.next();
            code = code.checked_mul(radix).and_then(|code| code.checked_add(digit)).unwrap_or(u32::MAX);
        }
        Ok(code)
    }

    fn nul(&self, position: usize) -> Error {
        self.scope.invalid(position, "expected a character other than U+0000, which no document holds")
    }
}
