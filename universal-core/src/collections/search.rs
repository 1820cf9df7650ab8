//! Full-text search: what the words of a document and of a search are. Both databases are given words and find words,
//! so that the same documents match on both.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use snowball_stemmers_rs::{Algorithm, Stemmer};
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use crate::{
    collections::member::Path,
    error::{Error, Result},
};

/// How many members are searched at most.
pub const MAX_SEARCH_FIELDS: usize = 16;
/// How many bytes a search may have.
pub const MAX_SEARCH_BYTES: usize = 1024;
/// How many words and phrases a search may have.
pub const MAX_SEARCH_TERMS: usize = 32;

/// How many words of a document are found; PostgreSQL counts no further.
const MOST_WORDS: usize = 16_000;
/// How many bytes of words of a document are found, four more counted for each; PostgreSQL keeps a megabyte at most.
const MOST_WORD_BYTES: usize = 512 * 1024;
/// How often a word counts in a document; PostgreSQL keeps no more places.
const MOST_PLACES: u32 = 255;
/// How many characters of a word count.
const LONGEST_WORD: usize = 64;

/// What of a collection's documents can be searched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SearchSettings {
    /// Paths of the members whose texts are searched, and texts in arrays there; at most [`MAX_SEARCH_FIELDS`]. None
    /// of them may be hidden.
    pub fields: Vec<String>,
    /// How words are brought to their stems.
    #[serde(default)]
    pub language: SearchLanguage,
}

impl SearchSettings {
    /// The texts of these members can be searched, word for word.
    #[must_use]
    pub fn new<I: IntoIterator<Item = S>, S: Into<String>>(fields: I) -> Self {
        Self { fields: fields.into_iter().map(Into::into).collect(), language: SearchLanguage::Simple }
    }

    /// The same by the stems of a language.
    #[must_use]
    pub fn with_language(mut self, language: SearchLanguage) -> Self {
        self.language = language;
        self
    }
}

/// How words are brought to their stems: by [Snowball](https://snowballstem.org), or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the language of its name")]
pub enum SearchLanguage {
    /// Words as they are, in small letters.
    #[default]
    Simple,
    Danish,
    Dutch,
    English,
    Finnish,
    French,
    German,
    Hungarian,
    Italian,
    Norwegian,
    Portuguese,
    Romanian,
    Russian,
    Spanish,
    Swedish,
    Turkish,
}

impl SearchLanguage {
    fn stemmer(self) -> Option<Stemmer> {
        let algorithm = match self {
            Self::Simple => return None,
            Self::Danish => Algorithm::Danish,
            Self::Dutch => Algorithm::Dutch,
            Self::English => Algorithm::English,
            Self::Finnish => Algorithm::Finnish,
            Self::French => Algorithm::French,
            Self::German => Algorithm::German,
            Self::Hungarian => Algorithm::Hungarian,
            Self::Italian => Algorithm::Italian,
            Self::Norwegian => Algorithm::Norwegian,
            Self::Portuguese => Algorithm::Portuguese,
            Self::Romanian => Algorithm::Romanian,
            Self::Russian => Algorithm::Russian,
            Self::Spanish => Algorithm::Spanish,
            Self::Swedish => Algorithm::Swedish,
            Self::Turkish => Algorithm::Turkish,
        };
        Some(Stemmer::create(algorithm))
    }

    /// Gives each word of a text: letters, digits and the marks on them, in small letters, brought to its stem, without
    /// accents.
    fn each_word(self, text: &str, mut give: impl FnMut(String)) {
        let stemmer = self.stemmer();
        let plain = text.is_ascii();
        let composed: String = if plain { text.to_owned() } else { text.nfc().collect() };
        let within = |c: char| c.is_alphanumeric() || is_combining_mark(c);
        for word in composed.split(|c| !within(c)).filter(|word| word.chars().any(char::is_alphanumeric)) {
            let small = word.to_lowercase();
            // English has no letters with accents: its stems are those of the words that are written without.
            let small = if self == Self::English && !small.is_ascii() { without_accents(&small) } else { small };
            let stem = stemmer.as_ref().map_or_else(|| small.clone(), |stemmer| stemmer.stem(&small).into_owned());
            let stem = if stem.is_empty() { small } else { stem };
            let bare = if stem.is_ascii() { stem } else { without_accents(&stem) };
            give(bare.chars().take(LONGEST_WORD).collect());
        }
    }
}

/// Without the marks of the block "Combining Diacritical Marks"; marks of other scripts are letters to their readers.
fn without_accents(word: &str) -> String {
    let bare: String = word.nfd().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).nfc().collect();
    if bare.is_empty() { word.to_owned() } else { bare }
}

/// Which members of a document are searched, ready to find their words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Searchable {
    paths: Vec<Path>,
    language: SearchLanguage,
}

impl Searchable {
    /// Checks settings. `hidden` are the members that must not be found.
    ///
    /// # Errors
    /// `Invalid` with the place (`/search/fields/0`).
    pub(crate) fn compile(settings: &SearchSettings, hidden: &[Path]) -> Result<Self> {
        if settings.fields.is_empty() || settings.fields.len() > MAX_SEARCH_FIELDS {
            let message = format!("expected 1 to {MAX_SEARCH_FIELDS} members");
            return Err(Error::invalid("invalid-settings", message).with_field("/search/fields"));
        }
        let path = |(index, text): (usize, &String)| {
            let wrong =
                |message: &str| Error::invalid("invalid-field", message).with_field(format!("/search/fields/{index}"));
            let path = Path::parse(text).map_err(|error| wrong(error.message()))?;
            if hidden.iter().any(|hidden| hidden.touches(&path.field())) {
                return Err(wrong("a hidden member cannot be searched: whoever may search would learn what it holds"));
            }
            Ok(path)
        };
        let paths = settings.fields.iter().enumerate().map(path).collect::<Result<_>>()?;
        Ok(Self { paths, language: settings.language })
    }

    /// The words of a document.
    pub(crate) fn words(&self, members: &Map<String, Value>) -> Words {
        let mut words = Words::default();
        for value in self.paths.iter().filter_map(|path| path.get(members)) {
            self.collect(value, &mut words);
        }
        words
    }

    fn collect(&self, value: &Value, words: &mut Words) {
        match value {
            Value::String(text) => {
                words.part();
                self.language.each_word(text, |word| words.push(word));
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(item, words)),
            _ => {}
        }
    }

    /// Reads a search: words, `"phrases"`, `-excluded` ones and `beginnings*`. Everything else is plain text.
    ///
    /// # Errors
    /// `Invalid` `invalid-search` for one without a word, and for one that is too long.
    pub(crate) fn search(&self, text: &str) -> Result<Search> {
        let wrong = |message: String| Error::invalid("invalid-search", message).with_field("search");
        if text.len() > MAX_SEARCH_BYTES {
            return Err(wrong(format!("a search may have at most {MAX_SEARCH_BYTES} bytes")));
        }
        let mut terms = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (excluded, behind) = match rest.strip_prefix('-') {
                Some(behind) => (true, behind),
                None => (false, rest),
            };
            let (chunk, next, quoted) = match behind.strip_prefix('"') {
                Some(phrase) => {
                    let (phrase, next) = phrase.split_once('"').unwrap_or((phrase, ""));
                    (phrase, next, true)
                }
                None => {
                    let end = behind.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(behind.len());
                    let (chunk, next) = behind.split_at(end);
                    (chunk, next, false)
                }
            };
            let (next, beginning) = match next.strip_prefix('*').filter(|_| quoted) {
                Some(next) => (next, true),
                None => (next, !quoted && chunk.ends_with('*')),
            };
            let mut words = Vec::new();
            self.language.each_word(chunk, |word| words.push(word));
            if !words.is_empty() {
                terms.push(Term { words, beginning, excluded });
            }
            rest = next.trim_start();
        }
        if terms.is_empty() {
            return Err(wrong("search for at least one word: letters or digits".to_owned()));
        }
        if terms.len() > MAX_SEARCH_TERMS {
            return Err(wrong(format!("a search may have at most {MAX_SEARCH_TERMS} words and phrases")));
        }
        Ok(Search { terms })
    }
}

/// The words of a document in their order. Words are letters, digits and marks, nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    /// `None` is a place that no search finds: between two texts, or one of a word that stands too often.
    places: Vec<Option<String>>,
    counts: HashMap<String, u32>,
    /// Of the words that count, with four for each.
    bytes: usize,
}

impl Words {
    fn part(&mut self) {
        if !self.places.is_empty() && self.places.len() < MOST_WORDS {
            self.places.push(None);
        }
    }

    fn push(&mut self, word: String) {
        if self.places.len() >= MOST_WORDS {
            return;
        }
        if !self.counts.contains_key(&word) {
            if self.bytes + word.len() + 4 > MOST_WORD_BYTES {
                return;
            }
            self.bytes += word.len() + 4;
        }
        let count = self.counts.entry(word.clone()).or_default();
        *count += 1;
        self.places.push((*count <= MOST_PLACES).then_some(word));
    }

    /// The words and their places, from the first.
    pub(crate) fn places(&self) -> &[Option<String>] {
        &self.places
    }
}

/// A search that was read: all terms must match, and none of the excluded ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) terms: Vec<Term>,
}

/// A word, or words that stand one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// At least one.
    pub(crate) words: Vec<String>,
    /// Whether the last word is only the beginning of one.
    pub(crate) beginning: bool,
    /// Whether the documents that match are left out.
    pub(crate) excluded: bool,
}

#[cfg(any(test, feature = "testing"))]
impl Search {
    /// Whether a document with these words matches: what both databases must agree with.
    pub(crate) fn finds(&self, words: &Words) -> bool {
        let stands = |term: &Term| {
            words.places.windows(term.words.len()).any(|window| {
                let last = term.words.len() - 1;
                window.iter().zip(&term.words).enumerate().all(|(at, (found, wanted))| match found {
                    Some(found) if at == last && term.beginning => found.starts_with(wanted.as_str()),
                    Some(found) => found == wanted,
                    None => false,
                })
            })
        };
        self.terms.iter().all(|term| stands(term) != term.excluded)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn searchable(language: SearchLanguage) -> Searchable {
        Searchable::compile(&SearchSettings::new(["title", "tags"]).with_language(language), &[]).unwrap()
    }

    fn words(language: SearchLanguage, value: &Value) -> Vec<String> {
        let words = searchable(language).words(value.as_object().unwrap());
        words.places.iter().map(|word| word.clone().unwrap_or_else(|| "|".into())).collect()
    }

    #[test]
    fn words_are_letters_and_digits_without_accents() {
        let document =
            json!({"title": "Crème-brûlée: 2nd e\u{301}dition, O'Neil's_x!", "tags": ["a b", 7, ["C"]], "no": "no"});
        let expected = ["creme", "brulee", "2nd", "edition", "o", "neil", "s", "x", "|", "a", "b", "|", "c"];
        assert_eq!(words(SearchLanguage::Simple, &document), expected);
        let stems = words(SearchLanguage::English, &json!({"title": "Running runs, libraries' library"}));
        assert_eq!(stems, ["run", "run", "librari", "librari"]);
        assert_eq!(words(SearchLanguage::German, &json!({"title": "Häuser Haus"})), ["haus", "haus"]);
    }

    #[test]
    fn a_document_has_bounds() {
        let document = json!({"title": "tea ".repeat(300), "tags": "x1 x2 ".repeat(20_000)});
        let words = searchable(SearchLanguage::Simple).words(document.as_object().unwrap());
        assert_eq!(words.places.len(), MOST_WORDS);
        assert_eq!(words.places.iter().flatten().filter(|word| *word == "tea").count(), 255);
        let long = json!({"title": "y".repeat(500)});
        let words = searchable(SearchLanguage::Simple).words(long.as_object().unwrap());
        assert_eq!(words.places, [Some("y".repeat(LONGEST_WORD))]);
    }

    #[test]
    fn a_search_has_words_phrases_exclusions_and_beginnings() {
        let term = |words: &[&str], beginning, excluded| Term {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            beginning,
            excluded,
        };
        let read = |text: &str| searchable(SearchLanguage::Simple).search(text).unwrap().terms;
        assert_eq!(read("Tea  milk"), [term(&["tea"], false, false), term(&["milk"], false, false)]);
        assert_eq!(read("-\"green tea\" bis*"), [term(&["green", "tea"], false, true), term(&["bis"], true, false)]);
        assert_eq!(
            read("e-mail \"green te\"*"),
            [term(&["e", "mail"], false, false), term(&["green", "te"], true, false)]
        );
        assert_eq!(read("\"open end"), [term(&["open", "end"], false, false)]);
        assert_eq!(
            read("a\"b\"c - * \"\" :& | ! ' ("),
            [term(&["a"], false, false), term(&["b"], false, false), term(&["c"], false, false)]
        );
        let plain = read("a AND b* OR words:x");
        assert_eq!(
            plain.iter().map(|term| term.words.join("+")).collect::<Vec<_>>(),
            ["a", "and", "b", "or", "words+x"]
        );
        for bad in ["", "  ", "*", "-", "\"\"", "':&|!()", &"a ".repeat(33), &"a".repeat(1025)] {
            assert_eq!(searchable(SearchLanguage::Simple).search(bad).unwrap_err().code(), "invalid-search", "{bad}");
        }
    }

    #[test]
    fn hidden_members_cannot_be_searched() {
        let hidden = [Path::parse("title.secret").unwrap()];
        let error = Searchable::compile(&SearchSettings::new(["tags", "title"]), &hidden).unwrap_err();
        assert_eq!(error.field(), Some("/search/fields/1"));
    }
}
