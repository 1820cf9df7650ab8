//! A document's members, checked and canonical.

use serde_json::{Map, Number, Value};

use crate::error::{Error, Result};
use crate::json::{
    canonical::{
        LargeIntegers, Segment, integer_out_of_range, parse, read, too_deep, too_large, too_many_keys, too_many_nodes,
    },
    limits::{DEEPEST, Limits},
    number, print,
};

/// A JSON object that both databases accept and keep alike: the body of a document, or a patch of one.
///
/// Members whose names begin with `_` (at the top) or with `$` (anywhere) are refused; a top-level `_meta` is left
/// out, so that what was read can be sent back. A patch may hold names beginning with `$`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    members: Map<String, Value>,
}

/// How many bytes an answer shows beside the members at most, with room to spare.
const SHOWN: usize = 8 * 1024;

/// Whether names beginning with `$` are operations or refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dollar {
    Refused,
    Allowed,
}

impl Object {
    /// Reads a document's body.
    ///
    /// # Errors
    /// Those of [`parse`](fn@crate::json::parse) with the default [`Limits`]; `Invalid` `not-an-object`,
    /// `reserved-key`.
    pub fn parse(text: &[u8]) -> Result<Self> {
        Self::admit(parse(text, &Limits::default())?, Dollar::Refused)
    }

    /// Reads a document as an answer shows it, its `id` and `_meta` among the members, and gives the `_meta` beside. What
    /// an answer shows can be read again, whatever size the members have.
    ///
    /// # Errors
    /// Those of [`Object::parse`].
    pub(crate) fn parse_shown(text: &[u8]) -> Result<(Self, Option<Value>)> {
        let shown = |mut value: Value| {
            let meta = value.as_object_mut().and_then(|members| members.remove("_meta"));
            Ok((Self::admit(value, Dollar::Refused)?, meta))
        };
        let refused = match parse(text, &Limits::default()) {
            Ok(value) => return shown(value),
            Err(error) => error,
        };
        if !matches!(refused.code(), "document-too-large" | "json-too-many-values" | "json-too-many-keys") {
            return Err(refused);
        }
        // The members may be within the limits, and what stands beside them too much.
        let plain = Limits::default();
        let wider = Limits { bytes: plain.bytes + SHOWN, nodes: plain.nodes + 8, keys: plain.keys + 2, ..plain };
        let (mut object, meta) = shown(parse(text, &wider)?)?;
        let id = object.members.remove("id");
        object.members = Self::admit(Check::canonical(Value::Object(object.members))?, Dollar::Refused)?.members;
        object.members.extend(id.map(|id| ("id".to_owned(), id)));
        Ok((object, meta))
    }

    /// Reads a patch: like [`Object::parse`], but names beginning with `$` are allowed.
    ///
    /// # Errors
    /// Those of [`Object::parse`].
    pub fn parse_patch(text: &[u8]) -> Result<Self> {
        Self::admit(parse(text, &Limits::default())?, Dollar::Allowed)
    }

    /// Checks a value made in Rust and makes its numbers canonical.
    ///
    /// # Errors
    /// Those of [`Object::parse`], without positions.
    pub fn from_value(value: Value) -> Result<Self> {
        Self::admit(Check::canonical(value)?, Dollar::Refused)
    }

    /// Checks a patch made in Rust: like [`Object::from_value`], but names beginning with `$` are allowed.
    ///
    /// # Errors
    /// Those of [`Object::from_value`].
    pub fn patch_from_value(value: Value) -> Result<Self> {
        Self::admit(Check::canonical(value)?, Dollar::Allowed)
    }

    /// Reads a body that a database holds: canonical text, or `jsonb` as PostgreSQL prints it.
    ///
    /// Use this and not `serde_json::from_str`, whose doubles may be off by one unit in the last place.
    ///
    /// # Errors
    /// `Internal` if the text is no object, which only another program's writing can cause.
    pub fn from_stored(text: &str) -> Result<Self> {
        // It was checked before it was stored; PostgreSQL adds white space and writes out numbers.
        let limits = Limits { bytes: usize::MAX, depth: DEEPEST, nodes: usize::MAX, keys: usize::MAX };
        match read(text.as_bytes(), &limits, LargeIntegers::Doubles).map_err(Error::internal)? {
            Value::Object(members) => Ok(Self { members }),
            _ => Err(Error::internal("a stored body is not an object")),
        }
    }

    /// The rules for names, on a value that is canonical already.
    fn admit(value: Value, dollar: Dollar) -> Result<Self> {
        let Value::Object(mut members) = value else {
            return Err(Error::invalid("not-an-object", "expected a JSON object: {…}"));
        };
        members.remove("_meta");
        if let Some(key) = members.keys().find(|key| key.starts_with('_')) {
            let message = "names beginning with '_' are reserved; choose another name";
            let field = print::pointer([Segment::Key(key.clone())].iter());
            return Err(Error::invalid("reserved-key", message).with_field(field));
        }
        if dollar == Dollar::Refused {
            let mut trail = Vec::new();
            refuse_dollar(&members, &mut trail)?;
        }
        Ok(Self { members })
    }

    /// Takes the member `id` out, if there is one.
    ///
    /// # Errors
    /// `Invalid` `invalid-id` if it is not a string.
    pub fn take_id(&mut self) -> Result<Option<String>> {
        match self.members.remove("id") {
            None => Ok(None),
            Some(Value::String(id)) => Ok(Some(id)),
            Some(_) => Err(Error::invalid("invalid-id", "a document's id is a string").with_field("/id")),
        }
    }

    /// The members.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.members
    }

    /// The members, to change them; [`Object::from_value`] checks the result.
    #[must_use]
    pub fn into_map(self) -> Map<String, Value> {
        self.members
    }

    /// The canonical text, at most 1 MiB: members in the order of their names' bytes, no white space. It is what the
    /// databases store.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        print::write_object(&mut out, &self.members);
        out
    }
}

fn refuse_dollar(members: &Map<String, Value>, trail: &mut Vec<Segment>) -> Result<()> {
    for (key, value) in members {
        trail.push(Segment::Key(key.clone()));
        if key.starts_with('$') {
            let message = "names beginning with '$' are operations of a patch; choose another name";
            return Err(Error::invalid("reserved-key", message).with_field(print::pointer(trail.iter())));
        }
        refuse_dollar_in(value, trail)?;
        trail.pop();
    }
    Ok(())
}

fn refuse_dollar_in(value: &Value, trail: &mut Vec<Segment>) -> Result<()> {
    match value {
        Value::Object(members) => refuse_dollar(members, trail),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                trail.push(Segment::Index(index));
                refuse_dollar_in(item, trail)?;
                trail.pop();
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The checks of the parser, on a value made in Rust.
struct Check {
    limits: Limits,
    nodes: usize,
    bytes: usize,
    trail: Vec<Segment>,
}

impl Check {
    fn canonical(mut value: Value) -> Result<Value> {
        let mut check = Self { limits: Limits::default(), nodes: 0, bytes: 0, trail: Vec::new() };
        let checked = check.value(&mut value, 0);
        match checked {
            Ok(()) => Ok(value),
            Err(error) if check.trail.is_empty() => Err(error),
            Err(error) => Err(error.with_field(print::pointer(check.trail.iter()))),
        }
    }

    fn value(&mut self, value: &mut Value, depth: usize) -> Result<()> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(too_many_nodes(&self.limits));
        }
        let is_container = matches!(value, Value::Array(_) | Value::Object(_));
        if is_container && depth >= self.limits.depth.min(DEEPEST) {
            return Err(too_deep(&self.limits));
        }
        match value {
            Value::Null | Value::Bool(true) => self.count(4),
            Value::Bool(false) => self.count(5),
            Value::Number(number) => {
                *number = canonical_number(number)?;
                self.count(number::printed_length(number))
            }
            Value::String(text) => self.text(text, 0),
            Value::Array(items) => {
                self.count(2 + items.len().saturating_sub(1))?;
                for (index, item) in items.iter_mut().enumerate() {
                    self.trail.push(Segment::Index(index));
                    self.value(item, depth + 1)?;
                    self.trail.pop();
                }
                Ok(())
            }
            Value::Object(members) => {
                if members.len() > self.limits.keys {
                    return Err(too_many_keys(&self.limits));
                }
                self.count(2 + members.len().saturating_sub(1))?;
                for (key, member) in members {
                    self.trail.push(Segment::Key(key.clone()));
                    self.text(key, 1)?;
                    self.value(member, depth + 1)?;
                    self.trail.pop();
                }
                Ok(())
            }
        }
    }

    fn text(&mut self, text: &str, more: usize) -> Result<()> {
        if text.contains('\0') {
            return Err(Error::invalid("invalid-text", "a text cannot hold the character U+0000"));
        }
        self.count(print::string_length(text) + more)
    }

    fn count(&mut self, bytes: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.bytes {
            return Err(too_large(&self.limits));
        }
        Ok(())
    }
}

fn canonical_number(number: &Number) -> Result<Number> {
    if let Some(integer) = number.as_i64() {
        return Ok(Number::from(integer));
    }
    if number.is_u64() {
        return Err(integer_out_of_range());
    }
    number
        .as_f64()
        .and_then(number::from_f64)
        .ok_or_else(|| Error::invalid("number-out-of-range", "a number's size must be less than 1.8e308"))
}
