//! JSON as documents hold it: one form of a number, the total order, merge patches and field operations.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::world::{Refusal, refusal};

/// A value as it is stored: a double whose value is an integer within 64 bits is that integer.
pub(super) fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let double = number.as_f64().unwrap();
            let fits =
                double.fract() == 0.0 && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&double);
            #[expect(clippy::cast_possible_truncation, reason = "it is an integer within the range")]
            if fits { json!(double as i64) } else { value.clone() }
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), canonical(value))).collect())
        }
        _ => value.clone(),
    }
}

/// The order of numbers by their exact values.
fn numbers(a: &Value, b: &Value) -> Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(a), None) => integer_to_double(a, b.as_f64().unwrap()),
        (None, Some(b)) => integer_to_double(b, a.as_f64().unwrap()).reverse(),
        (None, None) => a.as_f64().unwrap().partial_cmp(&b.as_f64().unwrap()).unwrap(),
    }
}

/// A stored double is no integer within 64 bits: it has a fraction, and is then below 2^53, or lies beyond all of them.
fn integer_to_double(integer: i64, double: f64) -> Ordering {
    if double.abs() >= 9_007_199_254_740_992.0 {
        return if double > 0.0 { Ordering::Less } else { Ordering::Greater };
    }
    // The part before the point is exact, and the fraction puts the double above it, or below if it is negative.
    #[expect(clippy::cast_possible_truncation, reason = "it is below 2^53")]
    let whole = double.trunc() as i64;
    let above = if double > 0.0 { Ordering::Less } else { Ordering::Greater };
    integer.cmp(&whole).then(above)
}

fn rank(value: Option<&Value>) -> u8 {
    match value {
        None => 0,
        Some(Value::Null) => 1,
        Some(Value::Bool(false)) => 2,
        Some(Value::Bool(true)) => 3,
        Some(Value::Number(_)) => 4,
        Some(Value::String(_)) => 5,
        Some(Value::Array(_) | Value::Object(_)) => 6,
    }
}

/// The total order; what is missing comes first, arrays and objects tie.
pub(super) fn order(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    rank(a).cmp(&rank(b)).then_with(|| match (a, b) {
        (Some(a @ Value::Number(_)), Some(b @ Value::Number(_))) => numbers(a, b),
        (Some(Value::String(a)), Some(Value::String(b))) => a.as_bytes().cmp(b.as_bytes()),
        _ => Ordering::Equal,
    })
}

/// The order of `<` in filters: of two numbers, two texts or two truth values.
pub(super) fn comparable(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_))
        | (Value::Bool(_), Value::Bool(_)) => Some(order(Some(a), Some(b))),
        _ => None,
    }
}

/// A merge patch (RFC 7396) with field operations.
pub(super) fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>, now: &str) -> Result<(), Refusal> {
    for (name, value) in patch {
        if name.starts_with('$') {
            return Err(refusal("Invalid", "misplaced-operation"));
        }
        match value {
            Value::Null => {
                target.remove(name);
            }
            Value::Object(inner) if inner.len() == 1 && inner.keys().all(|name| name.starts_with('$')) => {
                let (operation, operand) = inner.iter().next().unwrap();
                if let Some(changed) = operate(operation, operand, target.get(name), now)? {
                    target.insert(name.clone(), changed);
                }
            }
            Value::Object(inner) => {
                let mut members = match target.remove(name) {
                    Some(Value::Object(members)) => members,
                    _ => Map::new(),
                };
                merge(&mut members, inner, now)?;
                target.insert(name.clone(), Value::Object(members));
            }
            other => {
                target.insert(name.clone(), canonical(other));
            }
        }
    }
    Ok(())
}

/// The value of a field after an operation, or nothing where it stays as it is.
fn operate(operation: &str, operand: &Value, stored: Option<&Value>, now: &str) -> Result<Option<Value>, Refusal> {
    let misfit = || refusal("Invalid", "operation-does-not-fit");
    let operand = canonical(operand);
    let array = || match stored {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items.clone()),
        Some(_) => Err(misfit()),
    };
    Ok(match operation {
        "$inc" => {
            let stored = stored.cloned().unwrap_or(json!(0));
            if let (Some(a), Some(b)) = (stored.as_i64(), operand.as_i64()) {
                let sum = a.checked_add(b).ok_or_else(|| refusal("Invalid", "integer-out-of-range"))?;
                return Ok(Some(json!(sum)));
            }
            let (Value::Number(a), Value::Number(b)) = (&stored, &operand) else { return Err(misfit()) };
            let sum = a.as_f64().unwrap() + b.as_f64().unwrap();
            if !sum.is_finite() {
                return Err(misfit());
            }
            Some(canonical(&json!(sum)))
        }
        "$append" => {
            let mut items = array()?;
            items.push(operand);
            Some(Value::Array(items))
        }
        "$add_unique" => {
            let mut items = array()?;
            if items.contains(&operand) {
                return Ok(None);
            }
            items.push(operand);
            Some(Value::Array(items))
        }
        "$remove" => {
            let mut items = array()?;
            items.retain(|item| *item != operand);
            stored.is_some().then_some(Value::Array(items))
        }
        "$now" if operand == json!(true) => Some(now.into()),
        "$now" => return Err(misfit()),
        "$set_if_absent" => stored.is_none().then_some(operand),
        _ => return Err(refusal("Invalid", "unknown-operation")),
    })
}
