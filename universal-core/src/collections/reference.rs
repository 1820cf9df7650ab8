//! What a document refers to.

use serde_json::{Map, Value};

use crate::{
    collections::{configured::Configured, member::Path, settings::OnDelete},
    error::{Error, ErrorKind, Result},
    id::{CollectionName, DocumentId},
};

/// How many documents one member names at most.
const MOST: usize = 1000;

/// One document that a member names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    /// The member.
    pub(crate) path: &'a Path,
    /// The collection of the document.
    pub(crate) collection: &'a CollectionName,
    /// Its id.
    pub(crate) id: DocumentId,
    /// Where the id stands among the members of an array.
    index: Option<usize>,
}

impl Named<'_> {
    /// The place of the id as a JSON pointer.
    pub(crate) fn pointer(&self) -> String {
        pointer(self.path, self.index)
    }

    /// Whether it names the same document at the same member.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.path == other.path && self.id == other.id
    }
}

/// The documents that `members` name where their deletion has a consequence, each once a member.
///
/// # Errors
/// `Unprocessable` `invalid-reference` with the place for what is neither null, an id, nor an array of ids.
pub(crate) fn named<'a>(configured: &'a Configured, members: &Map<String, Value>) -> Result<Vec<Named<'a>>> {
    let mut found = Vec::new();
    for (path, collection) in binding(configured) {
        found.append(&mut named_at(path, collection, members)?);
    }
    Ok(found)
}

/// The same of a document that is stored, and may not fit settings which are newer: what does not fit names nothing.
pub(crate) fn fitting<'a>(configured: &'a Configured, members: &Map<String, Value>) -> Vec<Named<'a>> {
    binding(configured).flat_map(|(path, collection)| named_at(path, collection, members).unwrap_or_default()).collect()
}

fn binding(configured: &Configured) -> impl Iterator<Item = (&Path, &CollectionName)> {
    let binds = |(.., on_delete): &&(Path, CollectionName, OnDelete)| *on_delete != OnDelete::Nothing;
    configured.references().iter().filter(binds).map(|(path, collection, _)| (path, collection))
}

fn named_at<'a>(
    path: &'a Path,
    collection: &'a CollectionName,
    members: &Map<String, Value>,
) -> Result<Vec<Named<'a>>> {
    let one = |value: &Value, index: Option<usize>| {
        let id = value.as_str().ok_or_else(|| invalid(path, index, "it is the id of a document"))?;
        let id = DocumentId::new(id).map_err(|error| invalid(path, index, error.message()))?;
        Ok(Named { path, collection, id, index })
    };
    let mut found = match path.get(members) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(values)) if values.len() > MOST => {
            return Err(invalid(path, None, &format!("it names at most {MOST} documents")));
        }
        Some(Value::Array(values)) => {
            values.iter().enumerate().map(|(index, value)| one(value, Some(index))).collect::<Result<Vec<_>>>()?
        }
        Some(value) => return Ok(vec![one(value, None)?]),
    };
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    Ok(found)
}

/// Whether the member at `path` names the document `id`.
pub(crate) fn names(path: &Path, members: &Map<String, Value>, id: &DocumentId) -> bool {
    let is = |value: &Value| value.as_str() == Some(id.as_str());
    match path.get(members) {
        Some(Value::Array(values)) => values.iter().any(is),
        Some(value) => is(value),
        None => false,
    }
}

/// The error of a reference to a document that is not there.
pub(crate) fn not_found(named: &Named<'_>) -> Error {
    let message = format!("there is no document with this id in `{}`", named.collection);
    Error::new(ErrorKind::Unprocessable, "reference-not-found", message).with_field(named.pointer())
}

fn invalid(path: &Path, index: Option<usize>, reason: &str) -> Error {
    let message = format!("this member refers to documents by an id, an array of ids, or null: {reason}");
    Error::new(ErrorKind::Unprocessable, "invalid-reference", message).with_field(pointer(path, index))
}

fn pointer(path: &Path, index: Option<usize>) -> String {
    match index {
        Some(index) => format!("{}/{index}", path.pointer()),
        None => path.pointer(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::collections::settings::{CollectionSettings, Reference};

    fn found(members: &Value) -> Result<Vec<(String, String)>> {
        let to = |on_delete| Reference::to("people").with_on_delete(on_delete);
        let settings = CollectionSettings::new()
            .with_reference("author", to(OnDelete::Refuse))
            .with_reference("seen.by", to(OnDelete::Cascade))
            .with_reference("free", to(OnDelete::Nothing));
        let configured = Configured::compile(settings, 1)?;
        let named = named(&configured, members.as_object().unwrap())?;
        Ok(named.iter().map(|named| (named.path.to_string(), named.id.to_string())).collect())
    }

    #[test]
    fn a_member_names_documents_by_an_id_an_array_or_not_at_all() {
        let members = json!({"author": "a", "seen": {"by": ["b", "a", "b"]}, "free": 5});
        let pair = |path: &str, id: &str| (path.to_owned(), id.to_owned());
        let expected = [pair("doc.author", "a"), pair("doc.seen.by", "a"), pair("doc.seen.by", "b")];
        assert_eq!(found(&members).unwrap(), expected);
        assert_eq!(found(&json!({"author": null, "seen": {"by": []}})).unwrap(), []);
        assert_eq!(found(&json!({})).unwrap(), []);
    }

    #[test]
    fn anything_else_is_refused_with_its_place() {
        let many: Vec<_> = (0..=MOST).map(|n| n.to_string()).collect();
        for (members, place) in [
            (json!({"author": 5}), "/author"),
            (json!({"author": {"id": "a"}}), "/author"),
            (json!({"author": "_a"}), "/author"),
            (json!({"seen": {"by": ["a", null]}}), "/seen/by/1"),
            (json!({"seen": {"by": many}}), "/seen/by"),
        ] {
            let error = found(&members).unwrap_err();
            assert_eq!((error.code(), error.field()), ("invalid-reference", Some(place)));
        }
    }
}
