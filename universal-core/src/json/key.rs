//! Values as bytes whose order is the total order, for the keys of index rows.
//!
//! A part is a byte for the kind, then: a number as the largest double that is not above it, in the order-preserving
//! form of its bits (the sign bit turned for positive ones, all bits for negative ones), and what is left of an integer
//! above that double (less than 1024) in two bytes, which makes integers and doubles exact beside each other; a text as
//! its UTF-8 bytes and an end mark. No part is the beginning of another, so parts stand one after the other and compare
//! as lists of values do, and a part whose bits are all turned compares the other way. (The layout follows what
//! FoundationDB's tuple layer and CockroachDB's key encoding do.)
//!
//! Texts are cut at [`CUT`] bytes: those that begin alike tie, after the text that is exactly the common beginning.

use sha2::{Digest as _, Sha256};

use crate::json::order::{Number, RANK_NUMBER, RANK_TEXT, SortKey};

/// How many bytes of a text are part of a key.
pub(crate) const CUT: usize = 256;
/// Ends a text that is whole. No text holds U+0000.
const WHOLE: u8 = 0;
/// Ends a text that was cut. It stands where a whole text of that length has [`WHOLE`].
const SHORTENED: u8 = 1;

/// What becomes of the rest of a text that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It is left out: such texts tie.
    Dropped,
    /// Its hash (SHA-256 of the whole text) follows: different texts have different keys, in no particular order.
    Hashed,
}

/// Appends the part of a value, turned if it is to go down; says whether a text was cut.
pub(crate) fn write(out: &mut Vec<u8>, value: &SortKey, descending: bool, rest: Rest) -> bool {
    let start = out.len();
    let cut = write_up(out, value, rest);
    if descending {
        turn(out, start);
    }
    cut
}

/// Appends the beginning that all parts of a kind share, and no others.
pub(crate) fn write_kind(out: &mut Vec<u8>, rank: i64, descending: bool) {
    let start = out.len();
    out.push(kind(rank));
    if descending {
        turn(out, start);
    }
}

fn write_up(out: &mut Vec<u8>, value: &SortKey, rest: Rest) -> bool {
    out.push(kind(value.rank));
    match value.rank {
        RANK_NUMBER => {
            let (double, above) = floor(value.number.unwrap_or(Number::Integer(0)));
            out.extend_from_slice(&ordered_bits(double).to_be_bytes());
            out.extend_from_slice(&above.to_be_bytes());
            false
        }
        RANK_TEXT => write_text(out, value.text.as_deref().unwrap_or_default(), rest),
        _ => false,
    }
}

fn write_text(out: &mut Vec<u8>, text: &str, rest: Rest) -> bool {
    let bytes = text.as_bytes();
    // U+0000 is in no document; were it in one, the rest would count as cut.
    let whole = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let kept = whole.min(CUT);
    out.extend(bytes.iter().take(kept));
    if kept == bytes.len() {
        out.push(WHOLE);
        return false;
    }
    out.push(SHORTENED);
    if rest == Rest::Hashed {
        out.extend_from_slice(&Sha256::digest(bytes));
    }
    true
}

/// The kinds from 1 on: turned or not, no part begins with 0 or 255, so that everything has a successor.
fn kind(rank: i64) -> u8 {
    u8::try_from(rank + 1).unwrap_or(u8::MAX - 1)
}

fn turn(out: &mut [u8], start: usize) {
    out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
}

/// The largest double that is not above the number, and how much the number is above it.
fn floor(number: Number) -> (f64, u16) {
    let integer = match number {
        // No number is -0; its bits would stand below those of 0.
        Number::Double(double) => return (if double == 0.0 { 0.0 } else { double }, 0),
        Number::Integer(integer) => integer,
    };
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "rounded to the nearest, then corrected")]
    let nearest = integer as f64;
    let double = if exact(nearest) > i128::from(integer) { nearest.next_down() } else { nearest };
    (double, u16::try_from(i128::from(integer) - exact(double)).unwrap_or(u16::MAX))
}

/// A double of an integral value of at most 64 bits.
fn exact(double: f64) -> i128 {
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "integral and far within 128 bits")]
    let integer = double as i128;
    integer
}

/// The bits of a double, in the order of its values.
fn ordered_bits(double: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    let bits = double.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// The least bytes that are above everything that begins with `prefix`; `None` if there are none.
pub(crate) fn successor(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if let Some(next) = last.checked_add(1) {
            prefix.push(next);
            return Some(prefix);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::{collection::vec, prelude::*};
    use serde_json::{Value, json};

    use super::*;
    use crate::json::{number::TWO_63, order::compare};

    fn encode(values: &[Option<Value>], directions: &[bool]) -> Vec<u8> {
        let mut out = Vec::new();
        for (value, descending) in values.iter().zip(directions) {
            write(&mut out, &SortKey::of(value.as_ref()), *descending, Rest::Dropped);
        }
        out
    }

    fn expected(a: &[Option<Value>], b: &[Option<Value>], directions: &[bool]) -> Ordering {
        let pairs = a.iter().zip(b).zip(directions);
        pairs.fold(Ordering::Equal, |so_far, ((a, b), descending)| {
            let ordering = compare(a.as_ref(), b.as_ref());
            so_far.then(if *descending { ordering.reverse() } else { ordering })
        })
    }

    fn number() -> impl Strategy<Value = Value> {
        let edge = prop::sample::select(vec![
            i64::MIN,
            i64::MIN + 1,
            -(1 << 53) - 1,
            -(1 << 53),
            -1,
            0,
            1,
            (1 << 53) - 1,
            1 << 53,
            (1 << 53) + 1,
            i64::MAX - 1,
            i64::MAX,
        ]);
        let near = (edge, -2_i64..3).prop_map(|(edge, step)| edge.saturating_add(step));
        let canonical = |double: f64| crate::json::from_f64(double).map_or(Value::from(0), Value::Number);
        #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "any double near an edge will do")]
        let double = near.clone().prop_map(move |edge| canonical(edge as f64));
        prop_oneof![
            near.prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-3_i64..4).prop_map(Value::from),
            double,
            prop::num::f64::NORMAL.prop_map(canonical),
            prop::num::f64::SUBNORMAL.prop_map(canonical),
            (-3.0..3.0).prop_map(canonical),
            prop::sample::select(vec![TWO_63, -TWO_63, 1e300, -1e300, 5e-324, -5e-324, f64::MAX, f64::MIN])
                .prop_map(canonical),
        ]
    }

    fn value() -> impl Strategy<Value = Option<Value>> {
        prop_oneof![
            Just(None),
            Just(Some(Value::Null)),
            any::<bool>().prop_map(|value| Some(json!(value))),
            number().prop_map(Some),
            number().prop_map(Some),
            "[ab\u{1}\u{7f}é\u{ffff}\u{1f600}]{0,4}".prop_map(|text| Some(json!(text))),
            "(aaaaaaaa){31,32}[ab\u{1}]{0,8}"
                .prop_filter("short", |text| text.len() <= CUT)
                .prop_map(|text| Some(json!(text))),
            Just(Some(json!([1]))),
            Just(Some(json!({"a": 1}))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn keys_compare_as_their_values_do(
            (a, b, directions) in (1_usize..4).prop_flat_map(|n| (vec(value(), n), vec(value(), n), vec(any::<bool>(), n)))
        ) {
            let (left, right) = (encode(&a, &directions), encode(&b, &directions));
            prop_assert_eq!(left.cmp(&right), expected(&a, &b, &directions), "{:?} {:?} {:?}", a, b, directions);
            // No key is the beginning of another one: something may follow.
            prop_assert!(left == right || !left.starts_with(&right));
        }

        #[test]
        fn numbers_compare_as_their_values_do(a in number(), b in number()) {
            let (a, b) = ([Some(a)], [Some(b)]);
            prop_assert_eq!(encode(&a, &[false]).cmp(&encode(&b, &[false])), expected(&a, &b, &[false]), "{:?} {:?}", a, b);
        }
    }

    #[test]
    fn long_texts_tie_after_their_common_beginning_and_before_what_is_greater() {
        let common = "x".repeat(CUT);
        let key = |text: &str, rest| {
            let mut out = Vec::new();
            let cut = write(&mut out, &SortKey::text(text), false, rest);
            (out, cut)
        };
        let (short, long) = (key(&common, Rest::Dropped), key(&format!("{common}a"), Rest::Dropped));
        assert!(!short.1 && long.1);
        assert!(short.0 < long.0);
        assert_eq!(long, key(&format!("{common}b"), Rest::Dropped));
        assert!(long.0 < key("xy", Rest::Dropped).0);
        let (one, other) = (key(&format!("{common}a"), Rest::Hashed), key(&format!("{common}b"), Rest::Hashed));
        assert_ne!(one, other);
        assert!(one.0.starts_with(&long.0) && other.0.starts_with(&long.0));
    }

    #[test]
    fn the_successor_is_above_all_that_begins_so() {
        assert_eq!(successor(vec![1, 2]), Some(vec![1, 3]));
        assert_eq!(successor(vec![1, 255, 255]), Some(vec![2]));
        assert_eq!(successor(vec![255]), None);
        assert_eq!(successor(vec![]), None);
    }
}
