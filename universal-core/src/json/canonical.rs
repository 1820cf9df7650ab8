//! Checks a JSON text while reading it, and gives canonical values.

use serde_json::{Map, Number, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::json::{
    limits::{DEEPEST, Limits},
    number, print,
};

/// Reads one JSON value of any kind.
///
/// Numbers become canonical: integers are `i64`, a double whose value is an integer within `i64` becomes that
/// integer, -0 becomes 0. Both databases accept exactly what this accepts.
///
/// # Errors
/// `Invalid` with the byte position (and a JSON pointer as the field, where there is one): `invalid-json`,
/// `invalid-text` (not UTF-8, U+0000, half a surrogate pair), `duplicate-key`, `integer-out-of-range`,
/// `number-out-of-range`, `json-too-deep`, `json-too-many-values`, `json-too-many-keys`.
/// `TooLarge` `document-too-large`.
pub fn parse(text: &[u8], limits: &Limits) -> Result<Value> {
    read(text, limits, LargeIntegers::Refused)
}

/// What an integer beyond `i64` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LargeIntegers {
    /// An error.
    Refused,
    /// A double that PostgreSQL printed with all its digits.
    Doubles,
}

/// Reads one JSON value.
pub(super) fn read(text: &[u8], limits: &Limits, large: LargeIntegers) -> Result<Value> {
    if text.len() > limits.bytes {
        return Err(too_large(limits));
    }
    if text.starts_with(b"\xEF\xBB\xBF") {
        let message = "the text begins with a byte order mark; send JSON without it";
        return Err(Error::invalid("invalid-json", message).with_position(0));
    }
    let text = std::str::from_utf8(text)
        .map_err(|error| Error::invalid("invalid-text", "the text is not UTF-8").with_position(error.valid_up_to()))?;
    let mut parser = Parser { text, position: 0, limits, large, depth: 0, nodes: 0, bytes: 0, trail: Vec::new() };
    let parsed = parser.document();
    parsed.map_err(|error| match parser.trail.is_empty() {
        true => error,
        false => error.with_field(print::pointer(parser.trail.iter().rev())),
    })
}

/// The error for a text or value that is too long.
pub(super) fn too_large(limits: &Limits) -> Error {
    let message = format!(
        "the JSON is larger than {} bytes (numbers count with all their digits: 1e300 counts 301)",
        limits.bytes
    );
    Error::new(ErrorKind::TooLarge, "document-too-large", message)
}

/// The error for arrays and objects within each other.
pub(super) fn too_deep(limits: &Limits) -> Error {
    let message = format!("arrays and objects may be within each other {} deep", limits.depth.min(DEEPEST));
    Error::invalid("json-too-deep", message)
}

/// The error for too many values.
pub(super) fn too_many_nodes(limits: &Limits) -> Error {
    Error::invalid("json-too-many-values", format!("the JSON has more than {} values", limits.nodes))
}

/// The error for too many members.
pub(super) fn too_many_keys(limits: &Limits) -> Error {
    Error::invalid("json-too-many-keys", format!("an object may have {} members", limits.keys))
}

/// The error for an integer that no database column of ours holds.
pub(super) fn integer_out_of_range() -> Error {
    let message =
        "an integer must be between -9223372036854775808 and 9223372036854775807; send larger ones as strings";
    Error::invalid("integer-out-of-range", message)
}

/// One step of the way to a value, for the JSON pointer of an error.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

/// Reads a text from left to right, once.
#[derive(Debug)]
pub(super) struct Parser<'t> {
    text: &'t str,
    pub(super) position: usize,
    limits: &'t Limits,
    large: LargeIntegers,
    depth: usize,
    nodes: usize,
    /// Bytes of canonical text so far.
    bytes: usize,
    /// After an error: the way to it, innermost first.
    trail: Vec<Segment>,
}

impl<'t> Parser<'t> {
    fn document(&mut self) -> Result<Value> {
        let value = self.value()?;
        self.space();
        match self.peek() {
            None => Ok(value),
            Some(_) => Err(self.syntax("expected the end of the text after the value")),
        }
    }

    fn value(&mut self) -> Result<Value> {
        self.space();
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(too_many_nodes(self.limits).with_position(self.position));
        }
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => {
                let text = self.string()?;
                self.count(print::string_length(&text))?;
                Ok(Value::String(text))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(self.syntax("expected a JSON value")),
            None => Err(self.syntax("expected a JSON value, but the text ends")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value>) -> Result<Value> {
        self.depth += 1;
        if self.depth > self.limits.depth.min(DEEPEST) {
            return Err(too_deep(self.limits).with_position(self.position));
        }
        self.position += 1;
        self.count(2)?;
        self.space();
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value> {
        let mut members = Map::new();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            let start = self.position;
            if self.peek() != Some(b'"') {
                return Err(self.syntax("expected a member's name in double quotes"));
            }
            let key = self.string()?;
            self.count(print::string_length(&key) + 1 + usize::from(!members.is_empty()))?;
            if members.len() >= self.limits.keys {
                return Err(too_many_keys(self.limits).with_position(start));
            }
            if members.contains_key(&key) {
                self.trail.push(Segment::Key(key));
                return Err(Error::invalid("duplicate-key", "an object has this member twice").with_position(start));
            }
            self.space();
            if !self.take(b':') {
                return Err(self.syntax("expected ':' after a member's name"));
            }
            match self.value() {
                Ok(value) => members.insert(key, value),
                Err(error) => {
                    self.trail.push(Segment::Key(key));
                    return Err(error);
                }
            };
            self.space();
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.take(b',') {
                return Err(self.syntax("expected ',' or '}' after a member"));
            }
        }
    }

    fn array(&mut self) -> Result<Value> {
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            self.count(usize::from(!items.is_empty()))?;
            match self.value() {
                Ok(value) => items.push(value),
                Err(error) => {
                    self.trail.push(Segment::Index(items.len()));
                    return Err(error);
                }
            }
            self.space();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            if !self.take(b',') {
                return Err(self.syntax("expected ',' or ']' after an item"));
            }
        }
    }

    fn number(&mut self) -> Result<Value> {
        let start = self.position;
        let mut integer = true;
        self.take(b'-');
        match self.peek() {
            Some(b'0') => {
                self.position += 1;
                if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                    return Err(self.syntax("a number must not begin with 0"));
                }
            }
            _ => self.digits("expected a digit")?,
        }
        if self.take(b'.') {
            integer = false;
            self.digits("expected a digit after the decimal point")?;
        }
        if self.take(b'e') || self.take(b'E') {
            integer = false;
            let _ = self.take(b'+') || self.take(b'-');
            self.digits("expected a digit in the exponent")?;
        }
        let text = self.slice(start);
        let double = || text.parse::<f64>().ok().and_then(number::from_f64);
        let number = match text.parse::<i64>() {
            Ok(value) if integer => Number::from(value),
            _ if integer && self.large == LargeIntegers::Refused => {
                return Err(integer_out_of_range().with_position(start));
            }
            _ => double().ok_or_else(|| {
                let message = "a number's size must be less than 1.8e308";
                Error::invalid("number-out-of-range", message).with_position(start)
            })?,
        };
        self.count(number::printed_length(&number))?;
        Ok(Value::Number(number))
    }

    fn digits(&mut self, expected: &str) -> Result<()> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.syntax(expected));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        Ok(())
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.syntax("expected a JSON value"));
        }
        self.position += word.len();
        self.count(word.len())?;
        Ok(value)
    }

    fn count(&mut self, bytes: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.bytes {
            return Err(too_large(self.limits).with_position(self.position));
        }
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.position += usize::from(taken);
        taken
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    pub(super) fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.position..).unwrap_or_default()
    }

    /// The text from `start` to the present position.
    pub(super) fn slice(&self, start: usize) -> &'t str {
        self.text.get(start..self.position).unwrap_or_default()
    }

    pub(super) fn syntax(&self, message: &str) -> Error {
        Error::invalid("invalid-json", message).with_position(self.position)
    }
}
