//! Tests of the language: what is accepted, what is refused and where, what it means.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    clock::Timestamp,
    expr::{CallerFacts, Environment, Expression, Field, Known, Scope, Truth, fuzz, generate},
};

fn parse(text: &str) -> Expression {
    Expression::parse(text, Scope::Filter).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn evaluate(text: &str, document: &Value) -> Truth {
    let environment = Environment::new("the-id", document.as_object().unwrap())
        .with_owner(Some("ann"))
        .with_revision("r1-1")
        .with_moments(Timestamp::from_micros(1_767_323_045_678_901), Timestamp::from_micros(1_767_323_045_679_000))
        .with_caller(CallerFacts::nobody().with_id(Some("ann")));
    let expression = parse(text);
    let normal = parse(&expression.to_text());
    assert_eq!(normal, expression, "{text}");
    assert_eq!(normal.to_text(), expression.to_text());
    expression.evaluate(&environment)
}

#[test]
fn the_normal_form() {
    for (text, normal) in [
        ("done", "doc.done"),
        ("!done", "!doc.done"),
        ("done==false&&priority>3", "doc.done == false && doc.priority > 3"),
        ("(a == 1 || b == 2) && c == 3", "(doc.a == 1 || doc.b == 2) && doc.c == 3"),
        ("a == 1 || b == 2 && c == 3", "doc.a == 1 || (doc.b == 2 && doc.c == 3)"),
        ("((a == 1 && b == 2)) && c == 3", "doc.a == 1 && doc.b == 2 && doc.c == 3"),
        ("!(a == 1)", "!(doc.a == 1)"),
        ("doc[\"a-b\"].c['in'] == 'x\"\\x41'", "doc[\"a-b\"].c[\"in\"] == \"x\\\"A\""),
        ("doc['a'] in [1, -2.5, 1e300, null, true, \"x\",]", "doc.a in [1, -2.5, 1e300, null, true, \"x\"]"),
        ("a in []", "doc.a in []"),
        ("id == doc.id", "doc.id == doc.id"),
        ("has(x) && !has(doc.y.z)", "has(doc.x) && !has(doc.y.z)"),
        ("0x1F == -1.0 // comment", "31 == -1"),
        ("(a) < .5", "doc.a < 0.5"),
        ("a+b*c-(d-e) == -1", "doc.a + doc.b * doc.c - (doc.d - doc.e) == -1"),
        ("(a + b) * c % 2 != - d", "(doc.a + doc.b) * doc.c % 2 != -doc.d"),
        ("-(5) == -(-5)", "-(5) == -(-5)"),
        ("a ? b : c ? d : e", "doc.a ? doc.b : doc.c ? doc.d : doc.e"),
        ("(a ? b : c) ? d || e : (e)", "(doc.a ? doc.b : doc.c) ? doc.d || doc.e : doc.e"),
        ("a.b.size() == size('x')", "size(doc.a.b) == size(\"x\")"),
        ("(a + 'x').contains(b.c)", "(doc.a + \"x\").contains(doc.b.c)"),
        ("a in [b, 1] && 'x' in c", "doc.a in [doc.b, 1] && \"x\" in doc.c"),
        ("a[0]['x'] == caller.claims.y[1]", "doc.a[0].x == caller.claims.y[1]"),
        ("(a == 1) == (b in [])", "(doc.a == 1) == (doc.b in [])"),
        (
            "now - duration('90s') < timestamp('2026-01-02T03:04:05Z')",
            "now - duration(\"90s\") < timestamp(\"2026-01-02T03:04:05Z\")",
        ),
        ("timestamp(a) < now && string(now) > b", "timestamp(doc.a) < now && string(now) > doc.b"),
        ("a.matches('x+')", "doc.a.matches(\"x+\")"),
        ("meta.created_at > '2026-01-02T03:04:05+01:00'", "meta.created_at > \"2026-01-02T03:04:05+01:00\""),
        ("doc.for == doc.type", "doc.for == doc.type"),
        ("a == -9223372036854775808", "doc.a == -9223372036854775808"),
    ] {
        assert_eq!(parse(text).to_text(), normal);
        assert_eq!(parse(normal), parse(text));
    }
}

#[test]
fn what_is_refused_and_where() {
    let deep = format!("{}a{}", "(".repeat(33), ")".repeat(33));
    let wide = vec!["a==1"; 86].join("||");
    let list = format!("a in [{}]", vec!["1"; 201].join(","));
    let long = format!("a == '{}'", "x".repeat(5_000));
    let many = format!("doc{} == 1", ".a".repeat(33));
    for (text, position) in [
        ("", 0),
        ("a ==", 4),
        ("a = 1", 2),
        ("a == 1 &&", 9),
        ("a == 1 & b == 2", 7),
        ("(a == 1", 7),
        ("a == 1)", 6),
        ("a == 1 b", 7),
        ("a == b == c", 7),
        ("1", 0),
        ("'x' && a", 0),
        ("a == 9223372036854775808", 5),
        ("a == -9223372036854775809", 5),
        ("a == 99999999999999999999", 5),
        ("a == 5u", 6),
        ("a == 1e400", 5),
        ("a == 1.", 7),
        ("a == 'x", 5),
        ("a == '\\q'", 6),
        ("a == '\\u0000'", 6),
        ("a == '\\ud800'", 6),
        ("a == \"\n\"", 5),
        ("a in [1 2]", 8),
        ("a.b() == 1", 2),
        ("size == 1", 0),
        ("input == 1", 0),
        ("a.in == 1", 2),
        ("doc == 1", 0),
        ("doc.id.x == 1", 7),
        ("meta.x == 1", 0),
        ("meta == 1", 0),
        ("caller == 1", 0),
        ("has(1)", 0),
        ("has(a == 1)", 0),
        ("meta.created_at > 5", 18),
        ("doc.a == meta.created_at", 0),
        ("meta.created_at in ['2026']", 20),
        ("a == 1 == true", 7),
        ("a == #", 5),
        ("a < b < c", 6),
        ("a + 1", 0),
        ("a.contains(b", 12),
        ("a.matches(b)", 10),
        ("a.matches('(')", 10),
        ("a.matches('\\\\w{200}')", 10),
        ("a.foo('x')", 2),
        ("contains(a, 'x')", 0),
        ("foo(a)", 0),
        ("all(a)", 0),
        ("a.b.exists(x)", 4),
        ("string(a) == 'x'", 7),
        ("a.size(1) == 1", 7),
        ("timestamp('x') == now", 10),
        ("timestamp(1) == now", 10),
        ("duration('1d') == duration('1h')", 9),
        ("duration(a) == duration('1h')", 9),
        ("now + 1 == now", 0),
        ("now == 'x'", 7),
        ("now == duration('1h')", 7),
        ("now in a", 7),
        ("1 in [now]", 6),
        ("(a ? now : b) == now", 11),
        ("-now == now", 1),
        ("!-a", 1),
        ("[a] == b", 0),
        ("a in 1", 5),
        ("a in [[b]]", 6),
        ("a ? b", 5),
        ("a.b[-1] == 1", 4),
        ("a[b]", 2),
        ("a[2147483648] == 1", 2),
        ("'a'[0] == 1", 3),
        ("(a == b).c == 1", 9),
        ("has(a[0])", 0),
        (deep.as_str(), 32),
        (wide.as_str(), 0),
        (list.as_str(), 5),
        (long.as_str(), 4096),
        (many.as_str(), 0),
    ] {
        let error = Expression::parse(text, Scope::Filter).expect_err(text);
        assert_eq!((error.code(), error.position()), ("invalid-filter", Some(position)), "{text}: {error}");
        assert_eq!(error.field(), Some("filter"));
    }
    for text in ["doc['a\"b'] == 1", "doc['a\\\\b'] == 1", "doc['a\\n'] == 1"] {
        let error = Expression::parse(text, Scope::Filter).expect_err(text);
        assert_eq!((error.code(), error.position()), ("invalid-field", Some(4)), "{text}");
    }
}

#[test]
fn what_it_means() {
    let document = json!({
        "t": true, "f": false, "n": null, "i": 3, "d": 2.5, "s": "b", "o": {"x": 1, "n": null}, "o2": {"n": null, "x": 1},
        "l": [1, 2], "big": 9_007_199_254_740_993_i64, "bigd": 1e300,
    });
    for (text, truth) in [
        ("t", Truth::True),
        ("f", Truth::False),
        ("i", Truth::Error),
        ("gone", Truth::Error),
        ("!gone", Truth::Error),
        ("gone && f", Truth::False),
        ("f && gone", Truth::False),
        ("gone || t", Truth::True),
        ("gone || f", Truth::Error),
        ("i == 3.0", Truth::True),
        ("i != 3", Truth::False),
        ("i == '3'", Truth::False),
        ("i != '3'", Truth::True),
        ("gone == 3", Truth::Error),
        ("gone != 3", Truth::Error),
        ("n == null", Truth::True),
        ("o.n == null", Truth::True),
        ("gone == null", Truth::Error),
        ("i == null", Truth::False),
        ("i > 2.5", Truth::True),
        ("d < i", Truth::True),
        ("i < 's'", Truth::Error),
        ("n < 1", Truth::Error),
        ("n <= null", Truth::Error),
        ("l < l", Truth::Error),
        ("f < t", Truth::True),
        ("s > 'a' && s < 'c' && s < 'b\u{e9}'", Truth::True),
        ("s > 'B'", Truth::True),
        ("big > 9007199254740992.0", Truth::True),
        ("big == 9007199254740993", Truth::True),
        ("bigd > big", Truth::True),
        ("o == o2", Truth::True),
        ("o == l", Truth::False),
        ("i in [1, 3.0]", Truth::True),
        ("n in [null]", Truth::True),
        ("i in []", Truth::False),
        ("gone in [1]", Truth::Error),
        ("l in [1]", Truth::False),
        ("has(i)", Truth::True),
        ("has(n)", Truth::True),
        ("has(gone)", Truth::False),
        ("has(o.x)", Truth::True),
        ("has(o.gone)", Truth::False),
        ("has(gone.x)", Truth::Error),
        ("has(i.x)", Truth::Error),
        ("i.x == 1", Truth::Error),
        ("doc.l['0'] == 1", Truth::Error),
        ("id == 'the-id'", Truth::True),
        ("meta.owner == caller.id", Truth::True),
        ("meta.revision == 'r1-1'", Truth::True),
        ("meta.created_at == '2026-01-02T03:04:05.678Z'", Truth::True),
        ("meta.created_at == '2026-01-02T04:04:05.678+01:00'", Truth::True),
        ("meta.created_at < meta.updated_at", Truth::True),
        ("meta.updated_at in ['2026-01-02T03:04:05.679Z']", Truth::True),
        ("has(caller.id)", Truth::True),
        ("true", Truth::True),
        ("i + 1 == 4 && i * 2 - 1 == 5 && -i == -3 && i % 2 == 1 && -7 % 3 == -1", Truth::True),
        ("7 / 2 == 3.5 && 6 / 2 == 3 && d * 2 == 5 && d + i == 5.5", Truth::True),
        ("9223372036854775807 + i == 1", Truth::Error),
        ("i / 0 == 1", Truth::Error),
        ("i % 0 == 1", Truth::Error),
        ("d % 2 == 1", Truth::Error),
        ("bigd + 1 == 1", Truth::Error),
        ("0.001 * 0.001 == 0.000001", Truth::Error),
        ("s + 'c' == 'bc'", Truth::True),
        ("s + 1 == 'b1'", Truth::Error),
        ("l + [3] == [1, 2, 3]", Truth::Error),
        ("l == [1, 2] && l != [2, 1] && [] != l", Truth::True),
        ("l[0] == 1 && l[1] == 2", Truth::True),
        ("l[2] == 1", Truth::Error),
        ("o[0] == 1", Truth::Error),
        ("2 in l && !(3 in l)", Truth::True),
        ("'x' in o && !('y' in o) && !(1 in o)", Truth::True),
        ("1 in s", Truth::Error),
        ("1e300 in l", Truth::Error),
        ("l in [[1, 2], []] && [[1]] != l", Truth::True),
        ("caller.id in [meta.owner, s]", Truth::True),
        ("caller.id in [meta.owner, gone]", Truth::Error),
        ("size(l) == 2 && o.size() == 2 && size('né') == 2 && size(caller.roles) == 0", Truth::True),
        ("size(i) == 1", Truth::Error),
        ("'banana'.contains('nan') && 'banana'.startsWith('ba') && 'banana'.endsWith('')", Truth::True),
        ("s.contains(i)", Truth::Error),
        ("s.matches('^[a-c]$') && !s.matches('B') && s.matches('(?i)B')", Truth::True),
        ("i.matches('3')", Truth::Error),
        ("t ? i == 3 : gone", Truth::True),
        ("(f ? gone : i) == 3", Truth::True),
        ("(i ? 1 : 2) == 1", Truth::Error),
        ("(i == 3) == t", Truth::True),
        ("!f == t", Truth::True),
        ("--1 == 1", Truth::True),
        ("meta.updated_at - meta.created_at == duration('1ms')", Truth::True),
        ("meta.created_at + duration('1h') > timestamp('2026-01-02T04:00:00Z')", Truth::True),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1h') > now", Truth::Error),
        ("timestamp('2026-01-02T03:04:05Z') == timestamp('2026-01-02T04:04:05+01:00')", Truth::True),
        ("timestamp(s) == now", Truth::Error),
        ("string(now) == '1970-01-01T00:00:00.000Z'", Truth::True),
        ("string(meta.created_at) < '2026-01-02T03:04:05.679Z'", Truth::True),
        ("1 < 2 && !('a' == 'b')", Truth::True),
    ] {
        assert_eq!(evaluate(text, &document), truth, "{text}");
    }
    let nobody = Environment::new("x", document.as_object().unwrap());
    assert_eq!(parse("meta.owner == caller.id").evaluate(&nobody), Truth::Error);
    assert_eq!(parse("meta.owner == null").evaluate(&nobody), Truth::True);
    assert_eq!(parse("has(caller.id)").evaluate(&nobody), Truth::False);
}

#[test]
fn fields_are_read_alone() {
    for (text, normal) in
        [("a.b", "doc.a.b"), ("doc.a", "doc.a"), ("id", "doc.id"), ("meta.updated_at", "meta.updated_at")]
    {
        assert_eq!(Field::parse(text).unwrap().to_text(), normal);
    }
    for bad in ["", "a,b", "1", "caller.id", "-a", "a ==", "has(a)"] {
        assert!(Field::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn scopes_have_their_names_and_codes() {
    for (scope, good, bad) in [
        (Scope::Filter, "a == 1 && doc.a == caller.id && meta.created_at < now", "input.a == 1"),
        (Scope::ListRule, "doc.a == caller.claims.x.y && caller.tenant == 'acme'", "a == 1"),
        (Scope::CreateRule, "after.a == input.a && meta.owner == caller.id && after.id == 'x'", "doc.a == 1"),
        (Scope::UpdateRule, "doc.a == after.a && input.a == 1", "after == 1"),
        (Scope::DeleteRule, "doc.a == 1 && meta.owner == caller.id", "after.a == 1"),
        (Scope::Trigger, "doc.a != after.a && meta.created_at < now", "caller.id == 'x'"),
        (Scope::ChannelRule, "channel.segments[1] == caller.id && channel.name.startsWith('room:')", "doc.id == 'x'"),
    ] {
        let expression = Expression::parse(good, scope).unwrap_or_else(|error| panic!("{good}: {error}"));
        assert_eq!(Expression::parse(&expression.to_text(), scope).unwrap(), expression);
        let error = Expression::parse(bad, scope).expect_err(bad);
        assert_eq!((error.code(), error.position()), (scope.code(), Some(0)), "{bad}");
        assert_eq!(error.field(), (scope == Scope::Filter).then_some("filter"));
    }
}

#[test]
fn what_is_known_before_a_document_is_looked_at() {
    let known = Known::new(CallerFacts::nobody().with_id(Some("ann")), Timestamp::from_micros(1_000));
    for (text, constant) in [
        ("false", Some(Truth::False)),
        ("doc.a == 1 && 2 < 1", Some(Truth::False)),
        ("doc.a == 1 || caller.id == 'ann'", Some(Truth::True)),
        ("caller.claims.x == 1", Some(Truth::Error)),
        ("doc.a == 1 && caller.id == 'ann'", None),
    ] {
        assert_eq!(Expression::parse(text, Scope::ListRule).unwrap().constant(&known), constant, "{text}");
    }
    let expression =
        parse("a == 1 && caller.id == meta.owner && 3 > b.c && id in ['x', 'y'] && (d == 1 || e == 1) && !f");
    let parts: Vec<String> =
        expression.parts(&known).iter().map(|part| format!("{} {:?}", part.field, part.test)).collect();
    assert_eq!(
        parts,
        [
            "doc.a Compare(Equal, Number(Integer(1)))",
            "meta.owner Compare(Equal, Text(\"ann\"))",
            "doc.b.c Compare(Less, Number(Integer(3)))",
            "doc.id OneOf([Text(\"x\"), Text(\"y\")])",
            "doc.f Compare(Equal, Bool(false))",
        ]
    );
    assert!(expression.mentions(&Field::parse("d").unwrap()) && !expression.mentions(&Field::parse("g").unwrap()));
}

#[test]
fn what_lists_refuse() {
    for (text, position) in [
        ("a == 1 && b.matches('x')", 12),
        ("timestamp(a) < now", 0),
        ("a == string(meta.created_at)", 5),
        ("1 == (a == 1 ? b : c + 1)", 6),
        ("!(a.matches('x') ? b : c)", 4),
    ] {
        let error = parse(text).listable().expect_err(text);
        assert_eq!((error.code(), error.position()), ("invalid-filter", Some(position)), "{text}: {error}");
    }
    for text in [
        "a ? b == 1 : c",
        "(a ? b : 'x') == 1",
        "(a ? b + 1 : 2) == 1",
        "caller.tenant.matches('^a') || timestamp(caller.tenant) < now",
        "a < string(now - duration('1h'))",
    ] {
        parse(text).listable().unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        fuzz::parse(&bytes);
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        fuzz::parse(text.as_bytes());
    }

    #[test]
    fn no_near_expression_makes_it_panic(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", "doc", ".", "[", "]", "\"x\"", "'", "\\", "(", ")", "!", "-", "1", "9223372036854775808", "1e308", "&&", "||",
                "==", "<", "in", "has", "meta", "created_at", "caller", "id", "null", "true", ",", " ", "é", "\u{0}", "0x", "+", "%",
                "?", ":", "size(", ".contains(", ".matches(", "timestamp(", "duration(", "now", "'1h'", "input", "after", "roles",
            ]),
            0..30,
        ),
    ) {
        fuzz::parse(parts.concat().as_bytes());
    }

    #[test]
    fn no_changed_expression_makes_it_panic(
        text in generate::expression(),
        at in any::<prop::sample::Index>(),
        cut in 0..8_usize,
        put in prop::sample::select(vec!["", "(", ")", "!", "-", "\"", "[", "]", ".", "a", "0", " in ", "==", "&&", "?", ":", "é"]),
    ) {
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, put.chars());
        fuzz::parse(text.as_bytes());
        fuzz::parse(chars.into_iter().collect::<String>().as_bytes());
    }
}
