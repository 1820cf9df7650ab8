//! Field operations: changes that depend on the stored value or the moment, decided under the row's lock.

use serde_json::Value;

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    json::order,
};

/// The names of all operations.
pub const NAMES: [&str; 6] = ["$inc", "$append", "$add_unique", "$remove", "$set_if_absent", "$now"];

/// The value of a field after the operation `name` with `operand`, or `None` to leave the field as it is.
/// `stored` is `None` where the field is missing; `pointer` names it in errors; `now` is the moment of the write.
///
/// | operation | takes | does | a missing field |
/// |---|---|---|---|
/// | `$inc` | a number | adds it, integers exactly and to an integer | counts as 0 |
/// | `$append` | one element | adds it to the end of an array | is an empty array |
/// | `$add_unique` | one element | adds it to the end of an array that holds no equal one | is an empty array |
/// | `$remove` | one element | takes all elements out of an array that are equal to it | stays missing |
/// | `$set_if_absent` | a value | sets a field that is missing; `null` is there | is set |
/// | `$now` | `true` | sets the moment of the write in RFC 3339, as `_meta` shows it | is set |
///
/// Elements are equal as `==` of an expression says: `1` and `1.0` are, `1` and `"1"` are not, the order of
/// members does not count. A field that holds `null` holds something, and no array and no number.
///
/// # Errors
/// `Invalid` if the operation is unknown, does not fit the stored value or its operand, leaves the range of
/// integers, or if the operand holds an operation in its turn.
pub fn apply(
    name: &str,
    operand: &Value,
    stored: Option<&Value>,
    pointer: &str,
    now: Timestamp,
) -> Result<Option<Value>> {
    match name {
        "$inc" => increment(operand, stored, pointer).map(Some),
        "$append" => append(operand, array(name, stored, pointer)?, pointer).map(Some),
        "$add_unique" => {
            let items = array(name, stored, pointer)?;
            let known = items.iter().any(|item| order::equal(item, operand));
            if known { Ok(None) } else { append(operand, items, pointer).map(Some) }
        }
        "$remove" => remove(operand, stored, pointer),
        "$set_if_absent" => {
            plain(operand, pointer)?;
            Ok(stored.is_none().then(|| operand.clone()))
        }
        "$now" => match operand {
            Value::Bool(true) => Ok(Some(Value::from(now.to_string()))),
            _ => Err(misfit("`$now` takes `true`", pointer)),
        },
        _ => Err(Error::invalid("unknown-operation", format!("this is no operation; there are {}", NAMES.join(", ")))
            .with_field(pointer)),
    }
}

fn increment(operand: &Value, stored: Option<&Value>, pointer: &str) -> Result<Value> {
    let zero = Value::from(0);
    let stored = stored.unwrap_or(&zero);
    let (Value::Number(by), Value::Number(stored)) = (operand, stored) else {
        let message = match operand {
            Value::Number(_) => "`$inc` changes a number, and the field holds something else",
            _ => "`$inc` takes a number",
        };
        return Err(misfit(message, pointer));
    };
    if let (Some(by), Some(stored)) = (by.as_i64(), stored.as_i64()) {
        return stored.checked_add(by).map(Value::from).ok_or_else(|| {
            Error::invalid("integer-out-of-range", "the sum is outside the 64-bit integers").with_field(pointer)
        });
    }
    let sum = by.as_f64().zip(stored.as_f64()).map(|(by, stored)| by + stored);
    let sum = sum.and_then(serde_json::Number::from_f64);
    sum.map(Value::Number).ok_or_else(|| misfit("the sum is no finite number", pointer))
}

fn append(operand: &Value, items: &[Value], pointer: &str) -> Result<Value> {
    plain(operand, pointer)?;
    let mut longer = Vec::with_capacity(items.len() + 1);
    longer.extend_from_slice(items);
    longer.push(operand.clone());
    Ok(Value::Array(longer))
}

fn remove(operand: &Value, stored: Option<&Value>, pointer: &str) -> Result<Option<Value>> {
    plain(operand, pointer)?;
    let items = array("$remove", stored, pointer)?;
    let kept: Vec<_> = items.iter().filter(|item| !order::equal(item, operand)).cloned().collect();
    Ok((kept.len() < items.len()).then_some(Value::Array(kept)))
}

fn array<'a>(name: &str, stored: Option<&'a Value>, pointer: &str) -> Result<&'a [Value]> {
    match stored {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(misfit(&format!("`{name}` changes an array, and the field holds something else"), pointer)),
    }
}

/// What is stored holds no operations: they would look like one to the next reader, and never be carried out.
fn plain(operand: &Value, pointer: &str) -> Result<()> {
    let nested = match operand {
        Value::Object(members) => {
            if members.keys().any(|key| key.starts_with('$')) {
                return Err(Error::invalid(
                    "misplaced-operation",
                    "an operation takes a value, and names beginning with `$` are operations",
                )
                .with_field(pointer));
            }
            members.values().collect::<Vec<_>>()
        }
        Value::Array(items) => items.iter().collect(),
        _ => return Ok(()),
    };
    nested.into_iter().try_for_each(|value| plain(value, pointer))
}

fn misfit(message: &str, pointer: &str) -> Error {
    Error::invalid("operation-does-not-fit", message).with_field(pointer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_767_323_045_678_901);

    fn after(name: &str, operand: Value, stored: Option<Value>) -> Result<Option<Value>, (&'static str, String)> {
        apply(name, &operand, stored.as_ref(), "/f", NOW)
            .map_err(|error| (error.code(), error.field().unwrap_or_default().to_owned()))
    }

    #[test]
    fn elements_are_appended_to_an_array() {
        assert_eq!(after("$append", json!(1), None), Ok(Some(json!([1]))));
        assert_eq!(after("$append", json!(1), Some(json!([1]))), Ok(Some(json!([1, 1]))));
        // One element, whatever it is: an array is not taken apart.
        assert_eq!(after("$append", json!([2, 3]), Some(json!([1]))), Ok(Some(json!([1, [2, 3]]))));
        assert_eq!(after("$append", json!(null), Some(json!([]))), Ok(Some(json!([null]))));
    }

    #[test]
    fn an_element_is_added_once() {
        assert_eq!(after("$add_unique", json!("a"), None), Ok(Some(json!(["a"]))));
        assert_eq!(after("$add_unique", json!("b"), Some(json!(["a"]))), Ok(Some(json!(["a", "b"]))));
        assert_eq!(after("$add_unique", json!("a"), Some(json!(["a"]))), Ok(None));
        assert_eq!(after("$add_unique", json!(1.0), Some(json!([1]))), Ok(None));
        assert_eq!(after("$add_unique", json!({"y": 2, "x": 1}), Some(json!([{"x": 1, "y": 2}]))), Ok(None));
        assert_eq!(after("$add_unique", json!("1"), Some(json!([1]))), Ok(Some(json!([1, "1"]))));
    }

    #[test]
    fn all_equal_elements_are_removed() {
        assert_eq!(after("$remove", json!(1), Some(json!([1, 2, 1, "1"]))), Ok(Some(json!([2, "1"]))));
        assert_eq!(after("$remove", json!(1), Some(json!([1]))), Ok(Some(json!([]))));
        assert_eq!(after("$remove", json!(1), Some(json!([2]))), Ok(None));
        assert_eq!(after("$remove", json!(1), None), Ok(None));
    }

    #[test]
    fn only_a_missing_field_is_set_if_absent() {
        assert_eq!(after("$set_if_absent", json!({"a": 1}), None), Ok(Some(json!({"a": 1}))));
        assert_eq!(after("$set_if_absent", json!(null), None), Ok(Some(json!(null))));
        assert_eq!(after("$set_if_absent", json!(1), Some(json!(null))), Ok(None));
        assert_eq!(after("$set_if_absent", json!(1), Some(json!(2))), Ok(None));
    }

    #[test]
    fn now_is_the_moment_of_the_write() {
        assert_eq!(after("$now", json!(true), None), Ok(Some(json!("2026-01-02T03:04:05.678Z"))));
        assert_eq!(after("$now", json!(true), Some(json!(5))), Ok(Some(json!("2026-01-02T03:04:05.678Z"))));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let misfit = Err(("operation-does-not-fit", "/f".to_owned()));
        for name in ["$append", "$add_unique", "$remove"] {
            for stored in [json!(null), json!(1), json!("a"), json!({})] {
                assert_eq!(after(name, json!(1), Some(stored)), misfit, "{name}");
            }
        }
        for operand in [json!(false), json!(null), json!(1), json!("true"), json!({"$now": true})] {
            assert_eq!(after("$now", operand, None), misfit);
        }
        assert_eq!(after("$inc", json!(1), Some(json!(null))), misfit);
        assert_eq!(after("$inc", json!(1e308), Some(json!(1.7e308))), misfit);
        for name in ["$append", "$add_unique", "$remove", "$set_if_absent"] {
            for operand in [json!({"$inc": 1}), json!([{"a": {"$b": 1}}])] {
                let misplaced = Err(("misplaced-operation", "/f".to_owned()));
                assert_eq!(after(name, operand, None), misplaced, "{name}");
            }
        }
        for unknown in ["$", "$INC", "$inc ", "$push", "$set", "$\u{0}"] {
            assert_eq!(after(unknown, json!(1), None), Err(("unknown-operation", "/f".to_owned())), "{unknown}");
        }
    }
}
