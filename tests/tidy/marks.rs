//! What no file may be or hold: too long, a grab bag, unfinished, a test that sleeps, SQL outside its driver, a path of somebody's machine.

use std::{fs, process::Command};

use universal_tests::environment::repository;

use super::source::{Source, Token, sources};

const LONGEST: usize = 500;

#[test]
fn no_file_is_long() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| source.lines > LONGEST)
        .map(|source| {
            format!(
                "{}: {} lines, at most {LONGEST}: it holds more than one subject; take one out",
                source.path, source.lines
            )
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_file_is_a_grab_bag() {
    let bags = ["util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"];
    let named: Vec<String> = sources()
        .iter()
        .flat_map(|source| source.module().into_iter().map(move |part| (source.path.clone(), part)))
        .filter(|(_, part)| bags.contains(&part.as_str()))
        .map(|(path, part)| format!("{path}: `{part}` names no subject: name it by what it holds"))
        .collect();
    assert!(named.is_empty(), "{}", named.join("\n"));
}

#[test]
fn nothing_is_left_open() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (at, placed) in source.tokens.iter().enumerate() {
            let next = |ahead: usize| source.tokens.get(at + ahead);
            let before = at.checked_sub(1).and_then(|before| source.tokens.get(before));
            let Some(word) = placed.word() else { continue };
            let called = next(1).is_some_and(|next| next.is('!'));
            if called && matches!(word, "todo" | "unimplemented" | "dbg") {
                wrong.push(format!(
                    "{}:{}: `{word}!`: build it, or leave it out of the trait",
                    source.path, placed.line
                ));
            }
            if word == "ignore" && before.is_some_and(|before| before.is('[')) {
                wrong.push(format!("{}:{}: a test that is not run: mend it or remove it", source.path, placed.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tests_do_not_sleep() {
    let mut wrong = Vec::new();
    for source in
        sources().iter().filter(|source| source.path.starts_with("tests/") && !source.path.starts_with("tests/src/"))
    {
        for placed in source.tokens.iter().filter(|placed| placed.word() == Some("sleep")) {
            wrong.push(format!(
                "{}:{}: sleeps: wait for the condition with `universal_tests::wait`",
                source.path, placed.line
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sql_stays_in_its_driver() {
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| in_libraries(source) && !source.path.starts_with("universal-core/src/drivers/sql/"))
    {
        for placed in &source.tokens {
            if let Token::Text(text) = &placed.token
                && is_sql(text)
                && !source.is_test(placed.line)
            {
                wrong.push(format!(
                    "{}:{}: holds SQL: statements live in universal-core/src/drivers/sql",
                    source.path, placed.line
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn in_libraries(source: &Source) -> bool {
    source.path.starts_with("universal-core/src/") || source.path.starts_with("universal-http/src/")
}

fn is_sql(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let second = words.next().unwrap_or_default();
    match first {
        "SELECT" | "WITH" => !second.is_empty(),
        "INSERT" => second == "INTO" || second == "OR",
        "DELETE" => second == "FROM",
        "UPDATE" => text.contains(" SET "),
        "CREATE" | "ALTER" | "DROP" => matches!(second, "TABLE" | "INDEX" | "UNIQUE"),
        _ => false,
    }
}

#[test]
fn nothing_names_this_machine() {
    // Put together here, so that this file does not hold them.
    let places: Vec<String> = ["root", "home", "work", "Users"].iter().map(|folder| format!("/{folder}/")).collect();
    let mut wrong = Vec::new();
    for file in tracked() {
        let Ok(text) = fs::read_to_string(repository().join(&file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let begins_a_path = |at: usize| at == 0 || line[..at].ends_with([' ', '"', '\'', '`', '=', '(', ':']);
            if let Some(place) =
                places.iter().find(|place| line.match_indices(place.as_str()).any(|(at, _)| begins_a_path(at)))
            {
                wrong.push(format!("{file}:{}: names `{place}` of somebody's machine", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_dependency_comes_from_a_registry() {
    let lock = fs::read_to_string(repository().join("Cargo.lock")).expect("Cargo.lock is part of the repository");
    let elsewhere: Vec<&str> = lock
        .lines()
        .filter(|line| line.starts_with("source = ") && !line.starts_with("source = \"registry+"))
        .collect();
    assert!(elsewhere.is_empty(), "Cargo.lock names other sources: {elsewhere:?}");
}

/// The files of the repository; without git, nothing can be said about them.
fn tracked() -> Vec<String> {
    let listed = Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(repository()).output();
    match listed {
        Ok(listed) if listed.status.success() => {
            String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
        }
        // An exported tree: the sources at least.
        _ => sources().into_iter().map(|source| source.path).collect(),
    }
}
