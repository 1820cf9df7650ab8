//! Field selection: which members of documents an answer shows.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    collections::name_list::{field, split},
    error::{Error, Result},
    expr::Field,
};

/// How many fields a selection names at most.
pub const MAX_FIELDS: usize = 64;

/// The members that are wanted. The id and what stands under `_meta` are always shown.
///
/// ```
/// use universal_core::collections::Fields;
/// let fields = Fields::parse("title,author.name")?;
/// assert_eq!(fields.iter().count(), 2);
/// # Ok::<(), universal_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields {
    named: Vec<Field>,
    tree: Tree,
}

/// The names that are wanted within an object.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tree {
    whole: bool,
    within: BTreeMap<Arc<str>, Tree>,
}

impl Fields {
    /// Reads fields separated by commas, at most [`MAX_FIELDS`]; `id`, `_meta` and `meta.…` may stand among them and
    /// change nothing.
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn parse(text: &str) -> Result<Self> {
        let mut fields = Self::default();
        let parts = split(text);
        if let Some((begin, _)) = parts.get(MAX_FIELDS) {
            let message = format!("at most {MAX_FIELDS} fields are selected");
            return Err(Error::invalid("invalid-fields", message).with_field("fields").with_position(*begin));
        }
        for part in parts {
            if part.1.trim() == "_meta" {
                continue;
            }
            let field = field(part, "invalid-fields", "fields")?;
            if let Field::Document(names) = &field {
                let tree =
                    names.iter().fold(&mut fields.tree, |tree, name| tree.within.entry(Arc::clone(name)).or_default());
                tree.whole = true;
                fields.named.push(field);
            }
        }
        Ok(fields)
    }

    /// The members that are named.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.named.iter()
    }

    /// The members that are left. A path goes into the objects of arrays; what holds no object on it is left out.
    pub(crate) fn project(&self, members: &Map<String, Value>) -> Map<String, Value> {
        self.tree.object(members)
    }
}

impl Tree {
    fn object(&self, members: &Map<String, Value>) -> Map<String, Value> {
        let shown =
            self.within.iter().filter_map(|(name, tree)| Some((name.to_string(), tree.value(members.get(&**name)?)?)));
        shown.collect()
    }

    fn value(&self, value: &Value) -> Option<Value> {
        if self.whole {
            return Some(value.clone());
        }
        match value {
            Value::Object(members) => Some(Value::Object(self.object(members))),
            Value::Array(items) => Some(Value::Array(items.iter().filter_map(|item| self.value(item)).collect())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_selected_by_path() {
        let body = json!({
            "title": "Emma", "author": {"name": "Jane", "born": 1775}, "tags": ["a"],
            "parts": [{"n": 1, "x": 2}, 3, {"x": 4}, [{"n": 5}]], "id": "never",
        });
        for (text, expected) in [
            ("title", json!({"title": "Emma"})),
            ("author.name,title", json!({"title": "Emma", "author": {"name": "Jane"}})),
            ("author.name,author", json!({"author": {"name": "Jane", "born": 1775}})),
            ("parts.n", json!({"parts": [{"n": 1}, {}, [{"n": 5}]]})),
            ("author.none", json!({"author": {}})),
            ("title.more,tags.more,none", json!({"tags": []})),
            ("id,_meta, meta.owner", json!({})),
            ("doc[\"tags\"]", json!({"tags": ["a"]})),
        ] {
            let shown = Fields::parse(text).unwrap().project(body.as_object().unwrap());
            assert_eq!(Value::Object(shown), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for (text, position) in
            [("", 0), ("a,,b", 2), ("a,b-c", 3), ("a,1", 2), ("a;b", 1), ("caller.id", 0), ("a,meta.x", 2)]
        {
            let error = Fields::parse(text).unwrap_err();
            assert_eq!(
                (error.code(), error.position(), error.field()),
                ("invalid-fields", Some(position), Some("fields")),
                "{text}"
            );
        }
        assert_eq!(Fields::parse(&vec!["a"; 65].join(",")).unwrap_err().code(), "invalid-fields");
        assert!(Fields::parse(&vec!["a"; 64].join(",")).is_ok());
    }
}
