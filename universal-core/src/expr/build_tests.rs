//! Tests of expressions made in Rust: they are those of the text.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    clock::Timestamp,
    error::Result,
    expr::{
        CallerFacts, Environment, Expression, Scope, Truth, Why,
        build::{
            Condition, Term, after, caller_claim, caller_id, caller_roles, caller_tenant, field, id, input,
            meta_created_at, meta_owner, meta_revision, now, path, value,
        },
    },
};

fn parse(text: &str) -> Expression {
    Expression::parse(text, Scope::Filter).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

#[test]
fn the_same_tree_as_the_text() {
    let hour = Duration::from_secs(3600);
    let moment = Timestamp::from_micros(1_767_323_045_678_901);
    for (built, text) in [
        (field("priority").gt(3).and(field("done").eq(false)), "priority > 3 && done == false"),
        (field("a").eq(1).or(field("b").eq(2)).and(field("c").eq(3)), "(a == 1 || b == 2) && c == 3"),
        (field("a").eq(1).and(field("b").eq(2).and(field("c").eq(3))), "a == 1 && b == 2 && c == 3"),
        (field("a").eq(1).not().not(), "!!(a == 1)"),
        (!field("done").is_true(), "!done"),
        (
            field("author.name").has().and(path(["a-b", "c.d"]).ne("x")),
            "has(author.name) && doc[\"a-b\"][\"c.d\"] != 'x'",
        ),
        (field("s").is_in(["open", "late"]), "s in ['open', 'late']"),
        (field("s").is_in(Vec::<i64>::new()), "s in []"),
        (value("x").is_in([field("a"), field("b")]), "'x' in [a, b]"),
        (field("tags").has_item("tea"), "'tea' in tags"),
        (caller_roles().has_item("editor"), "'editor' in caller.roles"),
        (meta_owner().eq(caller_id()), "meta.owner == caller.id"),
        (field("n").eq(None::<i64>).and(field("m").eq(Some(2))), "n == null && m == 2"),
        (field("n").le(-2).and(field("x").lt(1.5)).and(field("y").ge(2.0)), "n <= -2 && x < 1.5 && y >= 2"),
        (
            field("t").contains("x").and(field("t").starts_with("a")).or(field("t").ends_with("z")),
            "(t.contains('x') && t.startsWith('a')) || t.endsWith('z')",
        ),
        (field("t").matches("^a+$").and(field("t").size().gt(3)), "t.matches('^a+$') && size(t) > 3"),
        ((field("price") * field("count") + 2).gt(10), "price * count + 2 > 10"),
        (((field("a") - field("b")) / 2).eq(field("c") % 3), "(a - b) / 2 == c % 3"),
        (meta_created_at().gt("2026-01-02T03:04:05Z"), "meta.created_at > '2026-01-02T03:04:05Z'"),
        (meta_created_at().gt(moment), "meta.created_at > timestamp('2026-01-02T03:04:05.678901Z')"),
        (meta_created_at().gt(now() - hour), "meta.created_at > now - duration('3600000000us')"),
        (caller_claim("team.id").eq(field("team")), "caller.claims.team.id == team"),
        (id().eq("a").or(field("id").eq("b")), "id == 'a' || doc.id == 'b'"),
        (meta_revision().ne(caller_tenant()), "meta.revision != caller.tenant"),
        (Condition::all([]).or(Condition::any([])), "true || false"),
        (Term::from(field("a").gt(1)).eq(field("b")), "(a > 1) == b"),
    ] {
        let built = built.filter().unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert_eq!(built, parse(text), "{text}");
        assert_eq!(built.to_text(), parse(text).to_text());
    }
    let rule = after("state").eq(input("state")).build(Scope::UpdateRule).unwrap();
    assert_eq!(rule, Expression::parse("after.state == input.state", Scope::UpdateRule).unwrap());
}

#[test]
fn what_the_text_refuses_is_refused() {
    let deep = || (0..40).fold(field("a").eq(1), |inner, _| inner.not());
    let wide = || Condition::all((0..100).map(|n| field("a").eq(n)));
    let patterns = || Condition::all((0..9).map(|_| field("a").matches("x")));
    for (built, code) in [
        (deep(), "invalid-filter"),
        (wide(), "invalid-filter"),
        (patterns(), "invalid-filter"),
        (field("a").is_in(0..201), "invalid-filter"),
        (field("a").eq("x".repeat(5_000)), "invalid-filter"),
        (field("a").contains("x".repeat(300)), "invalid-filter"),
        (field("a").eq(u64::MAX), "invalid-filter"),
        (field("a").eq(f64::NAN), "invalid-filter"),
        (field("a").eq("\0"), "invalid-filter"),
        (field("a").matches("("), "invalid-filter"),
        (meta_created_at().gt("yesterday"), "invalid-filter"),
        (meta_created_at().gt(3), "invalid-filter"),
        (field("").eq(1).and(path(["a\"b"]).eq(1)), "invalid-field"),
        (path(Vec::<String>::new()).eq(1), "invalid-filter"),
        (field(&vec!["a"; 33].join(".")).eq(1), "invalid-filter"),
        (field("id.x").eq(1), "invalid-filter"),
        (value(3).is_true(), "invalid-filter"),
        (value("x").has(), "invalid-filter"),
        (input("x").eq(1), "invalid-filter"),
    ] {
        let refused = built.filter();
        assert_eq!(refused.as_ref().map_err(crate::error::Error::code), Err(code), "{refused:?}");
    }
    // In a rule it is the rule that is wrong.
    assert_eq!(field("a").eq(f64::NAN).build(Scope::CreateRule).unwrap_err().code(), "invalid-rule");
    assert_eq!(field("a").eq(1).build(Scope::CreateRule).unwrap_err().code(), "invalid-rule");
    assert_eq!(caller_id().has().build(Scope::Trigger).unwrap_err().code(), "invalid-trigger");
}

fn terms() -> impl Strategy<Value = Recipe> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Recipe::Text),
        any::<i64>().prop_map(Recipe::Integer),
        any::<f64>().prop_map(Recipe::Double),
        any::<bool>().prop_map(Recipe::Bool),
        prop::collection::vec("[a-z \\-.]{0,4}|id|in|doc|null", 1..4).prop_map(Recipe::Path),
        (0_i64..4_000_000_000_000_000).prop_map(Recipe::Moment),
        Just(Recipe::Owner),
        Just(Recipe::Now),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        (0_u8..6, inner.clone(), inner).prop_map(|(operator, a, b)| Recipe::Made(operator, Box::new(a), Box::new(b)))
    })
}

/// How a term is made; terms themselves cannot be copied.
#[derive(Clone, Debug)]
enum Recipe {
    Text(String),
    Integer(i64),
    Double(f64),
    Bool(bool),
    Path(Vec<String>),
    Moment(i64),
    Owner,
    Now,
    Made(u8, Box<Recipe>, Box<Recipe>),
}

impl Recipe {
    fn term(&self) -> Term {
        match self {
            Self::Text(text) => text.into(),
            Self::Integer(number) => (*number).into(),
            Self::Double(number) => (*number).into(),
            Self::Bool(value) => (*value).into(),
            Self::Path(names) => path(names),
            Self::Moment(micros) => Timestamp::from_micros(*micros).into(),
            Self::Owner => meta_owner(),
            Self::Now => now(),
            Self::Made(0, a, b) => a.term() + b.term(),
            Self::Made(1, a, b) => a.term() - b.term(),
            Self::Made(2, a, b) => a.term() * b.term(),
            Self::Made(3, a, _) => a.term().size(),
            Self::Made(_, a, b) => a.term() / b.term(),
        }
    }
}

#[derive(Clone, Debug)]
enum Clause {
    Compare(u8, Recipe, Recipe),
    In(Recipe, Vec<Recipe>),
    Joined(u8, Vec<Clause>),
}

impl Clause {
    fn condition(&self) -> Condition {
        match self {
            Self::Compare(0, a, b) => a.term().eq(b.term()),
            Self::Compare(1, a, b) => a.term().lt(b.term()),
            Self::Compare(2, a, b) => a.term().contains(b.term()),
            Self::Compare(3, a, _) => a.term().has(),
            Self::Compare(4, a, _) => a.term().is_true(),
            Self::Compare(5, a, b) => a.term().has_item(b.term()),
            Self::Compare(_, a, b) => a.term().ge(b.term()),
            Self::In(needle, items) => needle.term().is_in(items.iter().map(Recipe::term)),
            Self::Joined(0, parts) => Condition::all(parts.iter().map(Self::condition)),
            Self::Joined(1, parts) => Condition::any(parts.iter().map(Self::condition)),
            Self::Joined(_, parts) => Condition::all(parts.iter().map(Self::condition)).not(),
        }
    }
}

fn clauses() -> impl Strategy<Value = Clause> {
    let leaf = prop_oneof![
        4 => (0_u8..8, terms(), terms()).prop_map(|(kind, a, b)| Clause::Compare(kind, a, b)),
        1 => (terms(), prop::collection::vec(terms(), 0..4)).prop_map(|(needle, items)| Clause::In(needle, items)),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        (0_u8..3, prop::collection::vec(inner, 1..4)).prop_map(|(kind, parts)| Clause::Joined(kind, parts))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Whatever can be built is what its text says: no value becomes a part of the language.
    #[test]
    fn what_is_built_is_what_its_text_says(clause in clauses()) {
        if let Ok(built) = clause.condition().filter() {
            let text = built.to_text();
            let parsed: Result<Expression> = Expression::parse(&text, Scope::Filter);
            prop_assert_eq!(parsed.as_ref().ok(), Some(&built), "{} {:?}", text, parsed.as_ref().err());
            let explained = built.explain(&Environment::without_document("a"));
            prop_assert_eq!(explained.truth, built.evaluate(&Environment::without_document("a")));
            for clause in &explained.clauses {
                prop_assert!(text[clause.position..].starts_with(&clause.text), "{} in {}", clause.text, text);
            }
            let decider = &explained.decided_by;
            prop_assert!(text[decider.position..].starts_with(&decider.text), "{} in {}", decider.text, text);
        }
    }
}

fn explain(text: &str, document: &Value) -> crate::expr::Explanation {
    let rule = Expression::parse(text, Scope::ListRule).unwrap();
    let environment = Environment::new("d1", document.as_object().unwrap())
        .with_owner(Some("ada"))
        .with_caller(CallerFacts::nobody().with_id(Some("bob")));
    rule.explain(&environment)
}

#[test]
fn an_explanation_names_the_clause_that_decided() {
    let document = json!({"open": false, "level": 2, "tags": ["x"], "title": "tea"});
    for (rule, truth, decided_by) in [
        ("doc.open == true && doc.level > 3", Truth::False, "doc.open == true"),
        ("doc.level > 1 && doc.open == true", Truth::False, "doc.open == true"),
        ("doc.gone == 1 && doc.level > 1", Truth::Error, "doc.gone == 1"),
        ("doc.gone == 1 && doc.level > 3", Truth::False, "doc.level > 3"),
        ("doc.open == true || doc.level == 2", Truth::True, "doc.level == 2"),
        ("doc.level == 2 && !doc.open", Truth::True, "doc.level == 2 && !doc.open"),
        (
            "doc.open || (doc.level == 2 && meta.owner == caller.id)",
            Truth::False,
            "doc.open || (doc.level == 2 && meta.owner == caller.id)",
        ),
        (
            "doc.level == 2 && (doc.open || meta.owner == caller.id)",
            Truth::False,
            "doc.open || meta.owner == caller.id",
        ),
        ("!(doc.open || doc.level == 2)", Truth::False, "doc.level == 2"),
        ("!(doc.open || doc.level == 3)", Truth::True, "!(doc.open || doc.level == 3)"),
        ("doc.title > 3 || doc.open", Truth::Error, "doc.title > 3"),
    ] {
        let explained = explain(rule, &document);
        assert_eq!((explained.truth, explained.decided_by.text.as_str()), (truth, decided_by), "{rule}");
        assert!(rule[explained.decided_by.position..].starts_with(decided_by), "{rule}");
    }
}

#[test]
fn an_explanation_shows_the_values_that_clauses_saw() {
    let document = json!({"level": 2, "tags": ["x"], "title": "tea"});
    let rule = "doc.gone.far == 1 || doc.level + 1 > 9 || doc.title > 3 || 'y' in doc.tags || meta.owner == caller.id || has(doc.due)";
    let explained = explain(rule, &document);
    let shown = serde_json::to_value(&explained.clauses).unwrap();
    assert_eq!(
        shown,
        json!([
            {"text": "doc.gone.far == 1", "position": 0, "truth": "error", "values": [{"text": "doc.gone.far"}], "why": "missing"},
            {"text": "doc.level + 1 > 9", "position": 21, "truth": "false",
                "values": [{"text": "doc.level + 1", "value": 3}, {"text": "doc.level", "value": 2}]},
            {"text": "doc.title > 3", "position": 42, "truth": "error", "values": [{"text": "doc.title", "value": "tea"}], "why": "types"},
            {"text": "\"y\" in doc.tags", "position": 59, "truth": "false", "values": [{"text": "doc.tags", "value": ["x"]}]},
            {"text": "meta.owner == caller.id", "position": 78, "truth": "false",
                "values": [{"text": "meta.owner", "value": "ada"}, {"text": "caller.id", "value": "bob"}]},
            {"text": "has(doc.due)", "position": 105, "truth": "false", "values": [{"text": "doc.due"}]},
        ])
    );
    assert_eq!(explained.clauses[0].why, Some(Why::Missing));
    let moments = explain("meta.created_at - meta.updated_at > duration('90s')", &document);
    assert_eq!(moments.clauses[0].values[0].value, Some(json!("0s")));
    assert_eq!(moments.clauses[0].values[1].value, Some(json!("1970-01-01T00:00:00.000Z")));
}
