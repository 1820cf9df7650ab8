//! Full-text search: the words of documents beside them, and the rows that a search finds.
//!
//! PostgreSQL has them as a `tsvector` with a GIN index, SQLite in an FTS5 table. Both are given words (not texts), so
//! that neither's own idea of a word matters, and one word more that stands for tenant and collection: what is looked up
//! is never a row of somebody else.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::{
    collections::{
        configured::Configured,
        document::Document,
        search::{Search, Term, Words},
    },
    drivers::sql::{collections::rows, dialect::Dialect, lower::Lowered, statement::column, write::Write},
    error::Result,
    id::{CollectionName, DocumentId, TenantId},
};

/// The column that a search puts beside a document's: how well it fits, larger is better.
pub(super) const RANK: &str = "found_rank";

/// What stands in a place of SQLite's text where no word is. It is no letter, so that no search asks for it.
const NOTHING: &str = "\u{fffd}";

impl Write<'_> {
    /// Stores the words of a document that was written, where its collection can be searched. One without words has a row
    /// too: a search may ask for documents without a word.
    pub(super) async fn store_words(
        &mut self,
        tenant: &TenantId,
        configured: &Configured,
        document: &Document,
        members: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<()> {
        let Some(searchable) = configured.searchable() else { return Ok(()) };
        let words = searchable.words(members);
        let mut values = rows::key(tenant, &document.collection, &document.id);
        let scope = scope(tenant, &document.collection);
        match self.dialect() {
            Dialect::Postgres => {
                values.push(vector(&scope, &words).into());
                self.execute(STORE_VECTOR, values).await?;
            }
            Dialect::Sqlite => {
                values.push(i64::try_from(words.places().len()).unwrap_or(i64::MAX).into());
                if let Some(row) = self.one(STORE_NUMBER, values).await? {
                    let id: i64 = column(&row, 0)?;
                    self.execute(STORE_WORDS, vec![id.into(), scope.into(), text(&words).into()]).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes the words of a document away.
    pub(super) async fn forget_words(
        &mut self,
        tenant: &TenantId,
        collection: &CollectionName,
        id: &DocumentId,
    ) -> Result<()> {
        match self.dialect() {
            Dialect::Postgres => {
                self.execute(FORGET, rows::key(tenant, collection, id)).await?;
            }
            Dialect::Sqlite => {
                if let Some(row) = self.one(FORGET_NUMBER, rows::key(tenant, collection, id)).await? {
                    let id: i64 = column(&row, 0)?;
                    self.execute("DELETE FROM universal_search_words WHERE rowid = $1", vec![id.into()]).await?;
                }
            }
        }
        Ok(())
    }
}

/// The ids of the documents that match, as a condition over the columns of `universal_documents`. Tenant and collection
/// are the first two values of the statement; `first` is the number of the placeholder that comes next.
pub(super) fn condition(
    dialect: Dialect,
    (tenant, collection): (&TenantId, &CollectionName),
    search: &Search,
    first: usize,
) -> Lowered {
    let scope = scope(tenant, collection);
    match dialect {
        Dialect::Postgres => Lowered {
            sql: format!(
                "id IN (SELECT doc_id FROM universal_search
                 WHERE tenant_id = $1 AND collection = $2 AND words @@ ${first}::text::tsquery)"
            ),
            values: vec![query(&scope, search).into()],
        },
        Dialect::Sqlite => Lowered {
            sql: format!("id IN (SELECT named.doc_id {})", named(first)),
            values: vec![matching(&scope, search).into()],
        },
    }
}

/// The documents that match as a table of `found_id` and [`RANK`].
pub(super) fn found(
    dialect: Dialect,
    (tenant, collection): (&TenantId, &CollectionName),
    search: &Search,
    first: usize,
) -> Lowered {
    let scope = scope(tenant, collection);
    match dialect {
        Dialect::Postgres => Lowered {
            sql: format!(
                "(SELECT doc_id AS found_id,
                    floor(ts_rank(words, ${}::text::tsquery, 1)::double precision * 1000000)::bigint AS {RANK}
                  FROM universal_search
                  WHERE tenant_id = $1 AND collection = $2 AND words @@ ${first}::text::tsquery)",
                first + 1
            ),
            values: vec![query(&scope, search).into(), wanted(search).into()],
        },
        // What `highlight` adds is one character a hit, so that the rank of a document rests on itself alone: `bm25`
        // counts the words of all tenants. The limit keeps the function in the one place where it can be called.
        Dialect::Sqlite => Lowered {
            sql: format!(
                "(SELECT named.doc_id AS found_id,
                    (length(highlight(universal_search_words, 1, char(2), '')) - length(universal_search_words.words))
                        * 1000000 / (named.places + 20) AS {RANK}
                  {} LIMIT -1)",
                named(first)
            ),
            values: vec![matching(&scope, search).into()],
        },
    }
}

/// SQLite's rows that match. `CROSS JOIN` keeps the order: the words first, then the documents that they name.
fn named(first: usize) -> String {
    format!(
        "FROM universal_search_words CROSS JOIN universal_search named
         WHERE universal_search_words MATCH ${first} AND named.id = universal_search_words.rowid
            AND named.tenant_id = $1 AND named.collection = $2"
    )
}

/// The word that stands for tenant and collection. No text has it: its words hold letters, digits and marks in small
/// letters.
fn scope(tenant: &TenantId, collection: &CollectionName) -> String {
    let mut digest = Sha256::new();
    digest.update(tenant.as_str());
    digest.update([0]);
    digest.update(collection.as_str());
    let hex: String = digest.finalize().iter().take(12).map(|byte| format!("{byte:02X}")).collect();
    format!("S{hex}")
}

/// A `tsvector` as text: `'tea':1,5 'milk':2`.
fn vector(scope: &str, words: &Words) -> String {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (at, word) in words.places().iter().enumerate() {
        if let Some(word) = word {
            places.entry(word).or_default().push((at + 1).to_string());
        }
    }
    let mut text = quoted(scope);
    for (word, at) in places {
        text.push_str(&format!(" {}:{}", quoted(word), at.join(",")));
    }
    text
}

/// The words as a text for the tokenizer `ascii`, to which every letter that is not ASCII belongs to a word.
fn text(words: &Words) -> String {
    words.places().iter().map(|word| word.as_deref().unwrap_or(NOTHING)).collect::<Vec<_>>().join(" ")
}

/// A `tsquery` as text.
fn query(scope: &str, search: &Search) -> String {
    let mut text = quoted(scope);
    for term in &search.terms {
        text.push_str(if term.excluded { " & !" } else { " & " });
        text.push_str(&phrase(term));
    }
    text
}

/// The part of the search by which a document is ranked.
fn wanted(search: &Search) -> String {
    let terms: Vec<_> = search.terms.iter().filter(|term| !term.excluded).map(phrase).collect();
    terms.join(" & ")
}

fn phrase(term: &Term) -> String {
    let words: Vec<_> = term.words.iter().map(|word| quoted(word)).collect();
    format!("({}{})", words.join(" <-> "), if term.beginning { ":*" } else { "" })
}

/// A word in the quotes of `tsvector` and `tsquery`. It holds neither quotes nor backslashes, because it is a word.
fn quoted(word: &str) -> String {
    format!("'{word}'")
}

/// The same as an expression of FTS5 (<https://www.sqlite.org/fts5.html#full_text_query_syntax>).
fn matching(scope: &str, search: &Search) -> String {
    let phrase = |term: &Term| {
        let words: Vec<_> = term.words.iter().map(|word| format!("\"{word}\"")).collect();
        format!("{}{}", words.join(" + "), if term.beginning { " *" } else { "" })
    };
    let those = |excluded: bool| search.terms.iter().filter(move |term| term.excluded == excluded).map(phrase);
    let (wanted, unwanted): (Vec<_>, Vec<_>) = (those(false).collect(), those(true).collect());
    let mut text = format!("(scope : \"{scope}\")");
    if !wanted.is_empty() {
        text.push_str(&format!(" AND (words : ({}))", wanted.join(" AND ")));
    }
    if !unwanted.is_empty() {
        text = format!("({text}) NOT (words : ({}))", unwanted.join(" OR "));
    }
    text
}

const STORE_VECTOR: &str = "INSERT INTO universal_search (tenant_id, collection, doc_id, words)
    VALUES ($1, $2, $3, $4::text::tsvector)
    ON CONFLICT (tenant_id, collection, doc_id) DO UPDATE SET words = excluded.words";

const STORE_NUMBER: &str =
    "INSERT INTO universal_search (tenant_id, collection, doc_id, places) VALUES ($1, $2, $3, $4)
    ON CONFLICT (tenant_id, collection, doc_id) DO UPDATE SET places = excluded.places RETURNING id";

const STORE_WORDS: &str = "INSERT OR REPLACE INTO universal_search_words (rowid, scope, words) VALUES ($1, $2, $3)";

const FORGET: &str = "DELETE FROM universal_search WHERE tenant_id = $1 AND collection = $2 AND doc_id = $3";

const FORGET_NUMBER: &str = "DELETE FROM universal_search WHERE tenant_id = $1 AND collection = $2 AND doc_id = $3
    RETURNING id";

#[cfg(test)]
mod tests {
    use crate::collections::search::{SearchSettings, Searchable};

    use super::*;

    #[test]
    fn searches_become_queries_of_words_alone() {
        let searchable = Searchable::compile(&SearchSettings::new(["t"]), &[]).unwrap();
        let search = searchable.search("Tea \"green leaf\" bis* -milk -\"a b\"").unwrap();
        assert_eq!(
            query("S1", &search),
            "'S1' & ('tea') & ('green' <-> 'leaf') & ('bis':*) & !('milk') & !('a' <-> 'b')"
        );
        assert_eq!(
            matching("S1", &search),
            "((scope : \"S1\") AND (words : (\"tea\" AND \"green\" + \"leaf\" AND \"bis\" *))) NOT (words : (\"milk\" OR \"a\" + \"b\"))"
        );
        let hostile = searchable.search("') OR 1=1 -- \" NEAR(\\ x) {words}: ^a & b:* <->").unwrap();
        let text = format!("{}{}", query("S1", &hostile), matching("S1", &hostile));
        assert!(
            hostile.terms.iter().flat_map(|term| &term.words).all(|word| word.chars().all(char::is_alphanumeric)),
            "{text}"
        );
    }

    #[test]
    fn words_have_places() {
        let searchable = Searchable::compile(&SearchSettings::new(["t", "u"]), &[]).unwrap();
        let members = serde_json::json!({"t": "tea & milk tea", "u": "tea"});
        let words = searchable.words(members.as_object().unwrap());
        assert_eq!(vector("S1", &words), "'S1' 'milk':2 'tea':1,3,5");
        assert_eq!(text(&words), "tea milk tea \u{fffd} tea");
    }
}
