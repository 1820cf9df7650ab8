//! The sources, cut into tokens; comments are gone, strings are kept apart.

use std::{fs, path::Path};

use universal_tests::environment::repository;

/// One piece of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or a keyword.
    Word(String),
    /// A string literal, without its quotes.
    Text(String),
    /// One sign of punctuation.
    Sign(char),
}

/// A token and the line it begins on.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) line: usize,
}

impl Placed {
    pub(super) fn is(&self, sign: char) -> bool {
        self.token == Token::Sign(sign)
    }

    pub(super) fn word(&self) -> Option<&str> {
        match &self.token {
            Token::Word(word) => Some(word),
            Token::Text(_) | Token::Sign(_) => None,
        }
    }
}

/// One file of Rust.
#[derive(Debug)]
pub(super) struct Source {
    /// From the root of the repository, with `/`.
    pub(super) path: String,
    /// The number of its lines.
    pub(super) lines: usize,
    pub(super) tokens: Vec<Placed>,
    /// Whether the whole file is test code: its module is declared so, or a module it lies in.
    test_only: bool,
}

impl Source {
    /// Whether `line` is test code: all of the file is, or the module `tests` that ends it begins before.
    pub(super) fn is_test(&self, line: usize) -> bool {
        if self.test_only {
            return true;
        }
        let words = |at: usize| self.tokens.get(at).and_then(Placed::word);
        let begins = (0..self.tokens.len()).find(|at| {
            words(*at) == Some("mod")
                && words(at + 1) == Some("tests")
                && self.tokens.get(at + 2).is_some_and(|next| next.is('{'))
        });
        begins.and_then(|at| self.tokens.get(at)).is_some_and(|begin| begin.line <= line)
    }

    /// `universal-core`, `tests` and so on.
    pub(super) fn package(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// The module that the file is, by its place: `src/drivers/sql/mod.rs` is `[drivers, sql]`, `src/lib.rs` is `[]`.
    pub(super) fn module(&self) -> Vec<String> {
        let below = self.path.split('/').skip(1).collect::<Vec<_>>();
        let below = below.strip_prefix(&["src"]).unwrap_or(&below);
        let mut module: Vec<String> = below.iter().map(|part| part.trim_end_matches(".rs").to_owned()).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main" | "suite")) {
            module.pop();
        }
        module
    }

    /// The modules that it declares behind `#[cfg(test)]`.
    fn test_modules(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        let mut behind_test = false;
        for (at, placed) in self.tokens.iter().enumerate() {
            let word = |ahead: usize| self.tokens.get(at + ahead).and_then(Placed::word);
            let sign = |ahead: usize, sign: char| self.tokens.get(at + ahead).is_some_and(|next| next.is(sign));
            match placed.word() {
                Some("cfg") if sign(1, '(') => {
                    // `cfg(test)`, `cfg(all(test, …))`
                    let inside = self.tokens[at..].iter().take_while(|next| !next.is(']'));
                    behind_test = inside.filter_map(Placed::word).any(|word| word == "test");
                }
                Some("mod") if behind_test && sign(2, ';') => {
                    found.extend(word(1).map(|name| self.module().into_iter().chain([name.to_owned()]).collect()));
                    behind_test = false;
                }
                // Another item stands behind the attribute.
                Some("fn" | "use" | "struct" | "impl" | "const" | "enum" | "trait" | "type" | "static") => {
                    behind_test = false
                }
                _ => {}
            }
        }
        found
    }

    /// Whether it is the face of a folder.
    pub(super) fn is_face(&self) -> bool {
        self.path.ends_with("/mod.rs")
    }
}

/// Every Rust file of the workspace.
pub(super) fn sources() -> Vec<Source> {
    let root = repository();
    let mut found = Vec::new();
    for package in ["universal-core", "universal-http", "examples", "tests", "benches"] {
        collect(&root, &root.join(package), &mut found);
    }
    assert!(found.len() > 20, "the sources are not where they are looked for: {}", root.display());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let tests: Vec<(String, Vec<String>)> = found
        .iter()
        .flat_map(|source| source.test_modules().into_iter().map(|module| (source.package().to_owned(), module)))
        .collect();
    for source in &mut found {
        source.test_only =
            tests.iter().any(|(package, module)| package == source.package() && source.module().starts_with(module));
    }
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != "data" {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source is text");
            let path = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
            found.push(Source { path, lines: text.lines().count(), tokens: tokens(&text), test_only: false });
        }
    }
}

/// Cuts Rust into tokens: enough of the language to find paths, strings and macros.
pub(super) fn tokens(text: &str) -> Vec<Placed> {
    let chars: Vec<char> = text.chars().collect();
    let mut reader = Reader { chars: &chars, at: 0, line: 1 };
    let mut found = Vec::new();
    while let Some(next) = reader.peek(0) {
        let line = reader.line;
        if let Some(token) = reader.token(next) {
            found.push(Placed { token, line });
        }
    }
    found
}

struct Reader<'t> {
    chars: &'t [char],
    at: usize,
    line: usize,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek(0)?;
        self.at += 1;
        if next == '\n' {
            self.line += 1;
        }
        Some(next)
    }

    fn token(&mut self, next: char) -> Option<Token> {
        match (next, self.peek(1)) {
            ('/', Some('/')) => {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.take();
                }
                None
            }
            ('/', Some('*')) => {
                self.block_comment();
                None
            }
            ('"', _) => Some(Token::Text(self.quoted())),
            ('r' | 'b' | 'c', _) if self.raw_hashes().is_some() => Some(Token::Text(self.raw())),
            ('b' | 'c', Some('"')) => {
                self.take();
                Some(Token::Text(self.quoted()))
            }
            ('\'', _) => {
                self.char_or_lifetime();
                None
            }
            _ if next == '_' || next.is_alphanumeric() => {
                let mut word = String::new();
                while let Some(c) = self.peek(0).filter(|c| *c == '_' || c.is_alphanumeric()) {
                    word.push(c);
                    self.take();
                }
                Some(Token::Word(word))
            }
            _ => {
                self.take();
                (!next.is_whitespace()).then_some(Token::Sign(next))
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_u32;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.take();
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.take();
                }
                (None, _) => return,
                _ => {}
            }
            self.take();
            if depth == 0 {
                return;
            }
        }
    }

    fn quoted(&mut self) -> String {
        let mut text = String::new();
        self.take();
        while let Some(c) = self.take() {
            match c {
                '"' => break,
                '\\' => {
                    // A line continued swallows the white space after it; every other escape is no letter of interest.
                    if self.take() == Some('\n') {
                        while self.peek(0).is_some_and(char::is_whitespace) {
                            self.take();
                        }
                    }
                    text.push(' ');
                }
                _ => text.push(c),
            }
        }
        text
    }

    /// The number of `#` of a raw string that begins here.
    fn raw_hashes(&self) -> Option<usize> {
        let start = match (self.peek(0), self.peek(1)) {
            (Some('r'), _) => 1,
            (Some('b' | 'c'), Some('r')) => 2,
            _ => return None,
        };
        let hashes = (0..).take_while(|n| self.peek(start + n) == Some('#')).count();
        (self.peek(start + hashes) == Some('"')).then_some(hashes)
    }

    fn raw(&mut self) -> String {
        let hashes = self.raw_hashes().unwrap_or_default();
        while self.take() != Some('"') {}
        let mut text = String::new();
        while let Some(c) = self.take() {
            if c == '"' && (0..hashes).all(|n| self.peek(n) == Some('#')) {
                (0..hashes).for_each(|_| {
                    self.take();
                });
                break;
            }
            text.push(c);
        }
        text
    }

    fn char_or_lifetime(&mut self) {
        self.take();
        if self.peek(0) == Some('\\') {
            self.take();
            self.take();
            while self.take().is_some_and(|c| c != '\'') {}
        } else if self.peek(1) == Some('\'') {
            self.take();
            self.take();
        }
        // A lifetime: its name follows as a word, which no rule looks at.
    }
}

#[test]
fn tokens_are_cut_as_rust_cuts_them() {
    let text = "use a::b; // c::d\n/* e /* f */ g */ let x = \"SELECT \\\" 1\"; let y = r#\"raw \" text\"#; let z: &'a str = 'q'; b'\\''";
    let found = tokens(text);
    let words: Vec<_> = found.iter().filter_map(Placed::word).collect();
    assert_eq!(words, ["use", "a", "b", "let", "x", "let", "y", "let", "z", "a", "str", "b"]);
    let texts: Vec<_> = found
        .iter()
        .filter_map(|placed| if let Token::Text(text) = &placed.token { Some(text.as_str()) } else { None })
        .collect();
    assert_eq!(texts, ["SELECT   1", "raw \" text"]);
    assert_eq!(found.iter().find(|placed| placed.word() == Some("let")).map(|placed| placed.line), Some(2));
}
