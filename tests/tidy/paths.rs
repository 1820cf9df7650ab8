//! The paths that a file names: `crate::a::B`, `super::c`, `universal_core::d::E`, with their use-trees spread out.

use super::source::{Placed, Source, Token, tokens};

/// A path as the code names it, made absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// `crate` for the package itself, else the other package's name.
    pub(super) root: String,
    /// The segments after the root.
    pub(super) segments: Vec<String>,
    /// How it was written: `crate`, `super`, `self` or the package's name.
    pub(super) written: String,
    /// The module that names it, inline modules included.
    pub(super) module: Vec<String>,
    /// Where.
    pub(super) line: usize,
}

/// Every such path in `source`.
pub(super) fn paths(source: &Source) -> Vec<Named> {
    named(&source.tokens, &source.module())
}

fn named(tokens: &[Placed], file: &[String]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut inline: Vec<(String, u32)> = Vec::new();
    let mut depth = 0_u32;
    let mut at = 0;
    while let Some(placed) = tokens.get(at) {
        match &placed.token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => {
                depth = depth.saturating_sub(1);
                inline.retain(|(_, from)| *from < depth + 1);
            }
            Token::Word(word) if word == "mod" => {
                if let (Some(name), Some(true)) =
                    (tokens.get(at + 1).and_then(Placed::word), tokens.get(at + 2).map(|next| next.is('{')))
                {
                    depth += 1;
                    inline.push((name.to_owned(), depth));
                    at += 3;
                    continue;
                }
            }
            Token::Word(word) if begins(tokens, at, word) => {
                let module: Vec<String> =
                    file.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();
                let mut leaves = Vec::new();
                at = leaf(tokens, at, Vec::new(), &mut leaves);
                for (segments, line) in leaves {
                    found.extend(absolute(&segments, &module, line));
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Whether a path of interest begins at `at`: a known first segment with `::` behind and none before.
fn begins(tokens: &[Placed], at: usize, word: &str) -> bool {
    let known = matches!(
        word,
        "crate" | "super" | "self" | "universal_core" | "universal_http" | "universal_tests" | "universal_examples"
    );
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    known && followed(tokens, at + 1) && !before.is_some_and(|before| before.is(':') || before.is('$'))
}

fn followed(tokens: &[Placed], at: usize) -> bool {
    tokens.get(at).is_some_and(|next| next.is(':')) && tokens.get(at + 1).is_some_and(|next| next.is(':'))
}

/// Reads one path or use-tree from `at` on; returns where it ends.
fn leaf(tokens: &[Placed], mut at: usize, mut before: Vec<String>, leaves: &mut Vec<(Vec<String>, usize)>) -> usize {
    loop {
        let Some(placed) = tokens.get(at) else { return at };
        match &placed.token {
            Token::Word(word) => {
                before.push(word.clone());
                if !followed(tokens, at + 1)
                    || !tokens.get(at + 3).is_some_and(|next| next.word().is_some() || next.is('{') || next.is('*'))
                {
                    leaves.push((before, placed.line));
                    return at + 1;
                }
                at += 3;
            }
            Token::Sign('*') => {
                before.push("*".to_owned());
                leaves.push((before, placed.line));
                return at + 1;
            }
            Token::Sign('{') => {
                at += 1;
                while let Some(next) = tokens.get(at) {
                    if next.is('}') {
                        return at + 1;
                    }
                    at = if next.is(',') || next.word() == Some("as") {
                        at + 1 + usize::from(next.word() == Some("as"))
                    } else {
                        leaf(tokens, at, before.clone(), leaves)
                    };
                }
                return at;
            }
            Token::Sign(_) | Token::Text(_) => return at + 1,
        }
    }
}

fn absolute(segments: &[String], module: &[String], line: usize) -> Option<Named> {
    let (first, mut rest) = segments.split_first()?;
    let mut place = module.to_vec();
    let root = match first.as_str() {
        "crate" => {
            place.clear();
            "crate"
        }
        "self" => "crate",
        "super" => {
            place.pop();
            while let Some((next, after)) = rest.split_first().filter(|(next, _)| *next == "super") {
                debug_assert_eq!(next, "super");
                place.pop();
                rest = after;
            }
            "crate"
        }
        other => {
            place.clear();
            other
        }
    };
    place.extend(rest.iter().filter(|segment| *segment != "self").cloned());
    Some(Named { root: root.to_owned(), segments: place, written: first.clone(), module: module.to_vec(), line })
}

#[test]
fn use_trees_are_spread_out() {
    let text = "use crate::{a::{B, c::D as E}, f};\nmod tests { use super::*; fn g() { super::super::h::i(); universal_core::error::Error::new() } }\npub(crate) fn j() -> crate::k::L {}";
    let found = named(&tokens(text), &["x".to_owned(), "y".to_owned()]);
    let shown: Vec<String> = found
        .iter()
        .map(|named| format!("{}::{} from {}", named.root, named.segments.join("::"), named.module.join("::")))
        .collect();
    assert_eq!(
        shown,
        [
            "crate::a::B from x::y",
            "crate::a::c::D from x::y",
            "crate::f from x::y",
            "crate::x::y::* from x::y::tests",
            "crate::x::h::i from x::y::tests",
            "universal_core::error::Error::new from x::y::tests",
            "crate::k::L from x::y",
        ]
    );
}
