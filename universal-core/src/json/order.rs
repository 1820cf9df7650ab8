//! The one total order of values, and equality.
//!
//! missing < null < false < true < numbers < strings by their UTF-8 bytes < arrays and objects, which tie.
//! Integers and doubles compare by their exact values.

use std::cmp::Ordering;

use serde_json::Value;

use crate::json::number::{TWO_63, as_integer};

/// A number as it compares: exact on both sides.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// An integer.
    Integer(i64),
    /// A finite double.
    Double(f64),
}

impl Number {
    /// The number of a JSON number; integers beyond `i64`, which no canonical value has, become doubles.
    #[must_use]
    pub fn of(number: &serde_json::Number) -> Self {
        match number.as_i64() {
            Some(integer) => Self::Integer(integer),
            None => Self::double(number.as_f64().unwrap_or(0.0)),
        }
    }

    /// The number of a finite double, as an integer where it is one.
    #[must_use]
    pub fn double(value: f64) -> Self {
        as_integer(value).map_or(Self::Double(value), Self::Integer)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (*self, *other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            // No number is NaN or -0; if one came in all the same, it ties.
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Self::Integer(a), Self::Double(b)) => integer_to_double(a, b),
            (Self::Double(a), Self::Integer(b)) => integer_to_double(b, a).reverse(),
        }
    }
}

/// Compares without rounding the integer to a double.
fn integer_to_double(integer: i64, double: f64) -> Ordering {
    if double >= TWO_63 {
        return Ordering::Less;
    }
    if double < -TWO_63 {
        return Ordering::Greater;
    }
    let whole = as_integer(double.trunc()).unwrap_or(0);
    integer.cmp(&whole).then_with(|| 0.0.partial_cmp(&double.fract()).unwrap_or(Ordering::Equal))
}

/// Compares two values, or their absence, in the total order.
#[must_use]
pub fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => Number::of(a).cmp(&Number::of(b)),
        (Some(Value::String(a)), Some(Value::String(b))) => a.as_bytes().cmp(b.as_bytes()),
        _ => rank(a).cmp(&rank(b)),
    }
}

/// Whether two values are the same: numbers by value, objects without regard to the order of members.
#[must_use]
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Number::of(a) == Number::of(b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// The place of a value's kind in the total order.
pub(crate) const RANK_MISSING: i64 = 0;
/// JSON null.
pub(crate) const RANK_NULL: i64 = 1;
/// `false`; `true` follows.
pub(crate) const RANK_FALSE: i64 = 2;
/// `true`.
pub(crate) const RANK_TRUE: i64 = 3;
/// Numbers, which then compare by value.
pub(crate) const RANK_NUMBER: i64 = 4;
/// Strings, which then compare by their bytes.
pub(crate) const RANK_TEXT: i64 = 5;
/// Arrays and objects, which tie.
pub(crate) const RANK_CONTAINER: i64 = 6;

fn rank(value: Option<&Value>) -> i64 {
    match value {
        None => RANK_MISSING,
        Some(Value::Null) => RANK_NULL,
        Some(Value::Bool(false)) => RANK_FALSE,
        Some(Value::Bool(true)) => RANK_TRUE,
        Some(Value::Number(_)) => RANK_NUMBER,
        Some(Value::String(_)) => RANK_TEXT,
        Some(Value::Array(_) | Value::Object(_)) => RANK_CONTAINER,
    }
}

/// A value's place in the total order, taken apart as SQL orders it and as a cursor keeps it.
///
/// Two keys compare as the values do: by rank, then by number, then by text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey {
    /// The kind: 0 missing, 1 null, 2 false, 3 true, 4 number, 5 string, 6 array or object.
    pub rank: i64,
    /// The number, if it is one.
    pub number: Option<Number>,
    /// The string, if it is one.
    pub text: Option<String>,
}

impl SortKey {
    /// The key of a value or of its absence.
    #[must_use]
    pub fn of(value: Option<&Value>) -> Self {
        let (number, text) = match value {
            Some(Value::Number(number)) => (Some(Number::of(number)), None),
            Some(Value::String(text)) => (None, Some(text.clone())),
            _ => (None, None),
        };
        Self { rank: rank(value), number, text }
    }

    /// The key of a text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self { rank: RANK_TEXT, number: None, text: Some(text.to_owned()) }
    }

    /// The key of an integer.
    #[must_use]
    pub fn integer(value: i64) -> Self {
        Self { rank: RANK_NUMBER, number: Some(Number::Integer(value)), text: None }
    }

    /// The key as a JSON value, for a cursor: `[rank]`, `[4, number]` or `[5, text]`. Doubles travel as canonical
    /// text, so that reading them back is exact.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut parts = vec![Value::from(self.rank)];
        match (&self.number, &self.text) {
            (Some(Number::Integer(integer)), _) => parts.push(Value::from(*integer)),
            (Some(Number::Double(double)), _) => {
                let mut text = String::new();
                crate::json::number::write_f64(&mut text, *double);
                parts.push(Value::from(text));
            }
            (None, Some(text)) => parts.push(Value::from(text.as_str())),
            (None, None) => {}
        }
        Value::Array(parts)
    }

    /// Reads what [`SortKey::to_value`] gave; `None` for anything else.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        match value.as_array()?.as_slice() {
            [rank] => {
                let rank = rank.as_i64()?;
                let plain = (RANK_MISSING..=RANK_TRUE).contains(&rank) || rank == RANK_CONTAINER;
                plain.then_some(Self { rank, number: None, text: None })
            }
            [rank, Value::Number(integer)] if rank.as_i64() == Some(RANK_NUMBER) => {
                Some(Self::integer(integer.as_i64()?))
            }
            [rank, Value::String(text)] if rank.as_i64() == Some(RANK_NUMBER) => {
                let number = text.parse().ok().filter(|double: &f64| double.is_finite()).map(Number::double)?;
                Some(Self { rank: RANK_NUMBER, number: Some(number), text: None })
            }
            [rank, Value::String(text)] if rank.as_i64() == Some(RANK_TEXT) => Some(Self::text(text)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_kinds_and_values() {
        let ascending = [
            None,
            Some(json!(null)),
            Some(json!(false)),
            Some(json!(true)),
            Some(json!(-1e300)),
            Some(json!(i64::MIN)),
            Some(json!(-1.5)),
            Some(json!(0)),
            Some(json!(5e-324)),
            Some(json!(9_007_199_254_740_992_i64)),
            Some(json!(9_007_199_254_740_993_i64)),
            Some(json!(i64::MAX)),
            Some(json!(TWO_63)),
            Some(json!("")),
            Some(json!("A")),
            Some(json!("a")),
            Some(json!("é")),
            Some(json!("\u{FFFF}")),
            Some(json!("\u{1F600}")),
            Some(json!([])),
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a.as_ref(), b.as_ref()), i.cmp(&j), "{a:?} {b:?}");
                assert_eq!(SortKey::of(a.as_ref()).cmp(&SortKey::of(b.as_ref())), i.cmp(&j), "{a:?} {b:?}");
            }
            let key = SortKey::of(a.as_ref());
            assert_eq!(SortKey::from_value(&key.to_value()), Some(key));
        }
        assert_eq!(compare(Some(&json!([1])), Some(&json!({"a": 1}))), Ordering::Equal);
        assert_eq!(compare(Some(&json!(1)), Some(&json!(1.0))), Ordering::Equal);
    }

    #[test]
    fn equality_is_deep_and_by_value() {
        assert!(equal(&json!({"a": [1, {"b": 2}], "c": null}), &json!({"c": null, "a": [1.0, {"b": 2}]})));
        assert!(!equal(&json!([1, 2]), &json!([2, 1])));
        assert!(!equal(&json!({"a": 1}), &json!({"a": 1, "b": 1})));
        assert!(!equal(&json!("1"), &json!(1)));
        assert!(!equal(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992_f64)));
    }
}
