//! Field operations: changes that depend on the stored value, decided under the row's lock.

use serde_json::Value;

use crate::error::{Error, Result};

/// The value of a field after the operation `name` with `operand`. `stored` is `None` where the
/// field is missing; `pointer` names it in errors.
///
/// `$inc` adds a number: integers exactly, to an integer; a missing field counts as 0.
///
/// # Errors
/// `Invalid` if the operation is unknown, does not fit the stored value or its operand, or leaves
/// the range of integers.
pub fn apply(name: &str, operand: &Value, stored: Option<&Value>, pointer: &str) -> Result<Value> {
    match name {
        "$inc" => increment(operand, stored, pointer),
        _ => Err(Error::invalid("unknown-operation", format!("`{name}` is no operation; there is `$inc`"))
            .with_field(pointer)),
    }
}

fn increment(operand: &Value, stored: Option<&Value>, pointer: &str) -> Result<Value> {
    let misfit = |message: &str| Error::invalid("operation-does-not-fit", message).with_field(pointer);
    let zero = Value::from(0);
    let stored = stored.unwrap_or(&zero);
    let (Value::Number(by), Value::Number(stored)) = (operand, stored) else {
        return Err(misfit(match operand {
            Value::Number(_) => "`$inc` changes a number, and the field holds something else",
            _ => "`$inc` takes a number",
        }));
    };
    if let (Some(by), Some(stored)) = (by.as_i64(), stored.as_i64()) {
        return stored.checked_add(by).map(Value::from).ok_or_else(|| {
            Error::invalid("integer-out-of-range", "the sum is outside the 64-bit integers").with_field(pointer)
        });
    }
    let sum = by.as_f64().zip(stored.as_f64()).map(|(by, stored)| by + stored);
    let sum = sum.and_then(serde_json::Number::from_f64).ok_or_else(|| misfit("the sum is no finite number"))?;
    Ok(Value::Number(sum))
}
