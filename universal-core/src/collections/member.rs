//! Members of a document by their paths.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    collections::name_list::one,
    error::{Error, Result},
    expr::Field,
};

/// The names that lead to a member; at least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path(Arc<[Arc<str>]>);

impl Path {
    /// Reads a path as a filter writes a member: `a.b`, `doc["a-b"]`; a reserved word (`type`) is a member too.
    ///
    /// # Errors
    /// `Invalid` for anything that is no member of a document.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match one(text)? {
            Field::Document(names) => Ok(Self(names)),
            _ => Err(Error::invalid("invalid-field", "expected a member of the document; `id` and `meta` are none")),
        }
    }

    /// The field of expressions that it is.
    pub(crate) fn field(&self) -> Field {
        Field::Document(Arc::clone(&self.0))
    }

    /// Whether `field` is this member, lies within it, or holds it.
    pub(crate) fn touches(&self, field: &Field) -> bool {
        match field {
            Field::Document(names) => self.0.iter().zip(names.iter()).all(|(a, b)| a == b),
            _ => false,
        }
    }

    /// Whether `field` is this member or lies within it.
    pub(crate) fn covers(&self, field: &Field) -> bool {
        matches!(field, Field::Document(names) if names.starts_with(&self.0))
    }

    /// The names behind this member's, if `names` begin with them.
    pub(crate) fn leads_into<'n>(&self, names: &'n [Arc<str>]) -> Option<&'n [Arc<str>]> {
        names.strip_prefix(&*self.0)
    }

    /// The value that stands there.
    pub(crate) fn get<'m>(&self, members: &'m Map<String, Value>) -> Option<&'m Value> {
        let (last, holders) = self.0.split_last()?;
        let holder = holders.iter().try_fold(members, |members, name| members.get(&**name)?.as_object())?;
        holder.get(&**last)
    }

    /// Takes the value out.
    pub(crate) fn remove(&self, members: &mut Map<String, Value>) -> Option<Value> {
        let (last, holders) = self.0.split_last()?;
        let holder = holders.iter().try_fold(members, |members, name| members.get_mut(&**name)?.as_object_mut())?;
        holder.remove(&**last)
    }

    /// Puts a value there and makes the objects on the way; `false` if something that is no object stands in it.
    pub(crate) fn set(&self, members: &mut Map<String, Value>, value: Value) -> bool {
        let Some((last, holders)) = self.0.split_last() else { return false };
        let mut holder = members;
        for name in holders {
            let next = holder.entry(name.to_string()).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(next) = next else { return false };
            holder = next;
        }
        holder.insert(last.to_string(), value);
        true
    }

    /// The path as a JSON pointer (RFC 6901).
    pub(crate) fn pointer(&self) -> String {
        self.0.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.field().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_finds_sets_and_removes() {
        let path = Path::parse("a.b").unwrap();
        let mut members = json!({"a": {"b": 1, "c": 2}}).as_object().unwrap().clone();
        assert_eq!(path.get(&members), Some(&json!(1)));
        assert_eq!(path.remove(&mut members), Some(json!(1)));
        assert_eq!(Value::Object(members.clone()), json!({"a": {"c": 2}}));
        assert!(path.set(&mut members, json!("x")));
        assert!(Path::parse("x.y.z").unwrap().set(&mut members, json!(3)));
        assert_eq!(Value::Object(members.clone()), json!({"a": {"b": "x", "c": 2}, "x": {"y": {"z": 3}}}));
        assert!(!Path::parse("a.b.c").unwrap().set(&mut members, json!(1)));
        assert_eq!(Path::parse("doc[\"a/b\"].c").unwrap().pointer(), "/a~1b/c");
        assert!(Path::parse("meta.owner").is_err());
    }

    #[test]
    fn a_path_touches_what_holds_it_and_what_it_holds() {
        let path = Path::parse("a.b").unwrap();
        for (field, touches) in
            [("a", true), ("a.b", true), ("a.b.c", true), ("a.c", false), ("b", false), ("id", false)]
        {
            assert_eq!(path.touches(&Field::parse(field).unwrap()), touches, "{field}");
        }
    }
}
