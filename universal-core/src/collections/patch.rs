//! Merge patch (RFC 7396) with field operations.

use serde_json::{Map, Value};

use crate::{
    clock::Timestamp,
    collections::operation,
    error::{Error, Result},
};

/// Applies `patch` to `stored`: members that are `null` are removed, objects are merged, an object
/// whose only member is an operation (`{"$inc": 1}`) is carried out, everything else replaces. `now` is
/// the moment of the write.
///
/// # Errors
/// `Invalid` with the member's JSON pointer for an operation that is unknown or does not fit.
pub fn apply(stored: Value, patch: &Map<String, Value>, now: Timestamp) -> Result<Value> {
    let Value::Object(mut members) = stored else {
        return Err(Error::internal("a stored document is not an object"));
    };
    Merge { pointer: String::new(), now }.members(&mut members, patch)?;
    Ok(Value::Object(members))
}

/// A patch at work: where it is, and when.
struct Merge {
    pointer: String,
    now: Timestamp,
}

impl Merge {
    fn members(&mut self, target: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<()> {
        for (key, value) in patch {
            let mark = self.pointer.len();
            push(&mut self.pointer, key);
            self.member(target, key, value)?;
            self.pointer.truncate(mark);
        }
        Ok(())
    }

    fn member(&mut self, target: &mut Map<String, Value>, key: &str, value: &Value) -> Result<()> {
        if key.starts_with('$') {
            return Err(Error::invalid(
                "misplaced-operation",
                "an operation stands alone in an object, under the field it changes",
            )
            .with_field(self.pointer.as_str()));
        }
        match value {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(inner) => {
                if let Some((name, operand)) = operation_in(inner) {
                    let changed = operation::apply(name, operand, target.get(key), &self.pointer, self.now)?;
                    if let Some(changed) = changed {
                        target.insert(key.to_owned(), changed);
                    }
                    return Ok(());
                }
                let slot = target.entry(key).or_insert_with(|| Value::Object(Map::new()));
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(members) = slot {
                    self.members(members, inner)?;
                }
            }
            other => {
                target.insert(key.to_owned(), other.clone());
            }
        }
        Ok(())
    }
}

fn operation_in(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut members = object.iter();
    match (members.next(), members.next()) {
        (Some((name, operand)), None) if name.starts_with('$') => Some((name, operand)),
        _ => None,
    }
}

/// Adds a member's name to a JSON pointer (RFC 6901).
fn push(pointer: &mut String, key: &str) {
    pointer.push('/');
    for c in key.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            _ => pointer.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(stored: Value, patch: Value) -> Result<Value> {
        apply(stored, patch.as_object().unwrap(), Timestamp::from_micros(0))
    }

    #[test]
    fn merges_as_rfc_7396_shows() {
        let stored = json!({"a": "b", "c": {"d": "e", "f": "g"}});
        assert_eq!(patched(stored, json!({"a": "z", "c": {"f": null}})).unwrap(), json!({"a": "z", "c": {"d": "e"}}));
        assert_eq!(patched(json!({"a": [1]}), json!({"a": {"b": {"c": null}}})).unwrap(), json!({"a": {"b": {}}}));
        assert_eq!(patched(json!({}), json!({"a": [1, null]})).unwrap(), json!({"a": [1, null]}));
    }

    #[test]
    fn increments_count_exactly() {
        assert_eq!(patched(json!({"n": 1}), json!({"n": {"$inc": 2}})).unwrap(), json!({"n": 3}));
        assert_eq!(patched(json!({}), json!({"n": {"$inc": 2}})).unwrap(), json!({"n": 2}));
        assert_eq!(patched(json!({"a": {"n": 1}}), json!({"a": {"n": {"$inc": -1}}})).unwrap(), json!({"a": {"n": 0}}));
        let big = patched(json!({"n": i64::MAX - 1}), json!({"n": {"$inc": 1}})).unwrap();
        assert_eq!(big, json!({"n": i64::MAX}));
    }

    #[test]
    fn an_operation_that_leaves_a_field_as_it_is_makes_none() {
        assert_eq!(patched(json!({}), json!({"a": {"$remove": 1}})).unwrap(), json!({}));
        assert_eq!(patched(json!({}), json!({"a": {"b": {"$append": 1}}})).unwrap(), json!({"a": {"b": [1]}}));
    }

    #[test]
    fn operations_that_do_not_fit_say_where() {
        for (stored, patch, code, field) in [
            (json!({"n": "x"}), json!({"n": {"$inc": 1}}), "operation-does-not-fit", "/n"),
            (json!({"n": i64::MAX}), json!({"n": {"$inc": 1}}), "integer-out-of-range", "/n"),
            (json!({}), json!({"n": {"$inc": "1"}}), "operation-does-not-fit", "/n"),
            (json!({}), json!({"n": {"$boom": 1}}), "unknown-operation", "/n"),
            (json!({}), json!({"$inc": 1}), "misplaced-operation", "/$inc"),
            (json!({}), json!({"a/b": {"$inc": 1, "x": 2}}), "misplaced-operation", "/a~1b/$inc"),
        ] {
            let error = patched(stored, patch).unwrap_err();
            assert_eq!((error.code(), error.field()), (code, Some(field)));
        }
    }
}
