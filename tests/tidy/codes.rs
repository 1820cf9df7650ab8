//! Every code that an error can have is explained in `docs/errors.md`.

use std::fs;

use universal_tests::environment::repository;

use super::source::{Placed, Source, Token, sources};

#[test]
fn codes_are_explained() {
    let page = fs::read_to_string(repository().join("docs/errors.md")).expect("docs/errors.md");
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| matches!(source.package(), "universal-core" | "universal-http")) {
        if source.path.contains("/conformance/") || source.path.ends_with("_suite.rs") {
            continue;
        }
        for (code, line) in codes(source) {
            if !source.is_test(line) && !page.contains(&format!("`{code}`")) {
                wrong.push(format!("{}:{line}: `{code}` is not in docs/errors.md", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The code of every `Error::new(kind, "code", …)`, `Error::invalid("code", …)` and `Error::not_found("code", …)`.
fn codes(source: &Source) -> Vec<(&str, usize)> {
    let word = |at: usize| source.tokens.get(at).and_then(Placed::word);
    (0..source.tokens.len())
        .filter(|at| word(*at) == Some("Error") && matches!(word(at + 3), Some("new" | "invalid" | "not_found")))
        .filter_map(|at| {
            // `Error :: name (`, then at most `ErrorKind :: Kind ,` before the code.
            source.tokens.iter().skip(at + 5).take(6).find_map(|placed| match &placed.token {
                Token::Text(text) if is_code(text) => Some((text.as_str(), placed.line)),
                _ => None,
            })
        })
        .collect()
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
