//! Who may know whom.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    paths::paths,
    source::{Source, sources},
};

const WORDS: &[&str] = &["error", "id", "clock", "page", "cursor", "caller", "transaction", "secret", "json", "expr"];
const CONTRACTS: &[&str] = &["auth", "collections", "storage", "jobs", "realtime", "notify", "admin"];

/// What a room of `universal-core` may name, besides itself; `None` if nobody has given it a floor.
fn core_may_know(room: &str) -> Option<Vec<&'static str>> {
    let words = || WORDS.to_vec();
    let below = || [WORDS, CONTRACTS].concat();
    match room {
        _ if WORDS.contains(&room) || CONTRACTS.contains(&room) => Some(words()),
        "engine" | "settings" => Some(below()),
        // A host runs the suites on its own implementations, and on whole backends.
        "conformance" => Some([WORDS, CONTRACTS, &["engine", "backend", "builder", "settings"]].concat()),
        // It holds the database's handle, for `transaction` and `join`; which driver answers otherwise, it does not know.
        "backend" => Some([WORDS, CONTRACTS, &["engine", "builder", "settings", "drivers::sql"]].concat()),
        "builder" => Some(
            [
                WORDS,
                CONTRACTS,
                &[
                    "engine",
                    "settings",
                    "backend",
                    "hooks",
                    "drivers::sql",
                    "drivers::blob",
                    "drivers::redis",
                    "drivers::smtp",
                    "drivers::push",
                ],
            ]
            .concat(),
        ),
        // What a host's closures become: they are called with the backend.
        "hooks" => Some([WORDS, CONTRACTS, &["backend"]].concat()),
        _ if room.starts_with("drivers::") => Some(below()),
        _ => None,
    }
}

/// The floors of `universal-http`, lowest first; a room may name its own floor and those below.
const HTTP_FLOORS: &[&[&str]] = &[
    &["body", "connections", "limits", "patience"],
    &["response", "problem", "openapi", "error"],
    &["lent", "metrics"],
    &["state"],
    &["extract"],
    &["context"],
    &["route"],
    &["middleware"],
    &["routes"],
    &["service"],
    &["api"],
    &["serve"],
];

/// `drivers::sql` and its like are rooms; elsewhere the first segment is the room.
fn room(segments: &[String]) -> Option<String> {
    match segments {
        [first, second, ..] if first == "drivers" => Some(format!("drivers::{second}")),
        [first, ..] if first != "drivers" => Some(first.clone()),
        _ => None,
    }
}

fn arrows(package: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| in_library(source, package)) {
        let Some(from) = room(&source.module()) else { continue };
        for named in paths(source).iter().filter(|named| named.root == "crate" && !source.is_test(named.line)) {
            if let Some(to) =
                room(&named.segments).filter(|to| *to != from && to != "*" && !to.starts_with(char::is_uppercase))
            {
                found.push((from.clone(), to, format!("{}:{}", source.path, named.line)));
            }
        }
    }
    found
}

fn in_library(source: &Source, package: &str) -> bool {
    source.path.starts_with(&format!("{package}/src/"))
}

#[test]
fn core_keeps_its_floors() {
    let mut wrong = Vec::new();
    for (from, to, place) in arrows("universal-core") {
        match core_may_know(&from) {
            None => wrong.push(format!(
                "{place}: `{from}` has no floor yet: give it one in tests/tidy/floors.rs and docs/architecture.md"
            )),
            Some(known) if !known.contains(&to.as_str()) => {
                wrong.push(format!("{place}: `{from}` names `{to}`, which stands beside or above it: pass what it needs in, or move the name down to a word"));
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_builder_names_drivers() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| in_library(source, "universal-core")) {
        let module = source.module();
        let inside = module.first().is_some_and(|first| matches!(first.as_str(), "drivers" | "builder" | "backend"))
            || module.is_empty();
        for named in paths(source) {
            if !inside
                && !source.is_test(named.line)
                && named.root == "crate"
                && named.segments.first().is_some_and(|first| first == "drivers")
            {
                wrong.push(format!(
                    "{}:{}: names a driver: only builder.rs does; take the contract's trait instead",
                    source.path, named.line
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn http_keeps_its_floors() {
    let floor = |room: &str| HTTP_FLOORS.iter().position(|floor| floor.contains(&room));
    let mut wrong = Vec::new();
    for (from, to, place) in arrows("universal-http") {
        match (floor(&from), floor(&to)) {
            (Some(lower), Some(upper)) if upper > lower => {
                wrong.push(format!("{place}: `{from}` names `{to}`, which stands above it: pass what it needs in, or move the name down"));
            }
            (Some(_), Some(_)) => {}
            (None, _) => wrong.push(format!(
                "{place}: `{from}` has no floor yet: give it one in tests/tidy/floors.rs and docs/architecture.md"
            )),
            (_, None) => wrong.push(format!(
                "{place}: `{to}` has no floor yet: give it one in tests/tidy/floors.rs and docs/architecture.md"
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn http_knows_contracts_only() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| in_library(source, "universal-http")) {
        for named in paths(source).iter().filter(|named| named.root == "universal_core") {
            let first = named.segments.first().map_or("", String::as_str);
            let allowed = WORDS.contains(&first)
                || CONTRACTS.contains(&first)
                || matches!(first, "backend" | "Backend" | "conformance")
                || first.starts_with(char::is_uppercase);
            if !allowed {
                wrong.push(format!(
                    "{}:{}: names `universal_core::{first}`: universal-http knows contracts only",
                    source.path, named.line
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_circles() {
    for package in ["universal-core", "universal-http"] {
        let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to, _) in arrows(package) {
            // `Backend::builder()` returns the builder that makes a `Backend`: one room with two doors.
            if !(from == "backend" && to == "builder") {
                known.entry(from).or_default().insert(to);
            }
        }
        // Rooms that name nobody are taken away until none is left, or a circle is.
        loop {
            let rooms: BTreeSet<String> = known.keys().cloned().collect();
            for others in known.values_mut() {
                others.retain(|other| rooms.contains(other));
            }
            let before = known.len();
            known.retain(|_, others| !others.is_empty());
            if known.len() == before {
                break;
            }
        }
        assert!(known.is_empty(), "{package}: these rooms name each other in a circle: {known:?}");
    }
}
