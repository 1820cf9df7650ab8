//! The body of a batch.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use universal_core::{
    collections::{
        Batch, BatchOperation, DocumentWrite, NewDocument, Precondition,
        batch::{MAX_OPERATIONS, too_many_operations},
    },
    error::{Error, Result},
    id::{CollectionName, DocumentId},
    json::Object,
};

use crate::extract::json;

/// How many revisions an operation may allow.
const MOST_REVISIONS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    operations: Operations<'a>,
}

/// As many operations as a batch may have, and one more if there are more.
struct Operations<'a>(Vec<Operation<'a>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation<'a> {
    op: Op,
    #[serde(borrow)]
    collection: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    patch: Option<&'a RawValue>,
    if_match: Option<Value>,
    if_none_match: Option<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Create,
    Replace,
    Patch,
    Delete,
    Get,
    Check,
}

/// Read as a text first: what is no text is then wrong in its type and not in its syntax.
impl<'de> Deserialize<'de> for Op {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "create" => Ok(Self::Create),
            "replace" => Ok(Self::Replace),
            "patch" => Ok(Self::Patch),
            "delete" => Ok(Self::Delete),
            "get" => Ok(Self::Get),
            "check" => Ok(Self::Check),
            other => {
                Err(serde::de::Error::unknown_variant(other, &["create", "replace", "patch", "delete", "get", "check"]))
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Operations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counted;
        impl<'de> Visitor<'de> for Counted {
            type Value = Operations<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of operations")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut operations = Vec::new();
                while operations.len() <= MAX_OPERATIONS {
                    match items.next_element()? {
                        Some(operation) => operations.push(operation),
                        None => return Ok(Operations(operations)),
                    }
                }
                // Counted, and refused by the caller; the rest is not kept.
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Operations(operations))
            }
        }
        deserializer.deserialize_seq(Counted)
    }
}

/// The batch that a body describes.
///
/// # Errors
/// `Invalid` with the place; `TooLarge` for too many operations.
pub(super) fn batch(bytes: &Bytes) -> Result<Batch> {
    let body: Body<'_> = json::parse(bytes)?;
    if body.operations.0.len() > MAX_OPERATIONS {
        return Err(too_many_operations());
    }
    let read = |(index, operation): (usize, Operation<'_>)| Reader { index, bytes }.operation(operation);
    let operations: Result<Vec<_>> = body.operations.0.into_iter().enumerate().map(read).collect();
    Ok(operations?.into_iter().fold(Batch::new(), Batch::with))
}

/// Reads one operation; knows where it stands.
struct Reader<'b> {
    index: usize,
    bytes: &'b Bytes,
}

impl Reader<'_> {
    fn operation(&self, wire: Operation<'_>) -> Result<BatchOperation> {
        let collection =
            CollectionName::new(&wire.collection).map_err(|error| error.with_field(self.place("collection")))?;
        let id = wire.id.as_deref().map(|id| self.id(id, "id")).transpose()?;
        let precondition = self.precondition(wire.if_match.as_ref(), wire.if_none_match.as_ref())?;
        self.takes("body", wire.body.is_some(), matches!(wire.op, Op::Create | Op::Replace))?;
        self.takes("patch", wire.patch.is_some(), wire.op == Op::Patch)?;
        let needed = |id: Option<DocumentId>| id.ok_or_else(|| self.missing("id"));
        Ok(match wire.op {
            Op::Create => {
                if precondition != Precondition::None {
                    return Err(
                        self.bad_condition("a new document has no revision to compare; use `replace` with an id")
                    );
                }
                let mut body = self.object("body", wire.body, Object::parse)?;
                let own = self.own_id(&mut body, "body")?;
                let id = match (id, own) {
                    (Some(id), Some(own)) if id != own => return Err(self.mismatch("body")),
                    (id, own) => id.or(own),
                };
                let document = NewDocument::new(body);
                let document = match id {
                    Some(id) => document.with_id(id),
                    None => document,
                };
                BatchOperation::Write(DocumentWrite::Create { collection, document })
            }
            Op::Replace => {
                let id = needed(id)?;
                let body = self.without_id(self.object("body", wire.body, Object::parse)?, &id, "body")?;
                BatchOperation::Write(DocumentWrite::Replace { collection, id, body, precondition })
            }
            Op::Patch => {
                let id = needed(id)?;
                let patch = self.without_id(self.object("patch", wire.patch, Object::parse_patch)?, &id, "patch")?;
                BatchOperation::Write(DocumentWrite::Patch { collection, id, patch, precondition })
            }
            Op::Delete => BatchOperation::Write(DocumentWrite::Delete { collection, id: needed(id)?, precondition }),
            Op::Get if precondition == Precondition::Absent => {
                return Err(self.bad_condition("`get` reads a document; `check` asks that there be none"));
            }
            Op::Get => BatchOperation::Get { collection, id: needed(id)?, precondition },
            Op::Check if precondition == Precondition::None => {
                return Err(self.bad_condition("`check` needs `if_match` or `if_none_match`"));
            }
            Op::Check => BatchOperation::Check { collection, id: needed(id)?, precondition },
        })
    }

    fn place(&self, member: &str) -> String {
        format!("/operations/{}/{member}", self.index)
    }

    fn missing(&self, member: &str) -> Error {
        Error::invalid("invalid-body", format!("missing field `{member}`")).with_field(self.place(member))
    }

    fn takes(&self, member: &str, given: bool, taken: bool) -> Result<()> {
        match (given, taken) {
            (true, false) => Err(Error::invalid("invalid-body", format!("this operation takes no `{member}`"))
                .with_field(self.place(member))),
            (false, true) => Err(self.missing(member)),
            _ => Ok(()),
        }
    }

    fn bad_condition(&self, message: &str) -> Error {
        Error::invalid("invalid-condition", message).with_field(format!("/operations/{}", self.index))
    }

    fn mismatch(&self, member: &str) -> Error {
        Error::invalid("id-mismatch", "the id in the content is not the id of the operation")
            .with_field(self.place(&format!("{member}/id")))
    }

    fn id(&self, text: &str, member: &str) -> Result<DocumentId> {
        DocumentId::new(text).map_err(|error| error.with_field(self.place(member)))
    }

    /// The content of an operation, checked as the body of a request of its own is.
    fn object(&self, member: &str, raw: Option<&RawValue>, parse: fn(&[u8]) -> Result<Object>) -> Result<Object> {
        let text = raw.ok_or_else(|| self.missing(member))?.get();
        parse(text.as_bytes()).map_err(|error| {
            let field = format!("{}{}", self.place(member), error.field().unwrap_or_default());
            let start = text.as_ptr().addr().saturating_sub(self.bytes.as_ptr().addr());
            match error.position() {
                Some(position) => error.with_field(field).with_position(start + position),
                None => error.with_field(field),
            }
        })
    }

    fn own_id(&self, object: &mut Object, member: &str) -> Result<Option<DocumentId>> {
        let place = format!("{member}/id");
        let own = object.take_id().map_err(|error| error.with_field(self.place(&place)))?;
        own.map(|id| self.id(&id, &place)).transpose()
    }

    /// A content may repeat the id of its operation, so that what was read can be sent back.
    fn without_id(&self, mut object: Object, id: &DocumentId, member: &str) -> Result<Object> {
        match self.own_id(&mut object, member)? {
            Some(own) if own != *id => Err(self.mismatch(member)),
            _ => Ok(object),
        }
    }

    fn precondition(&self, matching: Option<&Value>, none_matching: Option<&Value>) -> Result<Precondition> {
        let wrong = |member: &str, message: &str| {
            Err(Error::invalid("invalid-condition", message).with_field(self.place(member)))
        };
        match (matching, none_matching) {
            (None, None) => Ok(Precondition::None),
            (Some(_), Some(_)) => wrong("if_match", "give `if_match` or `if_none_match`, not both"),
            (None, Some(Value::String(star))) if star == "*" => Ok(Precondition::Absent),
            (None, Some(_)) => wrong("if_none_match", "`if_none_match` is \"*\": there must be no document"),
            (Some(Value::String(star)), None) if star == "*" => Ok(Precondition::Exists),
            (Some(value), None) => match revisions(value) {
                Some(revisions) => Ok(Precondition::Revision(revisions)),
                None => wrong("if_match", "`if_match` is \"*\", a revision, or an array of 1 to 100 revisions"),
            },
        }
    }
}

fn revisions(value: &Value) -> Option<Vec<String>> {
    let texts = match value {
        Value::String(_) => std::slice::from_ref(value),
        Value::Array(items) if (1..=MOST_REVISIONS).contains(&items.len()) => items,
        _ => return None,
    };
    let revision = |text: &Value| text.as_str().filter(|text| !text.is_empty() && *text != "*").map(str::to_owned);
    texts.iter().map(revision).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(text: &str) -> (String, String, Option<usize>) {
        let error = batch(&Bytes::copy_from_slice(text.as_bytes())).unwrap_err();
        (error.code().to_owned(), error.field().unwrap_or("-").to_owned(), error.position())
    }

    fn place(text: &str) -> (String, String) {
        let (code, field, _) = fail(&format!(r#"{{"operations":[{text}]}}"#));
        (code, field.strip_prefix("/operations/0").unwrap_or(&field).to_owned())
    }

    #[test]
    fn a_batch_is_read() {
        let text = r#"{"operations":[
            {"op":"create","collection":"a","body":{"id":"x","n":1}},
            {"op":"create","collection":"a","id":"y","body":{}},
            {"op":"replace","collection":"a","id":"x","body":{"n":2,"id":"x","_meta":{}},"if_none_match":"*"},
            {"op":"patch","collection":"a","id":"x","patch":{"n":{"$inc":1}},"if_match":["r-1","r-2"]},
            {"op":"get","collection":"b","id":"x","if_match":"*"},
            {"op":"check","collection":"b","id":"x","if_match":"r-1"},
            {"op":"delete","collection":"a","id":"x"}]}"#;
        let batch = batch(&Bytes::copy_from_slice(text.as_bytes())).unwrap();
        let keys: Vec<_> = batch.operations().iter().map(|operation| operation.key().unwrap().1.as_str()).collect();
        assert_eq!(keys, ["x", "y", "x", "x", "x", "x", "x"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let at = |code: &str, field: &str| (code.to_owned(), field.to_owned());
        for (text, code, field) in [
            (r#"{"op":"upsert","collection":"a","id":"x"}"#, "invalid-body", "/op"),
            (r#"{"op":5,"collection":"a","id":"x"}"#, "invalid-body", "/op"),
            (r#"{"collection":"a","id":"x"}"#, "invalid-body", "/op"),
            (r#"{"op":"get","id":"x"}"#, "invalid-body", "/collection"),
            (r#"{"op":"get","collection":"A b","id":"x"}"#, "invalid-collection", "/collection"),
            (r#"{"op":"get","collection":"a"}"#, "invalid-body", "/id"),
            (r#"{"op":"get","collection":"a","id":null}"#, "invalid-body", "/id"),
            (r#"{"op":"get","collection":"a","id":7}"#, "invalid-body", "/id"),
            (r#"{"op":"get","collection":"a","id":"_x"}"#, "invalid-id", "/id"),
            (r#"{"op":"get","collection":"a","id":"x","body":{}}"#, "invalid-body", "/body"),
            (r#"{"op":"get","collection":"a","id":"x","if_none_match":"*"}"#, "invalid-condition", ""),
            (r#"{"op":"check","collection":"a","id":"x"}"#, "invalid-condition", ""),
            (r#"{"op":"check","collection":"a","id":"x","if_match":5}"#, "invalid-condition", "/if_match"),
            (r#"{"op":"check","collection":"a","id":"x","if_match":[]}"#, "invalid-condition", "/if_match"),
            (r#"{"op":"check","collection":"a","id":"x","if_match":["a",1]}"#, "invalid-condition", "/if_match"),
            (r#"{"op":"check","collection":"a","id":"x","if_match":["*"]}"#, "invalid-condition", "/if_match"),
            (r#"{"op":"check","collection":"a","id":"x","if_none_match":"r"}"#, "invalid-condition", "/if_none_match"),
            (
                r#"{"op":"check","collection":"a","id":"x","if_match":"r","if_none_match":"*"}"#,
                "invalid-condition",
                "/if_match",
            ),
            (r#"{"op":"create","collection":"a"}"#, "invalid-body", "/body"),
            (r#"{"op":"create","collection":"a","body":null}"#, "invalid-body", "/body"),
            (r#"{"op":"create","collection":"a","body":[1]}"#, "not-an-object", "/body"),
            (r#"{"op":"create","collection":"a","body":{"a":{"$inc":1}}}"#, "reserved-key", "/body/a/$inc"),
            (r#"{"op":"create","collection":"a","body":{},"if_match":"*"}"#, "invalid-condition", ""),
            (r#"{"op":"create","collection":"a","id":"x","body":{"id":"y"}}"#, "id-mismatch", "/body/id"),
            (r#"{"op":"create","collection":"a","body":{"id":5}}"#, "invalid-id", "/body/id"),
            (r#"{"op":"create","collection":"a","body":{},"patch":{}}"#, "invalid-body", "/patch"),
            (r#"{"op":"patch","collection":"a","id":"x","body":{}}"#, "invalid-body", "/body"),
            (r#"{"op":"patch","collection":"a","id":"x"}"#, "invalid-body", "/patch"),
            (r#"{"op":"replace","collection":"a","body":{}}"#, "invalid-body", "/id"),
            (r#"{"op":"replace","collection":"a","id":"x","body":{"id":"y"}}"#, "id-mismatch", "/body/id"),
            (r#"{"op":"delete","collection":"a","id":"x","extra":1}"#, "invalid-body", "/extra"),
            (r#"{"op":"delete","op":"get","collection":"a","id":"x"}"#, "invalid-body", "/op"),
            ("5", "invalid-body", ""),
            ("null", "invalid-body", ""),
        ] {
            assert_eq!(place(text), at(code, field), "{text}");
        }
    }

    #[test]
    fn a_content_says_at_which_byte_it_is_wrong() {
        let text = r#"{"operations":[{"op":"get","collection":"a","id":"x"},{"op":"create","collection":"a","body":{"n":1e400}}]}"#;
        let (code, field, position) = fail(text);
        assert_eq!((code.as_str(), field.as_str()), ("number-out-of-range", "/operations/1/body/n"));
        let position = position.unwrap();
        assert!(text.get(position..).unwrap().starts_with("1e400"), "{position}");
        assert_eq!(
            fail(r#"{"operations":[{"op":"create","collection":"a","body":{"n":1,"n":2}}]}"#).0,
            "duplicate-key"
        );
    }

    #[test]
    fn the_whole_has_a_form() {
        for (text, code, field) in [
            ("", "invalid-json", "-"),
            ("[]", "invalid-body", ""),
            ("{}", "invalid-body", "/operations"),
            (r#"{"operations":null}"#, "invalid-body", "/operations"),
            (r#"{"operations":{}}"#, "invalid-body", "/operations"),
            (r#"{"operations":[],"more":1}"#, "invalid-body", "/more"),
        ] {
            let (found, place, _) = fail(text);
            assert_eq!((found.as_str(), place.as_str()), (code, field), "{text}");
        }
        let many = |count: usize| {
            let one = r#"{"op":"get","collection":"a","id":"x"}"#;
            format!(r#"{{"operations":[{}]}}"#, vec![one; count].join(","))
        };
        assert_eq!(batch(&many(500).into()).unwrap().operations().len(), 500);
        assert_eq!(fail(&many(501)).0, "batch-too-large");
        assert_eq!(batch(&many(0).into()).unwrap().operations().len(), 0);
    }
}
