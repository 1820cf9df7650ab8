//! JSON Schema (draft 2020-12) for the documents of a collection, over the crate `jsonschema`.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    collections::member::Path,
    error::{Error, ErrorKind, Result},
};

/// The largest schema, in bytes of JSON.
const LARGEST: usize = 64 * 1024;

/// A checked schema.
pub(crate) struct Schema(jsonschema::Validator);

impl Schema {
    /// Compiles a schema. References may only go to places within it; patterns are matched in linear time.
    ///
    /// # Errors
    /// `Invalid` `invalid-schema` with what is wrong and where.
    pub(crate) fn compile(schema: &Value) -> Result<Self> {
        if schema.to_string().len() > LARGEST {
            return Err(invalid("a schema has at most 64 KiB"));
        }
        let options = jsonschema::draft202012::options()
            .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(256 * 1024))
            .should_validate_formats(true);
        match options.build(schema) {
            Ok(validator) => Ok(Self(validator)),
            Err(error) => Err(invalid(&format!(
                "the schema is not valid at `{}`: {}",
                error.instance_path(),
                cut(&error.to_string())
            ))),
        }
    }

    /// Whether a document fits. Nothing is told of the places that are `hidden`.
    ///
    /// # Errors
    /// `Unprocessable` `schema-violation` with the first member that does not fit.
    pub(crate) fn check(&self, members: &Map<String, Value>, hidden: &[Path]) -> Result<()> {
        // The validator asks for a `Value`; the members go into one and come back nowhere.
        let value = Value::Object(members.clone());
        // Asked first, because it looks at no part of a schema twice; what is wrong is looked for only then.
        if self.0.is_valid(&value) {
            return Ok(());
        }
        let Err(error) = self.0.validate(&value) else { return Ok(()) };
        // Values are left out: the caller may not see all of them.
        let text = cut(&error.masked().to_string());
        let message = format!("the document does not fit the schema of its collection: {text}");
        let violation = Error::new(ErrorKind::Unprocessable, "schema-violation", message);
        let place = error.instance_path().to_string();
        if hidden.iter().any(|path| place.starts_with(&path.pointer())) {
            return Err(violation);
        }
        Err(violation.with_field(place))
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema")
    }
}

/// Messages quote values, which may be large.
fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(300).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn invalid(message: &str) -> Error {
    Error::invalid("invalid-schema", message).with_field("/schema")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: &Value, document: &Value) -> Result<()> {
        Schema::compile(schema)?.check(document.as_object().unwrap(), &[])
    }

    #[test]
    fn a_document_that_does_not_fit_says_where() {
        let schema = json!({"properties": {"a": {"items": {"type": "integer"}}}, "required": ["b"]});
        let error = check(&schema, &json!({"a": [1, "x"], "b": 1})).unwrap_err();
        assert_eq!((error.code(), error.field()), ("schema-violation", Some("/a/1")));
        assert_eq!(check(&schema, &json!({"a": [1]})).unwrap_err().code(), "schema-violation");
        check(&schema, &json!({"a": [1, 2], "b": null})).unwrap();
        let formats = json!({"properties": {"at": {"format": "date-time"}}});
        assert!(check(&formats, &json!({"at": "yesterday"})).is_err());
        check(&formats, &json!({"at": "2026-01-02T03:04:05Z"})).unwrap();
    }

    #[test]
    fn a_schema_that_is_none_or_reaches_out_is_refused() {
        for schema in [
            json!({"type": "banana"}),
            json!({"$ref": "https://example.org/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"pattern": "(a"}),
            json!({"pattern": "(?=a)b"}),
            json!({"description": "x".repeat(70_000)}),
        ] {
            assert_eq!(Schema::compile(&schema).unwrap_err().code(), "invalid-schema", "{:.60}", schema.to_string());
        }
        Schema::compile(&json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}})).unwrap();
    }
}
