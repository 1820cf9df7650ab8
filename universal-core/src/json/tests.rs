//! Tests of the canonical JSON as a whole.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::error::ErrorKind;
use crate::json::{Limits, Object, order, parse, value_to_text};

fn read(text: &str) -> Value {
    parse(text.as_bytes(), &Limits::default()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// The code and the position with which `text` is refused.
fn refused(text: impl AsRef<[u8]>) -> (&'static str, Option<usize>, Option<String>) {
    let error = parse(text.as_ref(), &Limits::default()).expect_err("must be refused");
    (error.code(), error.position(), error.field().map(str::to_owned))
}

#[test]
fn numbers_become_canonical() {
    for (text, canonical) in [
        ("-0", "0"),
        ("-0.0", "0"),
        ("1.0", "1"),
        ("1e2", "100"),
        ("1.50", "1.5"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775807.0", "9.223372036854776e18"),
        ("1e-400", "0"),
        ("1E+300", "1e300"),
        ("0.1", "0.1"),
    ] {
        assert_eq!(value_to_text(&read(text)), canonical, "{text}");
    }
}

#[test]
fn bad_texts_are_refused_with_a_place() {
    assert_eq!(refused("[1,9223372036854775808]"), ("integer-out-of-range", Some(3), Some("/1".into())));
    assert_eq!(refused(r#"{"a":{"b/~":1e400}}"#), ("number-out-of-range", Some(12), Some("/a/b~1~0".into())));
    assert_eq!(refused(r#"{"a":1,"\u0061":2}"#), ("duplicate-key", Some(7), Some("/a".into())));
    assert_eq!(refused(r#"{"a":[0,"\u0000"]}"#), ("invalid-text", Some(9), Some("/a/1".into())));
    assert_eq!(refused("\"a\0\"").0, "invalid-text");
    for lone in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\u0041""#, r#""\ud800\ud800""#, r#""\ud800x""#] {
        assert_eq!(refused(lone).0, "invalid-text", "{lone}");
    }
    assert_eq!(refused(b"\"\xff\""), ("invalid-text", Some(1), None));
    for bad in [
        "",
        " ",
        "{",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "'a'",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "tru",
        "nul",
        "NaN",
        "Infinity",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"a\nb\"",
        "1 2",
        "{} x",
        "\u{feff}1",
        "//",
    ] {
        assert_eq!(refused(bad).0, "invalid-json", "{bad:?}");
    }
}

#[test]
fn limits_hold() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(32).as_bytes(), &Limits::default()).is_ok());
    assert_eq!(refused(nested(33)).0, "json-too-deep");
    assert_eq!(refused("[".repeat(100_000)).0, "json-too-deep");
    assert_eq!(refused("{\"a\":".repeat(100_000)).0, "json-too-deep");

    let items = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert!(parse(items(19_999).as_bytes(), &Limits::default()).is_ok());
    assert_eq!(refused(items(20_000)).0, "json-too-many-values");

    let members =
        |count: usize| format!("{{{}}}", (0..count).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","));
    assert!(parse(members(1_000).as_bytes(), &Limits::default()).is_ok());
    assert_eq!(refused(members(1_001)).0, "json-too-many-keys");

    assert_eq!(refused(vec![b' '; 1024 * 1024 + 1]).0, "document-too-large");
    // 4 000 × 309 digits is more than 1 MiB, although the text has 20 kB.
    let bomb = format!("[{}]", vec!["1e308"; 4_000].join(","));
    assert_eq!(refused(&bomb).0, "document-too-large");
    assert_eq!(refused(bomb.replace("308", "-300")).0, "document-too-large");
    assert!(parse(format!("[{}]", vec!["1e308"; 3_000].join(",")).as_bytes(), &Limits::default()).is_ok());

    let exact = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
    assert!(Object::parse(exact(1024 * 1024).as_bytes()).is_ok());
    let error = Object::parse(exact(1024 * 1024 + 1).as_bytes()).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::TooLarge, "document-too-large"));
    let value = json!({"a": "\u{1}".repeat(200_000)});
    assert_eq!(Object::from_value(value).unwrap_err().code(), "document-too-large");
}

#[test]
fn documents_have_reserved_names() {
    let mut object = Object::parse(br#"{"id":"x","_meta":{"$a":1},"a":{"_b":1}}"#).unwrap();
    assert_eq!(object.take_id().unwrap().as_deref(), Some("x"));
    assert_eq!(object.to_text(), r#"{"a":{"_b":1}}"#);
    for bad in [r#"{"_a":1}"#, r#"{"$inc":1}"#, r#"{"a":[{"$b":1}]}"#] {
        assert_eq!(Object::parse(bad.as_bytes()).unwrap_err().code(), "reserved-key", "{bad}");
    }
    let error = Object::parse(br#"{"a":[0,{"$b":1}]}"#).unwrap_err();
    assert_eq!(error.field(), Some("/a/1/$b"));
    assert!(Object::parse_patch(br#"{"a":{"$inc":1}}"#).is_ok());
    assert_eq!(Object::parse_patch(br#"{"_a":1}"#).unwrap_err().code(), "reserved-key");
    assert_eq!(Object::parse(b"[]").unwrap_err().code(), "not-an-object");
    assert_eq!(Object::parse(br#"{"id":1}"#).unwrap().take_id().unwrap_err().code(), "invalid-id");
}

#[test]
fn values_made_in_rust_pass_the_same_checks() {
    let object = Object::from_value(json!({"a": 1.0, "b": [-0.0, 1e300]})).unwrap();
    assert_eq!(object.to_text(), r#"{"a":1,"b":[0,1e300]}"#);
    let error = Object::from_value(json!({"a": [u64::MAX]})).unwrap_err();
    assert_eq!((error.code(), error.field()), ("integer-out-of-range", Some("/a/0")));
    assert_eq!(Object::from_value(json!({"a": "\0"})).unwrap_err().code(), "invalid-text");
    assert_eq!(Object::from_value(json!({"a\0": 1})).unwrap_err().code(), "invalid-text");
    let deep = (0..40).fold(json!(1), |value, _| json!([value]));
    assert_eq!(Object::from_value(json!({"a": deep})).unwrap_err().code(), "json-too-deep");
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |f| f.is_finite().then(|| Value::from(f))),
        (-1000_i32..1000).prop_map(|n| Value::from(f64::from(n) / 8.0)),
        "\\PC{0,8}".prop_map(Value::from),
        any::<String>().prop_map(|text| Value::from(text.replace('\0', ""))),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\é\n]{0,3}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_what_was_printed_gives_the_same(value in any_value()) {
        let object = Object::from_value(json!({ "a": value })).unwrap();
        let text = object.to_text();
        let again = Object::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&again, &object);
        prop_assert_eq!(again.to_text(), text.clone());
        prop_assert_eq!(Object::from_value(Value::Object(again.clone().into_map())).unwrap(), again.clone());
        let same = order::equal(&Value::Object(again.into_map()), &json!({ "a": value }));
        prop_assert!(same);
        // The whole text is JSON to others, too.
        prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Object::parse(&bytes);
        let _ = Object::parse_patch(&bytes);
    }

    #[test]
    fn no_near_json_makes_it_panic(text in "[\\[\\]{}:,\"\\\\u0-9a-fdeE+.\\- tnrlsé\u{0}]{0,40}") {
        if let Ok(value) = parse(text.as_bytes(), &Limits::default()) {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
            prop_assert_eq!(read(&value_to_text(&value)), value);
        }
    }
}
