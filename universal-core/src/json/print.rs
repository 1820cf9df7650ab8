//! The canonical text of values: members in the order of their names' bytes, no white space, numbers in one form.

use serde_json::{Map, Value};

use crate::json::{canonical::Segment, number};

/// The canonical text of a value. Equal values have equal texts, which the SQL for SQLite relies on.
#[must_use]
pub fn value_to_text(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// The canonical text of an object's members. Equal members have equal texts.
#[must_use]
pub fn members_to_text(members: &Map<String, Value>) -> String {
    let mut out = String::new();
    write_object(&mut out, members);
    out
}

/// Appends the canonical text of a value.
fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => number::write(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => write_object(out, members),
    }
}

/// Appends the canonical text of an object.
pub(super) fn write_object(out: &mut String, members: &Map<String, Value>) {
    // A host's dependencies may make serde_json keep the order of insertion; the text must not show it.
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    out.push('{');
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, key);
        out.push(':');
        write_value(out, value);
    }
    out.push('}');
}

/// Appends a string with the least escapes that JSON demands.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (index, byte) in text.bytes().enumerate() {
        if escape_length(byte) == 1 {
            continue;
        }
        out.push_str(text.get(plain..index).unwrap_or_default());
        plain = index + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x08 => out.push_str("\\b"),
            0x0C => out.push_str("\\f"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => {
                let _ = std::fmt::Write::write_fmt(out, format_args!("\\u{byte:04x}"));
            }
        }
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

/// How many bytes [`write_string`] writes.
pub(super) fn string_length(text: &str) -> usize {
    text.bytes().map(escape_length).sum::<usize>() + 2
}

fn escape_length(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | 0x08 | 0x0C | b'\n' | b'\r' | b'\t' => 2,
        0..=0x1F => 6,
        _ => 1,
    }
}

/// The JSON pointer (RFC 6901) of a way through a value.
pub(super) fn pointer<'s>(segments: impl Iterator<Item = &'s Segment>) -> String {
    segments.fold(String::new(), |mut out, segment| {
        out.push('/');
        match segment {
            Segment::Key(key) => out.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Segment::Index(index) => out.push_str(&index.to_string()),
        }
        out
    })
}

/// Gives numbers in a text that PostgreSQL's `jsonb` printed their canonical form again.
///
/// `jsonb` prints `1e300` with 301 digits. Texts without such numbers, nearly all, are given back as they are.
#[must_use]
pub fn restore(text: String) -> String {
    if !has_long_number(&text) {
        return text;
    }
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let (mut position, mut copied) = (0, 0);
    while let Some(byte) = bytes.get(position).copied() {
        match byte {
            b'"' => position = string_end(bytes, position),
            b'-' | b'0'..=b'9' => {
                let start = position;
                while bytes
                    .get(position)
                    .is_some_and(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
                {
                    position += 1;
                }
                let token = text.get(start..position).unwrap_or_default();
                if token.parse::<i64>().is_err()
                    && let Ok(double) = token.parse::<f64>()
                    && double.is_finite()
                {
                    out.push_str(text.get(copied..start).unwrap_or_default());
                    number::write_f64(&mut out, double);
                    copied = position;
                }
            }
            _ => position += 1,
        }
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out
}

/// Whether a number of 19 digits or more, or one below 0.00001, may be in the text.
fn has_long_number(text: &str) -> bool {
    let mut run = 0;
    for byte in text.bytes() {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        if run >= 19 {
            return true;
        }
    }
    text.contains("0.00000")
}

/// The position after the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut position = start + 1;
    while let Some(byte) = bytes.get(position) {
        match byte {
            b'"' => return position + 1,
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_in_the_order_of_their_names() {
        let value = json!({"b": [1, 2.5, null], "a": {"z": true, "é": "\u{1}\"\\\n/"}, "B": false});
        assert_eq!(value_to_text(&value), r#"{"B":false,"a":{"z":true,"é":"\u0001\"\\\n/"},"b":[1,2.5,null]}"#);
    }

    #[test]
    fn long_numbers_are_restored() {
        let zeros = "0".repeat(300);
        let printed =
            format!(r#"{{"a": 1{zeros}, "b": "1{zeros} \" 0.0000001", "c": [0.0000001, -9223372036854775808, 0.5]}}"#);
        let expected =
            format!(r#"{{"a": 1e300, "b": "1{zeros} \" 0.0000001", "c": [1e-7, -9223372036854775808, 0.5]}}"#);
        assert_eq!(restore(printed), expected);
        assert_eq!(restore("[0.00001, 123456789012345678]".to_owned()), "[0.00001, 123456789012345678]");
    }
}
