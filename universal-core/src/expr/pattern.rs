//! Regular expressions, which are compiled when an expression is read.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

/// The longest pattern, in bytes.
const LONGEST_PATTERN: usize = 256;
/// The most memory of a compiled pattern, in bytes.
const LARGEST_PROGRAM: usize = 64 * 1024;
/// The longest text that is matched, in bytes: time is at most text × program.
const LONGEST_TEXT: usize = 4 * 1024;

/// A pattern in the syntax of the `regex` crate, which is that of RE2 and of CEL but for details; it matches in linear
/// time.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: Arc<str>,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// Compiles a pattern, or says what was expected.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST_PATTERN {
            return Err(format!("expected a pattern of at most {LONGEST_PATTERN} bytes, found {}", text.len()));
        }
        let built = RegexBuilder::new(text)
            .size_limit(LARGEST_PROGRAM)
            .dfa_size_limit(4 * LARGEST_PROGRAM)
            .nest_limit(32)
            .build();
        match built {
            Ok(regex) => Ok(Self { text: text.into(), regex }),
            Err(regex::Error::CompiledTooBig(_)) => {
                Err("expected a smaller pattern: repetitions of large classes, as in \\w{100}, take too much"
                    .to_owned())
            }
            Err(error) => {
                let error = error.to_string();
                let last = error.lines().last().unwrap_or_default();
                Err(format!("expected a regular expression: {}", last.trim_start_matches("error: ")))
            }
        }
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches somewhere in `text`; `None` for a text of more than 4 KiB.
    pub(super) fn is_match(&self, text: &str) -> Option<bool> {
        (text.len() <= LONGEST_TEXT).then(|| self.regex.is_match(text))
    }
}
