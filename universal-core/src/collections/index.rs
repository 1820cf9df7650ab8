//! The indexes of a collection, and the entries that a document has in them.
//!
//! An index is rows: for each document one entry, whose key is the indexed fields as bytes in the total order
//! ([`key`](crate::json::key)). Entries are written in the commit of their document.

use std::sync::Arc;

use crate::{
    collections::query::{Direction, Sort},
    error::{Error, ErrorKind, Result},
    expr::{Environment, Field},
    json::{
        key::{self, Rest},
        order::{RANK_NULL, SortKey},
    },
};

/// How many indexes a collection has at most.
pub(crate) const MAX_INDEXES: usize = 16;
/// How many fields an index has at most.
pub(crate) const MAX_INDEX_FIELDS: usize = 4;

/// An index that writes maintain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Index {
    /// Its number in the tenant, never given twice.
    pub(crate) id: i64,
    /// Its name in the collection.
    pub(crate) name: Arc<str>,
    /// What it holds, in this order.
    pub(crate) fields: Vec<Sort>,
    /// Whether no two documents may have the same values.
    pub(crate) unique: bool,
    /// Whether it holds every document; until then it is written and not read.
    pub(crate) ready: bool,
    /// Whether the key of some document holds a text that was cut, so that the order of keys is not that of values.
    pub(crate) cut: bool,
}

/// One row of an index, but for the document's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The index's number.
    pub(crate) index: i64,
    /// The fields as bytes.
    pub(crate) key: Vec<u8>,
    /// Whether no other document may have this key.
    pub(crate) exclusive: bool,
    /// Whether a text was cut.
    pub(crate) cut: bool,
}

/// What an update does to the entries of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Entries that are no longer.
    pub(crate) gone: Vec<Entry>,
    /// Entries that are new.
    pub(crate) new: Vec<Entry>,
}

impl Index {
    /// The entry of a document.
    pub(crate) fn entry(&self, document: &Environment<'_>) -> Entry {
        let values = self.fields.iter().map(|part| part.field.sort_key(document));
        self.entry_of(values)
    }

    /// The entry of a document with these values of the fields.
    pub(crate) fn entry_of(&self, values: impl IntoIterator<Item = SortKey>) -> Entry {
        let mut entry = Entry { index: self.id, key: Vec::new(), exclusive: self.unique, cut: false };
        for (part, value) in self.fields.iter().zip(values) {
            // Nothing is no value that another could have too.
            entry.exclusive &= value.rank > RANK_NULL;
            entry.cut |= key::write(&mut entry.key, &value, part.direction == Direction::Descending, self.rest());
        }
        entry
    }

    /// What its keys keep of long texts.
    pub(crate) fn rest(&self) -> Rest {
        if self.unique { Rest::Hashed } else { Rest::Dropped }
    }

    /// Its fields as settings write them.
    pub(crate) fn field_texts(&self) -> Vec<String> {
        self.fields.iter().map(field_text).collect()
    }

    /// The error of a write that would give two documents the same values. It tells nothing of the other document.
    pub(crate) fn violation(&self, hidden: bool) -> Error {
        if hidden {
            let message = "another document has values that a unique index of this collection does not allow twice";
            return Error::new(ErrorKind::Conflict, "unique-violation", message);
        }
        let fields = self.field_texts().join(", ");
        let message = format!("the index `{}` is unique, and another document has the same {fields}", self.name);
        let error = Error::new(ErrorKind::Conflict, "unique-violation", message);
        match self.fields.as_slice() {
            [Sort { field: Field::Document(names), .. }] => error.with_field(pointer(names)),
            _ => error,
        }
    }
}

impl Entry {
    /// What stands after the key in the row's primary key: nothing where the key must be unique.
    pub(crate) fn tie<'d>(&self, document: &'d str) -> &'d str {
        if self.exclusive { "" } else { document }
    }

    /// The document's id, where [`tie`](Self::tie) does not say it.
    pub(crate) fn named<'d>(&self, document: &'d str) -> Option<&'d str> {
        self.exclusive.then_some(document)
    }
}

impl Difference {
    /// From the entries that a document had to those that it has; `None` stands for a document that is not there.
    pub(crate) fn between(
        indexes: &[Index],
        before: Option<&Environment<'_>>,
        after: Option<&Environment<'_>>,
    ) -> Self {
        let mut difference = Self::default();
        for index in indexes {
            let gone = before.map(|document| index.entry(document));
            let new = after.map(|document| index.entry(document));
            if gone != new {
                difference.gone.extend(gone);
                difference.new.extend(new);
            }
        }
        difference
    }
}

/// Reads the fields of an index, written as in `sort`.
///
/// # Errors
/// `Invalid` for what is no field, for too many and for one that stands twice.
pub(crate) fn parse_fields(texts: &[String]) -> Result<Vec<Sort>> {
    let invalid = |message: &str| Error::invalid("invalid-index", message.to_owned());
    if texts.is_empty() || texts.len() > MAX_INDEX_FIELDS {
        return Err(invalid(&format!("an index has 1 to {MAX_INDEX_FIELDS} fields")));
    }
    let mut fields: Vec<Sort> = Vec::with_capacity(texts.len());
    for text in texts {
        let parsed = Sort::parse(text).map_err(|error| invalid(error.message()))?;
        let [part] = parsed.as_slice() else { return Err(invalid("a field of an index is one field")) };
        if part.field == Field::Revision {
            return Err(invalid("`meta.revision` cannot be indexed"));
        }
        if fields.iter().any(|field| field.field == part.field) {
            return Err(invalid("a field stands in an index once"));
        }
        fields.push(part.clone());
    }
    Ok(fields)
}

/// A field as settings write it: `-doc.priority`.
pub(crate) fn field_text(part: &Sort) -> String {
    let sign = if part.direction == Direction::Descending { "-" } else { "" };
    format!("{sign}{}", part.field)
}

/// The member as a JSON pointer (RFC 6901).
fn pointer(names: &[Arc<str>]) -> String {
    names.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn index(id: i64, fields: &[&str], unique: bool) -> Index {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let fields = parse_fields(&fields).unwrap();
        Index { id, name: "by".into(), fields, unique, ready: true, cut: false }
    }

    fn members(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn an_update_touches_only_the_entries_that_change() {
        let indexes = [index(1, &["a"], false), index(2, &["-b", "a"], false), index(3, &["meta.owner"], false)];
        let (before, after) = (members(json!({"a": 1, "b": 2})), members(json!({"a": 1, "b": 3})));
        let (before, after) = (Environment::new("x", &before), Environment::new("x", &after));
        let difference = Difference::between(&indexes, Some(&before), Some(&after));
        assert_eq!(difference.gone, [indexes[1].entry(&before)]);
        assert_eq!(difference.new, [indexes[1].entry(&after)]);
        assert_eq!(Difference::between(&indexes, Some(&before), Some(&before)), Difference::default());
        assert_eq!(Difference::between(&indexes, None, Some(&after)).new.len(), 3);
        assert_eq!(Difference::between(&indexes, Some(&before), None).gone.len(), 3);
    }

    #[test]
    fn nothing_is_not_a_value_that_must_be_unique() {
        let unique = index(1, &["a", "b"], true);
        for (document, exclusive) in
            [(json!({"a": 1, "b": 2}), true), (json!({"a": 1}), false), (json!({"a": 1, "b": null}), false)]
        {
            let document = members(document);
            let entry = unique.entry(&Environment::new("x", &document));
            assert_eq!(
                (entry.exclusive, entry.tie("x"), entry.named("x")),
                if exclusive { (true, "", Some("x")) } else { (false, "x", None) }
            );
        }
    }

    #[test]
    fn long_texts_stay_different_where_they_must_be_unique() {
        let (one, other) = ("x".repeat(300), format!("{}y", "x".repeat(299)));
        let entry = |unique, text: &str| {
            let document = members(json!({"a": text}));
            index(1, &["a"], unique).entry(&Environment::new("x", &document))
        };
        assert_eq!(entry(false, &one), entry(false, &other));
        assert_ne!(entry(true, &one), entry(true, &other));
        assert!(entry(true, &one).cut);
    }

    #[test]
    fn fields_that_cannot_be_indexed_are_refused() {
        for fields in
            [&[] as &[&str], &["a,b"], &["a", "-a"], &["meta.revision"], &["a", "b", "c", "d", "e"], &["caller.id"]]
        {
            let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
            assert_eq!(parse_fields(&fields).unwrap_err().code(), "invalid-index", "{fields:?}");
        }
        assert_eq!(index(1, &["-a.b", "meta.created_at"], false).field_texts(), ["-doc.a.b", "meta.created_at"]);
    }

    #[test]
    fn a_violation_tells_nothing_of_the_other_document() {
        let error = index(1, &["email"], true).violation(false);
        assert_eq!((error.code(), error.field()), ("unique-violation", Some("/email")));
        assert!(error.message().contains("`by`") && error.message().contains("doc.email"));
        let error = index(1, &["email"], true).violation(true);
        assert!(error.field().is_none() && !error.message().contains("by`") && !error.message().contains("email"));
    }
}
